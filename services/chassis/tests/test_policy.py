import pytest

from ontomesh_chassis.policy import Policy, PolicyError, parse_claim, parse_policy

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
        (RULE.replace('"read"', '"admin"').replace('branches = ["*"]', 'branches = ["main"]'), "rule 1: admin"),
    ],
)
def test_a_malformed_policy_is_refused_with_the_rule_number(text: str, words: str) -> None:
    with pytest.raises(PolicyError) as refused:
        parse_policy(text)
    assert words in str(refused.value)


@pytest.mark.parametrize("text", ["", "delete", "read:", "read:catalog/", "read:[", "read:a b", "Read"])
def test_a_malformed_right_in_a_claim_is_refused(text: str) -> None:
    with pytest.raises(PolicyError):
        parse_claim([text])


def test_patterns_with_many_stars_are_matched_quickly() -> None:
    claim = parse_claim(["read:" + "*a" * 100])
    policy = parse_policy(RULE.replace('"a"', '"*"') + "token_claims_only = true")
    assert not policy.allows("user:x", claim, "read", "a" * 5000 + "b", "main")
