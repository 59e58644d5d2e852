//! A load balancer of the plainest kind, for several relays: each connection goes to the
//! next that takes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// It ends when it is dropped.
pub(super) struct Balancer {
    task: JoinHandle<()>,
    port: u16,
}

impl Balancer {
    /// In front of these ports of this machine.
    pub(super) async fn start(relays: Vec<u16>) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let relays = Arc::new((relays, AtomicUsize::new(0)));
        let task = tokio::spawn(async move {
            // Dropped with the task, and with it what they pass on.
            let mut passing = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                passing.spawn(pass(client, relays.clone()));
                while passing.try_join_next().is_some() {}
            }
        });
        Ok(Self { task, port })
    }

    pub(super) const fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(mut client: TcpStream, relays: Arc<(Vec<u16>, AtomicUsize)>) {
    let (ports, next) = &*relays;
    let first = next.fetch_add(1, Ordering::Relaxed);
    for index in 0..ports.len() {
        let port = ports[(first + index) % ports.len()];
        if let Ok(mut relay) = TcpStream::connect(("127.0.0.1", port)).await {
            // Whoever is cut off sees it.
            let _: std::io::Result<_> = copy_bidirectional(&mut client, &mut relay).await;
            return;
        }
    }
}
