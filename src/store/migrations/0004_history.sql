-- What happened in a turn: JSON, without anybody's words. Kept as long as the turn.
ALTER TABLE turns ADD COLUMN trace TEXT;

-- Those that have ended, newest first, with all that a list of turns is filtered by: a
-- filter that few turns pass reads this index alone. The others are few, and written
-- often: they stand in `turns_kept`.
CREATE INDEX turns_newest ON turns (received_at, id, account, outcome, reason) WHERE outcome IS NOT NULL;

-- Sums by the hour, for reports: no ids. Counted with what they count, kept for a year.
CREATE TABLE totals (
    -- Hours since 1970 UTC.
    hour       INTEGER NOT NULL,
    account    TEXT    NOT NULL,
    -- A turn's outcome and reason, or another word, see `store::totals`.
    what       TEXT    NOT NULL,
    reason     TEXT    NOT NULL,
    -- Of a turn: what it was the first of in its conversation, as bits.
    firsts     INTEGER NOT NULL,
    -- Of a turn: how long it took, on a scale of quarter octaves.
    bucket     INTEGER NOT NULL,
    count      INTEGER NOT NULL,
    messages   INTEGER NOT NULL,
    -- Calls to Gladly, and how many a second it allows.
    calls      INTEGER NOT NULL,
    per_second INTEGER NOT NULL,
    PRIMARY KEY (hour, account, what, reason, firsts, bucket)
) STRICT, WITHOUT ROWID;
