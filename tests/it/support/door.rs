//! The relay's public address, which stays the same while relays come and go, as a
//! proxy's does. While it is shut, whoever knocks is sent away.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

pub(crate) struct Door {
    /// The webhook's address.
    pub(crate) url: String,
    leads_to: Arc<Mutex<Option<SocketAddr>>>,
    keeper: AbortHandle,
}

impl Door {
    /// A door that is shut.
    pub(crate) async fn build() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/webhooks/gladly", listener.local_addr().unwrap());
        let leads_to = Arc::new(Mutex::new(None));
        let keeper = tokio::spawn(keep(listener, leads_to.clone())).abort_handle();
        Self {
            url,
            leads_to,
            keeper,
        }
    }

    /// Leads to the relay that serves at this URL.
    pub(crate) fn lead_to(&self, relay_url: &str) {
        let address = relay_url.strip_prefix("http://").unwrap();
        *self.leads_to.lock().unwrap() = Some(address.parse().unwrap());
    }

    /// Sends everybody away.
    pub(crate) fn shut(&self) {
        *self.leads_to.lock().unwrap() = None;
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

async fn keep(listener: TcpListener, leads_to: Arc<Mutex<Option<SocketAddr>>>) {
    let mut visits = JoinSet::new();
    while let Ok((mut outside, _)) = listener.accept().await {
        let address = *leads_to.lock().unwrap();
        let Some(address) = address else { continue };
        visits.spawn(async move {
            if let Ok(mut inside) = TcpStream::connect(address).await {
                // However it ends, it is over.
                let _: std::io::Result<_> = copy_bidirectional(&mut outside, &mut inside).await;
            }
        });
    }
}
