-- Everything has an owner: a bare JID, known inside by an integer (shorter keys, and deleting an owner's row puts
-- all that still carries the integer out of reach). Integers are never reused.
CREATE TABLE owner (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    jid            TEXT NOT NULL UNIQUE,
    roster_version INTEGER NOT NULL DEFAULT 0,
    -- What idx holds of the owner; entries that are only in the writer's tail are not counted.
    log_entries    INTEGER NOT NULL DEFAULT 0,
    log_bytes      INTEGER NOT NULL DEFAULT 0,
    -- The highest position that was ever in idx, or was removed before it got there.
    log_high       INTEGER
) STRICT;

CREATE TABLE account (
    owner       INTEGER PRIMARY KEY,
    host        TEXT NOT NULL,
    local       TEXT NOT NULL,
    created     INTEGER NOT NULL,
    enabled     INTEGER NOT NULL,
    address     TEXT,
    credentials TEXT NOT NULL,
    details     TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX account_name ON account (host, local);

CREATE TABLE roster (
    owner        INTEGER NOT NULL,
    jid          TEXT NOT NULL,
    name         TEXT,
    groups       TEXT NOT NULL,
    subscription INTEGER NOT NULL,
    ask          INTEGER NOT NULL,
    pending_in   BLOB,
    approved     INTEGER NOT NULL,
    in_roster    INTEGER NOT NULL,
    PRIMARY KEY (owner, jid)
) STRICT, WITHOUT ROWID;

CREATE TABLE document (
    owner      INTEGER NOT NULL,
    collection TEXT NOT NULL,
    key        TEXT NOT NULL,
    value      BLOB NOT NULL,
    UNIQUE (owner, collection, key)
) STRICT;

CREATE TABLE cursor (
    owner    INTEGER NOT NULL,
    name     TEXT NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (owner, name)
) STRICT, WITHOUT ROWID;

-- The log. A row a stanza, in order of arrival, naming its one or two places; a place that was removed is NULL, and
-- a row without places is deleted. Numbers are never reused, so a stale reference finds nothing.
CREATE TABLE body (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    o1       INTEGER,
    p1       INTEGER,
    o2       INTEGER,
    p2       INTEGER,
    received INTEGER NOT NULL,
    stanza   BLOB NOT NULL
) STRICT;

-- The places in order of owner and position: a cache of body, written later and rebuilt from mark 'low'.
CREATE TABLE idx (
    owner INTEGER NOT NULL,
    pos   INTEGER NOT NULL,
    body  INTEGER NOT NULL,
    PRIMARY KEY (owner, pos)
) STRICT, WITHOUT ROWID;

-- 'low': rows of body from this number on may be missing in idx. 'probe': counts tries to write.
CREATE TABLE mark (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO mark VALUES ('low', 0), ('probe', 0);

-- Owners that are deleted and whose log is not yet.
CREATE TABLE doomed (
    owner INTEGER PRIMARY KEY
) STRICT;
