"""What a message says is what the domain is asked, and what the domain says is what the answer tells."""

import json
from enum import Enum
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

from ontomesh.kernel.v1 import commit_pb2, commit_service_pb2, diff_pb2, merge_pb2, merge_service_pb2, ontology_pb2
from ontomesh_data_kernel.domain import model
from ontomesh_data_kernel.doors.grpc import convert
from ontomesh_data_kernel.doors.http import answers
from ontomesh_data_kernel.errors import InvalidRequest

TIMES = {
    0: "1970-01-01T00:00:00.000000Z",
    1: "1970-01-01T00:00:00.000001Z",
    1_795_244_400_000_000: "2026-11-21T07:00:00.000000Z",
    1_795_244_399_999_999: "2026-11-21T06:59:59.999999Z",
    253_402_300_799_999_999: "9999-12-31T23:59:59.999999Z",
}
COMMIT = model.Commit(
    id="c" * 64,
    parents=("a" * 64, "b" * 64),
    branch="feature/x",
    author="user:ana",
    committer="service:relay",
    message="Ä change",
    time=1_795_244_399_999_999,
    metadata={"ticket": "7"},
    trace_id="0" * 32,
    ontology_digest="d" * 64,
    change_count=3,
)


@pytest.mark.parametrize(("microseconds", "text"), TIMES.items())
def test_times_keep_every_microsecond_at_both_doors(microseconds: int, text: str) -> None:
    made = convert.timestamp(microseconds)
    assert made.seconds * 1_000_000 + made.nanos // 1_000 == microseconds
    assert made.nanos % 1_000 == 0
    assert answers.time(microseconds) == text


def test_a_commit_says_the_same_at_both_doors() -> None:
    message = convert.commit(COMMIT)
    assert {field.name for field, _ in message.ListFields()} == {field.name for field in message.DESCRIPTOR.fields}
    told = answers.commit(COMMIT)
    assert told.keys() == {field.name for field in message.DESCRIPTOR.fields}
    assert told.pop("create_time") == "2026-11-21T06:59:59.999999Z"
    assert message.create_time.ToMicroseconds() == COMMIT.time
    assert {name: _plain(getattr(message, name)) for name in told} == {name: _plain(told[name]) for name in told}


def test_every_operation_arrives_with_all_that_it_says() -> None:
    body = b'{"@type":"A","n":1.10}'
    request = commit_service_pb2.CreateCommitRequest(
        database="d",
        branch="b",
        operations=[
            commit_pb2.Operation(insert=commit_pb2.InsertOperation(body=body)),
            commit_pb2.Operation(replace=commit_pb2.ReplaceOperation(body=body, etag="e")),
            commit_pb2.Operation(put=commit_pb2.PutOperation(body=body)),
            commit_pb2.Operation(update=commit_pb2.UpdateOperation(id="A/1", patch=b"{}", etag="e")),
            commit_pb2.Operation(
                update=commit_pb2.UpdateOperation(id="A/2", patch=b"{}", update_mask=FieldMask(paths=["n", "m"]))
            ),
            commit_pb2.Operation(delete=commit_pb2.DeleteOperation(id="A/3", etag="e")),
        ],
        ontology=ontology_pb2.OntologyChange(
            schema=b"[]", mode=ontology_pb2.OntologyChange.MODE_REPLACE, remove=["B"], expected_digest="x"
        ),
        message="m",
        author="user:bob",
        metadata={"k": "v"},
        expected_head="h",
        request_id="r",
        validate_only=True,
    )
    assert {field.name for field, _ in request.ListFields()} == {field.name for field in request.DESCRIPTOR.fields}
    assert convert.commit_request(request) == model.CommitRequest(
        database="d",
        branch="b",
        operations=(
            model.Insert(body),
            model.Replace(body, "e"),
            model.Put(body),
            model.Update("A/1", b"{}", None, "e"),
            model.Update("A/2", b"{}", ("n", "m"), ""),
            model.Delete("A/3", "e"),
        ),
        ontology=model.OntologyEdit(b"[]", True, ("B",), "x"),
        message="m",
        author="user:bob",
        metadata={"k": "v"},
        expected_head="h",
        request_id="r",
        validate_only=True,
    )


def test_every_kind_of_operation_of_the_contract_is_understood() -> None:
    for field in commit_pb2.Operation.DESCRIPTOR.fields:
        made = commit_pb2.Operation()
        getattr(made, field.name).SetInParent()
        assert type(convert.operation(made, 0)).__name__.lower() == field.name


def test_an_operation_that_says_nothing_is_named_by_its_place() -> None:
    filled = commit_pb2.Operation(delete=commit_pb2.DeleteOperation(id="A/1"))
    request = commit_service_pb2.CreateCommitRequest(operations=[filled, commit_pb2.Operation()])
    with pytest.raises(InvalidRequest) as refused:
        convert.commit_request(request)
    assert [violation.field for violation in refused.value.violations] == ["operations[1]"]


def test_no_ontology_is_told_from_an_empty_change_of_it() -> None:
    without = commit_service_pb2.CreateCommitRequest()
    assert convert.commit_request(without).ontology is None
    without.ontology.SetInParent()
    assert convert.commit_request(without).ontology == model.OntologyEdit(b"")


def test_a_merge_arrives_with_all_that_it_says() -> None:
    request = merge_service_pb2.MergeRequest(
        database="d",
        branch="b",
        source="s",
        strategy=merge_pb2.MERGE_SIDE_BASE,
        resolutions=[
            merge_pb2.Resolution(id="A/1", property="n", side=merge_pb2.MERGE_SIDE_OURS),
            merge_pb2.Resolution(id="A/2", value=b"1.10"),
        ],
        message="m",
        author="user:bob",
        metadata={"k": "v"},
        expected_head="h",
        request_id="r",
        validate_only=True,
    )
    assert {field.name for field, _ in request.ListFields()} == {field.name for field in request.DESCRIPTOR.fields}
    assert convert.merge_request(request) == model.MergeRequest(
        database="d",
        branch="b",
        source="s",
        strategy=model.MergeSide.BASE,
        resolutions=(model.Resolution("A/1", "n", model.MergeSide.OURS), model.Resolution("A/2", "", b"1.10")),
        message="m",
        author="user:bob",
        metadata={"k": "v"},
        expected_head="h",
        request_id="r",
        validate_only=True,
    )
    assert convert.merge_request(merge_service_pb2.MergeRequest()).strategy is None


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (merge_service_pb2.MergeRequest(strategy=9), "strategy"),  # type: ignore[arg-type] # from a newer contract
        (merge_service_pb2.MergeRequest(resolutions=[merge_pb2.Resolution(id="A/1")]), "resolutions[0]"),
        (
            merge_service_pb2.MergeRequest(
                resolutions=[merge_pb2.Resolution(side=merge_pb2.MERGE_SIDE_UNSPECIFIED)],
            ),
            "resolutions[0].side",
        ),
    ],
)
def test_a_merge_that_says_nothing_known_is_refused(request_: merge_service_pb2.MergeRequest, field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        convert.merge_request(request_)
    assert [violation.field for violation in refused.value.violations] == [field]


@pytest.mark.parametrize(
    ("nouns", "values"),
    [
        (model.DiffKind, diff_pb2.DocumentDiff.Kind),
        (model.ConflictKind, merge_pb2.Conflict.Kind),
        (model.MergeOutcome, merge_service_pb2.MergeResponse.Outcome),
    ],
)
def test_every_kind_of_the_domain_is_one_of_the_contract(nouns: type[Enum], values: EnumTypeWrapper) -> None:
    prefix = values.DESCRIPTOR.values[0].name.removesuffix("UNSPECIFIED")
    told = {noun.name: values.Name(_kind(noun)) for noun in nouns}
    assert told == {noun.name: prefix + noun.name for noun in nouns}
    assert set(told.values()) == set(values.keys()) - {f"{prefix}UNSPECIFIED"}


def test_an_absent_value_is_null_over_http_and_empty_over_grpc() -> None:
    one = model.Conflict("A/1", "n", model.ConflictKind.DELETED_BY_OURS, b"1.10", None, b"null")
    message = convert.conflict(one)
    assert (message.base, message.ours, message.theirs) == (b"1.10", b"", b"null")
    text = answers.answer(answers.conflict(one)).body
    assert b'"base":1.10,"ours":null,"theirs":null' in bytes(text)


def test_a_diff_shows_bodies_only_where_they_were_asked_for() -> None:
    before, after = model.Document("A/1", b"", "e1"), model.Document("A/1", b'{"n":2.0}', "e2")
    parts = (model.PropertyDiff("n", b"1", None),)
    one = model.DocumentDiff("A/1", model.DiffKind.CHANGED, before, after, parts)
    message = convert.document_diff(one)
    assert (message.before.body, message.after.body, message.before.etag) == (b"", b'{"n":2.0}', "e1")
    told = json.loads(bytes(answers.answer(answers.document_diff(one)).body))
    assert told["before"] == {"id": "A/1", "etag": "e1"}
    assert told["after"] == {"id": "A/1", "etag": "e2", "body": {"n": 2.0}}
    assert told["properties"] == [{"name": "n", "before": 1, "after": None}]
    gone = convert.document_diff(model.DocumentDiff("A/1", model.DiffKind.REMOVED, before, None, ()))
    assert gone.HasField("before")
    assert not gone.HasField("after")


def _kind(noun: Any) -> int:
    if isinstance(noun, model.DiffKind):
        return convert.document_diff(model.DocumentDiff("A/1", noun, None, None, ())).kind
    if isinstance(noun, model.ConflictKind):
        return convert.conflict(model.Conflict("A/1", "", noun, None, None, None)).kind
    return convert.merge_response(model.MergeResult(noun, None, (), 0, (), "", "")).outcome


def _plain(value: Any) -> Any:
    if isinstance(value, str | int):
        return value
    return dict(value) if hasattr(value, "keys") else list(value)
