import pytest
from sdk.tests.cli.conftest import Cli
from sdk.tests.cli.memory import Database
from sdk.tests.cli.servicers import Store
from sdk.tests.events.gateway import Gateway


def test_branches_are_created_at_a_ref_listed_and_deleted(cli: Cli, catalog: Database) -> None:
    first = catalog.commits[catalog.branches["main"]].parents[0]
    assert cli.ok("branch", "old", "main~1").out == f"created branch old at {first[:12]}\n"
    lines = cli.ok("branch").lines
    assert [line.split()[0] for line in lines] == ["BRANCH", "feature", "main", "old"]
    assert cli.ok("branch", "--prefix", "o", "--json").json()["head"] == first
    assert cli.ok("branch", "-d", "old").out == "deleted branch old\n"
    assert "old" not in catalog.branches


def test_a_branch_begins_at_the_current_one_or_empty(cli: Cli, catalog: Database) -> None:
    cli.ok("branch", "next", "-b", "feature")
    assert catalog.branches["next"] == catalog.branches["feature"]
    cli.ok("branch", "apart", "--empty", "--json")
    assert catalog.commits[catalog.branches["apart"]].parents == ()


@pytest.mark.parametrize("arguments", [["-d"], ["--empty"], ["-d", "a", "main"], ["a", "main", "--empty"]])
def test_branch_arguments_that_make_no_sense_are_refused(cli: Cli, catalog: Database, arguments: list[str]) -> None:
    assert cli("branch", *arguments).code == 2


def test_databases_are_created_shown_listed_and_deleted(cli: Cli, store: Store) -> None:
    assert cli.ok("db", "ls").out == ""
    assert cli.ok("db", "create", "catalog", "--description", "things").out == "created database catalog\n"
    assert cli.ok("db", "show").lines[0].split() == ["database", "catalog"]
    assert cli.ok("db", "ls", "--json").json()["description"] == "things"
    assert cli("db", "create", "catalog").code == 3
    assert cli.ok("db", "delete", "catalog", "--yes").out == "deleted database catalog\n"
    assert not store.databases


def test_deleting_a_database_asks_first(cli: Cli, catalog: Database, store: Store) -> None:
    result = cli("db", "delete", "catalog", stdin="n\n")
    assert result.code == 2
    assert "error: nothing was done" in result.err
    assert cli("db", "delete", "catalog", "--json").code == 2
    assert "catalog" in store.databases
    cli.ok("db", "delete", "catalog", stdin="y\n")
    assert not store.databases


def test_the_only_database_need_not_be_named(cli: Cli, store: Store, catalog: Database) -> None:
    assert cli.ok("ls").lines
    store.create("other")
    result = cli("ls")
    assert result.code == 2
    assert "which database? There are 2: catalog, other" in result.err
    assert cli.ok("-D", "catalog", "ls").lines == cli.ok("ls", "--db", "catalog").lines
    cli.patch.setenv("ONTOMESH_DATABASE", "other")
    assert cli.ok("ls").lines == []
    assert cli.ok("--db", "catalog", "ls").lines
    assert cli.ok("ls", "--db", "catalog").lines


def test_without_any_database_it_says_how_to_make_one(cli: Cli) -> None:
    result = cli("log")
    assert result.code == 2
    assert "`ontomesh db create NAME` makes one" in result.err


def test_the_schema_is_applied_and_shown(cli: Cli, catalog: Database) -> None:
    schema = """[{"@id":"Package","@type":"Class","@key":{"@type":"Lexical","@fields":["name"]},
      "@documentation":{"@comment":"A thing to install."},"name":"xsd:string",
      "requires":{"@type":"Set","@class":"Package"},"summary":{"@type":"Optional","@class":"xsd:string"}},
      {"@id":"Kind","@type":"Enum","@value":["wheel","source"]}]"""
    assert "2 documents changed" in cli.ok("schema", "apply", "-", "-m", "first", stdin=schema).out
    assert cli.ok("schema", "show").lines == [
        "Enum Kind",
        "  wheel | source",
        "",
        "Class Package key Lexical(name)",
        "  A thing to install.",
        "  name      xsd:string",
        "  requires  Set<Package>",
        "  summary   xsd:string?",
    ]
    assert [element["@id"] for element in cli.ok("schema", "show", "--json").json()] == ["Kind", "Package"]
    cli.ok("schema", "apply", "--remove", "Kind")
    cli.ok("schema", "apply", '{"@id":"Only","@type":"Class"}', "--replace")
    assert [element["@id"] for element in cli.ok("schema", "show", "--json").json()] == ["Only"]
    assert cli.ok("schema", "show", "--ref", "main~1", "--json").json()[0]["@id"] == "Package"
    assert cli("schema", "apply").code == 2


def test_status_tells_where_who_and_what(cli: Cli, catalog: Database, address: str) -> None:
    lines = cli.ok("status").lines
    assert lines[0].split() == ["address", address]
    assert lines[1].split() == ["health", "serving"]
    assert lines[2].startswith("you are    user:ana  its token expires in ")
    assert lines[3].split()[0] == "events"
    assert [line.split()[0] for line in lines[6:]] == ["BRANCH", "feature", "main"]
    whole = cli.ok("status", "--json").json()
    assert (whole["principal"], whole["database"], len(whole["branches"])) == ("user:ana", "catalog", 2)


def test_status_tells_whether_the_event_gateway_serves(cli: Cli, gateway: Gateway) -> None:
    assert cli.ok("status").lines[3] == f"events     {gateway.address}  serving"
    cli.patch.setenv("ONTOMESH_EVENTS_ADDRESS", "127.0.0.1:1")
    assert cli.ok("status", "--json").json()["events"] == "not reachable, or not serving"
