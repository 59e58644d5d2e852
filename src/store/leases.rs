//! Who drives which organization, where several relays share a database.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::types::{Runner, StoreError};
use crate::clock::Moment;
use crate::id::AccountName;

/// How long a lease holds after it was renewed last. A relay that died is replaced
/// after that.
pub const LEASE: Duration = Duration::from_secs(8);

/// An organization: all accounts on one Gladly host. They share its limit of calls, so
/// one relay drives them all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// The origin of its Gladly's address.
    pub name: String,
    /// Its accounts.
    pub accounts: Vec<AccountName>,
}

/// A relay that shares the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Of this start of it.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The organizations it is configured for.
    pub organizations: Vec<String>,
}

/// Who drives an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Which.
    pub organization: String,
    /// The relay's id; none while it is free, or whoever had it let it lapse.
    pub holder: Option<String>,
    /// What its turns are run and stored under.
    pub runner: Runner,
    /// Whoever had it before and still lets its turns end.
    pub letting_go: Option<Runner>,
}

/// What another relay tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// It has recorded something for an account that it does not drive.
    Due,
    /// It gave an organization back.
    Leases,
}

/// What a relay hears when it tells that it is alive.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Roll {
    /// The relays that are alive, this one among them.
    pub peers: Vec<Peer>,
    /// The organizations' leases, by the database's clock.
    pub leases: Vec<Lease>,
}

/// The leases of the relays that share a database. Each organization has one term at a
/// time: whoever holds it may run its turns, and nobody stores a turn's progress
/// without it.
#[async_trait]
pub trait Leases: Send + Sync {
    /// A moment of the clock that all relays share, by the database.
    async fn now(&self) -> Result<Moment, StoreError>;

    /// Tells that this relay is alive, and renews what it holds. Counted from the call's
    /// beginning, that holds for [`LEASE`].
    async fn renew(&self, peer: &Peer) -> Result<Roll, StoreError>;

    /// Takes an organization that is free. None if somebody else was first.
    async fn take(
        &self,
        peer: &Peer,
        organization: &Organization,
    ) -> Result<Option<Lease>, StoreError>;

    /// Gives an organization back; the turns that run may end within `grace`.
    async fn give_back(&self, lease: &Lease, grace: Duration) -> Result<(), StoreError>;

    /// Makes what whoever had it before left running due.
    async fn take_up(&self, organization: &Organization) -> Result<(), StoreError>;

    /// The turns that ran when it was given back have ended.
    async fn let_go(&self, lease: &Lease) -> Result<(), StoreError>;

    /// Takes this relay off the roll.
    async fn leave(&self, peer: &Peer) -> Result<(), StoreError>;

    /// Says whose turns are run here, so that nobody is woken for them.
    fn drives(&self, accounts: Vec<AccountName>);

    /// Waits until another relay tells of something. For ever where the database can't
    /// pass that on: then only asking helps.
    async fn woken(&self) -> Woken;

    /// Those of the accounts in which a turn is due.
    async fn due(
        &self,
        accounts: &[AccountName],
        now: Timestamp,
    ) -> Result<Vec<AccountName>, StoreError>;
}
