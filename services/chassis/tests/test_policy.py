import math

import pytest

from ontomesh_chassis.errors import PermissionDenied
from ontomesh_chassis.identity import MAX_DECISIONS, Identity
from ontomesh_chassis.policy import Policy, PolicyError, claim_texts, parse_claim, parse_policy

POLICY = """
[[rule]]
principals = ["user:ana"]
rights = ["*"]
databases = ["*"]
branches = ["*"]

[[rule]]
principals = ["user:*"]
rights = ["read"]
databases = ["catalog*"]
branches = ["main", "feature/*"]

[[rule]]
principals = ["service:?elay"]
rights = ["*"]
databases = ["catalog"]
branches = ["service/*"]

[[rule]]
principals = ["*"]
rights = ["*"]
databases = ["*"]
branches = ["*"]
token_claims_only = true
"""


@pytest.fixture
def policy() -> Policy:
    return parse_policy(POLICY)


@pytest.mark.parametrize(
    ("principal", "rights", "right", "database", "branch", "allowed"),
    [
        ("user:ana", None, "admin", "x", None, True),
        ("user:ana", None, "act", "x", "main", True),
        ("user:bob", None, "read", "catalog", "main", True),
        ("user:bob", None, "read", "catalog2", "feature/a/b", True),
        ("user:bob", None, "read", "catalog", "other", False),
        ("user:bob", None, "read", "Catalog", "main", False),
        ("user:bob", None, "read", "xcatalog", "main", False),
        ("user:bob", None, "write", "catalog", "main", False),
        ("user:bob", None, "read", "catalog", None, False),
        ("service:relay", None, "write", "catalog", "service/x", True),
        ("service:relay", None, "admin", "catalog", None, False),
        ("service:xrelay", None, "write", "catalog", "service/x", False),
        ("service:none", None, "read", "catalog", "main", False),
        ("user:ana", ["read"], "read", "x", "main", True),
        ("user:ana", ["read"], "write", "x", "main", False),
        ("user:ana", [], "read", "x", "main", False),
        ("service:new", ["write:catalog/feature/*"], "write", "catalog", "feature/a/b", True),
        ("service:new", ["write:catalog/feature/*"], "write", "catalog", "main", False),
        ("service:new", ["write:catalog/feature/*"], "write", "other", "feature/a", False),
        ("service:new", ["write:catalog/feature/*"], "read", "catalog", "feature/a", False),
        ("service:new", ["admin:catalog"], "admin", "catalog", None, True),
        ("service:new", ["admin:catalog"], "read", "catalog", "main", False),
        ("service:new", ["admin:catalog/main"], "admin", "catalog", None, False),
        ("service:new", ["*"], "act", "any", "main", True),
    ],
)
def test_a_right_needs_a_rule_and_the_claim_that_the_token_makes(
    policy: Policy, principal: str, rights: list[str] | None, right: str, database: str, branch: str, allowed: bool
) -> None:
    claim = None if rights is None else parse_claim(rights)
    assert policy.allows(principal, claim, right, database, branch) is allowed


EVENTS = """
[[rule]]
principals = ["user:ana"]
rights = ["*"]
databases = ["*"]
branches = ["*"]

[[rule]]
principals = ["user:bob"]
rights = ["*"]
databases = ["catalog"]
branches = ["main"]

[[rule]]
principals = ["service:shop"]
rights = ["publish", "consume"]
types = ["shop.*", "com.example/shop"]
subscriptions = ["shop-*"]

[[rule]]
principals = ["service:tail"]
rights = ["consume"]
types = ["shop.*"]
subscriptions = ["*"]

[[rule]]
principals = ["*"]
rights = ["*"]
databases = ["*"]
branches = ["*"]
token_claims_only = true
"""


@pytest.mark.parametrize(
    ("principal", "rights", "right", "type", "subscription", "allowed"),
    [
        ("user:ana", None, "publish", "any", "", True),
        ("user:ana", None, "consume", "any", "", True),
        ("user:ana", None, "consume", "any", "any", True),
        ("user:ana", ["read"], "publish", "any", "", False),
        ("user:ana", ["*"], "publish", "any", "", True),
        ("user:ana", ["*:catalog"], "publish", "any", "", False),
        ("user:bob", None, "publish", "any", "", False),
        ("user:bob", None, "consume", None, "any", False),
        ("service:shop", None, "publish", "shop.sold", "", True),
        ("service:shop", None, "publish", "com.example/shop", "", True),
        ("service:shop", None, "publish", "shop", "", False),
        ("service:shop", None, "consume", "shop.sold", "shop-a", True),
        ("service:shop", None, "consume", "shop.sold", "other", False),
        ("service:shop", None, "consume", "other.sold", "shop-a", False),
        ("service:shop", None, "consume", None, "shop-a", True),
        ("service:shop", None, "consume", None, "other", False),
        ("service:shop", None, "consume", "shop.sold", "", False),
        ("service:shop", None, "publish", None, "", True),
        ("service:tail", None, "consume", "shop.sold", "", True),
        ("service:tail", None, "publish", "shop.sold", "", False),
        ("service:relay", ["publish:ontomesh.*"], "publish", "ontomesh.document.X", "", True),
        ("service:relay", ["publish:ontomesh.*"], "publish", "ontomesh", "", False),
        ("service:relay", ["publish:ontomesh.*"], "consume", "ontomesh.document.X", "", False),
        ("service:relay", ["publish"], "publish", "any/thing", "", True),
        ("service:relay", ["publish:any/thing"], "publish", "any/thing", "", True),
        ("service:new", ["consume"], "consume", "x", "y", True),
        ("service:new", ["consume:a/b/mine-*"], "consume", "a/b", "mine-1", True),
        ("service:new", ["consume:a/b/mine-*"], "consume", "a/b", "", False),
        ("service:new", ["consume:a/b/mine-*"], "consume", "a", "mine-1", False),
        ("service:new", ["consume:*/mine"], "publish", "a", "", False),
        ("service:new", ["read", "write", "admin"], "consume", None, "mine", False),
    ],
)
def test_a_right_over_events_needs_a_rule_and_the_claim_that_the_token_makes(
    principal: str, rights: list[str] | None, right: str, type: str | None, subscription: str, allowed: bool
) -> None:
    claim = None if rights is None else parse_claim(rights)
    assert parse_policy(EVENTS).allows_event(principal, claim, right, type, subscription) is allowed


def test_a_right_over_events_is_none_over_databases() -> None:
    policy = parse_policy(EVENTS)
    assert not policy.allows("service:shop", None, "publish", "catalog", "main")
    assert not policy.allows("service:new", parse_claim(["publish", "consume"]), "consume", "catalog", "main")


class Fixed:
    """A policy that holds until another is put in its place."""

    def __init__(self, text: str) -> None:
        self.policy = parse_policy(text)

    def current(self) -> Policy:
        return self.policy


def test_an_identity_without_a_right_over_events_is_refused_by_type_and_subscription() -> None:
    source = Fixed(EVENTS)
    shop = Identity("service:shop", "service", "shop", None, math.inf, source)
    shop.require_event("publish", "shop.sold")
    with pytest.raises(PermissionDenied) as refused:
        shop.require_event("consume", "bank.paid", "shop-a")
    assert refused.value.metadata == {
        "principal": "service:shop",
        "right": "consume",
        "type": "bank.paid",
        "subscription": "shop-a",
    }
    with pytest.raises(PermissionDenied) as refused:
        shop.require_event("publish", "bank.paid")
    assert refused.value.metadata == {"principal": "service:shop", "right": "publish", "type": "bank.paid"}
    with pytest.raises(PermissionDenied) as refused:
        shop.require_everywhere("admin")
    assert refused.value.metadata["database"] == "*"


def test_an_identity_remembers_decisions_until_the_policy_changes_and_never_very_many() -> None:
    source = Fixed(EVENTS)
    shop = Identity("service:shop", "service", "shop", None, math.inf, source)
    for number in range(3 * MAX_DECISIONS):
        assert shop.allows_event("publish", f"shop.{number}")
        assert not shop.allows("read", f"database{number}")
    remembered = shop._decisions
    assert len(remembered.by_event) + len(remembered.by_place) <= MAX_DECISIONS
    source.policy = parse_policy("")
    assert not shop.allows_event("publish", "shop.1")


def test_a_right_everywhere_needs_one_rule_over_every_database() -> None:
    policy = parse_policy(EVENTS)
    assert policy.allows_everywhere("user:ana", None, "admin")
    assert not policy.allows_everywhere("user:bob", None, "admin")
    assert not policy.allows_everywhere("user:ana", parse_claim(["admin:catalog"]), "admin")
    assert policy.allows_everywhere("service:new", parse_claim(["admin"]), "admin")
    assert not policy.allows_everywhere("service:new", parse_claim(["read"]), "admin")


@pytest.mark.parametrize(
    "text",
    [
        "*",
        "*:catalog",
        "read",
        "write:catalog/feature/*",
        "admin:c*",
        "publish",
        "publish:a/b",
        "consume:a/b/c",
        "consume",
    ],
)
def test_a_claim_can_be_written_down_and_read_again(text: str) -> None:
    claim = parse_claim([text])
    assert parse_claim(claim_texts(claim)) == claim


def test_a_database_is_listed_for_whoever_may_have_the_right_on_some_branch(policy: Policy) -> None:
    assert policy.allows_any("user:bob", None, "read", "catalog")
    assert not policy.allows_any("user:bob", None, "write", "catalog")
    assert not policy.allows_any("user:bob", None, "read", "other")
    assert policy.allows_any("service:new", parse_claim(["read:other/x"]), "read", "other")
    assert not policy.allows_any("user:ana", parse_claim(["read:other/x"]), "read", "catalog")


def test_without_rules_nobody_has_a_right() -> None:
    assert not parse_policy("").allows("user:ana", None, "read", "catalog", "main")


RULE = '[[rule]]\nprincipals = ["a"]\nrights = ["read"]\ndatabases = ["*"]\nbranches = ["*"]\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[rule", "not TOML"),
        ("[rules]", "unknown key 'rules'"),
        ("rule = 1", "[[rule]]"),
        (RULE + 'extra = "x"', "rule 1: unknown key 'extra'"),
        (RULE + RULE.replace('"read"', '"raed"'), "rule 2: unknown right 'raed'"),
        (RULE.replace('["read"]', '"read"'), "rule 1: rights must be a list"),
        (RULE.replace('["read"]', "[]"), "rule 1: rights must be a list"),
        (RULE.replace('databases = ["*"]\n', ""), "rule 1: databases must be a list"),
        (RULE.replace('["a"]', '["us[er"]'), "rule 1: malformed pattern 'us[er'"),
        (RULE.replace('["a"]', '[""]'), "rule 1: malformed pattern ''"),
        (RULE + 'token_claims_only = "yes"', "rule 1: token_claims_only"),
        (RULE + 'types = "x"', "rule 1: types must be a list"),
        (RULE + 'subscriptions = ["a b"]', "rule 1: malformed pattern 'a b'"),
        ('[[rule]]\nprincipals = ["a"]\nrights = ["publish"]', "rule 1: types must be a list"),
        ('[[rule]]\nprincipals = ["a"]\nrights = ["consume"]\ntypes = ["x"]', "rule 1: subscriptions must be a list"),
        (RULE.replace('"read"', '"read", "publish"').replace('["*"]', '["x"]'), "rule 1: types must be a list"),
        (RULE.replace('"read"', '"admin"').replace('branches = ["*"]', 'branches = ["main"]'), "rule 1: admin"),
    ],
)
def test_a_malformed_policy_is_refused_with_the_rule_number(text: str, words: str) -> None:
    with pytest.raises(PolicyError) as refused:
        parse_policy(text)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "delete",
        "read:",
        "read:catalog/",
        "read:[",
        "read:a b",
        "Read",
        "publish:",
        "consume:/",
        "consume:/x",
        "consume:a/",
        "publish:a b",
    ],
)
def test_a_malformed_right_in_a_claim_is_refused(text: str) -> None:
    with pytest.raises(PolicyError):
        parse_claim([text])


def test_patterns_with_many_stars_are_matched_quickly() -> None:
    claim = parse_claim(["read:" + "*a" * 100])
    policy = parse_policy(RULE.replace('"a"', '"*"') + "token_claims_only = true")
    assert not policy.allows("user:x", claim, "read", "a" * 5000 + "b", "main")
