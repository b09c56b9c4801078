//! Parameters that geth reads more strictly, or more leniently, than the types of the libraries.

use super::RpcError;
use alloy::serde::JsonStorageKey;
use alloy_primitives::{B256, U256};
use serde::{Deserialize, Deserializer, de::Error};

/// A hash with its prefix: geth takes none without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hash(pub(crate) B256);

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        if !text.starts_with("0x") && !text.starts_with("0X") {
            return Err(D::Error::custom("hex string without 0x prefix"));
        }
        text.parse().map(Self).map_err(|_| D::Error::custom(format!("not a hash of 32 bytes: {text}")))
    }
}

/// A storage slot: up to 32 bytes in hexadecimal, with or without leading zeros, prefix or an even number of digits.
pub(crate) fn storage_key(text: &str) -> Result<JsonStorageKey, RpcError> {
    // geth's words (`decodeStorageKey`).
    let fail = |why: &str| Err(RpcError::invalid(format!("unable to decode storage key: {why}")));
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return fail("hex string invalid");
    }
    if digits.len() + digits.len() % 2 > 64 {
        return fail("hex string too long, want at most 32 bytes");
    }
    let number = match digits {
        "" => U256::ZERO,
        digits => U256::from_str_radix(digits, 16).map_err(|error| RpcError::invalid(error.to_string()))?,
    };
    // geth shows a key of full length as it was given, and any other as a quantity.
    Ok(match digits.len() > 62 {
        true => JsonStorageKey::Hash(number.into()),
        false => JsonStorageKey::Number(number),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_hash_has_a_prefix() {
        let zero = format!("{:064}", 0);
        let read = |text: String| serde_json::from_value::<Hash>(json!(text));
        assert_eq!(read(format!("0x{zero}")).expect("a hash"), Hash(B256::ZERO));
        assert!(read(zero).expect_err("no prefix").to_string().contains("without 0x prefix"));
        assert!(read("0x00".to_owned()).is_err());
    }

    #[test]
    fn storage_keys_are_read_as_geth_does() {
        let shown = |text: &str| serde_json::to_value(storage_key(text).expect("a key")).expect("JSON");
        assert_eq!(shown("0x01"), "0x1");
        assert_eq!(shown("0x0"), "0x0");
        assert_eq!(shown("1"), "0x1");
        let full = format!("0x{:064}", 1);
        assert_eq!(shown(&full), full);
        let words = |text: &str| storage_key(text).expect_err("no key").to_string();
        assert_eq!(words("0xasdf"), "unable to decode storage key: hex string invalid");
        let long = format!("0x{:065}", 0);
        assert_eq!(words(&long), "unable to decode storage key: hex string too long, want at most 32 bytes");
    }
}
