"""The main job: the metadata of every installed distribution, committed, branched, merged and read again.

The steps are data; what their checks learn from one output is in `Facts` for the commands behind it.
"""

import json
import re
from collections.abc import Sequence

from ontomesh_local.steps import Facts, Shown, Step, Unexpected, filled

DATABASE = "packages"
SUBJECT = "Distribution/typer"
"""The document that the tour changes: the `ontomesh` command itself needs it, so it is always there."""

TRIAL = "99.0.0"
HOTFIX = "98.7.1"


def steps() -> Sequence[Step]:
    """The steps of the tour, in their order."""
    return [*_IMPORT, *_FIND, *_BRANCH_AND_MERGE, *_PAST, *_EVOLVE, *_CARRY, *_GUARDS, *_EVENTS, *_END]


def _says(*texts: str) -> "_Says":
    return _Says(texts)


class _Says:
    """A check that the output holds texts, in which facts are named as in commands."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts

    def __call__(self, shown: Shown, facts: Facts) -> None:
        shown.must_say(*(filled(text, facts) for text in self._texts))


def _collected(shown: Shown, facts: Facts) -> None:
    documents = [json.loads(line) for line in (shown.folder / "distributions.ndjson").read_text("utf-8").splitlines()]
    by_id = {document["@id"]: document for document in documents}
    if SUBJECT not in by_id:
        raise Unexpected(f"{SUBJECT} among the documents", f"{len(documents)} others")
    missing = {
        link: document["name"]
        for document in documents
        for kind in ("requires", "extras")
        for link in document.get(kind, ())
        if "version" not in by_id[link]
    }
    if not missing:
        raise Unexpected("something required and not installed", "none")
    # One of the document that was just shown is the better example; it has one wherever it needs another platform.
    subject = by_id[SUBJECT]
    example = next((link for link in subject["requires"] if link in missing), next(iter(missing)))
    missing_for = subject["name"] if example in subject["requires"] else missing[example]
    installed = sum("version" in document for document in documents)
    facts |= {"count": len(documents), "installed": installed, "missing_count": len(missing)}
    facts |= {"missing": example, "missing_name": by_id[example]["name"], "missing_for": missing_for}
    facts |= {"version": subject["version"], "needs": subject["requires"][0]}
    shown.must_say(str(len(documents)))


def _imported(shown: Shown, facts: Facts) -> None:
    shown.must_say("[main ", f"{facts['count']:,} documents changed")


def _subject(shown: Shown, facts: Facts) -> None:
    shown.must_say(
        f'"@id": "{SUBJECT}"', f'"version": "{facts["version"]}"', f'"{facts["needs"]}"', '"licence": "Licence/'
    )


def _not_installed(shown: Shown, facts: Facts) -> None:
    shown.must_say(f'"@id": "{facts["missing"]}"')
    shown.must_not_say('"version"')


def _licences(shown: Shown, _facts: Facts) -> None:
    if not all(line.startswith("Licence/") for line in shown.text.splitlines()):
        raise Unexpected("nothing but licences", repr(shown.text[:200]))
    shown.must_say("Licence/MIT\n")


def _history(shown: Shown, facts: Facts) -> None:
    commits = [json.loads(line) for line in shown.text.splitlines()]
    facts |= {"import": commits[0]["id"][:12], "time": commits[0]["create_time"]}
    if len(commits) < 2 or commits[0]["change_count"] != facts["count"]:
        raise Unexpected("the import on top of the schema", shown.text[:400])


def _free(shown: Shown, facts: Facts) -> None:
    rows = shown.text.splitlines()
    if len(rows) != 6 or not rows[0].startswith("ID ") or rows[1:] != sorted(rows[1:]):
        raise Unexpected("a heading and five distributions by name", repr(shown.text[:400]))


def _requirements(shown: Shown, facts: Facts) -> None:
    shown.must_say(f"  1  {facts['needs']}  ({SUBJECT} requires {facts['needs']})")


def _carried(shown: Shown, facts: Facts) -> None:
    shown.must_say(f"{facts['count']:,} documents", "[main ")


def _conflicts(shown: Shown, facts: Facts) -> None:
    shown.must_say(f"{SUBJECT}#version", f'base    "{facts["version"]}"', f'ours    "{HOTFIX}"', f'theirs  "{TRIAL}"')
    shown.must_say(f"{SUBJECT}#summary", "2 conflicts")
    shown.must_not_say(f"{SUBJECT}#keywords")


def _merge_commit(shown: Shown, facts: Facts) -> None:
    shown.must_say("Merge:   ", f'+   version: "{TRIAL}"', "Take the trial's version")
    if not re.search(r"^commit [0-9a-f]{64} ", shown.text):
        raise Unexpected("the commit's whole id", shown.text[:100])


def _both_lines(shown: Shown, _facts: Facts) -> None:
    if len(shown.text.splitlines()) != 6:
        raise Unexpected("six commits", repr(shown.text))
    shown.must_say("(main) Take the trial's version", "(trial) Try a new version", "(main) Fix in a hurry")


def _followed(shown: Shown, facts: Facts) -> None:
    events = [line for line in shown.text.splitlines() if f"  {SUBJECT}  " in line]
    if [line.split()[1] for line in events] != ["insert", "replace", "replace", "replace"]:
        raise Unexpected("an insert and three replacements", repr(shown.text[:600]))
    if "keywords" not in events[-1]:
        raise Unexpected("the commit that was just made as the last event", repr(events[-1]))
    shown.must_say(f"  {DATABASE}/main", "[main ")


def _refused(reason: str, *texts: str) -> _Says:
    return _says(f"({reason})", *texts)


_IMPORT = (
    Step(
        "Make a database: one ontology with its documents and their whole history.",
        f"ontomesh db create {DATABASE} --description 'Python distributions of this environment'",
        _says(f"created database {DATABASE}"),
    ),
    Step(
        "Who are you here, and does the kernel serve?",
        "ontomesh status",
        _says("serving", "user:", DATABASE, "main"),
    ),
    Step(
        "Write the metadata of every installed Python distribution to a file, a JSON document a line.",
        "python -m ontomesh_local.distributions > distributions.ndjson\nwc -l distributions.ndjson",
        _collected,
    ),
    Step(
        "Give it an ontology: classes, links, keys and an enum. It is versioned like the data.",
        "python -m ontomesh_local.distributions --schema > schema.json\n"
        "ontomesh schema apply schema.json -m 'Describe distributions'",
        _says("[main ", "Describe distributions"),
    ),
    Step(
        "Look at it.",
        "ontomesh schema show",
        _says("Class Distribution < Named", "Set<Distribution>", "planning"),
        lines=32,
    ),
    Step(
        "Put all {count} documents into one atomic commit: {installed} installed distributions, {missing_count} that "
        "are required and not installed, their authors and licences.",
        "ontomesh put distributions.ndjson -m 'Everything installed here'",
        _imported,
    ),
    Step("List the documents of a class.", "ontomesh ls Licence", _licences, lines=6),
    Step(
        "Read one: licence, authors and requirements are links, and each was checked.",
        f"ontomesh get {SUBJECT}",
        _subject,
        lines=24,
    ),
    Step(
        "{missing_for} requires {missing_name}, which is not installed here: a document without a version.",
        "ontomesh get {missing}",
        _not_installed,
    ),
    Step("Read the history; every command speaks JSON, too.", "ontomesh log --json", _history),
)

_FIND = (
    Step(
        "Ask for some of them: comparisons, an order, a few properties.",
        "ontomesh query Distribution 'licence = \"Licence/MIT\" AND version:*' \\\n"
        "  --order-by name --limit 5 --fields name,version",
        _free,
    ),
    Step(
        "Ask through links: whatever needs something under the MIT licence ...",
        "ontomesh query Distribution 'requires.licence = \"Licence/MIT\"' --limit 5",
        _says("Distribution/"),
    ),
    Step(
        "... and see which indexes answer that.",
        "ontomesh query Distribution 'requires.licence = \"Licence/MIT\"' --explain",
        _says("Distribution.licence", "Distribution.requires"),
    ),
    Step(
        "Follow links over several steps, each document once.",
        f"ontomesh walk {SUBJECT} --over requires --depth 3",
        _requirements,
    ),
    Step("And backwards: what is under this licence?", "ontomesh referrers Licence/MIT", _says("licence"), lines=6),
)

_BRANCH_AND_MERGE = (
    Step("Make a branch. It costs the same at any size.", "ontomesh branch trial", _says("created branch trial")),
    Step(
        "Change a document on the branch.",
        "ontomesh commit -b trial -m 'Try a new version' \\\n"
        f'  --update \'{SUBJECT}={{"version": "{TRIAL}", "summary": "On trial", "keywords": ["trial"]}}\'',
        _says("[trial ", "1 document changed"),
    ),
    Step(
        "Meanwhile, somebody changes the same document on main.",
        "ontomesh commit -m 'Fix in a hurry' \\\n"
        f'  --update \'{SUBJECT}={{"version": "{HOTFIX}", "summary": "Patched here", "keywords": ["patched"]}}\'',
        _says("[main ", "1 document changed"),
    ),
    Step(
        "Show what differs between the two branches.",
        "ontomesh diff main trial",
        _says(f"changed {SUBJECT}", f'-   version: "{HOTFIX}"', f'+   version: "{TRIAL}"', "1 document differs"),
    ),
    Step(
        "Merge the branch: keywords are a Set and merge by themselves, the rest is a conflict (exit code 1).",
        "ontomesh merge trial",
        _conflicts,
        exit_code=1,
        lines=24,
    ),
    Step(
        "Settle each conflict, one by taking a side, one by a value of its own.",
        f'ontomesh merge trial -m "Take the trial\'s version" \\\n'
        f"  --resolve '{SUBJECT}#version=theirs' --resolve '{SUBJECT}#summary:=\"Tried and patched\"'",
        _says("[main ", "Take the trial's version"),
    ),
    Step(
        "Show the merge: two parents, and what it changed on main.",
        "ontomesh show",
        _merge_commit,
        lines=20,
    ),
    Step("The history now holds both lines.", "ontomesh log --oneline", _both_lines),
)

_PAST = (
    Step(
        "Read the past: one commit before the merge ...",
        f"ontomesh get {SUBJECT} --ref main~1 | grep -e version -e summary",
        _says(f'"version": "{HOTFIX}"', "Patched here"),
        lines=6,
    ),
    Step(
        "... at the commit of the import ...",
        f"ontomesh get {SUBJECT} --ref commit:{{import}} | grep -e version -e summary",
        _says('"version": "{version}"'),
        lines=6,
    ),
    Step(
        "... and as it stood at a time.",
        f"ontomesh get {SUBJECT} --ref main@{{time}} | grep -e version -e summary",
        _says('"version": "{version}"'),
        lines=6,
    ),
    Step(
        "What has happened since?",
        "ontomesh diff main@{time} main --stat",
        _says(f"M {SUBJECT}", "1 document differs"),
    ),
)

_EVOLVE = (
    Step(
        "Change the ontology on a branch, and look first: rename a property everywhere.",
        "ontomesh branch tidy\nontomesh migrate -b tidy --rename-property Distribution.licence=license --dry-run",
        _says("license", "migrated", "all would fit"),
    ),
    Step(
        "Do it: ontology and documents in one commit.",
        "ontomesh migrate -b tidy --rename-property Distribution.licence=license -m 'Spell it license'",
        _says("[tidy ", "Spell it license"),
    ),
    Step(
        "A query obeys the ontology of the branch that it reads.",
        "ontomesh query Distribution 'license = \"Licence/MIT\"' -b tidy --count\nontomesh schema diff main tidy",
        _says("+ license", "- licence"),
    ),
    Step(
        "Would this stricter ontology hold? The check names every document that it forbids.",
        """echo '{"@type": "Class", "@id": "Licence", "@inherits": "Named", "url": "xsd:anyURI", '\\
  '"@key": {"@type": "Lexical", "@fields": ["name"]}}' > stricter.json
ontomesh schema check stricter.json""",
        _says("Licence/MIT", "is required", "would not fit"),
        exit_code=1,
        lines=6,
    ),
)

_CARRY = (
    Step(
        "Carry everything to another database: it arrives as one commit, however much it is.",
        "ontomesh db create mirror\n"
        "ontomesh schema show --db packages --json | ontomesh schema apply - --db mirror -m 'The same ontology'\n"
        "ontomesh export --db packages -o everything.ndjson\n"
        "ontomesh import everything.ndjson --db mirror -m 'All of it'",
        _carried,
    ),
    Step("Away with it again.", "ontomesh db delete mirror --yes", _says("mirror")),
)

_GUARDS = (
    Step(
        "A document that breaks the ontology is refused, fault by fault, and nothing is written.",
        """ontomesh put '{"@type": "Distribution", "name": "broken", "version": 3, "maturity": "ripe"}'""",
        _refused("SCHEMA_VIOLATION", "version", "maturity"),
        exit_code=3,
    ),
    Step(
        "So is a link to nothing ...",
        """ontomesh put '{"@type": "Distribution", "name": "broken", "requires": ["Distribution/no-such-thing"]}'""",
        _refused("DANGLING_LINK", "Distribution/no-such-thing"),
        exit_code=3,
    ),
    Step(
        "... and deleting what others link to.",
        "ontomesh commit --delete Licence/MIT -m 'No more MIT'",
        _refused("STILL_REFERENCED", "Licence/MIT"),
        exit_code=3,
    ),
    Step(
        "A rule of your own, which is not the ontology's: commits to main name a ticket.",
        f"ontomesh hooks add ticket --rule message --param 'pattern=[A-Z]+-[0-9]+' --db {DATABASE} --branch main",
        _says("added validator ticket"),
    ),
    Step(
        "A commit without one is refused before anything is stored, and told why.",
        f"ontomesh commit -m 'Just this once' --update '{SUBJECT}={{\"keywords\": [\"cli\"]}}'",
        _refused("COMMIT_REJECTED", "ticket: must contain [A-Z]+-[0-9]+"),
        exit_code=3,
    ),
)

_EVENTS = (
    Step(
        "Every commit becomes events. Follow those of one document from the beginning on, and make another commit: "
        "the last event comes as it happens.",
        f"ontomesh events tail --all --db {DATABASE} --branch main --subject {SUBJECT} -n 4 &\n"
        f"ontomesh commit -m 'DOC-7: Say what it is' --update '{SUBJECT}={{\"keywords\": [\"cli\"]}}'\n"
        "wait",
        _followed,
    ),
    Step("The rule goes again.", "ontomesh hooks rm ticket", _says("deleted validator ticket")),
    Step(
        "How full the stream of events is, how long it keeps them, and on how many nodes.",
        "ontomesh events status",
        _says("events ", "fill ", "kept ", "durable "),
    ),
)

_END = (
    Step(
        "Recompute every hash of the whole history.",
        "ontomesh verify",
        _says("7 commits and ", "every hash matches"),
    ),
    Step("Where things stand.", "ontomesh status", _says("serving", "main", "trial")),
)
