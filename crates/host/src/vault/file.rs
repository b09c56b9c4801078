//! One encrypted file (age, passphrase recipient: scrypt and ChaCha20-Poly1305).

use super::Vault;
use crate::{error::HostError, files};
use age::secrecy::SecretString;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt,
    io::{Read, Write},
    path::{Path, PathBuf},
};
use zeroize::{Zeroize, Zeroizing};

/// Longest keystore that is read.
const VAULT_BYTES_MAX: u64 = 1 << 20;
/// Most work a keystore may ask for; 2^22 is four gigabytes.
const WORK_LOG2_MAX: u8 = 20;

/// How hard a passphrase is to guess: scrypt's cost is 2 to this power, and so is its memory in KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScryptCost(u8);

impl ScryptCost {
    /// For a passphrase that a person chose: 128 MiB and some tenths of a second.
    pub const INTERACTIVE: Self = Self(17);
    /// Only for passphrases drawn at random, which nobody can guess anyway, as in `--dev`.
    pub const RANDOM_PASSPHRASE: Self = Self(10);
}

/// The default vault.
pub struct FileVault {
    path: PathBuf,
    passphrase: SecretString,
    cost: ScryptCost,
    entries: Mutex<Entries>,
}

#[derive(Default, Serialize, Deserialize)]
struct Entries(BTreeMap<String, String>);

impl Drop for Entries {
    fn drop(&mut self) {
        self.0.values_mut().for_each(Zeroize::zeroize);
    }
}

impl fmt::Debug for FileVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileVault").field("path", &self.path).finish_non_exhaustive()
    }
}

impl FileVault {
    /// Opens the keystore, or begins an empty one if there is none.
    pub fn open(path: &Path, passphrase: SecretString, cost: ScryptCost) -> Result<Self, HostError> {
        let entries = match files::read(path, VAULT_BYTES_MAX)? {
            Some(encrypted) => decrypt(path, &encrypted, &passphrase)?,
            None => Entries::default(),
        };
        Ok(Self { path: path.to_owned(), passphrase, cost, entries: Mutex::new(entries) })
    }

    /// Opens the keystore `vault.age` in a folder with the passphrase kept beside it in `passphrase`, drawing one at
    /// first. For development: whoever can read the folder can read the keys, and the log says so.
    pub fn open_insecure_dev(folder: &Path, entropy: &dyn crate::Entropy) -> Result<Self, HostError> {
        let file = folder.join("passphrase");
        let passphrase = match files::read(&file, 4096)? {
            Some(text) => String::from_utf8(text).map_err(|error| HostError::damaged(&file, error))?,
            None => {
                let mut random = Zeroizing::new([0; 24]);
                entropy.fill(random.as_mut());
                let text = alloy_primitives::hex::encode(*random);
                files::write_private(&file, text.as_bytes())?;
                tracing::info!(file = %file.display(), "drew a passphrase for the development keystore; it is kept in clear");
                text
            }
        };
        Self::open(&folder.join("vault.age"), SecretString::from(passphrase.trim()), ScryptCost::RANDOM_PASSPHRASE)
    }

    fn encrypt(&self, entries: &Entries) -> Result<Vec<u8>, HostError> {
        let plain = Zeroizing::new(serde_json::to_vec(entries).expect("a map of strings is JSON"));
        let mut recipient = age::scrypt::Recipient::new(self.passphrase.clone());
        recipient.set_work_factor(self.cost.0);
        let encryptor = age::Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient))
            .expect("one passphrase recipient is a valid set");
        let mut encrypted = Vec::new();
        let written = (|| {
            let mut writer = encryptor.wrap_output(&mut encrypted)?;
            writer.write_all(&plain)?;
            writer.finish()
        })();
        written.map_err(|error| HostError::io("encrypt", &self.path, error))?;
        Ok(encrypted)
    }
}

impl Vault for FileVault {
    fn secret(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, HostError> {
        let entries = self.entries.lock();
        let Some(hex) = entries.0.get(name) else { return Ok(None) };
        let bytes = alloy_primitives::hex::decode(hex).map_err(|error| HostError::damaged(&self.path, error))?;
        Ok(Some(Zeroizing::new(bytes)))
    }

    fn keep(&self, name: &str, secret: &[u8]) -> Result<(), HostError> {
        let mut entries = self.entries.lock();
        let replaced = entries.0.insert(name.to_owned(), alloy_primitives::hex::encode(secret));
        if let Some(mut replaced) = replaced {
            replaced.zeroize();
        }
        files::write_private(&self.path, &self.encrypt(&entries)?)
    }
}

fn decrypt(path: &Path, encrypted: &[u8], passphrase: &SecretString) -> Result<Entries, HostError> {
    let locked = |why: String| HostError::VaultLocked { path: path.to_owned(), why };
    let mut identity = age::scrypt::Identity::new(passphrase.clone());
    identity.set_max_work_factor(WORK_LOG2_MAX);
    let decryptor = age::Decryptor::new(encrypted).map_err(|error| locked(error.to_string()))?;
    let mut reader = decryptor
        .decrypt(std::iter::once(&identity as &dyn age::Identity))
        .map_err(|error| locked(error.to_string()))?;
    let mut plain = Zeroizing::new(Vec::new());
    reader.read_to_end(&mut plain).map_err(|error| locked(error.to_string()))?;
    serde_json::from_slice(&plain).map_err(|error| HostError::damaged(path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path, passphrase: &str) -> Result<FileVault, HostError> {
        FileVault::open(path, SecretString::from(passphrase), ScryptCost(4))
    }

    #[test]
    fn what_is_kept_is_there_after_reopening_and_not_in_clear() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault.age");
        open(&path, "correct horse").unwrap().keep("host", b"a canary secret").unwrap();
        let reopened = open(&path, "correct horse").unwrap();
        assert_eq!(reopened.secret("host").unwrap().unwrap().as_slice(), b"a canary secret");
        assert_eq!(reopened.secret("other").unwrap(), None);
        let on_disk = std::fs::read(&path).unwrap();
        let hex = alloy_primitives::hex::encode(b"a canary secret");
        assert!(!on_disk.windows(6).any(|window| window == b"canary"));
        assert!(!on_disk.windows(hex.len()).any(|window| window == hex.as_bytes()));
    }

    #[test]
    fn a_wrong_passphrase_is_refused_with_the_file_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault.age");
        open(&path, "right").unwrap().keep("host", b"secret").unwrap();
        let error = open(&path, "wrong").unwrap_err();
        assert!(matches!(error, HostError::VaultLocked { .. }), "{error}");
        assert!(error.to_string().contains("vault.age"));
    }

    #[test]
    fn one_flipped_bit_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault.age");
        open(&path, "right").unwrap().keep("host", b"secret").unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert!(open(&path, "right").is_err());
    }

    #[test]
    fn the_files_can_be_read_by_their_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let vault = FileVault::open_insecure_dev(folder.path(), &crate::SystemEntropy).unwrap();
        vault.keep("host", b"secret").unwrap();
        for name in ["passphrase", "vault.age"] {
            let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        let again = FileVault::open_insecure_dev(folder.path(), &crate::SystemEntropy).unwrap();
        assert_eq!(again.secret("host").unwrap().unwrap().as_slice(), b"secret");
    }
}
