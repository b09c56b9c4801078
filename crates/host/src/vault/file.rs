//! One encrypted file (age, passphrase recipient: scrypt and ChaCha20-Poly1305).
//!
//! Several processes may have it open: a host, and `cryptlet key new` beside it. What is on disk counts. A lookup reads it again if it is
//! another file by now; a change is made to what is there, by one process at a time.

use super::{KeyName, LocalKey, SigningKey, Vault, lock::WriterLock, locked::LockedBytes};
use crate::{Entropy, error::HostError, files};
use age::secrecy::{ExposeSecret, SecretString};
use alloy_primitives::{B256, keccak256};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    fmt,
    io::{Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use zeroize::Zeroizing;

/// Longest keystore that is read, in bytes.
const VAULT_BYTES_MAX: u64 = 1 << 20;
/// Most work a keystore may ask for; 2^22 is four gigabytes.
const WORK_LOG2_MAX: u8 = 20;
/// How long a change waits for those of other processes. Each takes two derivations of a key from the passphrase, some tenths of a second.
const WRITER_WAIT_MAX: Duration = Duration::from_secs(30);
/// What age encrypts at a time, in bytes.
const AGE_CHUNK_BYTES: usize = 64 << 10;

/// How hard a passphrase is to guess: scrypt's cost is 2 to this power, and so is its memory in KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScryptCost(u8);

impl ScryptCost {
    /// For a passphrase that a person chose: 128 MiB and some tenths of a second.
    pub const INTERACTIVE: Self = Self(17);
    /// Only for passphrases drawn at random, which nobody can guess anyway, as in `--dev`.
    pub const RANDOM_PASSPHRASE: Self = Self(10);
}

/// The default vault. What it holds lies in locked memory while it is open.
pub struct FileVault {
    path: PathBuf,
    passphrase: LockedBytes,
    cost: ScryptCost,
    held: Mutex<Held>,
}

/// What was in the file when it was last read or written.
#[derive(Default)]
struct Held {
    entries: Entries,
    /// Keccak-256 of the encrypted file; none if there was no file. No two files are alike: each is encrypted with fresh randomness.
    digest: Option<B256>,
}

type Entries = BTreeMap<String, LockedBytes>;

impl fmt::Debug for FileVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileVault").field("path", &self.path).finish_non_exhaustive()
    }
}

impl FileVault {
    /// Opens the keystore, or begins an empty one if there is none.
    pub fn open(path: &Path, passphrase: SecretString, cost: ScryptCost) -> Result<Self, HostError> {
        let passphrase = LockedBytes::copy_of(passphrase.expose_secret().as_bytes());
        let vault = Self { path: path.to_owned(), passphrase, cost, held: Mutex::default() };
        vault.catch_up(&mut vault.held.lock())?;
        Ok(vault)
    }

    /// Opens the keystore `vault.age` in a folder with the passphrase kept beside it in `passphrase`, drawing one at
    /// first. For development: whoever can read the folder can read the keys, and the log says so.
    pub fn open_insecure_dev(folder: &Path, entropy: &dyn Entropy) -> Result<Self, HostError> {
        let (path, file) = (folder.join("vault.age"), folder.join("passphrase"));
        let kept = match kept_passphrase(&file)? {
            Some(text) => text,
            None => {
                let _alone = WriterLock::take(&path, WRITER_WAIT_MAX)?;
                match kept_passphrase(&file)? {
                    Some(text) => text,
                    // Another would not open it, and would then lie there and say that it did.
                    None if path.exists() => {
                        let why = format!(
                            "its passphrase is not in {}; name its file with --passphrase-file",
                            file.display()
                        );
                        return Err(HostError::VaultLocked { path, why });
                    }
                    None => draw_passphrase(&file, entropy)?,
                }
            }
        };
        Self::open(&path, SecretString::from(kept.trim()), ScryptCost::RANDOM_PASSPHRASE)
    }

    /// Takes over what other processes wrote.
    fn catch_up(&self, held: &mut Held) -> Result<(), HostError> {
        let Some(encrypted) = files::read(&self.path, VAULT_BYTES_MAX)? else {
            return match held.digest {
                None => Ok(()),
                Some(_) => Err(HostError::damaged(&self.path, "it was there when it was opened, and is gone")),
            };
        };
        let digest = keccak256(&encrypted);
        if held.digest != Some(digest) {
            held.entries = decrypt(&self.path, &encrypted, self.passphrase())?;
            held.digest = Some(digest);
        }
        Ok(())
    }

    fn passphrase(&self) -> SecretString {
        SecretString::from(std::str::from_utf8(&self.passphrase).expect("it was text when it came"))
    }

    fn encrypt(&self, entries: &Entries) -> Result<Vec<u8>, HostError> {
        let plain = encode(entries);
        let mut recipient = age::scrypt::Recipient::new(self.passphrase());
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

    /// Adds to what is in the file, and, unless a new one was asked for, may replace what has this name.
    fn insert(&self, name: &str, secret: &[u8], must_be_new: bool) -> Result<(), HostError> {
        check_name(name)?;
        let mut held = self.held.lock();
        let _alone = WriterLock::take(&self.path, WRITER_WAIT_MAX)?;
        self.catch_up(&mut held)?;
        if must_be_new && held.entries.contains_key(name) {
            return Err(HostError::VaultKeyExists { vault: self.describe(), name: name.to_owned() });
        }
        let before = held.entries.insert(name.to_owned(), LockedBytes::copy_of(secret));
        match self.write(&held.entries) {
            Ok(digest) => held.digest = Some(digest),
            Err(error) => {
                match before {
                    Some(before) => held.entries.insert(name.to_owned(), before),
                    None => held.entries.remove(name),
                };
                return Err(error);
            }
        }
        Ok(())
    }

    fn write(&self, entries: &Entries) -> Result<B256, HostError> {
        let encrypted = self.encrypt(entries)?;
        if encrypted.len() as u64 > VAULT_BYTES_MAX {
            let why = format!("it is full: with one more secret it would be longer than {VAULT_BYTES_MAX} bytes");
            return Err(HostError::Vault { vault: self.describe(), why });
        }
        files::write_private(&self.path, &encrypted)?;
        Ok(keccak256(&encrypted))
    }

    fn local_key(&self, name: &KeyName) -> Result<Option<LocalKey>, HostError> {
        let mut held = self.held.lock();
        self.catch_up(&mut held)?;
        let Some(secret) = held.entries.get(name.as_str()) else { return Ok(None) };
        let key = LocalKey::from_bytes(secret).ok_or_else(|| {
            let why = format!("entry {name} has {} bytes; it must be a secp256k1 key of 32", secret.len());
            HostError::damaged(&self.path, why)
        })?;
        Ok(Some(key))
    }
}

impl Vault for FileVault {
    fn secret(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, HostError> {
        let mut held = self.held.lock();
        self.catch_up(&mut held)?;
        Ok(held.entries.get(name).map(|secret| Zeroizing::new(secret.to_vec())))
    }

    fn keep(&self, name: &str, secret: &[u8]) -> Result<(), HostError> {
        self.insert(name, secret, false)
    }

    fn signing_key(&self, name: &KeyName) -> Result<Option<Arc<dyn SigningKey>>, HostError> {
        Ok(self.local_key(name)?.map(|key| Arc::new(key) as Arc<dyn SigningKey>))
    }

    fn make_signing_key(&self, name: &KeyName, entropy: &dyn Entropy) -> Result<Arc<dyn SigningKey>, HostError> {
        let key = LocalKey::generate(entropy);
        self.insert(name.as_str(), &key.to_bytes(), true)?;
        Ok(Arc::new(key))
    }

    fn describe(&self) -> String {
        format!("age file {}", self.path.display())
    }
}

fn kept_passphrase(file: &Path) -> Result<Option<Zeroizing<String>>, HostError> {
    let Some(text) = files::read(file, 4096)? else { return Ok(None) };
    String::from_utf8(text).map(|text| Some(Zeroizing::new(text))).map_err(|error| HostError::damaged(file, error))
}

fn draw_passphrase(file: &Path, entropy: &dyn Entropy) -> Result<Zeroizing<String>, HostError> {
    let mut random = Zeroizing::new([0; 24]);
    entropy.fill(random.as_mut());
    let text = Zeroizing::new(alloy_primitives::hex::encode(*random));
    files::write_private(file, text.as_bytes())?;
    tracing::info!(file = %file.display(), "drew a passphrase for the development keystore; it is kept in clear");
    Ok(text)
}

/// Names are our own, and plain enough to need no escaping anywhere.
pub(super) fn check_name(name: &str) -> Result<(), HostError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    if (1..=128).contains(&name.len()) && name.bytes().all(is_plain) {
        return Ok(());
    }
    Err(HostError::Setting {
        setting: "the name of a secret",
        value: format!("{name:?}"),
        expected: "it must be 1 to 128 letters, digits, '-', '_', '.' or '/'",
    })
}

/// The entries as a JSON object of hexadecimal strings, then blanks to the end of a chunk of age's, and one whole chunk more: age
/// drops its buffer as the last chunk left it, and so it holds blanks. Our own buffer is made as long as it will be, since one
/// that grows leaves copies behind.
fn encode(entries: &Entries) -> Zeroizing<Vec<u8>> {
    let text_bytes: usize = entries.iter().map(|(name, secret)| name.len() + 2 * secret.len() + 6).sum::<usize>() + 2;
    let bytes = text_bytes.next_multiple_of(AGE_CHUNK_BYTES) + AGE_CHUNK_BYTES;
    let mut plain = Zeroizing::new(Vec::with_capacity(bytes));
    plain.push(b'{');
    for (index, (name, secret)) in entries.iter().enumerate() {
        let start = if index == 0 { "\"" } else { ",\"" };
        plain.extend_from_slice(start.as_bytes());
        plain.extend_from_slice(name.as_bytes());
        plain.extend_from_slice(b"\":\"");
        for byte in secret.iter() {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            plain.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        plain.push(b'"');
    }
    plain.push(b'}');
    plain.resize(bytes, b' ');
    plain
}

fn decode(path: &Path, plain: &[u8]) -> Result<Entries, HostError> {
    // Borrowed from the buffer, which is wiped; names and hexadecimal digits need no unescaping.
    let entries: BTreeMap<&str, &str> = serde_json::from_slice(plain).map_err(|_| {
        // What the parser says may quote what it read.
        HostError::damaged(path, "what was decrypted is not a list of secrets")
    })?;
    let entries = entries.into_iter().map(|(name, hex)| {
        let secret = LockedBytes::with(hex.len() / 2, |place| alloy_primitives::hex::decode_to_slice(hex, place));
        let secret = secret.map_err(|_| HostError::damaged(path, format!("entry {name} is not hexadecimal")))?;
        Ok((name.to_owned(), secret))
    });
    entries.collect()
}

fn decrypt(path: &Path, encrypted: &[u8], passphrase: SecretString) -> Result<Entries, HostError> {
    let locked = |why: String| HostError::VaultLocked { path: path.to_owned(), why };
    let mut identity = age::scrypt::Identity::new(passphrase);
    identity.set_max_work_factor(WORK_LOG2_MAX);
    let decryptor = age::Decryptor::new(encrypted).map_err(|error| locked(error.to_string()))?;
    let mut reader = decryptor
        .decrypt(std::iter::once(&identity as &dyn age::Identity))
        .map_err(|error| locked(error.to_string()))?;
    // As long as it can become: a buffer that grows leaves copies behind.
    let mut plain = Zeroizing::new(Vec::with_capacity(encrypted.len()));
    reader.read_to_end(&mut plain).map_err(|error| locked(error.to_string()))?;
    decode(path, &plain)
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
    fn a_signing_key_is_made_once_and_found_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault.age");
        let name = KeyName::registration(cryptlet_primitives::CryptletId(alloy_primitives::B256::repeat_byte(7)));
        let vault = open(&path, "right").unwrap();
        assert!(vault.signing_key(&name).unwrap().is_none());
        let key = vault.make_signing_key(&name, &crate::SystemEntropy).unwrap();
        assert!(vault.make_signing_key(&name, &crate::SystemEntropy).is_err(), "a key is never overwritten");
        let found = open(&path, "right").unwrap().signing_key(&name).unwrap().unwrap();
        assert_eq!(found.address(), key.address());
        let error = vault.keep("a \"name\"", b"x").unwrap_err();
        assert!(error.to_string().contains("letters"), "{error}");
    }

    #[test]
    fn two_that_have_it_open_see_each_others_keys_and_lose_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault.age");
        let (left, right) = (open(&path, "right").unwrap(), open(&path, "right").unwrap());
        let name = |text: &str| KeyName::account(text).unwrap();
        let first = left.make_signing_key(&name("first"), &crate::SystemEntropy).unwrap();
        let second = right.make_signing_key(&name("second"), &crate::SystemEntropy).unwrap();
        assert_eq!(right.signing_key(&name("first")).unwrap().unwrap().address(), first.address());
        assert_eq!(left.signing_key(&name("second")).unwrap().unwrap().address(), second.address());
        let refused = left.make_signing_key(&name("second"), &crate::SystemEntropy).unwrap_err();
        assert!(matches!(refused, HostError::VaultKeyExists { .. }), "{refused}");
        std::fs::remove_file(&path).unwrap();
        assert!(left.keep("secret", b"x").unwrap_err().to_string().contains("is gone"));
    }

    #[test]
    fn a_keystore_is_never_written_longer_than_it_may_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault.age");
        let vault = open(&path, "right").unwrap();
        vault.keep("small", b"x").unwrap();
        let refused = vault.keep("large", &vec![7; VAULT_BYTES_MAX as usize / 2]).unwrap_err();
        assert!(refused.to_string().contains("full"), "{refused}");
        assert_eq!(vault.secret("large").unwrap(), None);
        assert_eq!(open(&path, "right").unwrap().secret("small").unwrap().unwrap().as_slice(), b"x");
    }

    #[test]
    fn what_age_sees_last_is_blank() {
        let entries = [("host-key".to_owned(), LockedBytes::copy_of(&[0xAB; 32]))].into();
        let plain = encode(&entries);
        assert_eq!(plain.len() % AGE_CHUNK_BYTES, 0);
        assert!(plain[plain.len() - AGE_CHUNK_BYTES..].iter().all(|byte| *byte == b' '));
        assert_eq!(plain.capacity(), plain.len());
        assert_eq!(&*decode(Path::new("v"), &plain).unwrap()["host-key"], &[0xAB; 32]);
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
        std::fs::remove_file(folder.path().join("passphrase")).unwrap();
        let refused = FileVault::open_insecure_dev(folder.path(), &crate::SystemEntropy).unwrap_err().to_string();
        assert!(refused.contains("--passphrase-file"), "{refused}");
        assert!(!folder.path().join("passphrase").exists(), "one that opens nothing is not drawn");
    }
}
