-- What the entry's sender calls it, hashed, beside the place; 0 where it is in no archive, has no name, or was kept before
-- there were keys. No index: it would cost as much as the first with each message, and is asked for seldom.
ALTER TABLE idx ADD COLUMN key INTEGER NOT NULL DEFAULT 0;
