//! Loading what a batch of commands needs: a handful of statements, whatever its
//! size. Conversations are locked as they are read, in one order.

mod asked;

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use tokio_postgres::{Client, Error, Row};

use self::asked::Asked;
use super::rows;
use super::statement::{Statement, run_many};
use crate::conversation::{Facts, Known};
use crate::id::{AccountName, TurnId};
use crate::store::picture::{Conversation, Key, Needs, Picture};
use crate::store::seal::MasterKey;
use crate::store::{
    Arrival, ClaimRequest, Command, DeadLetter, DeadLetterId, Lane, LaneTurn, Past, Run, Runner,
};

/// The longest chain of merges that is followed.
const LONGEST_CHAIN: usize = 100;

/// Which of these terms still hold. Whoever takes an organization over waits until
/// this transaction has ended.
const TERMS: &str =
    "SELECT term, CASE WHEN draining_until > clock_timestamp() THEN draining_term END
    FROM leases
    WHERE term = ANY($1) OR (draining_term = ANY($1) AND draining_until > clock_timestamp())
    ORDER BY organization FOR KEY SHARE";
/// For each account the lanes that are due first, and one more; then those that are
/// late, and one more.
const DUE: &str = "SELECT r.n, c.conversation_id, c.due_at
    FROM unnest($1::text[], $2::bigint[], $3::bigint[])
        WITH ORDINALITY r(account, most, late_before, n),
    LATERAL ((SELECT conversation_id, due_at, false AS late FROM conversations
            WHERE account = r.account AND due_at IS NOT NULL AND due_at >= r.late_before
            ORDER BY due_at, conversation_id LIMIT r.most)
        UNION ALL
        (SELECT conversation_id, due_at, true AS late FROM conversations
            WHERE account = r.account AND due_at IS NOT NULL AND due_at < r.late_before
            ORDER BY due_at, conversation_id LIMIT r.most)) c
    ORDER BY r.n, c.late, c.due_at, c.conversation_id";
const EVENTS: &str =
    "SELECT k.n FROM unnest($1::text[], $2::text[]) WITH ORDINALITY k(account, event_id, n)
    JOIN events e ON e.account = k.account AND e.event_id = k.event_id";
const ITEMS: &str =
    "SELECT k.n FROM unnest($1::text[], $2::text[]) WITH ORDINALITY k(account, item_id, n)
    JOIN items i ON i.account = k.account AND i.item_id = k.item_id";
/// Read after the events: who finds none of them must see that it was forgotten.
const FORGOTTEN: &str = "SELECT account, forgotten_until_us FROM accounts WHERE account = ANY($1)";
const LETTERS: &str = "SELECT id, account, turn_id, conversation_id, event_type,
        may_have_answered, error, created_at
    FROM dead_letters WHERE id = ANY($1) ORDER BY id FOR UPDATE";
const UNUSABLE: &str = "SELECT account, count(*) FROM dead_letters
    WHERE account = ANY($1) AND turn_id IS NULL GROUP BY account";
const CONVERSATIONS: &str = "SELECT c.account, c.conversation_id, c.value, c.merged_into, c.due_at
    FROM conversations c
    WHERE (c.account, c.conversation_id) IN (SELECT * FROM unnest($1::text[], $2::text[]))
    ORDER BY c.account, c.conversation_id FOR UPDATE";
pub(super) const TURNS: &str =
    "SELECT t.id, t.account, t.conversation_id, t.received_at, t.deadline_at,
        t.began, t.messages, t.state, t.words, k.secret, t.retried, t.overdue, t.outcome,
        t.reason, t.finished_at, t.trace
    FROM turns t LEFT JOIN keys k ON k.id = t.key_id WHERE t.id = ANY($1)";
/// What the columns still say of a conversation whose value can't be read.
const COLUMNS: &str = "SELECT merged_into, waiting_since, backlog FROM conversations
    WHERE account = $1 AND conversation_id = $2";
/// The unfinished turns of a conversation and of those merged into it.
pub(super) const UNFINISHED: &str = "WITH RECURSIVE gone (id) AS (
        SELECT $2::text UNION
        SELECT c.conversation_id FROM gone JOIN conversations c
        ON c.account = $1 AND c.merged_into = gone.id)
    SELECT t.id, t.received_at, t.began FROM gone JOIN turns t
    ON t.account = $1 AND t.conversation_id = gone.id WHERE t.outcome IS NULL ORDER BY t.id";

/// What a batch needs, loaded.
#[derive(Default)]
pub(super) struct Loaded {
    /// What all its commands share; what they change stands there.
    pub(super) picture: Picture,
    /// What each needs for itself.
    pub(super) own: Vec<Own>,
    /// The conversations that have a row.
    pub(super) rows: HashSet<Key>,
    /// The terms that hold.
    pub(super) terms: HashSet<Runner>,
}

impl Loaded {
    /// How many turns the claims may begin.
    pub(super) fn begins_at_most(&self) -> usize {
        self.own.iter().map(|own| own.due.len()).sum()
    }
}

/// What one command needs for itself.
#[derive(Debug, Default)]
pub(super) struct Own {
    due: Vec<Key>,
    next_due_at: Option<Timestamp>,
    dead_letter: Option<DeadLetter>,
    unusable: usize,
}

impl Own {
    /// Puts it before the command.
    pub(super) fn show(self, picture: &mut Picture) {
        picture.due = self.due;
        picture.next_due_at = self.next_due_at;
        picture.dead_letter = self.dead_letter;
        picture.unusable = self.unusable;
    }
}

/// Loads it in the transaction that `client` is in.
pub(super) async fn load(
    client: &Client,
    commands: &[Command],
    master: Option<&MasterKey>,
) -> Result<Loaded, Error> {
    let needs: Vec<Needs> = commands.iter().map(Needs::of).collect();
    let mut loading = Loading {
        client,
        master,
        loaded: Loaded::default(),
    };
    loading.loaded.own.resize_with(commands.len(), Own::default);
    let mut wanted = loading.first(&needs, commands).await?;
    wanted.extend(
        needs
            .iter()
            .flat_map(|needs| needs.conversations.iter().cloned()),
    );
    loading.conversations(wanted).await?;
    loading.turns(&needs).await?;
    Ok(loading.loaded)
}

struct Loading<'a> {
    client: &'a Client,
    master: Option<&'a MasterKey>,
    loaded: Loaded,
}

impl Loading<'_> {
    /// All that can be asked for at once. The conversations of what was found.
    async fn first(
        &mut self,
        needs: &[Needs],
        commands: &[Command],
    ) -> Result<HashSet<Key>, Error> {
        let asked = Asked::of(needs, commands);
        let [terms, due, events, items, forgotten, letters, unusable] =
            self.ask(asked.statements()).await?;
        let loaded = &mut self.loaded;
        loaded.terms = terms.iter().flat_map(terms_of).collect();
        let picture = &mut loaded.picture;
        picture.events = numbered(&events)
            .filter_map(|n| Some((*asked.events.get(n)?).clone()))
            .collect();
        picture.items = numbered(&items)
            .filter_map(|n| Some((*asked.items.get(n)?).clone()))
            .collect();
        for row in forgotten {
            let until = Timestamp::from_microsecond(row.get(1)).unwrap_or(Timestamp::MIN);
            picture
                .forgotten_until
                .insert(rows::account(&row, 0), until);
        }
        let mut wanted = HashSet::new();
        self.found_due(&due, &asked.claims, &mut wanted);
        self.found_letters(&letters, needs, &mut wanted);
        self.found_unusable(&unusable, needs);
        Ok(wanted)
    }

    /// Runs what there is to run, in one round trip.
    async fn ask<const N: usize>(
        &self,
        asked: [Option<Statement>; N],
    ) -> Result<[Vec<Row>; N], Error> {
        let places: Vec<usize> = (0..N).filter(|n| asked[*n].is_some()).collect();
        let found = run_many(self.client, asked.into_iter().flatten().collect()).await?;
        let mut rows = std::array::from_fn(|_| Vec::new());
        for (place, found) in places.into_iter().zip(found) {
            rows[place] = found;
        }
        Ok(rows)
    }

    fn found_due(
        &mut self,
        due: &[Row],
        claims: &[(usize, &ClaimRequest)],
        wanted: &mut HashSet<Key>,
    ) {
        for row in due {
            let Some((index, request)) = place(row).and_then(|place| claims.get(place)) else {
                continue;
            };
            let own = &mut self.loaded.own[*index];
            let due_at: i64 = row.get(2);
            let is_due = due_at <= request.now.at.as_millisecond();
            if !is_due || own.due.len() >= request.limit {
                let next = own.next_due_at.into_iter();
                own.next_due_at = next.chain(rows::time(due_at).ok()).min();
            } else if let Some(id) = rows::conversation_id(row, 1) {
                let key = (request.account.clone(), id);
                own.due.push(key.clone());
                wanted.insert(key);
            }
        }
    }

    fn found_letters(&mut self, letters: &[Row], needs: &[Needs], wanted: &mut HashSet<Key>) {
        let letters: HashMap<DeadLetterId, DeadLetter> = letters
            .iter()
            .map(rows::dead_letter)
            .map(|letter| (letter.id, letter))
            .collect();
        for (own, needs) in self.loaded.own.iter_mut().zip(needs) {
            let letter = needs.dead_letter.and_then(|id| letters.get(&id));
            if let Some(letter) = letter {
                let id = letter.conversation_id.clone();
                wanted.extend(id.map(|id| (letter.account.clone(), id)));
                own.dead_letter = Some(letter.clone());
            }
        }
    }

    fn found_unusable(&mut self, unusable: &[Row], needs: &[Needs]) {
        let counts: HashMap<AccountName, usize> = unusable
            .iter()
            .map(|row| {
                let count = usize::try_from(row.get::<_, i64>(1)).unwrap_or(usize::MAX);
                (rows::account(row, 0), count)
            })
            .collect();
        for (own, needs) in self.loaded.own.iter_mut().zip(needs) {
            let count = needs
                .unusable_of
                .as_ref()
                .and_then(|account| counts.get(account));
            own.unusable = count.copied().unwrap_or_default();
        }
    }

    /// These, and those that they were merged into.
    async fn conversations(&mut self, mut wanted: HashSet<Key>) -> Result<(), Error> {
        for _ in 0..LONGEST_CHAIN {
            wanted.retain(|key| !self.loaded.picture.conversations.contains_key(key));
            if wanted.is_empty() {
                return Ok(());
            }
            let statement = Statement::new(CONVERSATIONS)
                .texts(wanted.iter().map(|(account, _)| account.as_str()))
                .texts(wanted.iter().map(|(_, id)| id.as_str()));
            let mut next = HashSet::new();
            for row in statement.run(self.client).await? {
                let Some(id) = rows::conversation_id(&row, 1) else {
                    continue;
                };
                let key = (rows::account(&row, 0), id);
                let conversation = match rows::conversation(&row) {
                    Ok(conversation) => conversation,
                    Err(unreadable) => {
                        tracing::error!(
                            account = %key.0, conversation_id = %key.1, error = unreadable.0,
                            "a conversation's row can't be read; it is rebuilt from its turns"
                        );
                        let rebuilt = self.rebuild(&key).await?;
                        let changes = &mut self.loaded.picture.changes.conversations;
                        changes.insert(key.clone(), (rebuilt.clone(), rebuilt.due_at));
                        rebuilt
                    }
                };
                let into = conversation.merged_into.clone();
                next.extend(into.map(|into| (key.0.clone(), into)));
                self.loaded
                    .picture
                    .conversations
                    .insert(key.clone(), conversation);
                self.loaded.rows.insert(key);
            }
            wanted = next;
        }
        Ok(())
    }

    /// The turns that may go on in what is due, those of the dead letters, and the
    /// conversations in which they began.
    async fn turns(&mut self, needs: &[Needs]) -> Result<(), Error> {
        let picture = &self.loaded.picture;
        let mut ids: Vec<TurnId> = Vec::new();
        for (own, needs) in self.loaded.own.iter().zip(needs) {
            if let Some(request) = &needs.due {
                let lanes = own
                    .due
                    .iter()
                    .filter_map(|key| picture.conversations.get(key));
                ids.extend(lanes.flat_map(|found| found.lane.claimable(request)));
            }
            ids.extend(own.dead_letter.as_ref().and_then(|letter| letter.turn_id));
        }
        if ids.is_empty() {
            return Ok(());
        }
        let statement = Statement::new(TURNS).numbers(ids.into_iter().map(|id| id.0));
        let mut began_in = HashSet::new();
        for row in statement.run(self.client).await? {
            let (id, turn) = rows::turn(&row, self.master);
            if let Ok(turn) = &turn {
                began_in.insert((turn.account.clone(), turn.conversation_id.clone()));
            }
            self.loaded.picture.turns.insert(id, turn);
        }
        self.conversations(began_in).await
    }

    /// What the columns and the turns still say of a conversation whose value can't be
    /// read: its unfinished turns go on, and for the messages that waited it counts as
    /// having come to the bot, so that they are looked for.
    async fn rebuild(&self, key: &Key) -> Result<Conversation, Error> {
        let of = |sql| {
            Statement::new(sql)
                .text(key.0.as_str())
                .text(key.1.as_str())
        };
        let [columns, turns] = self.ask([Some(of(COLUMNS)), Some(of(UNFINISHED))]).await?;
        let Some(columns) = columns.first() else {
            return Ok(Conversation::default());
        };
        let merged_into = rows::conversation_id(columns, 0);
        let (since, backlog): (Option<i64>, i64) = (columns.get(1), columns.get(2));
        let (mut lane, mut known) = (Lane::default(), Known::default());
        if merged_into.is_none() {
            let began = turns.iter().map(|row| row.get::<_, i64>(2)).max();
            // What is heard from now on is newer than the turns' messages.
            known.facts = Facts::lost(u64::try_from(began.unwrap_or_default()).unwrap_or_default());
            lane.turns = turns.iter().map(lane_turn).collect();
            let turns = i64::try_from(lane.turns.len()).unwrap_or(i64::MAX);
            let waited = since.filter(|_| turns == 0 || backlog > turns);
            lane.arrival =
                waited.map(|since| Arrival::without_deadline(0, time_or_long_ago(since)));
        }
        Ok(Conversation {
            known,
            past: Past {
                turns: lane.turns.iter().map(|turn| turn.id).collect(),
                ..Past::default()
            },
            due_at: lane.waiting_since(),
            lane,
            merged_into,
        })
    }
}

fn lane_turn(row: &Row) -> LaneTurn {
    let received_at = time_or_long_ago(row.get(1));
    LaneTurn {
        id: TurnId(row.get(0)),
        received_at,
        run: Run::Until(received_at),
    }
}

fn terms_of(row: &Row) -> impl Iterator<Item = Runner> + use<> {
    let (term, draining): (i64, Option<i64>) = (row.get(0), row.get(1));
    [Some(term), draining]
        .into_iter()
        .flatten()
        .filter_map(|term| u32::try_from(term).ok().map(Runner))
}

/// The places in the array that was asked about.
fn numbered(rows: &[Row]) -> impl Iterator<Item = usize> {
    rows.iter().filter_map(place)
}

fn place(row: &Row) -> Option<usize> {
    usize::try_from(row.get::<_, i64>(0) - 1).ok()
}

/// A time of a row that is damaged anyway: what it tells of is not held up.
fn time_or_long_ago(stored: i64) -> Timestamp {
    rows::time(stored).unwrap_or(Timestamp::UNIX_EPOCH)
}
