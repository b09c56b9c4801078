//! Flags that say which fabric, and where keys are.

use clap::Args;
use std::path::PathBuf;

/// Which fabric, and as whom.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Cryptlet fabric")]
pub(crate) struct FabricArgs {
    /// Where the CryptoDelegate looks up the fabric: URL (http, https or file) of a host's descriptor
    #[arg(long, value_name = "URL", requires = "crypto_delegate_signature")]
    pub(crate) crypto_delegate_path: Option<String>,
    /// Who must have signed that descriptor: the fabric's 20-byte address, or the 65-byte signature itself
    #[arg(long, value_name = "0x…", requires = "crypto_delegate_path")]
    pub(crate) crypto_delegate_signature: Option<String>,
    /// File with a client certificate for that fabric, made by `cryptlet host enroll`
    #[arg(long, value_name = "FILE", requires = "crypto_delegate_path")]
    pub(crate) crypto_delegate_identity: Option<PathBuf>,
}

/// Where a host's keys are.
#[derive(Clone, Debug, Args)]
pub(crate) struct VaultArgs {
    /// Where the host's keys are: `file`, an encrypted file in the data folder, or a PKCS#11 token,
    /// pkcs11:module=FILE;token=NAME;pin-file=FILE (RFC 7512); or a cloud's service, if it was built in:
    /// aws-kms:region=R;host-key=KEY_ID;… or gcp-kms:project=P;location=L;keyring=R;host-key=KEY/VERSION;…
    #[arg(long, value_name = "URI", default_value = "file")]
    pub(crate) vault: String,
    /// File with the passphrase of the keystore; without it one is made in the data folder, readable by the owner only
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
}

impl Default for VaultArgs {
    fn default() -> Self {
        Self { vault: "file".to_owned(), passphrase_file: None }
    }
}
