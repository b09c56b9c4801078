//! Keys out of a phrase (BIP-39), along a path (BIP-32), as wallets show them.

use alloy::signers::local::{
    LocalSignerError, MnemonicBuilder, PrivateKeySigner,
    coins_bip39::{English, Mnemonic, MnemonicError},
};
use coins_bip32::{Bip32Error, prelude::Parent, xkeys::XPriv};

/// No keys can be had.
#[derive(Debug, thiserror::Error)]
pub enum WalletError {
    /// The words are not a phrase.
    #[error("the phrase is not of 12 to 24 words of BIP-39's English list with a right checksum: {0}")]
    Phrase(#[from] MnemonicError),
    /// The path is none.
    #[error("{path:?} is not a path of keys; one looks like m/44'/60'/0'/0: {source}")]
    Path {
        /// What was given.
        path: String,
        /// What is wrong with it.
        source: LocalSignerError,
    },
    /// There is no such key; of 2^127 one.
    #[error("there is no key {index}: {source}")]
    Key {
        /// Its place in the folder.
        index: u32,
        /// Why.
        source: Bip32Error,
    },
}

/// All the keys `path/0`, `path/1` … of a phrase.
///
/// The way from the phrase to its seed is made to be slow (BIP-39: 2,048 rounds of PBKDF2), so it is gone once for all of them.
pub struct KeyFolder(XPriv);

impl KeyFolder {
    /// Opens the folder of this phrase at this path.
    pub fn open(phrase: &str, path: &str) -> Result<Self, WalletError> {
        let parsed = MnemonicBuilder::<English>::default()
            .derivation_path(path)
            .map_err(|source| WalletError::Path { path: path.to_owned(), source })?;
        let phrase = Mnemonic::<English>::new_from_phrase(phrase)?;
        Ok(Self(phrase.derive_key(parsed.get_derivation_path().clone(), None)?))
    }

    /// The key at this place.
    pub fn key(&self, index: u32) -> Result<PrivateKeySigner, WalletError> {
        let key = self.0.derive_child(index).map_err(|source| WalletError::Key { index, source })?;
        let key: &coins_bip32::prelude::SigningKey = key.as_ref();
        Ok(key.clone().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain_spec::{DEV_KEY_FOLDER, DEV_MNEMONIC as PHRASE};
    use alloy_primitives::address;

    #[test]
    fn keys_are_those_that_other_wallets_find() {
        let folder = KeyFolder::open(PHRASE, DEV_KEY_FOLDER).expect("a phrase and a path");
        assert_eq!(folder.key(0).expect("a key").address(), address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266"));
        for index in [1, 9, 77] {
            let alloys = MnemonicBuilder::<English>::default().phrase(PHRASE).index(index).expect("small");
            assert_eq!(folder.key(index).expect("a key"), alloys.build().expect("valid"));
        }
    }

    #[test]
    fn what_is_no_phrase_or_no_path_is_named() {
        let error = |phrase, path| KeyFolder::open(phrase, path).err().expect("refused").to_string();
        assert!(error("test test junk", "m/0").starts_with("the phrase is not"), "{}", error("test test junk", "m/0"));
        assert!(error(PHRASE, "m/x").contains("\"m/x\" is not a path"), "{}", error(PHRASE, "m/x"));
        assert!(error(PHRASE, "m/2147483648").contains("is not a path"));
    }
}
