"""A small history, as the OpenAPI document shows requests and answers by it."""

import orjson

from ontomesh_data_kernel.domain import model
from ontomesh_data_kernel.domain.ontology import parse_schema
from ontomesh_data_kernel.domain.query import asking
from ontomesh_data_kernel.domain.query.tree import Plan
from ontomesh_data_kernel.domain.validators.model import BuiltinCheck, Match, Validator

SCHEMA = [
    {
        "@type": "Class",
        "@id": "Person",
        "@key": {"@type": "Lexical", "@fields": ["name"]},
        "name": "xsd:string",
        "nick": {"@type": "Optional", "@class": "xsd:string"},
    }
]
PLACES = [{"@type": "Class", "@id": "Place", "@key": {"@type": "Random"}, "name": "xsd:string"}]
PERSON = {"@type": "Person", "name": "ada"}
NICKED = {"@type": "Person", "name": "ada", "nick": "Ada"}
NICK = {"nick": "Countess"}
COMMIT_REQUEST = {
    "branch": "main",
    "message": "Add cy, change bob, delete eve",
    "operations": [
        {"insert": {"body": {"@type": "Person", "name": "cy"}}},
        {"update": {"id": "Person/bob", "patch": {"nick": "Bobby"}}},
        {"delete": {"id": "Person/eve"}},
    ],
}
MERGE_REQUEST = {
    "source": "trial",
    "branch": "main",
    "resolutions": [{"id": "Person/ada", "property": "nick", "side": "theirs"}],
}
VALIDATOR_REQUEST = {
    "description": "Packages name their license for good",
    "match": {"databases": ["catalog"], "branches": ["main", "release/*"], "classes": ["Package"]},
    "builtin": {"rule": "immutable", "parameters": {"properties": "license"}},
    "failure_policy": "reject",
}

_TIME = 1_767_225_600_000_000
_BEFORE = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
_HEAD = "fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9"
_TRIAL = "486ea46224d1bb4fb680f34f7c9ad96a8f24ec88be73ea8e5a6c65260e9cb8a7"
_DIGEST = "baa5a0964d3320fbc0c6a922140453c8513ea24ab8fd0577034804a967248096"
_BODY = b'{"@id":"Person/ada","@type":"Person","name":"ada"}'

VALIDATOR = Validator(
    "license",
    BuiltinCheck("immutable", {"properties": "license"}),
    "Packages name their license for good",
    Match(("catalog",), ("main", "release/*"), ("Package",)),
    etag=f"{_TIME:x}",
    create_time=_TIME,
    update_time=_TIME,
)
DATABASE = model.Database("catalog", "What we run", _TIME, f"{_TIME:x}")
DATABASES = model.DatabasePage((DATABASE,), "")
BRANCH = model.Branch("main", _HEAD, _TIME, _TIME)
BRANCHES = model.BranchPage((BRANCH,), "")
COMMIT = model.Commit(
    id=_HEAD,
    parents=(_BEFORE,),
    branch="main",
    author="user:ana",
    committer="user:ana",
    message="Add ada",
    time=_TIME,
    metadata={"ticket": "12"},
    trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
    ontology_digest=_DIGEST,
    change_count=1,
)
ONTOLOGY = model.OntologyAt(orjson.dumps(SCHEMA), _DIGEST, _HEAD)
CLASS_SCHEMA = model.ClassSchemaAt(parse_schema(SCHEMA).class_schema("Person"), _DIGEST, _HEAD)
COMMITS = model.CommitPage((COMMIT,), "")
RESOLVED = model.ResolvedRef(COMMIT, "main")
DOCUMENT = model.Document("Person/ada", _BODY, "82a3537ff0dbce7eec35d69edc3a189ee6f17d82f353a553f9aa96cb0be3ce89")
DOCUMENTS = model.DocumentPage((DOCUMENT,), "", _HEAD)
BATCH = model.DocumentBatch((DOCUMENT,), ("Person/bob",), _HEAD)
COMMITTED = model.Committed(COMMIT, (model.OperationResult(DOCUMENT.id, DOCUMENT.etag),))
DIFF = model.DiffPage(
    (model.DocumentDiff(DOCUMENT.id, model.DiffKind.ADDED, None, DOCUMENT, ()),), "", _BEFORE, _HEAD, 1
)
CONFLICT = model.Conflict(
    DOCUMENT.id, "nick", model.ConflictKind.BOTH_CHANGED, None, b'"Countess"', b'"Enchantress of Number"'
)
CONFLICTS = model.ConflictPage((CONFLICT,), "", 1)
MERGED = model.MergeResult(model.MergeOutcome.CONFLICTS, None, (CONFLICT,), 1, (_BEFORE,), _HEAD, _TRIAL)
REPORT = model.VerifyProgress(commits=2, documents=1, total_commits=2, problems=(), done=True)
QUERIED = asking.QueryPage((DOCUMENT,), (), "", _HEAD)
COUNTED = asking.Counted(1, _HEAD)
EXPLAINED = asking.Explained(Plan(("class Person",), 1, False, 'name = "ada"', False), _HEAD)
REFERRERS = asking.ReferrerPage((asking.Referrer("Person/bob", "friend"),), "", _HEAD)
VISITS = asking.Visits((asking.Visit("Person/bob", 1, "Person/ada", "friend"),), _HEAD)
