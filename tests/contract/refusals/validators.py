"""Validators, and commits that they refuse."""

from collections.abc import Iterator
from typing import Any

from tests.contract import calls
from tests.contract.calls import create_commit, insert
from tests.contract.refusals.row import Row, always, told
from tests.contract.world import DB, person

RULE = {"rule": "no_deletes"}


def validators() -> Iterator[Row]:
    def put(name: str, **given: Any) -> Any:
        return always(calls.put_validator(name, **given))

    yield from _names(put)
    yield from _checks(put)
    yield from _matches(put)
    yield from _managing(put)
    yield from _commits()


def _names(put: Any) -> Iterator[Row]:
    for name in ("a b", "-a", "a" * 129, "é", ".a"):
        yield Row(f"validator name {name!r:.20}", "INVALID_REQUEST", put(name, builtin=RULE), ("validator.name",))
        yield Row(f"validator of name {name!r:.20}", "INVALID_REQUEST", always(calls.get_validator(name)), ("name",))
    yield Row(
        "validator without a name",
        "INVALID_REQUEST",
        put("", builtin=RULE),
        ("validator.name",),
        doors=("grpc",),
    )
    long = "x" * 4_097
    yield Row(
        "validator: a long description",
        "TOO_LARGE",
        put("v", builtin=RULE, description=long),
        ("validator.description",),
    )


def _checks(put: Any) -> Iterator[Row]:
    def parameter(name: str) -> tuple[str, ...]:
        return (f"validator.builtin.parameters[{name}]",)

    yield Row("validator without a check", "INVALID_REQUEST", put("v"), ("validator",))
    yield Row(
        "validator: no such rule",
        "INVALID_REQUEST",
        put("v", builtin={"rule": "no_inserts"}),
        ("validator.builtin.rule",),
    )
    for rule, name, value in (
        ("message", "pattern", ""),
        ("message", "pattern", "("),
        ("message", "pattern", "(?=ahead)"),
        ("message", "pattern", r"(a)\1"),
        ("metadata", "keys", ""),
        ("metadata", "keys", "a,,b"),
        ("max_changes", "count", "many"),
        ("max_changes", "count", "-1"),
        ("immutable", "properties", ","),
    ):
        check = {"rule": rule, "parameters": {name: value}}
        yield Row(f"validator: {rule} by {value!r}", "INVALID_REQUEST", put("v", builtin=check), parameter(name))
    stray = {"rule": "no_deletes", "parameters": {"count": "1"}}
    yield Row("validator: a parameter too many", "INVALID_REQUEST", put("v", builtin=stray), parameter("count"))
    yield Row(
        "validator: no such function",
        "INVALID_REQUEST",
        put("v", python={"entry_point": "nowhere"}),
        ("validator.python.entry_point",),
    )
    for target in ("10.0.0.1:443", "169.254.169.254:80", "[fd00::1]:443", "0x0a.1:443", "host", "host:0", "a b:1"):
        yield Row(
            f"validator at {target}",
            "ADDRESS_REFUSED",
            put("v", grpc={"target": target}),
            ("validator.grpc.target",),
        )
    for url in (
        "https://10.0.0.1/",
        "https://[::ffff:10.0.0.1]/",
        "https://2851995648/",
        "http://93.184.216.34/",
        "ftp://93.184.216.34/",
        "https://a:b@93.184.216.34/",
        "no url",
    ):
        yield Row(f"validator at {url}", "ADDRESS_REFUSED", put("v", https={"url": url}), ("validator.https.url",))
    yield Row(
        "validator at no target", "INVALID_REQUEST", put("v", grpc={}), ("validator.grpc.target",), doors=("grpc",)
    )
    yield Row(
        "validator at a long target",
        "INVALID_REQUEST",
        put("v", grpc={"target": "a" * 2_049}),
        ("validator.grpc.target",),
    )


def _matches(put: Any) -> Iterator[Row]:
    for part, entry in (
        ("databases", "a b"),
        ("databases", "a?"),
        ("branches", "[a]"),
        ("branches", ""),
        ("classes", "A/b"),
        ("classes", "@other"),
        ("paths", "a..b"),
        ("paths", "@id"),
    ):
        yield Row(
            f"validator: {part} with {entry!r}",
            "INVALID_REQUEST",
            put("v", builtin=RULE, match={part: ["ok", entry]}),
            (f"validator.match.{part}[1]",),
        )
    yield Row(
        "validator: too many patterns",
        "INVALID_REQUEST",
        put("v", builtin=RULE, match={"classes": ["A"] * 101}),
        ("validator.match.classes",),
    )
    for milliseconds in (0, 30_001):
        yield Row(
            f"validator: {milliseconds} ms",
            "INVALID_REQUEST",
            put("v", builtin=RULE, deadline_ms=milliseconds),
            ("validator.deadline",),
        )
    yield Row(
        "validator: another failure policy",
        "INVALID_REQUEST",
        put("v", builtin=RULE, failure_policy="perhaps"),
        ("validator.failure_policy",),
    )
    yield Row(
        "validator: several faults",
        "INVALID_REQUEST",
        put("v", builtin={"rule": "x"}, match={"paths": ["."]}, deadline_ms=0),
        ("validator.match.paths[0]", "validator.builtin.rule", "validator.deadline"),
    )


def _managing(put: Any) -> Iterator[Row]:
    none = told(validator="none")
    yield Row("get a validator of none", "VALIDATOR_NOT_FOUND", always(calls.get_validator("none")), metadata=none)
    yield Row(
        "delete a validator of none", "VALIDATOR_NOT_FOUND", always(calls.delete_validator("none")), metadata=none
    )
    yield Row("put by a stale etag", "ETAG_MISMATCH", put("strict", etag="0", builtin=RULE), ("validator.etag",))
    yield Row(
        "put what is not there by an etag", "ETAG_MISMATCH", put("none", etag="0", builtin=RULE), ("validator.etag",)
    )
    yield Row("delete by a stale etag", "ETAG_MISMATCH", always(calls.delete_validator("strict", "0")), ("etag",))
    yield Row("list validators: -1", "INVALID_REQUEST", always(calls.list_validators(-1)), ("page_size",))
    yield Row(
        "list validators by another's token",
        "INVALID_PAGE_TOKEN",
        lambda w: calls.list_validators(page_token=w.pages["databases"]),
        ("page_token",),
    )
    for token in ("editor", "other admin"):
        yield Row(f"{token}: put for all", "PERMISSION_DENIED", put("v", builtin=RULE), token=token)
        yield Row(
            f"{token}: put for one",
            "PERMISSION_DENIED",
            put("v", builtin=RULE, match={"databases": [DB]}),
            token=token,
            metadata=told(right="admin", database=DB),
        )
    yield Row(
        "other admin: put for more",
        "PERMISSION_DENIED",
        put("v", builtin=RULE, match={"databases": ["othe*"]}),
        token="other admin",
    )
    yield Row("editor: delete", "PERMISSION_DENIED", always(calls.delete_validator("strict")), token="editor")
    for token in ("reader", "nobody"):
        yield Row(f"{token}: get", "PERMISSION_DENIED", always(calls.get_validator("strict")), token=token)
        yield Row(f"{token}: list", "PERMISSION_DENIED", always(calls.list_validators()), token=token)
    yield Row(
        "other admin: the relay's status",
        "PERMISSION_DENIED",
        always(calls.get_relay_status()),
        token="other admin",
        doors=("grpc",),
    )


def _commits() -> Iterator[Row]:
    document = insert(person("x", age=7))
    judged = "judged/strict"
    both = told(validators="grown,strict")
    yield Row(
        "commit that validators object to",
        "COMMIT_REJECTED",
        always(create_commit(DB, calls.update("Person/ada", {"age": 7}), message="no ticket", branch=judged)),
        ("Person/ada.age", "message"),
        metadata=both,
    )
    yield Row(
        "trial that a validator objects to",
        "COMMIT_REJECTED",
        always(create_commit(DB, document, validate_only=True, branch=judged)),
        ("message",),
        metadata=told(validators="strict"),
    )
    yield Row(
        "merge that a validator objects to",
        "COMMIT_REJECTED",
        always(calls.merge(DB, "theirs", "judged/strict", message="no ticket")),
        ("Person/ada.age", "message"),
        metadata=both,
    )
    yield Row(
        "commit whose validator is away",
        "VALIDATOR_UNAVAILABLE",
        always(create_commit(DB, document, branch="judged/silent")),
        metadata=told(validator="silent"),
    )
