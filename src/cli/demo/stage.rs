//! The three on loopback: the simulated Gladly and Gleen, and the real relay
//! with a store in a folder that is removed in the end.

use std::fs::DirBuilder;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::app::{self, Listeners};
use crate::clock::SystemClock;
use crate::config::{Config, ConfigError, Environment};
use crate::sim::{Gladly, GladlyOptions, Gleen, GleenOptions, WebhookSpec};
use crate::store;

/// What Gladly sends as `X-Account-Identifier`.
const IDENTIFIER: &str = "demo-identifier";

/// More than Gladly's usual 10, so that the times shown are the relay's own
/// and not waits for its turn.
const REQUESTS_PER_SECOND: u32 = 100;

/// All three, running.
pub(super) struct Stage {
    /// Where the customers write.
    pub(super) gladly: Gladly,
    /// The bot.
    pub(super) gleen: Gleen,
    /// The relay's public address.
    pub(super) relay_address: SocketAddr,
    /// Where the relay serves its metrics and its pages.
    pub(super) admin_address: SocketAddr,
    stop: CancellationToken,
    relay: JoinHandle<anyhow::Result<()>>,
    folder: TemporaryFolder,
}

impl Stage {
    /// Starts all three and registers the relay's webhook.
    pub(super) async fn start() -> anyhow::Result<Self> {
        let folder = TemporaryFolder::create()?;
        let gleen = Gleen::start(GleenOptions::default()).await?;
        let options = GladlyOptions {
            requests_per_second: Some(REQUESTS_PER_SECOND),
            ..GladlyOptions::default()
        };
        let gladly = Gladly::start(options).await?;
        let config = config(&gladly, &gleen, &folder.0)?;
        let store = store::open(&config.store, None).await?;
        let listeners = Listeners::bind(&config, None).await?;
        let relay_address = listeners.public.local_addr()?;
        let admin_address = listeners.admin.local_addr()?;
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let relay = tokio::spawn(async move {
            app::serve(
                &config,
                listeners,
                store,
                Arc::new(SystemClock::begin()),
                stopped,
            )
            .await
        });
        gladly.register_webhook(WebhookSpec::relay(
            format!("http://{relay_address}/webhooks/gladly"),
            IDENTIFIER,
        ));
        Ok(Self {
            gladly,
            gleen,
            relay_address,
            admin_address,
            stop,
            relay,
            folder,
        })
    }

    /// Stops the relay, then the simulators, and removes the folder.
    ///
    /// # Errors
    /// If the relay ended otherwise than by being told.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        let ended = self.relay.await;
        self.gladly.shutdown().await;
        self.gleen.shutdown().await;
        drop(self.folder);
        ended.context("the relay broke down")?
    }
}

/// The relay's configuration: variables, as an operator would set them.
fn config(gladly: &Gladly, gleen: &Gleen, folder: &Path) -> Result<Config, ConfigError> {
    let options = gladly.options();
    let store = format!("sqlite://{}", folder.join("relay.db").display());
    let gladly_url = gladly.url();
    let gleen_url = gleen.url();
    let gleen_options = gleen.options();
    let requests_per_second = REQUESTS_PER_SECOND.to_string();
    let variables = [
        ("RELAY_LISTEN", "127.0.0.1:0"),
        ("RELAY_ADMIN_LISTEN", "127.0.0.1:0"),
        ("RELAY_STORE", store.as_str()),
        ("RELAY_SWEEP_INTERVAL", "0s"),
        // Whoever quits while Gleen is slow need not wait for it.
        ("RELAY_SHUTDOWN_GRACE", "1s"),
        ("RELAY_ANSWER_DEADLINE", "30s"),
        ("ACCOUNT_NAME", "demo"),
        ("ACCOUNT_IDENTIFIER", IDENTIFIER),
        ("GLADLY_URL", &gladly_url),
        ("GLADLY_USERNAME", &options.username),
        ("GLADLY_API_TOKEN", &options.api_token),
        ("GLADLY_AI_INBOX_ID", &options.ai_inbox_id),
        ("GLADLY_HANDOFF_INBOX_ID", &options.handoff_inbox_id),
        ("GLADLY_AGENT_ID", &options.bot_agent_id),
        ("GLADLY_REQUESTS_PER_SECOND", &requests_per_second),
        ("GLEEN_URL", &gleen_url),
        ("GLEEN_API_KEY", &gleen_options.api_key),
        ("GLEEN_TIMEOUT", "15s"),
        ("GLEEN_HANDOFF_POINTER", "/handoff"),
    ];
    Config::load(None, &Environment::from(variables))
}

/// A folder that only this user can enter, removed when dropped.
struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    fn create() -> anyhow::Result<Self> {
        let name = format!("gladly-relay-demo-{:016x}", fastrand::u64(..));
        let path = std::env::temp_dir().join(name);
        // Not recursive: one that is there already is somebody else's.
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("cannot create {}; set TMPDIR", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // Nothing can be done here, and the system clears its temporary folder.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
