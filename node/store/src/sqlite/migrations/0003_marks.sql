-- What an entry is for in each of its places: bit 0, it waits to be delivered; bit 1, it belongs to the archive. What
-- was kept so far only waited.
ALTER TABLE body ADD COLUMN m1 INTEGER NOT NULL DEFAULT 1;
ALTER TABLE body ADD COLUMN m2 INTEGER NOT NULL DEFAULT 1;

-- The same beside the place, with the time of receipt, so that a page is chosen without its stanzas.
ALTER TABLE idx ADD COLUMN marks INTEGER NOT NULL DEFAULT 1;
ALTER TABLE idx ADD COLUMN received INTEGER NOT NULL DEFAULT 0;
UPDATE idx SET received = ifnull((SELECT body.received FROM body WHERE body.id = idx.body), 0);
