//! A simulated Gleen: answers questions over the API that the relay uses, from
//! a script, a function, or a little knowledge of a web shop.

mod api;
mod knowledge;
mod options;
mod world;

use std::io;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

pub use options::{Answer, GleenOptions, Responder, WhenUnknown};
pub use world::{Exchange, Question, World as GleenWorld};

use super::controls::simulator_controls;
use super::front::Fronted;
use super::server;
use super::watched::Watched;
use world::World;

/// A running simulator. Clones are the same one; it stops when the last is dropped.
#[derive(Clone)]
pub struct Gleen {
    world: Watched<World>,
    url: Arc<str>,
    tasks: TaskTracker,
    stop: Arc<DropGuard>,
}

simulator_controls!(Gleen, World, world);

impl Gleen {
    /// Binds, and serves in the background.
    ///
    /// # Errors
    /// If the address can't be bound.
    pub async fn start(options: GleenOptions) -> io::Result<Self> {
        let listener = TcpListener::bind(options.listen).await?;
        let url = format!("http://{}", listener.local_addr()?).into();
        let world = Watched::new(World::new(options));
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let router = api::router(world.clone());
        tasks.spawn(server::serve(listener, router, stop.clone(), tasks.clone()));
        Ok(Self {
            world,
            url,
            tasks,
            stop: Arc::new(stop.drop_guard()),
        })
    }

    /// Where it serves, such as `http://127.0.0.1:1234`.
    pub fn url(&self) -> String {
        self.url.to_string()
    }

    /// Stops serving, and waits until all tasks have ended.
    pub async fn shutdown(&self) {
        self.stop.token().cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// The options as they are now.
    pub fn options(&self) -> GleenOptions {
        self.world.read(|world| world.options.clone())
    }

    /// Changes the options while it runs.
    pub fn configure(&self, change: impl FnOnce(&mut GleenOptions)) {
        self.world.change(|world| change(&mut world.options));
    }

    /// Adds to the script: each question takes its next answer, before the
    /// responder and the built-in knowledge are asked.
    pub fn answer_next(&self, answer: impl Into<Answer>) {
        self.world
            .change(|world| world.scripted.push_back(answer.into()));
    }

    /// The questions so far, in order.
    pub fn questions(&self) -> Vec<Question> {
        self.world.read(|world| world.questions().to_vec())
    }

    /// Forgets all threads, as if they had expired.
    pub fn forget_threads(&self) {
        self.world.change(World::forget_threads);
    }
}
