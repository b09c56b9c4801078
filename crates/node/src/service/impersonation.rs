//! Whom a development node lets send without a signature.

use alloy_primitives::Address;
use parking_lot::RwLock;
use std::collections::BTreeSet;

/// Accounts kept, so that a client in a loop does not fill the memory.
const ACCOUNTS_MAX: usize = 100_000;

/// Who may be impersonated. It lasts as long as the node runs; snapshots do not bring it back.
#[derive(Debug, Default)]
pub(crate) struct Impersonation(RwLock<Impersonated>);

#[derive(Debug, Default)]
struct Impersonated {
    is_everybody: bool,
    accounts: BTreeSet<Address>,
}

impl Impersonation {
    /// Lets this account be impersonated; `false` if there are too many already.
    pub(crate) fn allow(&self, account: Address) -> bool {
        let mut impersonated = self.0.write();
        let fits = impersonated.accounts.len() < ACCOUNTS_MAX || impersonated.accounts.contains(&account);
        if fits {
            impersonated.accounts.insert(account);
        }
        fits
    }

    /// No longer; returns whether it could be.
    pub(crate) fn stop(&self, account: Address) -> bool {
        self.0.write().accounts.remove(&account)
    }

    /// Lets everybody be impersonated, or only those that were named.
    pub(crate) fn set_everybody(&self, is_everybody: bool) {
        self.0.write().is_everybody = is_everybody;
    }

    /// May this account be impersonated?
    pub(crate) fn is_allowed(&self, account: Address) -> bool {
        let impersonated = self.0.read();
        impersonated.is_everybody || impersonated.accounts.contains(&account)
    }

    /// Nobody any more.
    pub(crate) fn clear(&self) {
        *self.0.write() = Impersonated::default();
    }

    /// Those that were named.
    pub(crate) fn accounts(&self) -> Vec<Address> {
        self.0.read().accounts.iter().copied().collect()
    }
}
