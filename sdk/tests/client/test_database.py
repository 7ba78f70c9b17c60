from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from sdk.tests.client.kernel import Kernel

from ontomesh.kernel.v1 import (
    branch_pb2,
    branch_service_pb2,
    commit_pb2,
    commit_service_pb2,
    database_pb2,
    database_service_pb2,
    diff_pb2,
    diff_service_pb2,
    document_pb2,
    document_service_pb2,
    merge_pb2,
    merge_service_pb2,
    ontology_pb2,
    ontology_service_pb2,
    ref_pb2,
)
from ontomesh.sdk import MISSING, AsyncMesh, Delete, OntologyChange, Replace, Resolution, Update
from ontomesh.sdk.resources import (
    Branch,
    Conflict,
    Database,
    Document,
    DocumentDiff,
    OperationResult,
    Problem,
    PropertyDiff,
    VerifyProgress,
)

NOON = datetime(2026, 11, 20, 12, 0, 0, 250, tzinfo=UTC)
COMMIT = commit_pb2.Commit(
    id="c2",
    parents=["c1"],
    branch="main",
    author="user:bob",
    committer="user:ana",
    message="hello",
    metadata={"ticket": "7"},
    trace_id="ab" * 16,
    ontology_digest="d1",
    change_count=3,
)
COMMIT.create_time.FromDatetime(NOON)


def stamp() -> Timestamp:
    message = Timestamp()
    message.FromDatetime(NOON)
    return message


def request_of(kernel: Kernel) -> Any:
    return kernel.seen[-1].request


async def test_databases_are_made_read_changed_listed_and_deleted(mesh: AsyncMesh, kernel: Kernel) -> None:
    message = database_pb2.Database(name="catalog", description="packages", etag="e", create_time=stamp())
    expected = Database("catalog", "packages", NOON, "e")
    kernel.answer("CreateDatabase", database_service_pb2.CreateDatabaseResponse(database=message))
    kernel.answer("GetDatabase", database_service_pb2.GetDatabaseResponse(database=message))
    kernel.answer("UpdateDatabase", database_service_pb2.UpdateDatabaseResponse(database=message))
    kernel.answer("ListDatabases", database_service_pb2.ListDatabasesResponse(databases=[message]))
    kernel.answer("DeleteDatabase", database_service_pb2.DeleteDatabaseResponse())
    assert await mesh.databases.create("catalog", description="packages") == expected
    assert request_of(kernel).request_id
    assert await mesh.databases.get("catalog") == expected
    assert await mesh.databases.update("catalog", description="packages", etag="e0") == expected
    assert request_of(kernel).update_mask.paths == ["description"]
    assert request_of(kernel).database.etag == "e0"
    assert [each async for each in mesh.databases.list()] == [expected]
    await mesh.databases.delete("catalog", etag="e")
    assert (request_of(kernel).name, request_of(kernel).etag) == ("catalog", "e")


async def test_a_document_is_read_with_its_commit(mesh: AsyncMesh, kernel: Kernel) -> None:
    document = await mesh.database("catalog").get("Package/a", ref="main~1")
    assert document == Document("Package/a", "e1", "c1", b'{"@id":"Package/a","@type":"Package"}')
    assert (document.type, document.data["@id"]) == ("Package", "Package/a")
    assert (request_of(kernel).database, request_of(kernel).ref) == ("catalog", "main~1")


async def test_a_batch_tells_what_is_missing(mesh: AsyncMesh, kernel: Kernel) -> None:
    found = document_pb2.Document(id="Package/a", body=b"{}", etag="e")
    response = document_service_pb2.BatchGetDocumentsResponse(documents=[found], missing_ids=["Package/b"], commit="c")
    kernel.answer("BatchGetDocuments", response)
    batch = await mesh.database("catalog").batch_get(["Package/a", "Package/b"])
    assert [each.id for each in batch.documents] == ["Package/a"]
    assert batch.missing_ids == ("Package/b",)
    assert batch.commit == "c"


async def test_a_list_asks_for_the_next_page_only_when_it_is_needed(mesh: AsyncMesh, kernel: Kernel) -> None:
    def page(request: document_service_pb2.ListDocumentsRequest, context: Any) -> Any:
        found = [document_pb2.Document(id=f"Package/{request.page_token}{item}") for item in range(2)]
        token = "" if request.page_token else "next-"
        return document_service_pb2.ListDocumentsResponse(documents=found, next_page_token=token)

    kernel.answers["ListDocuments"] = page
    documents = mesh.database("catalog").documents("Package", ref="dev", exact_type=True, page_size=2)
    assert kernel.seen == []
    assert (await anext(documents)).id == "Package/0"
    assert (await anext(documents)).id == "Package/1"
    assert len(kernel.seen) == 1
    assert [each.id async for each in documents] == ["Package/next-0", "Package/next-1"]
    request = kernel.seen[1].request
    assert (request.type, request.ref, request.exact_type, request.page_size) == ("Package", "dev", True, 2)


async def test_a_commit_carries_every_kind_of_operation(mesh: AsyncMesh, kernel: Kernel) -> None:
    results = [commit_pb2.OperationResult(id="Package/a", etag="e")]
    kernel.answer("CreateCommit", commit_service_pb2.CreateCommitResponse(commit=COMMIT, results=results))
    committed = await mesh.database("catalog").commit(
        message="hello",
        branch="dev",
        insert=[{"@type": "Package", "name": "a"}, b'{"raw":1}'],
        replace=[{"@id": "Package/b"}, Replace({"@id": "Package/c"}, etag="e1")],
        put=[Document("Package/d", "", "", b'{"@id":"Package/d"}')],
        update=[Update("Package/e", {"name": None}), Update("Package/f", {}, mask=["x"]), Update("P/g", {}, mask=[])],
        delete=["Package/h", Delete("Package/i", etag="e2")],
        ontology=OntologyChange([{"@type": "Class", "@id": "A"}], "replace", expected_digest="d0"),
        author="user:bob",
        metadata={"ticket": "7"},
        expected_head="c1",
        validate_only=True,
    )
    request = request_of(kernel)
    insert, raw, replace, checked, put, patch, masked, empty, delete, last = request.operations
    assert (insert.insert.body, raw.insert.body) == (b'{"@type":"Package","name":"a"}', b'{"raw":1}')
    assert (replace.replace.etag, checked.replace.etag, checked.replace.body) == ("", "e1", b'{"@id":"Package/c"}')
    assert put.put.body == b'{"@id":"Package/d"}'
    assert (patch.update.patch, patch.update.HasField("update_mask")) == (b'{"name":null}', False)
    assert masked.update.update_mask.paths == ["x"]
    assert empty.update.HasField("update_mask")
    assert (delete.delete.id, last.delete.id, last.delete.etag) == ("Package/h", "Package/i", "e2")
    assert request.ontology.schema == b'[{"@type":"Class","@id":"A"}]'
    assert request.ontology.mode == ontology_pb2.OntologyChange.MODE_REPLACE
    assert request.ontology.expected_digest == "d0"
    assert (request.database, request.branch, request.message) == ("catalog", "dev", "hello")
    assert (request.author, dict(request.metadata)) == ("user:bob", {"ticket": "7"})
    assert (request.expected_head, request.validate_only) == ("c1", True)
    assert committed.commit.create_time == NOON
    assert committed.commit.parents == ("c1",)
    assert committed.commit.metadata == {"ticket": "7"}
    assert committed.results == (OperationResult("Package/a", "e"),)
    assert committed.ids == ("Package/a",)


async def test_the_shorthands_are_commits(mesh: AsyncMesh, kernel: Kernel) -> None:
    database = mesh.database("catalog")
    await database.insert({"@type": "A"}, {"@type": "B"}, message="m", branch="dev", expected_head="c1", timeout=5)
    assert [each.WhichOneof("operation") for each in request_of(kernel).operations] == ["insert", "insert"]
    assert (request_of(kernel).branch, request_of(kernel).expected_head) == ("dev", "c1")
    await database.put({"@type": "A"})
    assert [each.WhichOneof("operation") for each in request_of(kernel).operations] == ["put"]
    await database.update("A/1", {"x": 1}, etag="e")
    assert request_of(kernel).operations[0].update.etag == "e"
    await database.delete("A/1", "A/2")
    assert [each.delete.id for each in request_of(kernel).operations] == ["A/1", "A/2"]
    await database.apply_ontology([{"@id": "A"}], remove=["B"])
    assert request_of(kernel).ontology.remove == ["B"]


async def test_an_ontology_is_read_as_dicts(mesh: AsyncMesh, kernel: Kernel) -> None:
    ontology = ontology_pb2.Ontology(schema=b'[{"@type":"Class","@id":"A"}]', digest="d")
    kernel.answer("GetOntology", ontology_service_pb2.GetOntologyResponse(ontology=ontology, commit="c"))
    found = await mesh.database("catalog").ontology("main~1")
    assert (found.schema, found.digest, found.commit) == ([{"@type": "Class", "@id": "A"}], "d", "c")
    kernel.answer("GetOntology", ontology_service_pb2.GetOntologyResponse())
    assert (await mesh.database("catalog").ontology()).schema == []


async def test_branches_are_made_read_listed_and_deleted(mesh: AsyncMesh, kernel: Kernel) -> None:
    message = branch_pb2.Branch(name="dev", head="c2", create_time=stamp(), update_time=stamp())
    expected = Branch("dev", "c2", NOON, NOON)
    kernel.answer("CreateBranch", branch_service_pb2.CreateBranchResponse(branch=message))
    kernel.answer("GetBranch", branch_service_pb2.GetBranchResponse(branch=message))
    kernel.answer("ListBranches", branch_service_pb2.ListBranchesResponse(branches=[message]))
    kernel.answer("DeleteBranch", branch_service_pb2.DeleteBranchResponse())
    database = mesh.database("catalog")
    assert await database.create_branch("dev", start="main~1") == expected
    assert request_of(kernel).WhichOneof("start") == "from"
    assert getattr(request_of(kernel), "from") == "main~1"
    await database.create_branch("dev", empty=True)
    assert request_of(kernel).empty
    await database.create_branch("dev")
    assert request_of(kernel).WhichOneof("start") is None
    assert await database.branch("dev") == expected
    assert [each async for each in database.branches("d")] == [expected]
    assert request_of(kernel).prefix == "d"
    await database.delete_branch("dev", expected_head="c2")
    assert request_of(kernel).expected_head == "c2"
    with pytest.raises(ValueError, match="empty branch"):
        await database.create_branch("dev", start="main", empty=True)


async def test_the_log_and_refs_give_commits(mesh: AsyncMesh, kernel: Kernel) -> None:
    kernel.answer("ListCommits", commit_service_pb2.ListCommitsResponse(commits=[COMMIT]))
    kernel.answer("GetCommit", commit_service_pb2.GetCommitResponse(commit=COMMIT))
    kernel.answer("ResolveRef", ref_pb2.ResolveRefResponse(commit=COMMIT, branch="main"))
    database = mesh.database("catalog")
    assert [each.id async for each in database.log("main", first_parent=True)] == ["c2"]
    assert request_of(kernel).first_parent
    assert (await database.show("commit:c2")).trace_id == "ab" * 16
    assert (await database.resolve("main")).branch == "main"


async def test_a_diff_tells_absent_from_null(mesh: AsyncMesh, kernel: Kernel) -> None:
    changed = diff_pb2.DocumentDiff(
        id="Package/a",
        kind=diff_pb2.DocumentDiff.KIND_CHANGED,
        before=document_pb2.Document(id="Package/a", etag="e1"),
        after=document_pb2.Document(id="Package/a", etag="e2"),
        properties=[
            diff_pb2.PropertyDiff(name="version", before=b"null"),
            diff_pb2.PropertyDiff(name="n", after=b"[1]"),
        ],
    )
    added = diff_pb2.DocumentDiff(id="Package/b", kind=diff_pb2.DocumentDiff.KIND_ADDED)
    response = diff_service_pb2.DiffResponse(documents=[changed, added], base_commit="c1", target_commit="c2")
    kernel.answer("Diff", response)
    first, second = [each async for each in mesh.database("catalog").diff("main~1", "main", include_bodies=True)]
    before, after = Document("Package/a", "e1", "c1", b""), Document("Package/a", "e2", "c2", b"")
    properties = (PropertyDiff("version", None, MISSING), PropertyDiff("n", MISSING, [1]))
    assert first == DocumentDiff("Package/a", "changed", before, after, properties)
    assert second == DocumentDiff("Package/b", "added", None, None, ())
    with pytest.raises(ValueError, match="include_bodies"):
        _ = before.data
    _ = [each async for each in mesh.database("catalog").changes("main")]
    assert (request_of(kernel).base, request_of(kernel).target) == ("", "main")


async def test_a_merge_gives_conflicts_as_data(mesh: AsyncMesh, kernel: Kernel) -> None:
    message = merge_pb2.Conflict(
        id="Package/a", property="version", kind=merge_pb2.Conflict.KIND_BOTH_CHANGED, base=b'"1"', ours=b'"2"'
    )
    kernel.answer(
        "Merge",
        merge_service_pb2.MergeResponse(
            outcome=merge_service_pb2.MergeResponse.OUTCOME_CONFLICTS,
            conflicts=[message],
            conflict_count=1,
            base_commits=["c0"],
            ours_commit="c1",
            theirs_commit="c2",
        ),
    )
    kernel.answer("ListConflicts", merge_service_pb2.ListConflictsResponse(conflicts=[message], total_size=1))
    expected = Conflict("Package/a", "version", "both_changed", "1", "2", MISSING)
    database = mesh.database("catalog")
    result = await database.merge(
        "dev",
        into="main",
        strategy="theirs",
        resolutions=[Resolution("Package/a", "version", side="base"), Resolution("Package/b", value={"n": None})],
    )
    request = request_of(kernel)
    assert (request.source, request.branch, request.strategy) == ("dev", "main", merge_pb2.MERGE_SIDE_THEIRS)
    assert request.resolutions[0].side == merge_pb2.MERGE_SIDE_BASE
    assert request.resolutions[1].value == b'{"n":null}'
    assert request.request_id
    assert (result.outcome, result.commit, result.conflicts) == ("conflicts", None, (expected,))
    assert (result.base_commits, result.ours_commit, result.theirs_commit) == (("c0",), "c1", "c2")
    assert [each async for each in database.conflicts("main", "dev")] == [expected]


def test_a_resolution_needs_a_side_or_a_value() -> None:
    assert Resolution("Package/a", value=None).value is None
    with pytest.raises(ValueError, match="either a side or a value"):
        Resolution("Package/a")
    with pytest.raises(ValueError, match="either a side or a value"):
        Resolution("Package/a", side="ours", value=1)


async def test_verification_streams_its_progress(mesh: AsyncMesh, kernel: Kernel) -> None:
    problem = commit_service_pb2.VerifyProblem(commit="c1", id="Package/a", description="hash differs")
    kernel.answers["VerifyHistory"] = lambda request, context: iter(
        [
            commit_service_pb2.VerifyHistoryResponse(commits=1, documents=2, total_commits=2, problems=[problem]),
            commit_service_pb2.VerifyHistoryResponse(commits=2, documents=4, total_commits=2, done=True),
        ]
    )
    assert [each async for each in mesh.database("catalog").verify()] == [
        VerifyProgress(1, 2, 2, (Problem("c1", "Package/a", "hash differs"),), False),
        VerifyProgress(2, 4, 2, (), True),
    ]
