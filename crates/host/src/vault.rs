//! Where long-lived secrets live: the host's key, the keys of its certificates. Keys of instances never come here: they
//! are born in their container and die with it.

mod file;

pub use file::{FileVault, ScryptCost};

use crate::error::HostError;
use std::fmt;
use zeroize::Zeroizing;

/// A store of secrets by name. PKCS#11 and cloud services can stand behind it.
pub trait Vault: Send + Sync + fmt::Debug + 'static {
    /// The secret with this name, if there is one.
    fn secret(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, HostError>;

    /// Keeps a secret. It is on disk when this returns.
    fn keep(&self, name: &str, secret: &[u8]) -> Result<(), HostError>;
}
