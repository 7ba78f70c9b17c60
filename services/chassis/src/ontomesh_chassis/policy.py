"""The policy: which principal may do what, by database and branch. Pure; the file is read elsewhere."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import translate
from hashlib import sha256
from typing import Any

RIGHTS = ("read", "write", "admin", "act")
_PATTERN = re.compile(r"[^\s\[\]\x00-\x1f\x7f]{1,256}")
_RULE_KEYS = {"principals": str, "rights": str, "databases": str, "branches": str}


class PolicyError(ValueError):
    """A policy or a token's right that cannot be read; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Glob:
    """Patterns of which one must match; `*` crosses slashes, `?` is one character, case counts."""

    patterns: tuple[str, ...]
    _compiled: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for pattern in self.patterns:
            if not _PATTERN.fullmatch(pattern):
                raise PolicyError(f"malformed pattern {pattern!r}: 1 to 256 characters, no brackets or spaces")
        object.__setattr__(self, "_compiled", re.compile("|".join(map(translate, self.patterns)) or r"(?!)"))

    def matches(self, name: str) -> bool:
        """Whether one of the patterns matches the whole name."""
        return self._compiled.match(name) is not None

    @property
    def matches_all(self) -> bool:
        """Whether `*` is among the patterns."""
        return "*" in self.patterns


@dataclass(frozen=True, slots=True)
class Grant:
    """Rights over databases and branches.

    A right on a database as a whole (no branch) needs a grant over all branches: whoever is held to some
    branches does not administer the database around them.
    """

    rights: frozenset[str]
    databases: Glob
    branches: Glob

    def covers(self, right: str, database: str, branch: str | None) -> bool:
        """Whether the grant holds this right there; `branch=None` is the database as a whole."""
        return (
            right in self.rights
            and self.databases.matches(database)
            and (self.branches.matches_all if branch is None else self.branches.matches(branch))
        )

    def touches(self, right: str, database: str) -> bool:
        """Whether the grant may hold this right on some branch of the database."""
        return right in self.rights and self.databases.matches(database)


@dataclass(frozen=True, slots=True)
class Rule:
    """A grant for principals; with `token_claims_only`, only of what the token's own claim names too."""

    principals: Glob
    grant: Grant
    token_claims_only: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """Every rule of a policy. Without a matching rule there is no right."""

    rules: tuple[Rule, ...] = ()
    digest: str = ""

    def allows(
        self, principal: str, claim: tuple[Grant, ...] | None, right: str, database: str, branch: str | None
    ) -> bool:
        """Whether a principal whose token claims these rights (None: makes no claim) has the right there."""
        if claim is not None and not any(grant.covers(right, database, branch) for grant in claim):
            return False
        return any(rule.grant.covers(right, database, branch) for rule in self._rules_for(principal, claim))

    def allows_any(self, principal: str, claim: tuple[Grant, ...] | None, right: str, database: str) -> bool:
        """Whether the principal may have the right on some branch of the database."""
        if claim is not None and not any(grant.touches(right, database) for grant in claim):
            return False
        return any(rule.grant.touches(right, database) for rule in self._rules_for(principal, claim))

    def _rules_for(self, principal: str, claim: tuple[Grant, ...] | None) -> Iterable[Rule]:
        return (
            rule
            for rule in self.rules
            if rule.principals.matches(principal) and not (rule.token_claims_only and claim is None)
        )


def parse_claim(rights: Iterable[str]) -> tuple[Grant, ...]:
    """The grants that a token's `rights` claim names, each `right[:database[/branch-pattern]]`.

    Raises PolicyError for an unknown right or a malformed pattern.
    """
    return tuple(_claimed(text) for text in rights)


def _claimed(text: str) -> Grant:
    right, _, place = text.partition(":")
    database, _, branch = place.partition("/")
    if text.endswith((":", "/")):
        raise PolicyError(f"malformed right {text!r}: write it right[:database[/branch-pattern]]")
    return Grant(_rights([right]), Glob((database or "*",)), Glob((branch or "*",)))


def parse_policy(text: str) -> Policy:
    """The policy of a TOML text. Raises PolicyError, naming the rule (counted from 1), where it cannot be read."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        raise PolicyError(f"not TOML: {fault}") from fault
    unknown = set(document) - {"rule"}
    if unknown:
        raise PolicyError(f"unknown key {min(unknown)!r}: a policy holds [[rule]] tables only")
    tables = document.get("rule", [])
    if not isinstance(tables, list):
        raise PolicyError("'rule' must be an array of tables: write [[rule]]")
    rules = []
    for number, table in enumerate(tables, start=1):
        try:
            rules.append(_parse_rule(table))
        except PolicyError as fault:
            raise PolicyError(f"rule {number}: {fault}") from fault
    return Policy(tuple(rules), sha256(text.encode()).hexdigest())


def _parse_rule(table: Any) -> Rule:
    if not isinstance(table, Mapping):
        raise PolicyError("must be a table")
    unknown = set(table) - {*_RULE_KEYS, "token_claims_only"}
    if unknown:
        raise PolicyError(f"unknown key {min(unknown)!r}")
    lists = {key: _strings(table, key) for key in _RULE_KEYS}
    token_claims_only = table.get("token_claims_only", False)
    if not isinstance(token_claims_only, bool):
        raise PolicyError("token_claims_only must be true or false")
    branches = Glob(lists["branches"])
    if "admin" in lists["rights"] and not branches.matches_all:
        raise PolicyError('admin is a right on whole databases: branches must be ["*"]')
    grant = Grant(_rights(lists["rights"]), Glob(lists["databases"]), branches)
    return Rule(Glob(lists["principals"]), grant, token_claims_only)


def _strings(table: Mapping[str, Any], key: str) -> tuple[str, ...]:
    values = table.get(key)
    if not isinstance(values, list) or not values or not all(isinstance(value, str) for value in values):
        raise PolicyError(f"{key} must be a list of one or more strings")
    return tuple(values)


def _rights(names: Iterable[str]) -> frozenset[str]:
    rights: set[str] = set()
    for name in names:
        if name == "*":
            rights.update(RIGHTS)
        elif name in RIGHTS:
            rights.add(name)
        else:
            raise PolicyError(f"unknown right {name!r}: one of {', '.join(RIGHTS)} or *")
    return frozenset(rights)
