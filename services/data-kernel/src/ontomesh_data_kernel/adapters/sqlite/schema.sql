-- Format 3. A branch is a name for a state (lineage, seq). A lineage is a line of commits that forked from its parent's
-- state (parent, fork_seq); its own seqs begin at first_seq, or at fork_seq + 1 if that is 0. A document's rows are
-- append-only: the one to read at a state is the newest not after it in the nearest lineage that has one. A lineage is
-- made by a branch's first commit, or by an import.

-- The last ids given to databases and lineages: none is ever given twice, as memories of it may outlive its row.
CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE database (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL,
    created INTEGER NOT NULL,
    etag TEXT NOT NULL
);

-- Document ids, and names 'Class.property' of what is indexed; shared by all databases, append-only.
CREATE TABLE node (id INTEGER PRIMARY KEY, iri TEXT NOT NULL UNIQUE);
CREATE TABLE path (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);

CREATE TABLE lineage (
    id INTEGER PRIMARY KEY,
    db INTEGER NOT NULL,
    parent INTEGER,
    fork_seq INTEGER NOT NULL,
    first_seq INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX lineage_db ON lineage (db);

-- `own` is the lineage that the branch commits to; NULL until its first commit.
CREATE TABLE branch (
    db INTEGER NOT NULL,
    name TEXT NOT NULL,
    lineage INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    own INTEGER,
    head BLOB NOT NULL,
    created INTEGER NOT NULL,
    PRIMARY KEY (db, name)
) WITHOUT ROWID;

-- `trace` is the trace id, and after a hyphen the id of the call's span if it was recorded.
CREATE TABLE commits (
    lineage INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    db INTEGER NOT NULL,
    hash BLOB NOT NULL,
    parent BLOB,
    m_lineage INTEGER,
    m_seq INTEGER,
    m_parent BLOB,
    branch TEXT NOT NULL,
    author TEXT NOT NULL,
    committer TEXT NOT NULL,
    message TEXT NOT NULL,
    ts INTEGER NOT NULL,
    metadata TEXT NOT NULL,
    trace TEXT NOT NULL,
    ontology BLOB NOT NULL,
    changes INTEGER NOT NULL,
    PRIMARY KEY (lineage, seq)
) WITHOUT ROWID;
CREATE UNIQUE INDEX commit_hash ON commits (db, hash);
CREATE INDEX commit_time ON commits (lineage, ts);
CREATE INDEX commit_merge ON commits (lineage, seq, m_lineage, m_seq) WHERE m_lineage IS NOT NULL;

-- A NULL body is a deletion.
CREATE TABLE doc (
    lineage INTEGER NOT NULL,
    doc INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    hash BLOB,
    body BLOB,
    PRIMARY KEY (lineage, doc, seq)
);
CREATE INDEX doc_log ON doc (lineage, seq, doc);

-- What is indexed of the documents' versions: now, and (from_seq <= seq < to_seq) of versions since replaced. A
-- document's first row in a lineage brings all its entries, so that its rows there hide those of the parents' lineages.
CREATE TABLE prop (
    lineage INTEGER NOT NULL,
    path INTEGER NOT NULL,
    val BLOB NOT NULL,
    doc INTEGER NOT NULL,
    from_seq INTEGER NOT NULL,
    PRIMARY KEY (lineage, path, val, doc)
) WITHOUT ROWID;
CREATE TABLE prop_hist (
    lineage INTEGER NOT NULL,
    path INTEGER NOT NULL,
    val BLOB NOT NULL,
    doc INTEGER NOT NULL,
    from_seq INTEGER NOT NULL,
    to_seq INTEGER NOT NULL,
    PRIMARY KEY (lineage, path, val, doc, from_seq)
) WITHOUT ROWID;

-- Answers of idempotent writes, kept for 7 days. `scope` is the database's id, 0 for creating databases.
CREATE TABLE request (
    scope INTEGER NOT NULL,
    principal TEXT NOT NULL,
    id TEXT NOT NULL,
    digest BLOB NOT NULL,
    ts INTEGER NOT NULL,
    reply BLOB NOT NULL,
    PRIMARY KEY (scope, principal, id)
) WITHOUT ROWID;
CREATE INDEX request_ts ON request (ts);
