-- A line is a branch from its creation to its deletion; another branch of the same name is another line. `ended` is set
-- once the branch is deleted, and (place, seq) to where it then stood.
CREATE TABLE line (
    id INTEGER PRIMARY KEY,
    db INTEGER NOT NULL,
    branch TEXT NOT NULL,
    ended INTEGER NOT NULL DEFAULT 0,
    place INTEGER NOT NULL DEFAULT 0,
    seq INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX line_branch ON line (db, branch) WHERE ended=0;
CREATE INDEX line_ended ON line (id) WHERE ended=1;

-- The lineages that a line's commits are in, in their order: another begins where an import re-pointed the branch.
CREATE TABLE stretch (
    line INTEGER NOT NULL,
    place INTEGER NOT NULL,
    lineage INTEGER NOT NULL,
    PRIMARY KEY (line, place)
) WITHOUT ROWID;
