-- Which stanza of which session it is: node, serial and sequence, 20 bytes. NULL where nobody said so.
ALTER TABLE body ADD COLUMN origin BLOB;
