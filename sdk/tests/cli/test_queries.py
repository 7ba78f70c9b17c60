import json

import pytest
from sdk.tests.cli.conftest import Cli
from sdk.tests.cli.memory import Database
from sdk.tests.cli.servicers import Store

from ontomesh.kernel.v1 import query_service_pb2
from ontomesh.kernel.v1.commit_service_pb2 import CreateCommitRequest


@pytest.fixture
def linked(catalog: Database) -> Database:
    """The catalog with links between its packages."""
    documents = {
        f"Package/{name}": json.dumps(
            {
                "@id": f"Package/{name}",
                "@type": "Package",
                "license": license,
                "name": name,
                "requires": [f"Package/{each}" for each in requires],
                "size": {"bytes": len(requires)},
            },
            separators=(",", ":"),
        ).encode()
        for name, license, requires in (("a", "MIT", "bc"), ("b", "BSD", "c"), ("c", "MIT", ""))
    }
    catalog.commit(documents, parents=(catalog.branches["main"],), message="linked")
    return catalog


def test_a_query_lists_ids(cli: Cli, linked: Database) -> None:
    assert cli.ok("query", "Package").lines == ["Package/a", "Package/b", "Package/c"]
    assert cli.ok("query", "Package", 'license = "MIT"').lines == ["Package/a", "Package/c"]
    assert cli.ok("query", "Package", "--order-by", "name desc", "--limit", "2").lines == ["Package/c", "Package/b"]
    assert cli.ok("query", "Package", "--ref", "main~1").lines == ["Package/numpy", "Package/requests"]


def test_the_words_of_a_filter_need_no_quotes_of_their_own(cli: Cli, linked: Database) -> None:
    assert cli.ok("query", "Package", "license", "=", '"BSD"').lines == ["Package/b"]


def test_fields_make_a_table(cli: Cli, linked: Database) -> None:
    assert cli.ok("query", "Package", 'name = "a"', "--fields", "license,size.bytes", "-f", "requires").lines == [
        "ID         license  size.bytes  requires",
        "Package/a  MIT                  Package/b, Package/c",
    ]
    body = cli.ok("query", "Package", 'name = "a"', "--fields", "license", "--json").out
    assert body == '{"@id":"Package/a","@type":"Package","license":"MIT"}\n'


def test_bodies_come_on_request(cli: Cli, linked: Database) -> None:
    assert [json.loads(line)["name"] for line in cli.ok("query", "Package", "--json").lines] == ["a", "b", "c"]
    assert '"license": "MIT"' in cli.ok("query", "Package", 'name = "c"', "--long").out


def test_what_links_lead_to_is_shown_apart_and_once(cli: Cli, linked: Database) -> None:
    assert cli.ok("query", "Package", "--expand", "requires").lines == [
        "Package/a",
        "Package/b",
        "+ Package/b",
        "+ Package/c",
        "Package/c",
    ]
    told = [json.loads(line) for line in cli.ok("query", "Package", 'name = "b"', "-e", "requires", "--json").lines]
    assert [(kind, body["name"]) for line in told for kind, body in line.items()] == [
        ("document", "b"),
        ("included", "c"),
    ]


def test_counts(cli: Cli, linked: Database) -> None:
    assert cli.ok("query", "Package", 'license = "MIT"', "--count").out == "2\n"
    assert cli.ok("query", "Package", "--count", "--json").json() == {"count": 3}


def test_plans(cli: Cli, linked: Database) -> None:
    assert cli.ok("query", "Package", 'license = "MIT"', "--explain").lines == [
        "reads     class Package",
        "about     2",
        'examines  license = "MIT"',
        "sorts     nothing",
    ]
    assert cli.ok("query", "Package", "--explain", "--json").json()["access"] == ["class Package"]


@pytest.mark.parametrize(
    "options", [("--count", "--explain"), ("--count", "--fields", "name"), ("--explain", "--limit", "3")], ids=" ".join
)
def test_options_that_exclude_each_other_are_refused(cli: Cli, linked: Database, options: tuple[str, ...]) -> None:
    assert cli("query", "Package", *options).code == 2


def test_a_fault_in_a_filter_is_shown_with_its_column(cli: Cli, linked: Database) -> None:
    result = cli("query", "Package", "= 3")
    assert result.code == 3
    assert "(INVALID_FILTER)" in result.err
    assert "  filter: column 1: a property is due" in result.err


def test_referrers_tell_by_which_property(cli: Cli, linked: Database, store: Store) -> None:
    assert cli.ok("referrers", "Package/c").lines == ["Package/a  requires", "Package/b  requires"]
    assert cli.ok("referrers", "Package/c", "-n", "1", "--json").json() == {"id": "Package/a", "property": "requires"}
    cli.ok("referrers", "Package/c", "--over", "requires,address.country", "--type", "Package", "-t", "App")
    request = store.requests[-1]
    assert isinstance(request, query_service_pb2.ListReferrersRequest)
    assert list(request.properties) == ["requires", "address.country"]
    assert list(request.types) == ["Package", "App"]


def test_a_walk_tells_how_each_document_was_reached(cli: Cli, linked: Database, store: Store) -> None:
    assert cli.ok("walk", "Package/0", "--over", "requires", "--depth", "2").lines == [
        "  1  Package/1  (Package/0 requires Package/1)",
        "  2  Package/2  (Package/1 requires Package/2)",
    ]
    back = cli.ok("walk", "Package/0", "--over", "requires", "--incoming", "--depth", "1")
    assert back.lines == ["  1  Package/1  (Package/1 requires Package/0)"]
    cut = cli.ok("walk", "Package/0", "--over", "requires", "-n", "2", "--json")
    assert [json.loads(line)["depth"] for line in cut.lines] == [1, 2]
    assert "stopped at 2 documents" in cut.err
    request = store.requests[-1]
    assert isinstance(request, query_service_pb2.TraverseRequest)
    assert (request.max_depth, request.limit) == (100, 2)


def test_documents_are_deleted_by_id(cli: Cli, linked: Database) -> None:
    result = cli.ok("rm", "Package/a", "Package/b", "-m", "gone")
    assert result.lines[1] == " 2 documents changed"
    assert cli.ok("ls").lines == ["Package/c"]


def test_documents_are_deleted_as_a_filter_finds_them(cli: Cli, linked: Database, store: Store) -> None:
    dry = cli.ok("rm", "--type", "Package", "--filter", 'license = "MIT"', "--dry-run")
    assert dry.lines[1] == " 2 documents would change"
    cli.ok("rm", "--type", "Package", "--filter", 'license = "MIT"', "--yes")
    assert cli.ok("ls").lines == ["Package/b"]
    request = store.requests[-1]
    assert isinstance(request, CreateCommitRequest)
    assert [(each.delete.id, bool(each.delete.etag)) for each in request.operations] == [
        ("Package/a", True),
        ("Package/c", True),
    ]


def test_nothing_that_matches_is_nothing_to_delete(cli: Cli, linked: Database) -> None:
    result = cli.ok("rm", "--type", "Package", "--filter", 'license = "none"', "--yes")
    assert (result.out, "no Package matches" in result.err) == ("", True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "which documents?"),
        (("Package/a", "--type", "Package"), "which documents?"),
        (("Package/a", "--filter", 'name = "a"'), "--filter needs --type"),
        (("--type", "Package"), "this deletes 3 documents"),
    ],
)
def test_a_deletion_that_is_not_clear_is_refused(
    cli: Cli, linked: Database, arguments: tuple[str, ...], message: str
) -> None:
    result = cli("rm", *arguments)
    assert result.code == 2
    assert message in result.err
    assert len(cli.ok("ls").lines) == 3
