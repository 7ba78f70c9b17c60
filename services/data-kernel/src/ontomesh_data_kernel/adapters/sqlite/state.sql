-- What services keep beside the commits: a value under a key, changed only by who knows its version. No version is ever
-- given twice.
CREATE TABLE state (key TEXT PRIMARY KEY, version INTEGER NOT NULL, value BLOB NOT NULL) WITHOUT ROWID;
