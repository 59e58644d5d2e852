-- The journal, and everything that a turn needs to be taken up again after a
-- crash. What a value means is the code's business: it stands in JSON, and
-- columns are for keys, order, gauges and whoever looks by hand.
-- Times are milliseconds since 1970 UTC unless their name says otherwise.

-- Per account: events that were raised until then are forgotten, so nobody can
-- tell whether one of them came before.
CREATE TABLE accounts (
    account            TEXT    NOT NULL PRIMARY KEY,
    forgotten_until_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row per webhook delivery that was accepted. Gladly's time is kept as
-- finely as Gladly tells it.
CREATE TABLE events (
    account        TEXT    NOT NULL,
    event_id       TEXT    NOT NULL,
    received_at    INTEGER NOT NULL,
    happened_at_us INTEGER,
    PRIMARY KEY (account, event_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX events_by_age ON events (received_at);

-- One row per customer's item, however many events speak of it.
CREATE TABLE items (
    account     TEXT    NOT NULL,
    item_id     TEXT    NOT NULL,
    received_at INTEGER NOT NULL,
    PRIMARY KEY (account, item_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX items_by_age ON items (received_at);

-- With a row id: a value may be larger than what WITHOUT ROWID is good for.
CREATE TABLE conversations (
    id              INTEGER PRIMARY KEY,
    account         TEXT    NOT NULL,
    conversation_id TEXT    NOT NULL,
    -- What is known of it, and its lane: JSON.
    value           TEXT    NOT NULL,
    -- The conversation that a merge has left in its place.
    merged_into     TEXT,
    -- When its next turn is to be claimed; null while there is none.
    due_at          INTEGER,
    -- Null while it is idle.
    waiting_since   INTEGER,
    -- Unfinished turns, and one more if messages wait.
    backlog         INTEGER NOT NULL,
    touched_at      INTEGER NOT NULL,
    UNIQUE (account, conversation_id)
) STRICT;
CREATE INDEX conversations_due ON conversations (account, due_at, conversation_id) WHERE due_at IS NOT NULL;
CREATE INDEX conversations_waiting ON conversations (account, waiting_since, backlog) WHERE waiting_since IS NOT NULL;
CREATE INDEX conversations_idle ON conversations (touched_at) WHERE waiting_since IS NULL;
CREATE INDEX conversations_merged ON conversations (account, merged_into) WHERE merged_into IS NOT NULL;

CREATE TABLE turns (
    -- Never given twice: dead letters and logs name it.
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    account         TEXT    NOT NULL,
    conversation_id TEXT    NOT NULL,
    received_at     INTEGER NOT NULL,
    deadline_at     INTEGER NOT NULL,
    -- The revision of the facts by which it began.
    began           INTEGER NOT NULL,
    -- JSON: ids and times.
    messages        TEXT    NOT NULL,
    state           TEXT,
    -- Sealed with the key of this id; both are erased when the turn ends.
    key_id          INTEGER,
    words           BLOB,
    retried         INTEGER NOT NULL DEFAULT 0,
    outcome         TEXT,
    reason          TEXT,
    finished_at     INTEGER
) STRICT;
CREATE INDEX turns_kept ON turns (account, conversation_id) WHERE outcome IS NULL OR outcome = 'dead';
CREATE INDEX turns_by_age ON turns (finished_at) WHERE finished_at IS NOT NULL;

-- What a person must look at.
CREATE TABLE dead_letters (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,
    account           TEXT    NOT NULL,
    turn_id           INTEGER,
    conversation_id   TEXT,
    event_type        TEXT,
    may_have_answered INTEGER NOT NULL,
    error             TEXT    NOT NULL,
    created_at        INTEGER NOT NULL
) STRICT;
CREATE INDEX dead_letters_of_turn ON dead_letters (turn_id) WHERE turn_id IS NOT NULL;

-- One row: written to see that writing works.
CREATE TABLE probe (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    count INTEGER NOT NULL
) STRICT;
