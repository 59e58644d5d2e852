//! Leases as rows: who is alive, and who drives what, by the database's clock.
//!
//! A term is a number that is never given twice, so it is also what a turn's runner is
//! called: whoever holds an organization's term finds the turns of every earlier one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::{Mutex, Notify};
use tokio_postgres::{Client, Row};

use super::connect::Connector;
use super::read::Desk;
use super::statement::{Statement, run_all};
use super::writer::{Shared, lock};
use crate::clock::{Moment, later};
use crate::id::AccountName;
use crate::store::leases::{LEASE, Lease, Leases, Organization, Peer, Roll, Woken};
use crate::store::{Runner, StoreError};

const ALIVE: &str = "INSERT INTO relays (relay, name, organizations, seen_at)
    VALUES ($1, $2, $3, clock_timestamp())
    ON CONFLICT (relay) DO UPDATE SET seen_at = excluded.seen_at,
        organizations = excluded.organizations";
const KNOWN: &str = "INSERT INTO leases (organization, term, relay, expires_at)
    SELECT o, nextval('terms'), NULL, '-infinity' FROM unnest($1::text[]) o
    WHERE NOT EXISTS (SELECT 1 FROM leases l WHERE l.organization = o)
    ORDER BY o ON CONFLICT (organization) DO NOTHING";
const RENEW: &str = "UPDATE leases SET expires_at = clock_timestamp() + make_interval(secs => $2)
    WHERE organization IN (SELECT organization FROM leases WHERE relay = $1
        ORDER BY organization FOR NO KEY UPDATE)";
const PEERS: &str = "SELECT relay, name, organizations FROM relays
    WHERE seen_at > clock_timestamp() - make_interval(secs => $1) ORDER BY relay";
const FORGET: &str = "DELETE FROM relays WHERE seen_at < clock_timestamp() - interval '1 day'";
/// The columns of [`lease`].
const LEASES: &str = "SELECT organization, CASE WHEN expires_at > clock_timestamp() THEN relay END,
        term, CASE WHEN draining_until > clock_timestamp() THEN draining_term END
    FROM leases WHERE organization = ANY($1) ORDER BY organization";
/// Waits for whatever is being stored under the term before.
const TAKE: &str = "UPDATE leases SET relay = $2, term = nextval('terms'),
        expires_at = clock_timestamp() + make_interval(secs => $3)
    WHERE organization = $1 AND (relay IS NULL OR expires_at <= clock_timestamp())
    RETURNING organization, relay, term,
        CASE WHEN draining_until > clock_timestamp() THEN draining_term END";
/// What ran for nobody any more.
const MAKE_DUE: &str = "UPDATE conversations SET due_at = waiting_since
    WHERE account = ANY($1) AND waiting_since IS NOT NULL AND due_at IS NULL";
const GIVE_BACK: &str = "UPDATE leases SET relay = NULL, draining_term = term,
        draining_until = clock_timestamp() + make_interval(secs => $2),
        term = nextval('terms'), expires_at = '-infinity'
    WHERE term = $1";
const LET_GO: &str = "UPDATE leases SET draining_until = NULL WHERE draining_term = $1";
const LEAVE: &str = "DELETE FROM relays WHERE relay = $1";
const DUE: &str = "SELECT a FROM unnest($1::text[]) a
    WHERE EXISTS (SELECT 1 FROM conversations c WHERE c.account = a AND c.due_at <= $2)";
const TELL: &str = "SELECT pg_notify('gladly_relay_leases', '')";
const NOW: &str = "SELECT clock, (extract(epoch FROM clock_timestamp()) * 1000)::bigint FROM probe";
const TEST: &str = "SELECT pg_notify('gladly_relay_test', '')";
/// After which silence nothing is heard at all.
const HEARD_WITHIN: Duration = Duration::from_secs(3);
/// Of several looks at the clock the quickest tells best.
const LOOKS_AT_CLOCK: usize = 5;

/// A relay that has not been heard of for so long is given nothing more. What it holds
/// stays its until the lease is over.
const LIVELY: Duration = Duration::from_secs(4);
/// How long one statement about leases may take: after that its holder counts as cut
/// off anyway.
const WITHIN: Duration = Duration::from_secs(4);

/// The leases, on connections of their own: they must not wait behind work.
pub(super) struct Register {
    desk: Desk,
    ear: Ear,
    pub(super) shared: Arc<Shared>,
}

impl Register {
    pub(super) fn new(connector: Connector, shared: &Arc<Shared>) -> Self {
        Self {
            desk: Desk::new(connector.clone()),
            ear: Ear::new(connector),
            shared: shared.clone(),
        }
    }

    /// Lets go of the connections.
    pub(super) async fn close(&self) {
        self.desk.close().await;
        *self.ear.client.lock().await = None;
    }

    async fn ask(&self, statement: Statement) -> Result<Vec<Row>, StoreError> {
        self.within(async { Ok(statement.run(&*self.desk.client().await?).await?) })
            .await
    }

    async fn within<T>(
        &self,
        asking: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        if let Ok(answered) = tokio::time::timeout(WITHIN, asking).await {
            return answered;
        }
        self.desk.close().await;
        let what = format!("it did not answer for {} s", WITHIN.as_secs());
        Err(StoreError::Database(what))
    }
}

#[async_trait]
impl Leases for Register {
    async fn now(&self) -> Result<Moment, StoreError> {
        let mut best: Option<(Duration, Moment)> = None;
        for _ in 0..LOOKS_AT_CLOCK {
            let asked = std::time::Instant::now();
            let rows = self.ask(Statement::new(NOW)).await?;
            let took = asked.elapsed();
            let told = rows.first().and_then(|row| {
                let clock = u32::try_from(row.get::<_, i64>(0)).ok()?;
                let at = Timestamp::from_millisecond(row.get(1)).ok()?;
                Some((clock, at))
            });
            let Some((clock, at)) = told else {
                return Err(StoreError::Database("its clock can't be read".to_owned()));
            };
            let at = later(at, took / 2);
            if best.is_none_or(|(quickest, _)| took < quickest) {
                best = Some((took, Moment { clock, at }));
            } else if let Some((_, moment)) = &mut best {
                moment.at = later(moment.at, took);
            }
        }
        best.map(|(_, moment)| moment)
            .ok_or_else(|| StoreError::Database("its clock can't be read".to_owned()))
    }

    async fn renew(&self, peer: &Peer) -> Result<Roll, StoreError> {
        let organizations = || peer.organizations.iter().map(String::as_str);
        self.within(async {
            let client = self.desk.client().await?;
            let [.., peers, leases] = run_all(
                &client,
                [
                    Statement::new(ALIVE)
                        .text(&peer.id)
                        .text(&peer.name)
                        .texts(organizations()),
                    Statement::new(KNOWN).texts(organizations()),
                    Statement::new(RENEW).text(&peer.id).seconds(LEASE),
                    Statement::new(FORGET),
                    Statement::new(PEERS).seconds(LIVELY),
                    Statement::new(LEASES).texts(organizations()),
                ],
            )
            .await?;
            Ok(Roll {
                peers: peers.iter().map(peer_of).collect(),
                leases: leases.iter().map(lease).collect(),
            })
        })
        .await
    }

    async fn take(
        &self,
        peer: &Peer,
        organization: &Organization,
    ) -> Result<Option<Lease>, StoreError> {
        let statement = Statement::new(TAKE)
            .text(&organization.name)
            .text(&peer.id)
            .seconds(LEASE);
        let taken = self.ask(statement).await?.first().map(lease);
        if let Some(lease) = &taken
            && lease.letting_go.is_none()
        {
            self.take_up(organization).await?;
        }
        Ok(taken)
    }

    async fn take_up(&self, organization: &Organization) -> Result<(), StoreError> {
        let accounts = organization.accounts.iter().map(AccountName::as_str);
        self.ask(Statement::new(MAKE_DUE).texts(accounts))
            .await
            .map(drop)
    }

    async fn give_back(&self, lease: &Lease, grace: Duration) -> Result<(), StoreError> {
        let term = i64::from(lease.runner.0);
        let given = Statement::new(GIVE_BACK).number(term).seconds(grace);
        self.within(async {
            let client = self.desk.client().await?;
            Ok(run_all(&client, [given, Statement::new(TELL)]).await?)
        })
        .await
        .map(drop)
    }

    async fn let_go(&self, lease: &Lease) -> Result<(), StoreError> {
        let term = i64::from(lease.runner.0);
        self.ask(Statement::new(LET_GO).number(term))
            .await
            .map(drop)
    }

    async fn leave(&self, peer: &Peer) -> Result<(), StoreError> {
        self.ask(Statement::new(LEAVE).text(&peer.id))
            .await
            .map(drop)
    }

    fn drives(&self, accounts: Vec<AccountName>) {
        *lock(&self.shared.driven) = accounts.into_iter().collect();
    }

    async fn woken(&self) -> Woken {
        self.ear.woken().await
    }

    async fn due(
        &self,
        accounts: &[AccountName],
        now: Timestamp,
    ) -> Result<Vec<AccountName>, StoreError> {
        let statement = Statement::new(DUE)
            .texts(accounts.iter().map(AccountName::as_str))
            .number(now.as_millisecond());
        let rows = self.ask(statement).await?;
        Ok(rows
            .iter()
            .map(|row| AccountName::new(row.get(0)))
            .collect())
    }
}

fn peer_of(row: &Row) -> Peer {
    Peer {
        id: row.get(0),
        name: row.get(1),
        organizations: row.get(2),
    }
}

fn lease(row: &Row) -> Lease {
    let runner = |term: i64| u32::try_from(term).map(Runner).ok();
    Lease {
        organization: row.get(0),
        holder: row.get(1),
        runner: runner(row.get(2)).unwrap_or(Runner(u32::MAX)),
        letting_go: row.get::<_, Option<i64>>(3).and_then(runner),
    }
}

/// Listens for other relays. Through a pooler nothing is heard, and nothing breaks: what
/// is due is looked for all the same.
struct Ear {
    connector: Connector,
    client: Mutex<Option<Client>>,
    heard: Arc<Heard>,
}

#[derive(Default)]
struct Heard {
    due: Notify,
    leases: Notify,
    /// What the ear says to itself.
    test: Notify,
    told_deaf: AtomicBool,
}

impl Ear {
    fn new(connector: Connector) -> Self {
        Self {
            connector,
            client: Mutex::default(),
            heard: Arc::default(),
        }
    }

    async fn woken(&self) -> Woken {
        if self.listen().await.is_err() {
            // Whoever asks now and then finds out when the database is back.
            return std::future::pending().await;
        }
        tokio::select! {
            biased;
            () = self.heard.leases.notified() => Woken::Leases,
            () = self.heard.due.notified() => Woken::Due,
        }
    }

    async fn listen(&self) -> Result<(), StoreError> {
        let mut open = self.client.lock().await;
        if open.as_ref().is_some_and(|client| !client.is_closed()) {
            return Ok(());
        }
        let heard = self.heard.clone();
        let connecting = self.connector.connect_and_hear(move |channel| {
            let heard = match channel {
                "gladly_relay_leases" => &heard.leases,
                "gladly_relay_test" => &heard.test,
                _ => &heard.due,
            };
            heard.notify_one();
        });
        let client = connecting.await?;
        client
            .batch_execute(
                "LISTEN gladly_relay_due; LISTEN gladly_relay_leases; LISTEN gladly_relay_test",
            )
            .await?;
        tokio::spawn(test(self.connector.clone(), self.heard.clone()));
        // What came before is not heard of.
        self.heard.due.notify_one();
        *open = Some(client);
        Ok(())
    }
}

/// Says something on another connection, to see whether it is heard.
async fn test(connector: Connector, heard: Arc<Heard>) {
    let Ok(client) = connector.connect().await else {
        return;
    };
    if Statement::new(TEST).run(&client).await.is_err() {
        return;
    }
    let heard_in_time = tokio::time::timeout(HEARD_WITHIN, heard.test.notified()).await;
    if heard_in_time.is_err() && !heard.told_deaf.swap(true, Ordering::Relaxed) {
        tracing::info!(
            "the database's notifications don't come through, as with a pooler between; turns are looked for each second instead"
        );
    }
}
