-- What happened in a turn: JSON, without anybody's words. Kept as long as the turn.
ALTER TABLE turns ADD COLUMN trace TEXT;

-- Those that have ended, newest first, with all that a list of turns is filtered by. The
-- others are few, and written often: they stand in `turns_kept`. By it old ones are found
-- too, for what ended long ago was received before.
CREATE INDEX turns_newest ON turns (received_at, id, account, outcome, reason) WHERE outcome IS NOT NULL;
DROP INDEX turns_by_age;
-- The same by account, outcome and reason: a filter that few of very many turns pass is
-- answered from here. What dead turns died of are very many words, and they are few.
CREATE INDEX turns_alike ON turns (account, outcome || ' ' || coalesce(reason, ''), received_at, id)
    WHERE outcome <> 'dead';

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

-- Days (since 1970 UTC) that are over, summed up for reports: see `store::days`. Can be
-- made again from `totals`.
CREATE TABLE days (
    day     INTEGER NOT NULL,
    -- Empty: that all accounts of this day and of those before it are summed up.
    account TEXT    NOT NULL,
    -- JSON. Null: something was added since, and it is to be summed up again.
    value   TEXT,
    PRIMARY KEY (day, account)
) STRICT;
CREATE INDEX days_stale ON days (day) WHERE value IS NULL;

-- What died of the same, newest last.
CREATE INDEX dead_letters_alike ON dead_letters
    (account, error, event_type, may_have_answered, id, turn_id);
