//! A node may listen before its chain is ready: a dev chain is prepared by transactions first. Until then what does not depend
//! on the chain is answered, and everything else waits, so that nobody sees a chain that is half prepared.

use std::sync::Arc;
use tokio::sync::SetOnce;

/// What is answered at any time.
const ANSWERED_AT_ONCE: [&str; 6] =
    ["eth_chainId", "net_version", "net_listening", "web3_clientVersion", "web3_sha3", "rpc_modules"];

/// Whether the chain may be seen. It opens once, and stays open.
#[derive(Clone, Debug, Default)]
pub(super) struct Readiness(Arc<SetOnce<()>>);

impl Readiness {
    /// For those who prepare the chain.
    pub(super) fn open_from_the_start() -> Self {
        let readiness = Self::default();
        readiness.open();
        readiness
    }

    /// Lets everybody in.
    pub(super) fn open(&self) {
        // It may have been open before.
        let _ = self.0.set(());
    }

    pub(super) fn is_open(&self) -> bool {
        self.0.initialized()
    }

    /// Returns when this method may be answered.
    pub(super) async fn wait_for(&self, method: &str) {
        if !self.is_open() && !ANSWERED_AT_ONCE.contains(&method) {
            self.0.wait().await;
        }
    }
}
