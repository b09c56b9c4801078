//! Whose word a registration is, and with which keys it is given: one named on the command line, or one in a vault.

use crate::{
    args::{AuthorArgs, KeyAction, KeyArgs},
    dev,
    host_parts::open_vault,
    logs,
};
use alloy::{
    consensus::SignableTransaction,
    network::TxSigner,
    primitives::{Address, B256, Bytes, Signature},
    signers::{SignerSync, local::PrivateKeySigner},
};
use anyhow::{Context, Result, bail};
use cryptlet_host::{KeyName, SigningKey, SystemEntropy, Vault, vault::signing_key_or_new};
use cryptlet_primitives::CryptletId;
use std::{pin::Pin, process::ExitCode, sync::Arc};

/// A key that signs in somebody's name, wherever it is. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) enum Account {
    /// In this process.
    Local(PrivateKeySigner),
    /// In a vault.
    Kept(Arc<dyn SigningKey>),
}

impl Account {
    pub(crate) fn address(&self) -> Address {
        match self {
            Self::Local(key) => key.address(),
            Self::Kept(key) => key.address(),
        }
    }

    /// Low s, v 27 or 28. Blocks if the key is not in this process.
    pub(crate) fn sign(&self, digest: B256) -> Result<Signature> {
        match self {
            Self::Local(key) => Ok(key.sign_hash_sync(&digest)?),
            Self::Kept(key) => Signature::from_raw(key.sign(digest)?.0.as_slice())
                .context("the vault gave something else than a signature"),
        }
    }

    /// As contracts take it.
    pub(crate) fn sign_bytes(&self, digest: B256) -> Result<Bytes> {
        Ok(Bytes::copy_from_slice(&self.sign(digest)?.as_bytes()))
    }
}

type Signed<'a> = Pin<Box<dyn Future<Output = alloy::signers::Result<Signature>> + Send + 'a>>;

impl TxSigner<Signature> for Account {
    fn address(&self) -> Address {
        Self::address(self)
    }

    fn sign_transaction<'a, 'b, 'c>(&'a self, transaction: &'b mut dyn SignableTransaction<Signature>) -> Signed<'c>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        let digest = transaction.signature_hash();
        Box::pin(std::future::ready(self.sign(digest).map_err(|error| alloy::signers::Error::other(error.to_string()))))
    }
}

/// Who registers: whose word it is, and the vault that has the identity keys of what they publish.
#[derive(Clone, Debug)]
pub(crate) struct Author {
    pub(crate) account: Account,
    vault: Option<Arc<dyn Vault>>,
}

impl Author {
    /// With a key of this process, which then is the identity key of what it publishes, too.
    pub(crate) fn local(key: PrivateKeySigner) -> Self {
        Self { account: Account::Local(key), vault: None }
    }

    /// As the flags say; by default the dev chain's operator.
    pub(crate) fn of(args: &AuthorArgs) -> Result<Self> {
        if let Some(name) = &args.key {
            let vault = open_vault(&args.keys, &args.vault)?;
            let name = key_name(name)?;
            let key = vault.signing_key(&name)?.with_context(|| {
                format!(
                    "{} has no key {name}; `cryptlet key new` makes one, `cryptlet register` identity keys",
                    vault.describe()
                )
            })?;
            return Ok(Self { account: Account::Kept(key), vault: Some(vault) });
        }
        let key = match &args.private_key {
            Some(key) => PrivateKeySigner::from_bytes(key).context("--private-key is not a secp256k1 key")?,
            None => dev::operator(),
        };
        Ok(Self::local(key))
    }

    /// The long-lived key of a cryptlet that this author publishes: in the vault by the cryptlet's registration address, made at the
    /// first asking; without a vault, the author's own.
    pub(crate) fn identity_key(&self, cryptlet: CryptletId) -> Result<Account> {
        let Some(vault) = &self.vault else { return Ok(self.account.clone()) };
        let name = KeyName::registration(cryptlet);
        Ok(Account::Kept(signing_key_or_new(vault.as_ref(), &name, &SystemEntropy)?))
    }
}

/// Who sends and pays, if that is not whose word it is.
pub(crate) fn relayer(args: &AuthorArgs) -> Result<Option<Account>> {
    let Some(key) = &args.sender_key else { return Ok(None) };
    Ok(Some(Account::Local(PrivateKeySigner::from_bytes(key).context("--sender-key is not a secp256k1 key")?)))
}

/// A key by its name, or the identity key of a cryptlet by its registration address.
fn key_name(text: &str) -> Result<KeyName> {
    match text.parse::<B256>() {
        Ok(id) => Ok(KeyName::registration(CryptletId(id))),
        Err(_) => KeyName::account(text).with_context(|| {
            format!("{text:?} is neither the id of a cryptlet nor a name: 1 to 64 letters, digits, dots and hyphens")
        }),
    }
}

/// `cryptlet key`.
#[expect(clippy::print_stdout, reason = "this is the answer of the command")]
pub(crate) fn run(args: &KeyArgs) -> Result<ExitCode> {
    let (KeyAction::New(which) | KeyAction::Show(which)) = &args.action;
    logs::start(which.output);
    let vault = open_vault(&which.keys, &which.vault)?;
    let name = key_name(&which.name)?;
    let key = match (&args.action, vault.signing_key(&name)?) {
        (KeyAction::New(_), Some(key)) => bail!("{} has a key {name} already: {}", vault.describe(), key.address()),
        (KeyAction::New(_), None) => vault.make_signing_key(&name, &SystemEntropy)?,
        (KeyAction::Show(_), key) => key.with_context(|| format!("{} has no key {name}", vault.describe()))?,
    };
    if which.output.json {
        println!("{}", serde_json::json!({ "name": which.name, "address": key.address(), "vault": vault.describe() }));
    } else {
        println!("{}", key.address().to_checksum(None));
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_account_signs_recovers_to_it() {
        let account = Account::Local(dev::operator());
        let digest = B256::repeat_byte(7);
        let signature = account.sign(digest).expect("it signs");
        assert_eq!(signature.recover_address_from_prehash(&digest).expect("it recovers"), account.address());
        let bytes = account.sign_bytes(digest).expect("it signs");
        assert!(bytes.len() == 65 && matches!(bytes[64], 27 | 28), "{bytes}");
    }

    #[test]
    fn a_key_is_named_or_found_by_the_registration_address() {
        let id = B256::repeat_byte(0x11);
        assert_eq!(key_name(&id.to_string()).expect("an id"), KeyName::registration(CryptletId(id)));
        assert_eq!(key_name("publisher").expect("a name"), KeyName::account("publisher").expect("a name"));
        for bad in ["", "a/b", "host key", "../x"] {
            assert!(key_name(bad).is_err(), "{bad}");
        }
    }
}
