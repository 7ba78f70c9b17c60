"""The policy: which principal may do what, by database and branch, and by type of event and subscription. Pure; the file
is read elsewhere.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import translate
from hashlib import sha256
from typing import Any

PLACE_RIGHTS = ("read", "write", "admin", "act")
"""Rights over databases and branches."""
EVENT_RIGHTS = ("publish", "consume")
"""Rights over types of events; `consume` is over subscriptions, too."""
RIGHTS = (*PLACE_RIGHTS, *EVENT_RIGHTS)
_PATTERN = re.compile(r"[^\s\[\]\x00-\x1f\x7f]{1,256}")
_LISTS = ("principals", "rights", "databases", "branches", "types", "subscriptions")


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


_NOTHING = Glob(())
_EVERYTHING = Glob(("*",))


@dataclass(frozen=True, slots=True)
class Grant:
    """Rights over databases and branches, and over types of events and subscriptions.

    A right on a database as a whole (no branch) needs a grant over all branches: whoever is held to some
    branches does not administer the database around them. So with events: whoever is held to some subscriptions
    does not consume outside of them.
    """

    rights: frozenset[str]
    databases: Glob
    branches: Glob
    types: Glob = _NOTHING
    subscriptions: Glob = _NOTHING

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

    def covers_everything(self, right: str) -> bool:
        """Whether the grant holds this right on every database."""
        return right in self.rights and self.databases.matches_all and self.branches.matches_all

    def covers_event(self, right: str, type: str | None, subscription: str) -> bool:
        """Whether the grant holds this right over the type, None being some type or other; `consume` with a
        subscription's name over that subscription, and without one outside of subscriptions.
        """
        if right not in self.rights or not (self.types.patterns if type is None else self.types.matches(type)):
            return False
        if right != "consume":
            return True
        return self.subscriptions.matches(subscription) if subscription else self.subscriptions.matches_all


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

    def allows_everywhere(self, principal: str, claim: tuple[Grant, ...] | None, right: str) -> bool:
        """Whether the principal has the right on every database, by one rule and one right of its claim."""
        if claim is not None and not any(grant.covers_everything(right) for grant in claim):
            return False
        return any(rule.grant.covers_everything(right) for rule in self._rules_for(principal, claim))

    def allows_somewhere(self, principal: str, claim: tuple[Grant, ...] | None, right: str) -> bool:
        """Whether the principal may have the right in some database."""
        if claim is not None and not any(right in grant.rights for grant in claim):
            return False
        return any(right in rule.grant.rights for rule in self._rules_for(principal, claim))

    def allows_event(
        self,
        principal: str,
        claim: tuple[Grant, ...] | None,
        right: str,
        type: str | None,
        subscription: str = "",
    ) -> bool:
        """Whether the principal has the right `publish` or `consume`; see `Grant.covers_event`."""
        if claim is not None and not any(grant.covers_event(right, type, subscription) for grant in claim):
            return False
        return any(rule.grant.covers_event(right, type, subscription) for rule in self._rules_for(principal, claim))

    def _rules_for(self, principal: str, claim: tuple[Grant, ...] | None) -> Iterable[Rule]:
        return (
            rule
            for rule in self.rules
            if rule.principals.matches(principal) and not (rule.token_claims_only and claim is None)
        )


def parse_claim(rights: Iterable[str]) -> tuple[Grant, ...]:
    """The grants that a token's `rights` claim names, each `right[:database[/branch-pattern]]`,
    `publish[:type-pattern]` or `consume[:type-pattern[/subscription-pattern]]`.

    Raises PolicyError for an unknown right or a malformed pattern.
    """
    return tuple(_claimed(text) for text in rights)


def claim_texts(claim: tuple[Grant, ...]) -> tuple[str, ...]:
    """The texts of which `parse_claim` makes these grants, which came from it."""
    return tuple(_claim_text(grant) for grant in claim)


def _claimed(text: str) -> Grant:
    right, _, place = text.partition(":")
    if text.endswith((":", "/")):
        raise PolicyError(f"malformed right {text!r}: write it {_claim_form(right)}")
    rights = _rights([right])
    if right in EVENT_RIGHTS:
        # A type may hold slashes, a subscription's name none.
        types, slash, subscriptions = place.rpartition("/") if right == "consume" else ("", "", "")
        if not slash:
            types, subscriptions = place or "*", "*"
        return Grant(rights, _NOTHING, _NOTHING, Glob((types,)), Glob((subscriptions,)))
    database, _, branch = place.partition("/")
    databases, branches = Glob((database or "*",)), Glob((branch or "*",))
    events = _EVERYTHING if databases.matches_all and branches.matches_all else _NOTHING
    return Grant(rights, databases, branches, events, events)


def _claim_form(right: str) -> str:
    forms = {"publish": "publish[:type-pattern]", "consume": "consume[:type-pattern[/subscription-pattern]]"}
    return forms.get(right, "right[:database[/branch-pattern]]")


def _claim_text(grant: Grant) -> str:
    right = "*" if len(grant.rights) > 1 else min(grant.rights)
    if right == "publish":
        return f"publish:{grant.types.patterns[0]}"
    globs = (grant.types, grant.subscriptions) if right == "consume" else (grant.databases, grant.branches)
    return f"{right}:{'/'.join(glob.patterns[0] for glob in globs)}"


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
    unknown = set(table) - {*_LISTS, "token_claims_only"}
    if unknown:
        raise PolicyError(f"unknown key {min(unknown)!r}")
    token_claims_only = table.get("token_claims_only", False)
    if not isinstance(token_claims_only, bool):
        raise PolicyError("token_claims_only must be true or false")
    principals = Glob(_strings(table, "principals"))
    return Rule(principals, _parse_grant(table), token_claims_only)


def _parse_grant(table: Mapping[str, Any]) -> Grant:
    """What a rule grants. Only a rule of nothing but rights over events goes without databases and branches, and only
    one over all of those goes without types and subscriptions where it names a right over events.
    """
    names = _strings(table, "rights")
    rights = _rights(names)
    of_events_only = rights.issubset(EVENT_RIGHTS)
    databases, branches = (_glob(table, key, of_events_only) for key in ("databases", "branches"))
    everywhere = databases.matches_all and branches.matches_all
    types = _glob(table, "types", everywhere or not rights.intersection(names, EVENT_RIGHTS), everywhere)
    subscriptions = _glob(table, "subscriptions", everywhere or "consume" not in names, everywhere)
    if "admin" in names and not branches.matches_all:
        raise PolicyError('admin is a right on whole databases: branches must be ["*"]')
    return Grant(rights, databases, branches, types, subscriptions)


def _glob(table: Mapping[str, Any], key: str, may_lack: bool, everything: bool = False) -> Glob:
    if may_lack and key not in table:
        return _EVERYTHING if everything else _NOTHING
    return Glob(_strings(table, key))


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
