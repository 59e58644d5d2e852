-- Per account: what Gladly raised until then was looked for, by Gladly's clock. Written
-- after what was found is in the journal.
CREATE TABLE sweeps (
    account        TEXT    NOT NULL PRIMARY KEY,
    swept_until_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- 1 if the turn began with something that was heard of after its deadline.
ALTER TABLE turns ADD COLUMN overdue INTEGER NOT NULL DEFAULT 0;
