//! What can go wrong outside a call. Failures of a call are [`FabricFault`](cryptlet_primitives::FabricFault)s.

use alloy_primitives::{Address, B256};
use cryptlet_primitives::{CryptletId, FabricDomain, RegistrationId};
use std::path::{Path, PathBuf};

/// An error of the host, or of a client of one. Names the culprit and says what was expected.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    // ---- the environment's fault ----
    /// The disk refused.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is longer than anything we ever wrote there.
    #[error("{path} is longer than {bytes_max} bytes, the most it may have", path = path.display())]
    FileTooLong {
        /// The file.
        path: PathBuf,
        /// Most bytes it may have.
        bytes_max: u64,
    },
    /// A file does not hold what it should.
    #[error("{path} is damaged: {why}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was seen.
        why: String,
    },
    /// An address could not be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A certificate or TLS set-up was refused.
    #[error("TLS: {0}")]
    Tls(String),

    /// An OCI registry refused, or could not be reached.
    #[error("the registry {0}")]
    Registry(String),

    /// The isolation provider did not start.
    #[error("the isolation provider did not start: {0}")]
    Isolation(String),

    /// The vault did not do what it was asked.
    #[error("the vault ({vault}) failed: {why}")]
    Vault {
        /// Which vault.
        vault: String,
        /// What it said.
        why: String,
    },
    /// The process that speaks with the vault ended or went silent.
    #[error("the process of the vault ({vault}) was lost: {why}; the next request starts another")]
    VaultProcess {
        /// Which vault.
        vault: String,
        /// How it ended.
        why: String,
    },

    /// Another process is changing the keystore, and does not end.
    #[error(
        "the keystore {path} is being written by {holder}, which did not end within {waited_ms} ms; end that process, or try again",
        path = path.display()
    )]
    VaultBusy {
        /// The keystore.
        path: PathBuf,
        /// Who is at it: process id and program.
        holder: String,
        /// How long we waited, in milliseconds.
        waited_ms: u128,
    },

    // ---- the operator's fault ----
    /// A key is never replaced.
    #[error("the vault ({vault}) has a key {name} already, and keys are never replaced; give the new one another name")]
    VaultKeyExists {
        /// Which vault.
        vault: String,
        /// The key.
        name: String,
    },
    /// A vault of another kind could.
    #[error("the vault ({vault}) cannot {what}; {instead}")]
    VaultCannot {
        /// Which vault.
        vault: String,
        /// What it was asked.
        what: String,
        /// What the operator does instead.
        instead: String,
    },
    /// The keystore exists, but this passphrase does not open it.
    #[error("the keystore {path} does not open: {why}; is the passphrase right?", path = path.display())]
    VaultLocked {
        /// The keystore.
        path: PathBuf,
        /// What the decryption said.
        why: String,
    },
    /// A setting that cannot be.
    #[error("{setting} is {value}; {expected}")]
    Setting {
        /// Name of the setting.
        setting: &'static str,
        /// Value found.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
    /// A second chain.
    #[error(
        "this host serves chain {} (genesis {}), not chain {} (genesis {}); run another host for another chain",
        bound.chain_id, bound.genesis_hash, given.chain_id, given.genesis_hash
    )]
    OtherChain {
        /// The chain it serves.
        bound: FabricDomain,
        /// The chain asked for.
        given: FabricDomain,
    },
    /// Nothing was registered for a chain yet.
    #[error("this host serves no chain yet; register a cryptlet for one first")]
    NoChain,

    // ---- a package's fault ----
    /// A package that is not one.
    #[error("package {package}: {why}")]
    Package {
        /// Digest, name or folder of the package.
        package: String,
        /// What is wrong, and what would be right.
        why: String,
    },
    /// A blob whose bytes are not what its name says.
    #[error("package blob sha256:{expected} has digest {found}: the package was tampered with or damaged", expected = alloy_primitives::hex::encode(expected))]
    BlobDigest {
        /// Digest it is filed under.
        expected: B256,
        /// Digest of its bytes.
        found: B256,
    },
    /// No such package.
    #[error("no package {0} in this host's store; publish it first")]
    NoPackage(String),

    // ---- the caller's fault ----
    /// No such instance.
    #[error("this host has no instance with registration {0}")]
    NoRegistration(RegistrationId),
    /// It runs already.
    #[error(
        "cryptlet {0} is registered with this host already, with another package; its publisher must use another name"
    )]
    NameTaken(CryptletId),
    /// More cryptlets than this host was set up for.
    #[error("this host runs {0} instances and was set up for no more")]
    Full(usize),
    /// The container would not start.
    #[error("the container of {cryptlet} did not start: {why}")]
    Container {
        /// Which cryptlet.
        cryptlet: String,
        /// What the container said.
        why: String,
    },

    // ---- the peer's fault ----
    /// The descriptor could not be had.
    #[error("cannot fetch the fabric descriptor from {url}: {why}")]
    DescriptorUnreachable {
        /// Where it was looked for.
        url: String,
        /// What went wrong.
        why: String,
    },
    /// The descriptor makes no sense.
    #[error("the fabric descriptor from {url} is malformed: {why}")]
    DescriptorMalformed {
        /// Where it came from.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The descriptor was signed by somebody else.
    #[error(
        "the fabric descriptor from {url} is signed by {found}, but --crypto-delegate-signature pins {expected}; \
         refusing to talk to this fabric"
    )]
    DescriptorSigner {
        /// Where it came from.
        url: String,
        /// Pinned fabric key.
        expected: Address,
        /// Key that signed.
        found: Address,
    },
    /// The descriptor carries another signature than the pinned one.
    #[error(
        "the fabric descriptor from {url} carries signature {found}, but --crypto-delegate-signature pins {expected}; \
         refusing to talk to this fabric"
    )]
    DescriptorSignature {
        /// Where it came from.
        url: String,
        /// Pinned signature.
        expected: String,
        /// Signature found.
        found: String,
    },
    /// The descriptor is out of date.
    #[error(
        "the fabric descriptor from {url} expired at Unix time {expires} (now {now}); the host must publish a new one"
    )]
    DescriptorExpired {
        /// Where it came from.
        url: String,
        /// When it expired.
        expires: u64,
        /// Now.
        now: u64,
    },
    /// The other side refused a request that is not a call.
    #[error("the host refused: {0}")]
    Refused(String),
    /// The other side could not be reached for a request that is not a call.
    #[error("the host cannot be reached: {0}")]
    Unreachable(String),
}

impl HostError {
    pub(crate) fn io(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }

    pub(crate) fn damaged(path: &Path, why: impl ToString) -> Self {
        Self::Damaged { path: path.to_owned(), why: why.to_string() }
    }

    pub(crate) fn package(package: impl ToString, why: impl ToString) -> Self {
        Self::Package { package: package.to_string(), why: why.to_string() }
    }
}
