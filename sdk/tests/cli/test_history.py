import re

from sdk.tests.cli.conftest import Cli
from sdk.tests.cli.memory import Database
from sdk.tests.cli.servicers import Store

from ontomesh.kernel.v1.commit_service_pb2 import VerifyProblem

DIFFERENCE = """\
changed Package/numpy
-   version: "1.1"
+   version: "2.0"
changed Package/requests
-   requires[]: "b"
+   requires[]: "c"
2 documents differ: 2 changed
"""


def test_the_log_is_newest_first_with_short_ids(cli: Cli, catalog: Database) -> None:
    head = catalog.branches["main"]
    lines = cli.ok("log", "--oneline").lines
    assert lines[0] == f"{head[:12]} (main) numpy 1.1"
    assert [line.split(") ")[1] for line in lines] == ["numpy 1.1", "import", "created"]
    assert len(cli.ok("log", "feature", "--oneline", "-n", "1").lines) == 1
    whole = cli.ok("log", "-n", "1", "--json").json()
    assert (whole["id"], whole["create_time"]) == (head, "2026-11-20T10:02:00Z")


def test_a_commit_is_shown_with_its_message_and_time(cli: Cli, catalog: Database) -> None:
    lines = cli.ok("log", "main~1", "-n", "1").lines
    assert lines[1] == "Author:  user:ana"
    assert re.fullmatch(r"Date:    2026-11-\d\d \d\d:\d\d:00 [+-]\d{4}", lines[2])
    assert lines[3:] == ["", "    import", "", "    from the environment"]


def test_a_merge_shows_its_parents_and_can_be_followed_or_not(cli: Cli, catalog: Database) -> None:
    cli.ok("merge", "feature", "--strategy", "ours")
    assert len(cli.ok("log", "--oneline").lines) == 5
    assert len(cli.ok("log", "--oneline", "--first-parent").lines) == 4
    parents = [commit[:12] for commit in catalog.commits[catalog.branches["main"]].parents]
    assert f"Merge:   {' '.join(parents)}" in cli.ok("show").lines


def test_show_tells_what_a_commit_changed(cli: Cli, catalog: Database) -> None:
    shown = cli.ok("show", "main~1").out
    assert "Note:    source=pip\n" in shown
    assert 'added Package/numpy\n+   @type: "Package"\n+   name: "numpy"\n+   version: "1.0"\n' in shown
    assert shown.endswith("2 documents differ: 2 added\n")
    assert "A Package/numpy\n" in cli.ok("show", "main~1", "--stat").out
    whole = cli.ok("show", "--json").json()
    assert whole["changes"][0]["properties"] == [{"name": "version", "before": "1.0", "after": "1.1"}]


def test_a_difference_is_told_by_property_and_element(cli: Cli, catalog: Database) -> None:
    assert cli.ok("diff", "main", "feature").out == DIFFERENCE
    assert cli.ok("diff", "main..feature").out == DIFFERENCE
    assert cli.ok("diff", "main", "--ref", "feature").out == DIFFERENCE
    assert cli.ok("diff", "main..feature", "--stat").lines[0] == "M Package/numpy  (+1 -1)"


def test_a_difference_exits_with_1_when_asked(cli: Cli, catalog: Database) -> None:
    assert cli("diff", "main..feature", "--exit-code").code == 1
    assert cli("diff", "main..main", "--exit-code").code == 0
    assert cli("diff", "main...feature").code == 2


def test_values_that_are_absent_are_left_out_of_json(cli: Cli, catalog: Database) -> None:
    cli.ok("commit", "-m", "less", "--update", 'Package/numpy={"version":null,"summary":null,"n":null}')
    cli.ok("commit", "-m", "null", "--update", 'Package/numpy={"licence":"BSD"}')
    changed = cli.ok("diff", "main~2", "main", "--json").json()["properties"]
    assert changed == [{"name": "licence", "after": "BSD"}, {"name": "version", "before": "1.1"}]


def test_an_array_whose_order_changed_is_shown_whole(cli: Cli, catalog: Database) -> None:
    cli.ok("commit", "-m", "turn", "--update", 'Package/requests={"requires":["b","a"]}')
    assert cli.ok("diff", "main~1").lines[1:3] == ['-   requires: ["a","b"]', '+   requires: ["b","a"]']


def test_a_commit_can_be_named_by_its_first_digits(cli: Cli, catalog: Database) -> None:
    head = catalog.branches["feature"]
    assert cli.ok("log", head[:8], "-n", "1", "--json").json()["id"] == head
    assert cli.ok("show", f"{head[:10].upper()}~1", "--stat", "--json").json()["commit"]["message"].startswith("import")
    result = cli("log", head[:7])
    assert (result.code, "(BRANCH_NOT_FOUND)" in result.err) == (3, True)


def test_a_branch_with_a_name_like_an_id_wins(cli: Cli, catalog: Database) -> None:
    name = catalog.branches["main"][:8]
    catalog.branches[name] = catalog.branches["feature"]
    assert cli.ok("show", name, "--json").json()["commit"]["id"] == catalog.branches["feature"]


def test_verification_tells_what_was_checked(cli: Cli, catalog: Database) -> None:
    assert cli.ok("verify").out == "3 commits and 6 document versions checked: every hash matches\n"
    assert cli.ok("verify", "--json").json() == {"ok": True, "commits": 3, "documents": 6, "problems": []}


def test_verification_exits_with_1_on_problems(cli: Cli, catalog: Database, store: Store) -> None:
    head = catalog.branches["main"]
    store.problems.append(VerifyProblem(commit=head, id="Package/numpy", description="its hash does not match"))
    result = cli("verify")
    assert result.code == 1
    assert result.lines[0] == f"problem: commit {head[:12]} Package/numpy: its hash does not match"
    assert cli("verify", "--json").json()["problems"][0]["id"] == "Package/numpy"
