-- The journal, and everything that a turn needs to be taken up again. As with
-- SQLite: what a value means is the code's business and stands in JSON; columns are
-- for keys, order, gauges and whoever looks by hand. Times are milliseconds since
-- 1970 UTC by the relays' clocks, unless their name says otherwise; leases go by the
-- database's. Keys sort by their bytes, so that every relay locks in one order.

-- Per account: events that were raised until then are forgotten, so nobody can
-- tell whether one of them came before.
CREATE TABLE accounts (
    account            text COLLATE "C" PRIMARY KEY,
    forgotten_until_us bigint NOT NULL
);

-- One row per webhook delivery that was accepted.
CREATE TABLE events (
    account        text COLLATE "C" NOT NULL,
    event_id       text COLLATE "C" NOT NULL,
    received_at    bigint NOT NULL,
    happened_at_us bigint,
    PRIMARY KEY (account, event_id)
);
CREATE INDEX events_by_age ON events (received_at);

-- One row per customer's item, however many events speak of it.
CREATE TABLE items (
    account     text COLLATE "C" NOT NULL,
    item_id     text COLLATE "C" NOT NULL,
    received_at bigint NOT NULL,
    PRIMARY KEY (account, item_id)
);
CREATE INDEX items_by_age ON items (received_at);

-- Written at every step of a turn: room in each page lets the new version stand
-- beside the old one, without a new entry in any index.
CREATE TABLE conversations (
    account         text COLLATE "C" NOT NULL,
    conversation_id text COLLATE "C" NOT NULL,
    -- What is known of it, and its lane: JSON.
    value           text NOT NULL,
    -- The conversation that a merge has left in its place.
    merged_into     text COLLATE "C",
    -- When its next turn is to be claimed; null while there is none.
    due_at          bigint,
    -- Null while it is idle.
    waiting_since   bigint,
    -- Unfinished turns, and one more if messages wait.
    backlog         bigint NOT NULL,
    -- The end of the hour, so that it seldom changes.
    touched_at      bigint NOT NULL,
    PRIMARY KEY (account, conversation_id)
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX conversations_due ON conversations (account, due_at, conversation_id) WHERE due_at IS NOT NULL;
CREATE INDEX conversations_waiting ON conversations (account, waiting_since) WHERE waiting_since IS NOT NULL;
CREATE INDEX conversations_idle ON conversations (touched_at) WHERE waiting_since IS NULL;
CREATE INDEX conversations_merged ON conversations (account, merged_into) WHERE merged_into IS NOT NULL;

-- Given out in blocks; never given twice: dead letters and logs name it.
CREATE SEQUENCE turn_ids INCREMENT BY 1000;

CREATE TABLE turns (
    id              bigint PRIMARY KEY,
    account         text COLLATE "C" NOT NULL,
    conversation_id text COLLATE "C" NOT NULL,
    received_at     bigint NOT NULL,
    deadline_at     bigint NOT NULL,
    -- The revision of the facts by which it began.
    began           bigint NOT NULL,
    -- JSON: ids and times.
    messages        text NOT NULL,
    state           text,
    -- Sealed with the key of this id; both are erased when the turn ends.
    key_id          bigint,
    words           bytea,
    retried         boolean NOT NULL DEFAULT false,
    -- It began with something that was heard of after its deadline.
    overdue         boolean NOT NULL,
    -- What happened in it: JSON, without anybody's words. Kept as long as the turn.
    trace           text,
    outcome         text,
    reason          text,
    finished_at     bigint
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX turns_kept ON turns (account, conversation_id) WHERE outcome IS NULL OR outcome = 'dead';

-- Those that have ended, newest first, with all that a list of turns is filtered by. By it
-- old ones are found too, for what ended long ago was received before.
CREATE INDEX turns_newest ON turns (received_at, id, account, outcome, reason) WHERE outcome IS NOT NULL;
-- The same by account, outcome and reason: a filter that few of very many turns pass is
-- answered from here. What dead turns died of are very many words, and they are few.
CREATE INDEX turns_alike ON turns (account, (outcome || ' ' || coalesce(reason, '')), received_at, id)
    WHERE outcome <> 'dead';

-- Sums by the hour since 1970 UTC, for reports: no ids. Counted with what they count,
-- kept for a year.
CREATE TABLE totals (
    hour       bigint NOT NULL,
    account    text COLLATE "C" NOT NULL,
    -- A turn's outcome and reason, or another word, see `store::totals`.
    what       text COLLATE "C" NOT NULL,
    reason     text COLLATE "C" NOT NULL,
    -- Of a turn: what it was the first of in its conversation, as bits.
    firsts     bigint NOT NULL,
    -- Of a turn: how long it took, on a scale of quarter octaves.
    bucket     bigint NOT NULL,
    count      bigint NOT NULL,
    messages   bigint NOT NULL,
    -- Calls to Gladly, and how many a second it allows.
    calls      bigint NOT NULL,
    per_second bigint NOT NULL,
    PRIMARY KEY (hour, account, what, reason, firsts, bucket)
) WITH (fillfactor = 50);

-- Days since 1970 UTC that are over, summed up for reports: see `store::days`. Can be
-- made again from `totals`.
CREATE TABLE days (
    day     bigint NOT NULL,
    -- Empty: that all accounts of this day and of those before it are summed up.
    account text COLLATE "C" NOT NULL,
    -- JSON. Null: something was added since, and it is to be summed up again.
    value   text,
    PRIMARY KEY (day, account)
);
CREATE INDEX days_stale ON days (day) WHERE value IS NULL;

-- What a person must look at.
CREATE TABLE dead_letters (
    id                bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    account           text COLLATE "C" NOT NULL,
    turn_id           bigint,
    conversation_id   text COLLATE "C",
    event_type        text,
    may_have_answered boolean NOT NULL,
    error             text NOT NULL,
    created_at        bigint NOT NULL
);
CREATE INDEX dead_letters_of_turn ON dead_letters (turn_id) WHERE turn_id IS NOT NULL;
-- What died of the same, newest last. As far as an index can hold it.
CREATE INDEX dead_letters_alike ON dead_letters
    (account, left(error, 500), event_type, may_have_answered, id);
CREATE INDEX dead_letters_unusable ON dead_letters (account) WHERE turn_id IS NULL;

-- Per account: what Gladly raised until then was looked for, by Gladly's clock.
CREATE TABLE sweeps (
    account        text COLLATE "C" PRIMARY KEY,
    swept_until_us bigint NOT NULL
);

-- The keys that words are sealed with, one an hour since 1970. They open nothing
-- without RELAY_KEY, and are destroyed once no unfinished turn needs them.
CREATE TABLE keys (
    id     bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    hour   bigint NOT NULL UNIQUE,
    secret bytea NOT NULL
);

-- The relays, each start of one by an id of its own.
CREATE TABLE relays (
    relay         text COLLATE "C" PRIMARY KEY,
    name          text NOT NULL,
    organizations text[] NOT NULL,
    seen_at       timestamptz NOT NULL
);

-- Who drives an organization. A term is never given twice; whoever holds it may
-- store the progress of turns. That it is a key makes whoever changes it wait for
-- what is being stored under it.
CREATE SEQUENCE terms;
CREATE TABLE leases (
    organization   text COLLATE "C" PRIMARY KEY,
    term           bigint NOT NULL UNIQUE,
    -- Null while nobody drives it.
    relay          text COLLATE "C",
    expires_at     timestamptz NOT NULL,
    -- Whoever gave it back lets its running turns end until then, under this term.
    draining_term  bigint,
    draining_until timestamptz
) WITH (fillfactor = 50);

-- What each writer of a relay has committed last. Where a connection breaks in the
-- midst of a commit, this tells what became of it. A transaction's own number would
-- not: after a crash it may be another's.
CREATE TABLE writers (
    writer  text COLLATE "C" PRIMARY KEY,
    batch   bigint NOT NULL,
    seen_on date NOT NULL DEFAULT current_date
) WITH (fillfactor = 10);

-- One row: written to see that writing works. The clock's number is the same for
-- all relays that share the database.
CREATE TABLE probe (
    id    integer PRIMARY KEY CHECK (id = 1),
    count bigint NOT NULL,
    clock bigint NOT NULL
) WITH (fillfactor = 10);
INSERT INTO probe (id, count, clock) VALUES (1, 0, floor(random() * 4294967296)::bigint);
