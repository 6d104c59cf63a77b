-- What an account's name looks like (UTS #39), by the tables whose version is the mark 'skeletons'; filled in at start
-- where that is another.
ALTER TABLE account ADD COLUMN skeleton TEXT NOT NULL DEFAULT '';
CREATE INDEX account_skeleton ON account (host, skeleton, local);
INSERT INTO mark VALUES ('skeletons', 0);

-- Names of deleted accounts: since when they are gone, and from when on they are free. NULL: never.
CREATE TABLE tombstone (
    jid   TEXT PRIMARY KEY,
    host  TEXT NOT NULL,
    local TEXT NOT NULL,
    at    INTEGER NOT NULL,
    until INTEGER
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX tombstone_name ON tombstone (host, local);
CREATE INDEX tombstone_until ON tombstone (until) WHERE until IS NOT NULL;
