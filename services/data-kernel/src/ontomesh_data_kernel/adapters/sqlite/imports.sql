-- Imports, open and lately finished. Their documents are in `doc` and `prop` under a lineage of their own, at one seq,
-- which no branch and no commit names before the end: it forked from the state that the branch had at the beginning
-- (base_lineage, base_seq), and forks from the branch's head at the end. `record` is the domain's, as JSON; `revision`
-- counts its changes. `dropped` is set once the import is given up and its rows are to go. `ended` is set once it is
-- finished.
CREATE TABLE import (
    id TEXT PRIMARY KEY,
    db INTEGER NOT NULL,
    lineage INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    base_lineage INTEGER NOT NULL,
    base_seq INTEGER NOT NULL,
    principal TEXT NOT NULL,
    request TEXT NOT NULL,
    digest BLOB NOT NULL,
    revision INTEGER NOT NULL,
    record TEXT NOT NULL,
    ended INTEGER NOT NULL DEFAULT 0,
    dropped INTEGER NOT NULL DEFAULT 0,
    ts INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX import_ts ON import (ts);
CREATE UNIQUE INDEX import_request ON import (db, principal, request) WHERE request<>'' AND dropped=0;

-- The line of the uploaded stream that each of an import's documents stood on. `same` is the hash of one that equals the
-- head's version: it has no rows in the lineage then.
CREATE TABLE staged (
    lineage INTEGER NOT NULL,
    doc INTEGER NOT NULL,
    line INTEGER NOT NULL,
    same BLOB,
    PRIMARY KEY (lineage, doc)
) WITHOUT ROWID;
