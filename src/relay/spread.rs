//! Which of the relays that share a database should drive which organization: evenly,
//! and so that as few as can be change hands when a relay comes or goes. Every relay
//! finds the same by itself. Pure.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use crate::store::Peer;

/// Who should drive each organization, by the relays' ids. Each prefers the relay that
/// ranks highest for it (rendezvous hashing), among those that have room left.
pub(super) fn spread(peers: &[Peer]) -> BTreeMap<&str, &str> {
    let organizations: BTreeSet<&str> = peers
        .iter()
        .flat_map(|peer| peer.organizations.iter().map(String::as_str))
        .collect();
    let most = organizations.len().div_ceil(peers.len().max(1));
    let mut driven: BTreeMap<&str, usize> = BTreeMap::new();
    let mut shares = BTreeMap::new();
    for organization in organizations {
        let able = peers
            .iter()
            .filter(|peer| peer.organizations.iter().any(|name| name == organization));
        let rank = |peer: &&Peer| {
            let is_full = driven
                .get(peer.id.as_str())
                .is_some_and(|count| *count >= most);
            (!is_full, score(&peer.id, organization))
        };
        if let Some(peer) = able.max_by_key(rank) {
            *driven.entry(&peer.id).or_default() += 1;
            shares.insert(organization, peer.id.as_str());
        }
    }
    shares
}

/// The same in every version, for two of them run side by side during an upgrade.
fn score(relay: &str, organization: &str) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(relay.as_bytes());
    digest.update([0]);
    digest.update(organization.as_bytes());
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(count: usize, organizations: usize) -> Vec<Peer> {
        let organizations: Vec<String> = (0..organizations)
            .map(|number| format!("https://o{number}.gladly.com"))
            .collect();
        let peer = |number| Peer {
            id: format!("relay-{number}"),
            name: String::new(),
            organizations: organizations.clone(),
        };
        (0..count).map(peer).collect()
    }

    fn counts(peers: &[Peer]) -> Vec<usize> {
        let shares = spread(peers);
        let of = |peer: &Peer| shares.values().filter(|id| **id == peer.id).count();
        peers.iter().map(of).collect()
    }

    #[test]
    fn organizations_are_spread_evenly() {
        for (relays, organizations) in [(1, 3), (2, 1), (2, 2), (2, 10), (3, 10), (4, 100)] {
            let counts = counts(&peers(relays, organizations));
            assert_eq!(counts.iter().sum::<usize>(), organizations);
            let most = organizations.div_ceil(relays);
            assert!(counts.iter().all(|count| *count <= most), "{counts:?}");
        }
    }

    #[test]
    fn all_relays_find_the_same_whatever_the_order() {
        let peers = peers(3, 20);
        let mut turned = peers.clone();
        turned.reverse();
        assert_eq!(spread(&peers), spread(&turned));
    }

    #[test]
    fn few_change_hands_when_a_relay_goes() {
        let peers = peers(4, 100);
        let (before, after) = (spread(&peers), spread(&peers[..3]));
        let moved = before
            .iter()
            .filter(|(name, id)| after.get(*name) != Some(*id))
            .count();
        assert!((25..=60).contains(&moved), "{moved}");
    }

    #[test]
    fn nobody_gets_what_it_is_not_configured_for() {
        let mut peers = peers(2, 4);
        peers[1].organizations = vec!["https://only-here.gladly.com".to_owned()];
        let shares = spread(&peers);
        assert_eq!(shares.len(), 5);
        assert_eq!(shares["https://only-here.gladly.com"], "relay-1");
        assert_eq!(counts(&peers), [4, 1]);
        assert!(spread(&[]).is_empty());
    }
}
