//! What a host of this process runs on: workers of this very binary, the system's clock and randomness, and a keystore.

use anyhow::{Context, Result};
use cryptlet_container::WorkerCommand;
use cryptlet_host::{FileVault, HostParts, ScryptCost, SecretString, SystemClock, SystemEntropy, Vault, WasmLauncher};
use std::{net::SocketAddr, num::NonZeroUsize, path::Path, sync::Arc};

/// Starts the workers and opens the keystore.
pub(crate) fn host_parts(folder: &Path, passphrase: Option<SecretString>, workers: Option<usize>) -> Result<HostParts> {
    std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let entropy = Arc::new(SystemEntropy);
    let vault = open_vault(folder, passphrase)?;
    let workers = match workers {
        Some(workers) => NonZeroUsize::new(workers).context("--workers must be at least 1")?,
        None => std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
    };
    let command = WorkerCommand { program: std::env::current_exe()?, arguments: vec!["worker".into()] };
    let launcher =
        WasmLauncher::in_processes(command, workers, &folder.join("compiled"), vault.as_ref(), entropy.as_ref())?;
    Ok(HostParts { launcher: Arc::new(launcher), vault, clock: Arc::new(SystemClock), entropy })
}

/// A host's keystore; without a passphrase, one whose passphrase lies beside it.
pub(crate) fn open_vault(folder: &Path, passphrase: Option<SecretString>) -> Result<Arc<dyn Vault>> {
    Ok(Arc::new(match passphrase {
        Some(passphrase) => FileVault::open(&folder.join("vault.age"), passphrase, ScryptCost::INTERACTIVE)?,
        None => FileVault::open_insecure_dev(folder, &SystemEntropy)?,
    }))
}

/// The address with a port that was free a moment ago in place of port 0.
pub(crate) fn free_port(listen: SocketAddr) -> Result<SocketAddr> {
    Ok(std::net::TcpListener::bind(listen)?.local_addr()?)
}
