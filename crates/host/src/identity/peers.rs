//! The peers that were enrolled, by the fingerprint of their certificate. A certificate of our authority that is not in
//! this list opens nothing, so taking a line out revokes it.

use crate::{error::HostError, files};
use alloy_primitives::B256;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, path::PathBuf, time::SystemTime};

const PEERS_BYTES_MAX: u64 = 4 << 20;

/// What a peer may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// Call cryptlets and look things up: a node.
    Node,
    /// All of that, and publish and register.
    Operator,
}

/// Who is at the other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Peer {
    /// The name it was enrolled with.
    pub(crate) name: String,
    /// What it may do.
    pub(crate) role: Role,
}

/// The list, in a file that another process of the same operator may extend (`cryptlet host enroll`).
#[derive(Debug)]
pub(crate) struct Peers {
    file: PathBuf,
    list: Mutex<List>,
}

#[derive(Debug, Default)]
struct List {
    peers: BTreeMap<B256, Peer>,
    read_at: Option<SystemTime>,
}

impl Peers {
    pub(crate) fn open(file: PathBuf) -> Result<Self, HostError> {
        let peers = Self { file, list: Mutex::default() };
        peers.refresh(&mut peers.list.lock())?;
        Ok(peers)
    }

    /// Adds a peer by its certificate.
    pub(crate) fn add(&self, certificate: &[u8], peer: Peer) -> Result<(), HostError> {
        let mut list = self.list.lock();
        self.refresh(&mut list)?;
        list.peers.insert(fingerprint(certificate), peer);
        self.write(&mut list)
    }

    /// Takes every certificate of a peer out. Says how many there were.
    pub(crate) fn remove(&self, name: &str) -> Result<usize, HostError> {
        let mut list = self.list.lock();
        self.refresh(&mut list)?;
        let before = list.peers.len();
        list.peers.retain(|_, peer| peer.name != name);
        let removed = before - list.peers.len();
        if removed > 0 {
            self.write(&mut list)?;
        }
        Ok(removed)
    }

    /// Whose certificate is this?
    pub(crate) fn find(&self, certificate: &[u8]) -> Option<Peer> {
        let mut list = self.list.lock();
        if let Err(error) = self.refresh(&mut list) {
            tracing::warn!(%error, "cannot read the list of peers; going on with the one in memory");
        }
        list.peers.get(&fingerprint(certificate)).cloned()
    }

    /// Reads the file again if it has changed.
    fn refresh(&self, list: &mut List) -> Result<(), HostError> {
        let changed_at = std::fs::metadata(&self.file).and_then(|data| data.modified()).ok();
        if changed_at == list.read_at {
            return Ok(());
        }
        if let Some(bytes) = files::read(&self.file, PEERS_BYTES_MAX)? {
            list.peers = serde_json::from_slice(&bytes).map_err(|error| HostError::damaged(&self.file, error))?;
        }
        list.read_at = changed_at;
        Ok(())
    }

    fn write(&self, list: &mut List) -> Result<(), HostError> {
        let json = serde_json::to_vec_pretty(&list.peers).expect("a map of peers is JSON");
        files::write_private(&self.file, &json)?;
        list.read_at = None;
        Ok(())
    }
}

fn fingerprint(certificate: &[u8]) -> B256 {
    B256::from_slice(&Sha256::digest(certificate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_added_by_another_process_is_seen_and_one_removed_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("peers.json");
        let (ours, theirs) = (Peers::open(file.clone()).unwrap(), Peers::open(file).unwrap());
        let peer = Peer { name: "node-1".to_owned(), role: Role::Node };
        assert_eq!(ours.find(b"certificate"), None);
        theirs.add(b"certificate", peer.clone()).unwrap();
        assert_eq!(ours.find(b"certificate"), Some(peer));
        assert_eq!(ours.find(b"another certificate"), None);
        assert_eq!(theirs.remove("node-1").unwrap(), 1);
        // Two changes within one tick of the file system's clock look alike; a write always counts as a change here.
        assert_eq!(theirs.find(b"certificate"), None);
    }
}
