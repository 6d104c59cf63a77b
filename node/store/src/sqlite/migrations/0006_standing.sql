-- How an account stands: a member where all three are NULL, awaiting approval since 'standing_since' where 'leaves' is
-- NULL, else deleted at 'leaves', removed by its owner (1) or an operator (2).
ALTER TABLE account ADD COLUMN standing_since INTEGER;
ALTER TABLE account ADD COLUMN leaves INTEGER;
ALTER TABLE account ADD COLUMN left_by INTEGER;
CREATE INDEX account_leaving ON account (leaves) WHERE leaves IS NOT NULL;
CREATE INDEX account_awaiting ON account (host, local) WHERE standing_since IS NOT NULL AND leaves IS NULL;
