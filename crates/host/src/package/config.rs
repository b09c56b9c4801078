//! `config.json`: the papers' Cryptlet schema. `name` and `publicKey` are required; `config` holds what extends it.

use crate::error::HostError;
use serde_json::{Map, Value};

const NAME_BYTES_MAX: usize = 64;
const PUBLIC_KEY_BYTES_MAX: usize = 256;
const DESCRIPTION_BYTES_MAX: usize = 4096;

/// What the fabric reads of a cryptlet's configuration. Other members are the author's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CryptletConfig {
    /// Name of the cryptlet: lower-case letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// The cryptlet's public key in hex; empty until it has one.
    pub public_key: String,
    /// What it does.
    pub description: String,
    /// The papers' `isolation`: must it run in a sandbox of its own? Policy may ask for more.
    pub isolation: bool,
    /// Compute units one call may use, if the author says.
    pub units_max: Option<u64>,
    /// Bytes of output of one call, if the author says.
    pub output_bytes_max: Option<u32>,
}

impl CryptletConfig {
    /// Reads a configuration; the error says what is wrong and what would be right.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(json).map_err(|error| format!("its config is not JSON: {error}"))?;
        let object = value.as_object().ok_or("its config is not a JSON object")?;
        let name = text(object, "name", NAME_BYTES_MAX)?.ok_or("its config has no \"name\"")?;
        check_name(&name)?;
        let public_key = text(object, "publicKey", PUBLIC_KEY_BYTES_MAX)?.ok_or("its config has no \"publicKey\"")?;
        if !public_key.is_empty() && alloy_primitives::hex::decode(&public_key).is_err() {
            return Err(format!(
                "its config's \"publicKey\" is {public_key:?}; it must be hex, or empty until there is one"
            ));
        }
        let nothing = Map::new();
        let config = match object.get("config") {
            None => &nothing,
            Some(Value::Object(config)) => config,
            Some(_) => return Err("its config's \"config\" must be an object".to_owned()),
        };
        let isolation = match config.get("isolation") {
            None => false,
            Some(Value::Bool(isolation)) => *isolation,
            Some(other) => {
                return Err(format!("its config's \"config.isolation\" is {other}; it must be true or false"));
            }
        };
        let output_bytes_max = number(config, "outputBytesMax")?
            .map(|number| {
                u32::try_from(number)
                    .map_err(|_| format!("its config's \"config.outputBytesMax\" is {number}; at most {}", u32::MAX))
            })
            .transpose()?;
        Ok(Self {
            name,
            public_key,
            description: text(config, "description", DESCRIPTION_BYTES_MAX)?.unwrap_or_default(),
            isolation,
            units_max: number(config, "unitsMax")?,
            output_bytes_max,
        })
    }

    /// The configuration of a Contract Cryptlet, which its constructor may leave out in part or whole.
    pub(crate) fn complete(json: &str, name: &str) -> Result<Vec<u8>, HostError> {
        let text = if json.trim().is_empty() { "{}" } else { json };
        let wrong = |why: String| HostError::package("given inline", why);
        let mut value: Value =
            serde_json::from_str(text).map_err(|error| wrong(format!("its config is not JSON: {error}")))?;
        let object = value.as_object_mut().ok_or_else(|| wrong("its config is not a JSON object".to_owned()))?;
        object.entry("name").or_insert_with(|| name.into());
        object.entry("publicKey").or_insert_with(|| "".into());
        Ok(serde_json::to_vec(&value).expect("JSON that was read can be written"))
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    if name.is_empty() || !name.bytes().all(fits) {
        return Err(format!(
            "its config's \"name\" is {name:?}; it must be 1 to {NAME_BYTES_MAX} lower-case letters, digits, '-', '_' or '.'"
        ));
    }
    Ok(())
}

fn text(object: &Map<String, Value>, key: &str, bytes_max: usize) -> Result<Option<String>, String> {
    match object.get(key) {
        None => Ok(None),
        Some(Value::String(text)) if text.len() <= bytes_max => Ok(Some(text.clone())),
        Some(Value::String(text)) => Err(format!("its config's {key:?} has {} bytes; at most {bytes_max}", text.len())),
        Some(other) => Err(format!("its config's {key:?} is {other}; it must be a string")),
    }
}

fn number(object: &Map<String, Value>, key: &str) -> Result<Option<u64>, String> {
    match object.get(key) {
        None => Ok(None),
        Some(value) => value
            .as_u64()
            .map(Some)
            .ok_or_else(|| format!("its config's \"config.{key}\" is {value}; it must be a whole number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_of_the_papers_is_read() {
        let json = br#"{"name":"stock-client","publicKey":"0xe7f9","config":{"description":"prices","isolation":true,"feed":"x"}}"#;
        let config = CryptletConfig::parse(json).unwrap();
        assert_eq!((config.name.as_str(), config.isolation), ("stock-client", true));
        assert_eq!((config.description.as_str(), config.units_max), ("prices", None));
    }

    #[test]
    fn a_wrong_one_is_refused_and_the_member_named() {
        for (json, expected) in [
            ("[]", "object"),
            ("{", "JSON"),
            (r#"{"publicKey":""}"#, "name"),
            (r#"{"name":"a"}"#, "publicKey"),
            (r#"{"name":"A b","publicKey":""}"#, "lower-case"),
            (r#"{"name":"","publicKey":""}"#, "lower-case"),
            (r#"{"name":"a","publicKey":"key"}"#, "hex"),
            (r#"{"name":"a","publicKey":"","config":1}"#, "config"),
            (r#"{"name":"a","publicKey":"","config":{"isolation":"yes"}}"#, "isolation"),
            (r#"{"name":"a","publicKey":"","config":{"unitsMax":-1}}"#, "unitsMax"),
            (r#"{"name":"a","publicKey":"","config":{"outputBytesMax":4294967296}}"#, "outputBytesMax"),
        ] {
            let why = CryptletConfig::parse(json.as_bytes()).unwrap_err();
            assert!(why.contains(expected), "{json}: {why}");
        }
    }
}
