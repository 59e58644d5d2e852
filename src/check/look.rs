//! Looks at everything outside, in order, and has it judged.
//!
//! It has clients of its own, at a third of the organization's rate at most, so
//! that a relay that runs meanwhile has the rest.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use reqwest::Url;
use serde_json::Value;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Report;
use super::clock::judge_clock;
use super::configuration::conflicting;
use super::finding::Finding;
use super::gladly::{judge_agent, judge_deeds, judge_inboxes, judge_organization, judge_rate};
use super::gleen::{Extent, judge_answer, judge_reach};
use super::public_url::judge_public_url;
use super::webhook::judge_webhooks;
use crate::clock::SystemClock;
use crate::config::{AccountConfig, Config, GladlyConfig, GleenConfig};
use crate::gladly::{Deed, Pace, Precedence};
use crate::id::AccountName;
use crate::telemetry::Metrics;
use crate::upstream::{Seen, http_client, innermost};
use crate::{gladly, gleen};

/// For an address that is only tried.
const REACH_TIMEOUT: Duration = Duration::from_secs(10);

/// The clients of Gladly, and what keeps their pace while they live.
pub struct GladlyClients {
    paces: BTreeMap<String, Arc<Pace>>,
    stop: CancellationToken,
    _stop_when_dropped: DropGuard,
}

impl Default for GladlyClients {
    fn default() -> Self {
        let stop = CancellationToken::new();
        Self {
            paces: BTreeMap::new(),
            stop: stop.clone(),
            _stop_when_dropped: stop.drop_guard(),
        }
    }
}

impl GladlyClients {
    /// A client for an account; those of one organization share their pace.
    ///
    /// # Errors
    /// If the TLS library can't be set up.
    pub fn client(&mut self, account: &AccountConfig) -> anyhow::Result<gladly::Client> {
        let organization = account.gladly.url.origin().ascii_serialization();
        let pace = self.paces.entry(organization).or_insert_with(|| {
            let pace = Pace::new((account.gladly.requests_per_second / 3).max(1));
            tokio::spawn(pace.clone().run(self.stop.clone()));
            pace
        });
        gladly::Client::new(
            &account.name,
            &account.gladly,
            pace.clone(),
            Arc::new(SystemClock::begin()),
            Arc::new(Metrics::default()),
        )
    }
}

/// Looks at the public address, and at every account's Gladly and Gleen.
///
/// # Errors
/// If the TLS library can't be set up.
pub async fn look_outside(config: &Config, extent: Extent) -> anyhow::Result<Report> {
    let mut clients = GladlyClients::default();
    let conflicts = conflicting(&config.accounts);
    let mut looks = Vec::new();
    for account in &config.accounts {
        let conflict = conflicts.iter().find(|(name, _)| *name == &account.name);
        let webhooks = Webhooks {
            public_url: config.public_url.as_ref(),
            first: conflict.map(|(_, first)| *first),
        };
        let gladly = clients.client(account)?;
        let gleen =
            gleen::Client::new(&account.name, &account.gleen, Arc::new(Metrics::default()))?;
        looks.push(async move {
            let (of_gladly, of_gleen) = tokio::join!(
                look_at_gladly(&gladly, account, webhooks, extent),
                look_at_gleen(&gleen, &account.gleen, extent),
            );
            let found = of_gladly.into_iter().chain(of_gleen);
            found
                .map(|finding| finding.of(&account.name))
                .collect::<Vec<_>>()
        });
    }
    let mut findings = Vec::new();
    if let Some(url) = &config.public_url {
        findings.push(judge_public_url(url, &reach(url).await));
    }
    findings.extend(join_all(looks).await.into_iter().flatten());
    Ok(Report(findings))
}

/// Whose the webhook at the relay's address is.
struct Webhooks<'a> {
    public_url: Option<&'a Url>,
    /// The organization's first account, if this is another.
    first: Option<&'a AccountName>,
}

async fn look_at_gladly(
    client: &gladly::Client,
    account: &AccountConfig,
    Webhooks { public_url, first }: Webhooks<'_>,
    extent: Extent,
) -> Vec<Finding> {
    let config: &GladlyConfig = &account.gladly;
    let organization = client.see_organization().await;
    let mut findings = match judge_organization(&organization, config) {
        Ok(finding) => vec![finding],
        Err(finding) => return vec![finding],
    };
    if let Ok(seen) = &organization {
        findings.push(judge_rate(&seen.headers, config.requests_per_second));
        findings.extend(judge_clock("Gladly", seen));
    }
    if extent != Extent::ReadOnly {
        let mut deeds = Vec::new();
        for deed in Deed::ALL {
            deeds.push((deed, client.try_deed(deed).await));
        }
        findings.extend(judge_deeds(&deeds));
    }
    let ai = client.see_inbox(&config.ai_inbox_id).await;
    let handoff = client.see_inbox(&config.handoff_inbox_id).await;
    findings.extend(judge_inboxes(&ai, &handoff, config));
    let agent = client.see_agent(&config.agent_id).await;
    findings.extend(judge_agent(&agent, config));
    let webhooks = client.see_webhooks(Precedence::Fetch).await;
    findings.extend(judge_webhooks(&webhooks, account, public_url, first));
    findings
}

async fn look_at_gleen(
    client: &gleen::Client,
    config: &GleenConfig,
    extent: Extent,
) -> Vec<Finding> {
    let (answer, finding) = match extent {
        Extent::Everything => {
            let answer = client.greet().await;
            let finding = judge_answer(&answer, config);
            (answer, finding)
        }
        Extent::NoQuestion | Extent::ReadOnly => {
            let answer = reach(&config.url).await;
            let finding = judge_reach(&answer, config);
            (answer, finding)
        }
    };
    let clock = answer.ok().and_then(|seen| judge_clock("Gleen", &seen));
    std::iter::once(finding).chain(clock).collect()
}

/// `GET` of an address, without any credentials.
pub async fn reach(url: &Url) -> Result<Seen, String> {
    let client = http_client(url)
        .timeout(REACH_TIMEOUT)
        .build()
        .map_err(|error| innermost(&error))?;
    let response = client.get(url.clone()).send().await;
    let response = response.map_err(|error| innermost(&error))?;
    Ok(Seen {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body: Value::Null,
        at: Timestamp::now(),
    })
}
