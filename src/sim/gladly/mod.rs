//! A simulated Gladly: one organization with the REST API, the webhooks and
//! the people that the relay meets, served on a real socket.
//!
//! A reading of the contract of its own, and a strict one: it shares no type
//! with the relay's client, so a mistake in one can't hide in the other.
//! `act` holds what can happen to a conversation, `api` what a client may
//! make happen, `people` what customers and humans do.

mod act;
mod api;
mod control;
mod control_faults;
mod conversation;
mod delivery;
mod directory;
mod event;
mod html;
mod message;
mod options;
mod pace;
mod people;
mod problem;
mod roles;
mod webhook;
mod world;

use std::io;
use std::sync::{Arc, OnceLock};

use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

pub use conversation::{ConversationStatus, ConversationView, ItemView};
pub use delivery::Delivery;
pub use message::{Channel, Message};
pub use options::{
    AgentNull, ApiInitiator, Chaos, DeliveryOptions, GladlyOptions, Latency, Limiter,
    MessageEvents, UnknownEvents,
};
#[cfg(test)]
pub(crate) use pace::{Pace, Rules};
pub use roles::Role;
pub use webhook::WebhookSpec;
pub use world::World as GladlyWorld;

use super::controls::simulator_controls;
use super::front::Fronted;
use super::gleen::Gleen;
use super::server;
use super::watched::Watched;
use world::World;

/// A running simulator. Clones are the same one; it stops when the last is dropped.
#[derive(Clone)]
pub struct Gladly {
    shared: Arc<Shared>,
    _stop_when_dropped: Arc<DropGuard>,
}

/// What the handle, the API and the deliveries share.
pub(crate) struct Shared {
    pub(crate) world: Watched<World>,
    pub(crate) http: reqwest::Client,
    pub(crate) stop: CancellationToken,
    tasks: TaskTracker,
    runtime: Handle,
    /// The Gleen whose faults the control API can set too.
    pub(crate) gleen: OnceLock<Gleen>,
}

impl Shared {
    /// Changes the world, and sends off the webhooks that the change raised.
    pub(crate) fn change<R>(self: &Arc<Self>, change: impl FnOnce(&mut World) -> R) -> R {
        let (result, dispatches) = self
            .world
            .change(|world| (change(world), std::mem::take(&mut world.dispatches)));
        for dispatch in dispatches {
            self.tasks
                .spawn_on(delivery::deliver(Arc::clone(self), dispatch), &self.runtime);
        }
        result
    }
}

simulator_controls!(Gladly, World, shared.world);

impl Gladly {
    /// Binds, and serves in the background.
    ///
    /// # Errors
    /// If the address can't be bound, or the webhooks' HTTP client not be made.
    pub async fn start(options: GladlyOptions) -> io::Result<Self> {
        let listener = TcpListener::bind(options.listen).await?;
        let url = format!("http://{}", listener.local_addr()?);
        // A redirect is not a 2xx, and a proxy has no business on loopback.
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        let shared = Arc::new(Shared {
            world: Watched::new(World::new(options, url)),
            http: http.build().map_err(io::Error::other)?,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            runtime: Handle::current(),
            gleen: OnceLock::new(),
        });
        let router = api::router(Arc::clone(&shared)).merge(control::router(Arc::clone(&shared)));
        let (stop, tasks) = (shared.stop.clone(), shared.tasks.clone());
        shared
            .tasks
            .spawn(server::serve(listener, router, stop.clone(), tasks));
        Ok(Self {
            shared,
            _stop_when_dropped: Arc::new(stop.drop_guard()),
        })
    }

    /// Where it serves, such as `http://127.0.0.1:1234`.
    pub fn url(&self) -> String {
        self.shared.world.read(|world| world.url.clone())
    }

    /// Stops serving and delivering, and waits until all tasks have ended.
    pub async fn shutdown(&self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    /// The options as they are now: ids, names, credentials.
    pub fn options(&self) -> GladlyOptions {
        self.shared.world.read(|world| world.options.clone())
    }

    /// Changes the options while it runs.
    pub fn configure(&self, change: impl FnOnce(&mut GladlyOptions)) {
        self.shared.change(|world| change(&mut world.options));
    }

    /// A conversation as it is now. One that was merged is where it went.
    pub fn conversation(&self, id: &str) -> Option<ConversationView> {
        self.shared.world.read(|world| world.conversation(id))
    }

    /// The attempts to deliver webhooks so far, in the order in which they ended.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.shared.world.read(|world| world.deliveries().to_vec())
    }

    /// How many calls were over the rate limit.
    pub fn rate_limited(&self) -> usize {
        self.shared.world.read(World::rate_limited)
    }

    /// Lets the control API set this Gleen's faults too.
    pub(crate) fn attach_gleen(&self, gleen: Gleen) {
        // Only the standalone server does this, once.
        let _ = self.shared.gleen.set(gleen);
    }
}
