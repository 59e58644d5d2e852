//! Begins to drive an organization: a driver for each of its accounts, and a sweep.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::driver::Driver;
use super::driving::Driving;
use super::news::News;
use super::sweep::Sweeper;
use super::{Account, Relay, Shared, Stopping};
use crate::config::Config;
use crate::id::AccountName;
use crate::store::{Organization, Runner};

/// What it takes to begin.
pub(super) struct Starter {
    shared: Arc<Shared>,
    accounts: BTreeMap<AccountName, Arc<Account>>,
    /// Zero is never.
    sweep_interval: Duration,
    public_url: Option<Url>,
    claim_no_more: CancellationToken,
    let_go: CancellationToken,
    turns: TaskTracker,
    background: TaskTracker,
}

impl Starter {
    pub(super) fn new(relay: &Relay, stopping: &Stopping, config: &Config) -> Self {
        Self {
            shared: relay.shared.clone(),
            accounts: relay.accounts.clone(),
            sweep_interval: config.sweep_interval,
            public_url: config.public_url.clone(),
            claim_no_more: stopping.claim_no_more.clone(),
            let_go: stopping.let_go.clone(),
            turns: stopping.turns.clone(),
            background: stopping.background.clone(),
        }
    }

    /// Drives the organization's accounts from now on; `prepare` says for how long that
    /// may be.
    pub(super) fn begin(
        &self,
        organization: &Organization,
        runner: Runner,
        prepare: impl FnOnce(&Driving),
    ) -> Arc<Driving> {
        let driving = Arc::new(Driving::alone(
            runner,
            self.claim_no_more.child_token(),
            self.let_go.child_token(),
        ));
        prepare(&driving);
        for account in self.accounts_of(&organization.accounts) {
            // Whoever drove before may have used the limit up.
            account.gladly.begin_anew();
            self.shared.metrics.driver(&account.name, true);
            let driver = Driver {
                shared: self.shared.clone(),
                account: account.clone(),
                turns: self.turns.clone(),
                driving: driving.clone(),
            };
            self.turns.spawn(driver.drive());
            self.sweep(account, &driving);
        }
        driving
    }

    fn sweep(&self, account: &Arc<Account>, driving: &Arc<Driving>) {
        if self.sweep_interval.is_zero() {
            return;
        }
        let sweeper = Sweeper::new(
            self.shared.clone(),
            account.clone(),
            self.sweep_interval,
            self.public_url.clone(),
        );
        let (driving, clock) = (driving.clone(), self.shared.clock.clone());
        self.background.spawn(async move {
            let sweeping = sweeper.run(driving.claim_no_more.clone());
            driving.only_while_held(&*clock, sweeping).await;
        });
    }

    /// Lets the accounts' drivers look for turns at once.
    pub(super) fn wake(&self, accounts: &[AccountName]) {
        for account in self.accounts_of(accounts) {
            account.wake.notify_one();
        }
    }

    /// Remembers which relay drives an organization, for those who ask.
    pub(super) fn tell_driver(
        &self,
        organization: &Organization,
        driver: Option<&str>,
        here: bool,
    ) {
        for account in self.accounts_of(&organization.accounts) {
            self.shared.metrics.driver(&account.name, here);
            if account.driven_by(driver) {
                let news = News::Account(account.name.clone());
                self.shared.newsroom.tell(news);
            }
        }
    }

    fn accounts_of(&self, names: &[AccountName]) -> impl Iterator<Item = &Arc<Account>> {
        names.iter().filter_map(|name| self.accounts.get(name))
    }
}
