//! What a host of this process runs on: workers of this very binary, the system's clock and randomness, and a vault.

use crate::args::{Isolation, VaultArgs};
use anyhow::{Context, Result, ensure};
use cryptlet_container::WorkerCommand;
use cryptlet_host::{
    FileVault, HostParts, KmsUri, Pkcs11Uri, Pkcs11Vault, RegionLauncher, ScryptCost, SecretString, SystemClock,
    SystemEntropy, Vault,
    vault::{kms, pkcs11::VaultCommand},
};
use std::{fs::File, io::Read, net::SocketAddr, num::NonZeroUsize, path::Path, sync::Arc};
use zeroize::Zeroizing;

/// Longest passphrase file that is read, in bytes.
const PASSPHRASE_BYTES_MAX: u64 = 4096;

/// Starts the workers and opens the vault.
pub(crate) fn host_parts(
    folder: &Path,
    vault: &VaultArgs,
    workers: Option<usize>,
    isolation: Isolation,
) -> Result<HostParts> {
    std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let entropy = Arc::new(SystemEntropy);
    let vault = open_vault(folder, vault)?;
    let workers = match workers {
        Some(workers) => NonZeroUsize::new(workers).context("--workers must be at least 1")?,
        None => std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
    };
    let command = WorkerCommand { program: std::env::current_exe()?, arguments: vec!["worker".into()] };
    let start = match isolation {
        Isolation::Process => RegionLauncher::in_processes,
        Isolation::Vm => RegionLauncher::in_machines,
    };
    let launcher = start(command, workers, &folder.join("compiled"), vault.as_ref(), entropy.as_ref())?;
    Ok(HostParts { launcher: Arc::new(launcher), vault, clock: Arc::new(SystemClock), entropy })
}

/// A host's vault; a keystore without a passphrase is one whose passphrase lies beside it.
pub(crate) fn open_vault(folder: &Path, args: &VaultArgs) -> Result<Arc<dyn Vault>> {
    if args.vault == "file" {
        return Ok(Arc::new(match &args.passphrase_file {
            Some(file) => FileVault::open(&folder.join("vault.age"), passphrase(file)?, ScryptCost::INTERACTIVE)?,
            None => FileVault::open_insecure_dev(folder, &SystemEntropy)?,
        }));
    }
    if KmsUri::is_one(&args.vault) {
        let secrets = args.passphrase_file.as_deref().map(|file| {
            let vault = FileVault::open(&folder.join("vault.age"), passphrase(file)?, ScryptCost::INTERACTIVE)?;
            anyhow::Ok(Box::new(vault) as Box<dyn Vault>)
        });
        return Ok(kms::open(args.vault.parse()?, secrets.transpose()?)?);
    }
    // Read here and not by the command line's parser, which repeats what it does not understand.
    let uri: Pkcs11Uri = args.vault.parse()?;
    ensure!(
        args.passphrase_file.is_none(),
        "--passphrase-file is for the keystore in a file; a token's PIN is in its pin-file"
    );
    let command = VaultCommand { program: std::env::current_exe()?, arguments: vec!["vault-worker".into()] };
    Ok(Arc::new(Pkcs11Vault::open(uri, command)?))
}

/// The passphrase in a file. The buffer is as long as it will be, since one that grows leaves copies behind.
fn passphrase(file: &Path) -> Result<SecretString> {
    let context = || format!("{} cannot be read", file.display());
    let mut text = Zeroizing::new(Vec::with_capacity(PASSPHRASE_BYTES_MAX as usize + 64));
    File::open(file)
        .with_context(context)?
        .take(PASSPHRASE_BYTES_MAX + 1)
        .read_to_end(&mut text)
        .with_context(context)?;
    ensure!(text.len() as u64 <= PASSPHRASE_BYTES_MAX, "{} is longer than a passphrase", file.display());
    let text = std::str::from_utf8(&text).with_context(|| format!("{} is not text", file.display()))?;
    Ok(SecretString::from(text.trim_end_matches(['\r', '\n'])))
}

/// The address with a port that was free a moment ago in place of port 0.
pub(crate) fn free_port(listen: SocketAddr) -> Result<SocketAddr> {
    Ok(std::net::TcpListener::bind(listen)?.local_addr()?)
}
