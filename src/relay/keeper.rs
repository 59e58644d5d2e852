//! Keeps the leases where several relays share the database: tells the others that this
//! one is alive, takes the organizations that are its share, and gives back those that
//! are not. Each that it holds is driven as if nobody else were there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::driving::Driving;
use super::spread::spread;
use super::{Shared, Starter};
use crate::clock::{later, time_until};
use crate::store::{LEASE, Lease, Leases, Organization, Peer, Roll, StoreError, Woken};

/// How often the leases are renewed, and free ones looked for.
const RENEW_EVERY: Duration = Duration::from_secs(1);
/// Taking and giving back must not keep those that are held from being renewed.
const CHANGE_WITHIN: Duration = Duration::from_secs(2);
/// Calls end so long before another relay may take over.
const MARGIN: Duration = Duration::from_secs(1);
/// How often the clock is compared with the database's.
const COMPARE_EVERY: Duration = Duration::from_secs(30);
/// Two clocks that differ by less show the same time.
const MOST_APART: Duration = Duration::from_millis(500);
/// Whoever was woken asks what is due no more often than this.
const WAKE_EVERY: Duration = Duration::from_millis(20);

/// Keeps one relay's leases.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    starter: Arc<Starter>,
    organizations: Vec<Organization>,
    peer: Peer,
    /// How long turns may take to end when an organization is given back.
    grace: Duration,
    held: BTreeMap<String, Held>,
    /// Given back; its turns still end here.
    leaving: Vec<Held>,
    /// The log hears of each trouble once.
    in_trouble: bool,
    /// When the clock was last compared with the database's.
    compared_at: Option<Timestamp>,
    runs_apart: bool,
}

/// An organization that is driven here.
struct Held {
    lease: Lease,
    driving: Arc<Driving>,
}

impl Keeper {
    pub(super) fn new(
        shared: Arc<Shared>,
        starter: Arc<Starter>,
        organizations: Vec<Organization>,
        grace: Duration,
    ) -> Self {
        let name = super::name_of_this_process();
        let peer = Peer {
            id: format!("{name}:{:016x}", fastrand::u64(..)),
            name,
            organizations: organizations.iter().map(|one| one.name.clone()).collect(),
        };
        Self {
            shared,
            starter,
            organizations,
            peer,
            grace,
            held: BTreeMap::new(),
            leaving: Vec::new(),
            in_trouble: false,
            compared_at: None,
            runs_apart: false,
        }
    }

    /// Keeps them until `stop`, gives them back, and waits until their turns have ended
    /// or are let go.
    pub(super) async fn keep(mut self, stop: CancellationToken, let_go: CancellationToken) {
        let store = self.shared.store.clone();
        let Some(leases) = store.leases() else { return };
        while !stop.is_cancelled() {
            self.renew(leases).await;
            let resting = self.rest(leases);
            if stop
                .run_until_cancelled(timeout(RENEW_EVERY, resting))
                .await
                .is_none()
            {
                break;
            }
        }
        // What is recorded from now on is another relay's to run.
        leases.drives(Vec::new());
        for name in self.held.keys().cloned().collect::<Vec<_>>() {
            self.give_back(&name, leases).await;
        }
        for held in std::mem::take(&mut self.leaving) {
            held.driving.turns.close();
            let_go.run_until_cancelled(held.driving.turns.wait()).await;
            self.tell_of(leases.let_go(&held.lease).await);
        }
        self.tell_of(leases.leave(&self.peer).await);
    }

    /// Waits until an organization may be free, and wakes whoever has something to do.
    async fn rest(&self, leases: &dyn Leases) {
        loop {
            match leases.woken().await {
                Woken::Leases => return,
                Woken::Due => {}
            }
            let accounts = self
                .organizations
                .iter()
                .filter(|one| self.held.contains_key(&one.name));
            let accounts: Vec<_> = accounts.flat_map(|one| one.accounts.clone()).collect();
            let now = self.shared.clock.now().at;
            if let Ok(due) = leases.due(&accounts, now).await {
                self.starter.wake(&due);
            }
            tokio::time::sleep(WAKE_EVERY).await;
        }
    }

    async fn renew(&mut self, leases: &dyn Leases) {
        let asked_at = self.shared.clock.now().at;
        match leases.renew(&self.peer).await {
            Ok(roll) => {
                self.tell_of(Ok(()));
                self.follow(&roll, asked_at, leases).await;
            }
            // What is held runs out by itself.
            Err(error) => self.tell_of(Err(error)),
        }
        self.see_off(leases).await;
        self.compare_clocks(leases).await;
    }

    /// What another relay heard counts as fresh by a clock that all of them share. One
    /// that runs apart from it must not be believed.
    async fn compare_clocks(&mut self, leases: &dyn Leases) {
        let clock = &self.shared.clock;
        let now = clock.now().at;
        let is_early = |at| time_until(now, at) < COMPARE_EVERY;
        if self.runs_apart || self.compared_at.is_some_and(is_early) {
            return;
        }
        self.compared_at = Some(now);
        let Ok(told) = leases.now().await else { return };
        let here = clock.now().at;
        let apart = time_until(here, told.at).max(time_until(told.at, here));
        if apart > MOST_APART {
            let apart_ms = u64::try_from(apart.as_millis()).unwrap_or(u64::MAX);
            tracing::warn!(
                apart_ms,
                "this machine's clock runs apart from the database's: what other relays hear is looked up in Gladly first; set the clocks by NTP and start the relay again"
            );
            clock.run_apart();
            self.runs_apart = true;
        }
    }

    async fn follow(&mut self, roll: &Roll, asked_at: Timestamp, leases: &dyn Leases) {
        let until = trusted_until(asked_at);
        let shares = spread(&roll.peers);
        let leases_by_name: BTreeMap<&str, &Lease> = roll
            .leases
            .iter()
            .map(|lease| (lease.organization.as_str(), lease))
            .collect();
        for organization in self.organizations.clone() {
            let name = organization.name.as_str();
            let Some(lease) = leases_by_name.get(name).copied() else {
                continue;
            };
            let is_share = shares.get(name) == Some(&self.peer.id.as_str());
            let is_ours = lease.holder.as_deref() == Some(self.peer.id.as_str());
            self.keep_or_lose(&organization, lease, until, leases).await;
            match (is_ours, self.held.contains_key(name)) {
                (true, true) if !is_share && self.has_time(asked_at) => {
                    self.give_back(name, leases).await;
                }
                // Taken, though the answer was lost.
                (true, false) => {
                    self.tell_of(leases.take_up(&organization).await);
                    self.begin(&organization, lease.clone(), until);
                }
                (false, false) if lease.holder.is_none() && is_share && self.has_time(asked_at) => {
                    self.take(&organization, leases).await;
                }
                _ => {}
            }
            let holder = roll
                .peers
                .iter()
                .find(|peer| Some(&peer.id) == lease.holder.as_ref());
            let is_here = self.held.contains_key(name);
            let holder = holder.map(|peer| &peer.name);
            let holder = if is_here {
                Some(&self.peer.name)
            } else {
                holder
            };
            self.starter
                .tell_driver(&organization, holder.map(String::as_str), is_here);
        }
        let driven = self
            .organizations
            .iter()
            .filter(|one| self.held.contains_key(&one.name));
        leases.drives(driven.flat_map(|one| one.accounts.clone()).collect());
    }

    /// What is left is taken or given back after the next renewal.
    fn has_time(&self, asked_at: Timestamp) -> bool {
        time_until(self.shared.clock.now().at, asked_at) < CHANGE_WITHIN
    }

    /// Goes on with what is still held, and lets go of what another relay took.
    async fn keep_or_lose(
        &mut self,
        organization: &Organization,
        lease: &Lease,
        until: Timestamp,
        leases: &dyn Leases,
    ) {
        let Some(held) = self.held.get_mut(&organization.name) else {
            return;
        };
        if lease.runner == held.lease.runner && lease.holder.as_ref() == Some(&self.peer.id) {
            held.driving.hold(until, lease.letting_go);
            let ended = held.lease.letting_go.is_some() && lease.letting_go.is_none();
            held.lease = lease.clone();
            if ended {
                // What the relay before did not finish is taken up now.
                let taken = leases.take_up(organization).await;
                self.starter.wake(&organization.accounts);
                self.tell_of(taken);
            }
        } else if let Some(held) = self.held.remove(&organization.name) {
            tracing::warn!(
                organization = organization.name,
                "another relay drives this organization now; its turns end here where they are"
            );
            held.driving.claim_no_more.cancel();
            held.driving.let_go.cancel();
        }
    }

    async fn take(&mut self, organization: &Organization, leases: &dyn Leases) {
        let asked_at = self.shared.clock.now().at;
        match leases.take(&self.peer, organization).await {
            Ok(Some(lease)) => self.begin(organization, lease, trusted_until(asked_at)),
            Ok(None) => {}
            Err(error) => self.tell_of(Err(error)),
        }
    }

    fn begin(&mut self, organization: &Organization, lease: Lease, until: Timestamp) {
        tracing::info!(
            organization = organization.name,
            term = lease.runner.0,
            "this relay drives the organization"
        );
        let driving = self.starter.begin(organization, lease.runner, |driving| {
            driving.hold(until, lease.letting_go);
        });
        self.held
            .insert(organization.name.clone(), Held { lease, driving });
    }

    /// Another relay may take it at once; the turns that run end here.
    async fn give_back(&mut self, name: &str, leases: &dyn Leases) {
        let asked_at = self.shared.clock.now().at;
        let Some(held) = self.held.remove(name) else {
            return;
        };
        held.driving.claim_no_more.cancel();
        let given = leases.give_back(&held.lease, self.grace).await;
        match given {
            Ok(()) => {
                tracing::info!(
                    organization = name,
                    term = held.lease.runner.0,
                    "the organization was given back"
                );
                let until = later(asked_at, self.grace.saturating_sub(MARGIN));
                held.driving.hold(until, None);
            }
            Err(error) => self.tell_of(Err(error)),
        }
        self.leaving.push(held);
    }

    /// Tells of those given back whose turns have ended.
    async fn see_off(&mut self, leases: &dyn Leases) {
        for Held { driving, .. } in &self.leaving {
            driving.turns.close();
            if !driving.holds(&*self.shared.clock) {
                driving.let_go.cancel();
            }
        }
        let (gone, staying): (Vec<_>, Vec<_>) = std::mem::take(&mut self.leaving)
            .into_iter()
            .partition(|held| held.driving.turns.is_empty());
        self.leaving = staying;
        for held in gone {
            self.tell_of(leases.let_go(&held.lease).await);
        }
    }

    fn tell_of(&mut self, done: Result<(), StoreError>) {
        match done {
            Err(error) if !self.in_trouble => {
                tracing::error!(%error, "the leases can't be kept; without them no turn goes on");
                self.in_trouble = true;
            }
            Ok(()) if self.in_trouble => {
                tracing::info!("the leases are kept again");
                self.in_trouble = false;
            }
            _ => {}
        }
    }
}

fn trusted_until(asked_at: Timestamp) -> Timestamp {
    later(asked_at, LEASE.saturating_sub(MARGIN))
}
