-- The journal and everything a turn needs to be taken up again after a crash.
-- Times are milliseconds since 1970 UTC unless their name says otherwise.
-- Columns that hold anybody's words are
-- erased when the turn ends: messages.content, turns.answer, parts.body,
-- parts.body_plain.

-- One row per webhook delivery that was accepted: a second delivery of the
-- same event meets the primary key and changes nothing.
CREATE TABLE events (
    account     TEXT    NOT NULL,
    event_id    TEXT    NOT NULL,
    received_at INTEGER NOT NULL,
    PRIMARY KEY (account, event_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX events_by_age ON events (received_at);

-- What is known of a conversation between turns.
CREATE TABLE conversations (
    account         TEXT    NOT NULL,
    conversation_id TEXT    NOT NULL,
    -- Who held it as of holder_at; holder_at is null while nobody has said.
    inbox_id        TEXT,
    agent_id        TEXT,
    holder_at       INTEGER,
    -- 'open', 'closed' or 'unclear' (changed, but not said to what).
    status          TEXT,
    status_at       INTEGER,
    -- Gleen's thread, and when the last message that it answers was written.
    thread_id       TEXT,
    thread_at       INTEGER,
    -- The latest closing. It ends threads of messages written before it,
    -- whichever of the two the relay hears of first.
    closed_at       INTEGER,
    -- Closings seen: `max_turns` counts the turns of one epoch.
    epoch           INTEGER NOT NULL DEFAULT 0,
    handed_off_at   INTEGER,
    merged_into     TEXT,
    locale          TEXT,
    -- A digest of the customer's last text and how often it came in a row:
    -- enough to see a loop without keeping the text.
    repeated_digest TEXT,
    repeated_count  INTEGER NOT NULL DEFAULT 0,
    touched_at      INTEGER NOT NULL,
    PRIMARY KEY (account, conversation_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX conversations_by_age ON conversations (touched_at);

-- A lane's unit of work. At most one unfinished turn per conversation: the
-- partial unique index is the lane.
CREATE TABLE turns (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    account         TEXT    NOT NULL,
    conversation_id TEXT    NOT NULL,
    epoch           INTEGER NOT NULL,
    -- 'gather', 'ask', 'deliver' or 'hand_off': what is to be done next.
    step            TEXT    NOT NULL DEFAULT 'gather',
    received_at     INTEGER NOT NULL,
    deadline_at     INTEGER NOT NULL,
    next_attempt_at INTEGER NOT NULL,
    -- Failures in a row, and when the first of them was.
    attempts        INTEGER NOT NULL DEFAULT 0,
    failing_since   INTEGER,
    lease_owner     TEXT,
    lease_until     INTEGER,
    answer          TEXT,
    handoff_reason  TEXT,
    outcome         TEXT,
    reason          TEXT,
    finished_at     INTEGER
) STRICT;
CREATE UNIQUE INDEX turns_lane ON turns (account, conversation_id) WHERE outcome IS NULL;
CREATE INDEX turns_due ON turns (account, next_attempt_at) WHERE outcome IS NULL;
CREATE INDEX turns_ended ON turns (account, conversation_id, finished_at) WHERE outcome IS NOT NULL;
CREATE INDEX turns_by_age ON turns (finished_at) WHERE outcome IS NOT NULL;

-- One row per customer's item, however many events speak of it.
CREATE TABLE messages (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    account         TEXT    NOT NULL,
    item_id         TEXT    NOT NULL,
    conversation_id TEXT    NOT NULL,
    -- Microseconds: the order of a burst, as finely as Gladly tells it.
    occurred_at_us  INTEGER NOT NULL,
    received_at     INTEGER NOT NULL,
    deadline_at     INTEGER NOT NULL,
    turn_id         INTEGER REFERENCES turns (id),
    content         TEXT,
    UNIQUE (account, item_id)
) STRICT;
CREATE INDEX messages_waiting ON messages (account, id) WHERE turn_id IS NULL;
CREATE INDEX messages_waiting_in ON messages (account, conversation_id) WHERE turn_id IS NULL;
CREATE INDEX messages_of_turn ON messages (turn_id);

-- What a turn writes into Gladly, in order. 'sending' is stored before the
-- call and 'sent' after it, so whoever finds 'sending' knows to look first.
CREATE TABLE parts (
    turn_id    INTEGER NOT NULL REFERENCES turns (id) ON DELETE CASCADE,
    position   INTEGER NOT NULL,
    -- 'reply', 'message', 'note', 'topic' or 'move'.
    kind       TEXT    NOT NULL,
    body       TEXT    NOT NULL,
    body_plain TEXT,
    -- 'pending', 'sending', 'sent' or 'abandoned'.
    state      TEXT    NOT NULL DEFAULT 'pending',
    attempts   INTEGER NOT NULL DEFAULT 0,
    -- When it was last stored as 'sending'.
    sending_at INTEGER,
    -- The item it became. Kept, so that it is never taken for another part.
    item_id    TEXT,
    PRIMARY KEY (turn_id, position)
) STRICT, WITHOUT ROWID;

-- What a person must look at.
CREATE TABLE dead_letters (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    account         TEXT    NOT NULL,
    turn_id         INTEGER,
    conversation_id TEXT,
    event_type      TEXT,
    error           TEXT    NOT NULL,
    -- The webhook's body, if it could not be used. It holds ids, not words.
    payload         TEXT,
    created_at      INTEGER NOT NULL
) STRICT;

-- One row: written by the readiness probe to see that writing works.
CREATE TABLE probe (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    written_at INTEGER NOT NULL
) STRICT;
