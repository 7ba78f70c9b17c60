"""One distribution's metadata, read leniently: decades of tools wrote it, and not all by the book.

The fields are those of https://packaging.python.org/specifications/core-metadata/.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from email import message_from_string
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from email.utils import getaddresses
from importlib.metadata import Distribution

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidName, canonicalize_name

MAX_LICENCE_LENGTH = 100
"""A longer `License` field holds the terms themselves rather than their name."""

_METADATA_FILES = ("METADATA", "PKG-INFO", "")
_LICENCE_CLASSIFIER = "License :: "
_MATURITY_CLASSIFIER = "Development Status :: "
_MATURITY = {
    "1": "planning", "2": "pre-alpha", "3": "alpha", "4": "beta", "5": "stable", "6": "mature", "7": "inactive",
}  # fmt: skip
_SPDX = {
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "3-clause bsd license": "BSD-3-Clause",
    "isc license": "ISC",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
}
_HOME_PAGE_LABELS = ("homepage", "home", "repository", "source", "sourcecode", "github", "documentation")
_COMPANY_SUFFIXES = {"inc", "inc.", "ltd", "ltd.", "llc", "gmbh", "corp", "corp."}


class UnreadableMetadata(ValueError):
    """A distribution whose metadata says not even which it is; the message says why."""


@dataclass(frozen=True)
class Metadata:
    """What one distribution says of itself. `authors` maps a name to its mail addresses."""

    name: str
    title: str
    version: str = ""
    summary: str = ""
    home_page: str = ""
    requires_python: str = ""
    maturity: str = ""
    licence: str = ""
    authors: dict[str, set[str]] = field(default_factory=dict)
    requires: frozenset[str] = frozenset()
    extras: frozenset[str] = frozenset()
    keywords: frozenset[str] = frozenset()
    faults: tuple[str, ...] = ()


def read(distribution: Distribution) -> Metadata:
    """The metadata of an installed distribution; what cannot be understood is named in `faults`.

    Raises:
        UnreadableMetadata: There is none, it is not UTF-8, or it holds no valid name.
    """
    return parse(_text(distribution), distribution)


def parse(text: str, distribution: Distribution | None = None) -> Metadata:
    """The metadata in a file's text; requirements that only an egg has come from the distribution itself."""
    message = message_from_string(text)
    title = _field(message, "Name")
    try:
        name = canonicalize_name(title, validate=True)
    except InvalidName:
        raise UnreadableMetadata(f"its name is {title!r}" if title else "it has no name") from None
    lines = _fields(message, "Requires-Dist")
    if not lines and distribution is not None:
        lines = list(distribution.requires or ())
    requires, extras, faults = _requirements(lines)
    classifiers = _fields(message, "Classifier")
    return Metadata(
        name=name,
        title=title,
        version=_field(message, "Version"),
        summary=" ".join(_field(message, "Summary").split()),
        home_page=_home_page(message),
        requires_python=_field(message, "Requires-Python"),
        maturity=next((_maturity(text) for text in classifiers if _maturity(text)), ""),
        licence=_licence(message, classifiers),
        authors=_authors(message),
        requires=frozenset(requires),
        extras=frozenset(extras - requires),
        keywords=frozenset(_keywords(_field(message, "Keywords"))),
        faults=tuple(faults),
    )


def _text(distribution: Distribution) -> str:
    try:
        for name in _METADATA_FILES:
            if text := distribution.read_text(name):
                return text
    except UnicodeDecodeError as fault:
        raise UnreadableMetadata(f"its metadata is not UTF-8 at byte {fault.start:,}") from None
    raise UnreadableMetadata("it has no metadata")


def _fields(message: Message, name: str) -> list[str]:
    """Every value of a field, unfolded; `UNKNOWN` is what old tools wrote for nothing."""
    values = (_decoded(str(value)).strip() for value in message.get_all(name, []))
    return [value for value in values if value and value != "UNKNOWN"]


def _field(message: Message, name: str) -> str:
    return next(iter(_fields(message, name)), "")


def _decoded(value: str) -> str:
    """The text behind RFC 2047 words, which some tools wrote for what is not ASCII."""
    if "=?" not in value:
        return value
    try:
        return str(make_header(decode_header(value)))
    except (HeaderParseError, LookupError, UnicodeDecodeError):
        return value


def _requirements(lines: Iterable[str]) -> tuple[set[str], set[str], list[str]]:
    requires: set[str] = set()
    extras: set[str] = set()
    faults: list[str] = []
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            faults.append(f"not a requirement: {line!r}")
            continue
        needed = extras if re.search(r"\bextra\b", str(requirement.marker or "")) else requires
        needed.add(canonicalize_name(requirement.name))
    return requires, extras, faults


def _home_page(message: Message) -> str:
    if page := _field(message, "Home-page"):
        return page
    urls: dict[str, str] = {}
    for line in _fields(message, "Project-URL"):
        label, comma, url = line.partition(",")
        if comma:
            urls.setdefault(re.sub(r"[^a-z]", "", label.lower()), url.strip())
    return next((urls[label] for label in _HOME_PAGE_LABELS if urls.get(label)), "")


def _maturity(classifier: str) -> str:
    return (
        _MATURITY.get(classifier.removeprefix(_MATURITY_CLASSIFIER)[:1], "")
        if classifier.startswith(_MATURITY_CLASSIFIER)
        else ""
    )


def _licence(message: Message, classifiers: Iterable[str]) -> str:
    stated = _field(message, "License-Expression") or _field(message, "License")
    if stated and len(stated) <= MAX_LICENCE_LENGTH and "\n" not in stated:
        return _SPDX.get(stated.lower(), stated)
    names = [text.rpartition(" :: ")[2] for text in classifiers if text.startswith(_LICENCE_CLASSIFIER)]
    return " OR ".join(sorted({_SPDX.get(name.lower(), name) for name in names}))


def _authors(message: Message) -> dict[str, set[str]]:
    names = [name for text in _fields(message, "Author") for name in _split_names(text)]
    addressed: dict[str, set[str]] = {}
    bare: list[str] = []
    for name, address in getaddresses(_fields(message, "Author-email")):
        if name and "@" in address:
            addressed.setdefault(" ".join(name.split()), set()).add(address)
        elif "@" in address:
            bare.append(address)
    authors: dict[str, set[str]] = {name: set() for name in names}
    for name, addresses in addressed.items():
        authors.setdefault(name, set()).update(addresses)
    if len(authors) == 1:
        next(iter(authors.values())).update(bare)
    elif not authors:
        authors = {address: {address} for address in bare}
    return authors


def _split_names(text: str) -> Iterator[str]:
    """The names of a free-form list; `Example, Inc.` stays one."""
    held = ""
    for part in (" ".join(piece.split()) for piece in text.split(",")):
        if part.lower() in _COMPANY_SUFFIXES:
            held = f"{held}, {part}"
            continue
        if held:
            yield held
        held = part
    if held:
        yield held


def _keywords(text: str) -> Iterator[str]:
    for word in text.split(",") if "," in text else text.split():
        if word.strip():
            yield " ".join(word.split())
