//! What a bench's child processes hold themselves to: they serve and call this
//! machine only, and end with the bench.

use std::io::Read;
use std::net::IpAddr;

use reqwest::Url;

use crate::config::{Config, ConfigError};

/// Refuses a configuration that names any other machine. A name such as
/// `localhost` is refused too: who knows what it leads to.
///
/// # Errors
/// If there is such an address: all of them.
pub fn require_loopback(config: &Config) -> Result<(), ConfigError> {
    let listeners = [config.listen, config.admin_listen];
    let listeners = listeners
        .iter()
        .filter(|address| !address.ip().is_loopback())
        .map(ToString::to_string);
    let upstreams = config.accounts.iter();
    let upstreams = upstreams
        .flat_map(|account| [&account.gladly.url, &account.gleen.url])
        .filter(|url| !is_loopback(url))
        .map(ToString::to_string);
    let mistakes: Vec<String> = listeners
        .chain(upstreams)
        .map(|address| format!("{address}: not this machine's; a bench touches nothing else"))
        .collect();
    if mistakes.is_empty() {
        Ok(())
    } else {
        Err(ConfigError { mistakes })
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    address.is_ok_and(|address| address.is_loopback())
}

/// Ends this process once the one that holds the other end of its stdin is gone.
pub fn end_with_the_bench() {
    std::thread::spawn(|| {
        let mut nothing = Vec::new();
        // Whatever comes of it: nobody is there.
        let _: std::io::Result<usize> = std::io::stdin().read_to_end(&mut nothing);
        std::process::exit(1);
    });
}
