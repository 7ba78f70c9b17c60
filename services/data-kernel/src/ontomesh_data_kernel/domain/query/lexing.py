"""Reading a filter or an order piece by piece, with the column of each."""

import re
from dataclasses import dataclass

from ontomesh_data_kernel.errors import InvalidFilter

_BLANK = re.compile(r"[ \t\r\n]*")
_PATH = re.compile(r"@?[\w-]+(?:\.@?[\w-]+)*")
_WORD = re.compile(r"[^\W\d][\w-]*")
_BARE = re.compile(r"""[^\s()\[\],"'=<>!\\*]+\*?|\*""")
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Literal:
    """A value as written, its escapes undone; `is_prefix` if an unescaped star ended it, which is not in `text`."""

    text: str
    column: int
    is_prefix: bool = False
    is_quoted: bool = True


@dataclass(frozen=True, slots=True)
class Name:
    """One step of a path as written."""

    text: str
    column: int


class Scanner:
    """Hands out the pieces of a text in turn; `field` is whose text it is, as errors name it."""

    def __init__(self, text: str, field: str) -> None:
        self._text = text
        self._field = field
        self._position = 0
        self._skip()

    @property
    def column(self) -> int:
        """The column of the next piece, in characters from 1 on; at the end one beyond the last."""
        return self._position + 1

    @property
    def is_done(self) -> bool:
        """Whether nothing is left."""
        return self._position == len(self._text)

    def fault(self, description: str, column: int | None = None) -> InvalidFilter:
        """A fault at a column, or at the next piece."""
        return InvalidFilter.of(self.column if column is None else column, description, self._field)

    def found(self) -> str:
        """What stands next, as a message quotes it."""
        if self.is_done:
            return "the end"
        following = self._text[self._position : self._position + _SHOWN]
        # What splits words is more than what the language skips between them.
        return repr((following.split(maxsplit=1) or [following])[0])

    def take(self, *signs: str) -> str:
        """The first of these signs that stands next, which is passed; else nothing."""
        for sign in signs:
            if self._text.startswith(sign, self._position):
                self._pass(len(sign))
                return sign
        return ""

    def is_next(self, sign: str) -> bool:
        """Whether this sign stands next; it is not passed."""
        return self._text.startswith(sign, self._position)

    def take_word(self, *words: str) -> str:
        """The first of these words that stands next as a whole word, which is passed; else nothing."""
        match = _WORD.match(self._text, self._position)
        if match is None or match[0] not in words or self._text.startswith(".", match.end()):
            return ""
        self._pass(len(match[0]))
        return match[0]

    def take_path(self) -> tuple[Name, ...]:
        """The names of the path that stands next, which is passed; none if no path does."""
        match = _PATH.match(self._text, self._position)
        if match is None:
            return ()
        names = []
        column = self.column
        for text in match[0].split("."):
            names.append(Name(text, column))
            column += len(text) + 1
        self._pass(len(match[0]))
        return tuple(names)

    def take_literal(self) -> Literal:
        """The value that stands next: quoted, or a bare word or number. Raises InvalidFilter."""
        column = self.column
        if quote := self._text[self._position : self._position + 1]:
            if quote in "\"'":
                return self._quoted(quote, column)
            if match := _BARE.match(self._text, self._position):
                self._pass(len(match[0]))
                is_prefix = match[0].endswith("*")
                return Literal(match[0][:-1] if is_prefix else match[0], column, is_prefix, is_quoted=False)
        raise self.fault(f"a value is due, found {self.found()}; quote what is more than a word or a number")

    def _quoted(self, quote: str, column: int) -> Literal:
        text: list[str] = []
        position = self._position + 1
        star = 0
        while position < len(self._text):
            character = self._text[position]
            if character == quote:
                self._pass(position + 1 - self._position)
                return Literal("".join(text), column, is_prefix=bool(star))
            if star:
                raise self.fault(r"a star stands for the rest of a value, at its end only; `\*` is a star itself", star)
            if character == "\\":
                position += 1
                character = self._text[position : position + 1]
                if not character or character not in "\\\"'*":
                    raise self.fault(r"a backslash stands before \, *, or a quotation mark only", position)
                text.append(character)
            elif character == "*":
                star = position + 1
            else:
                text.append(character)
            position += 1
        raise self.fault(f"the quotation mark {quote} is not closed", column)

    def _pass(self, length: int) -> None:
        self._position += length
        self._skip()

    def _skip(self) -> None:
        match = _BLANK.match(self._text, self._position)
        self._position = match.end() if match else self._position
