//! Both simulators side by side, for `gladly-relay simulate`: staging, load
//! tests, other people's bots. `gladly::control` is how `curl` drives them.

use std::io;

use super::gladly::{Gladly, GladlyOptions, WebhookSpec};
use super::gleen::{Gleen, GleenOptions};

/// What to serve.
#[derive(Debug, Clone, Default)]
pub struct StandaloneOptions {
    /// The simulated Gladly, with the control API under `/sim/`.
    pub gladly: GladlyOptions,
    /// The simulated Gleen.
    pub gleen: GleenOptions,
    /// A webhook to register, if any; see [`WebhookSpec::relay`].
    pub webhook: Option<WebhookSpec>,
}

/// Both simulators, running.
#[derive(Clone)]
pub struct Standalone {
    /// The simulated Gladly.
    pub gladly: Gladly,
    /// The simulated Gleen.
    pub gleen: Gleen,
}

/// Starts both. They serve until [`Standalone::shutdown`], or until dropped.
///
/// # Errors
/// If an address can't be bound.
pub async fn serve_standalone(options: StandaloneOptions) -> io::Result<Standalone> {
    let gleen = Gleen::start(options.gleen).await?;
    let gladly = Gladly::start(options.gladly).await?;
    gladly.attach_gleen(gleen.clone());
    if let Some(webhook) = options.webhook {
        gladly.register_webhook(webhook);
    }
    Ok(Standalone { gladly, gleen })
}

impl Standalone {
    /// Stops both, and waits until all their tasks have ended.
    pub async fn shutdown(&self) {
        self.gladly.shutdown().await;
        self.gleen.shutdown().await;
    }
}
