//! Which token, in the words of RFC 7512: `pkcs11:token=NAME?module-path=FILE&pin-source=file:FILE`. Ours may also stand before
//! the question mark, so that one need not be quoted: `pkcs11:module=FILE;token=NAME;pin-file=FILE`.

use crate::error::HostError;
use std::{fmt, path::PathBuf, str::FromStr};

/// A token, how to reach it, and where its PIN is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pkcs11Uri {
    /// The vendor's library.
    pub module: PathBuf,
    /// Label of the token.
    pub token: String,
    /// File with the user's PIN; its last line break does not count.
    pub pin_file: PathBuf,
}

impl FromStr for Pkcs11Uri {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        let wrong =
            |value: &str, expected| HostError::Setting { setting: "--vault", value: value.to_owned(), expected };
        let rest = text.strip_prefix("pkcs11:").ok_or_else(|| {
            wrong(text, "it must be `file`, or pkcs11:module=FILE;token=NAME;pin-file=FILE (RFC 7512), or aws-kms:… or gcp-kms:…")
        })?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let attributes = path.split(';').chain(query.split('&')).filter(|attribute| !attribute.is_empty());
        let (mut module, mut token, mut pin_file) = (None, None, None);
        for attribute in attributes {
            let (name, value) =
                attribute.split_once('=').ok_or_else(|| wrong(attribute, "every attribute must be NAME=VALUE"))?;
            // The value of an attribute may be a secret: it is not repeated.
            let value = percent_decode(value).ok_or_else(|| wrong(name, "its value is not percent-encoded UTF-8"))?;
            let slot = match name {
                "module" | "module-path" => &mut module,
                "token" => &mut token,
                "pin-file" | "pin-source" => &mut pin_file,
                "pin-value" => {
                    return Err(wrong("a URI with pin-value", "put the PIN into a file and name it with pin-file"));
                }
                other => return Err(wrong(other, "known attributes are module, token and pin-file")),
            };
            if slot.replace(value).is_some() {
                return Err(wrong(name, "it must be given once"));
            }
        }
        let module = module.ok_or_else(|| wrong(text, "module=FILE is missing: the vendor's library"))?;
        let token = token.ok_or_else(|| wrong(text, "token=NAME is missing: the label of the token"))?;
        let pin_file = pin_file.ok_or_else(|| wrong(text, "pin-file=FILE is missing: the file with the user's PIN"))?;
        let pin_file = pin_file.strip_prefix("file:").map_or(pin_file.as_str(), |path| path.trim_start_matches("//"));
        Ok(Self { module: module.into(), token, pin_file: pin_file.into() })
    }
}

impl fmt::Display for Pkcs11Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PKCS#11 token {:?} of {}", self.token, self.module.display())
    }
}

/// RFC 3986, section 2.1.
fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let high = char::from(rest.next()?).to_digit(16)?;
                let low = char::from(rest.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_say_the_same() {
        let ours: Pkcs11Uri = "pkcs11:module=/lib/p11.so;token=my%20token;pin-file=/run/pin".parse().unwrap();
        let rfc = "pkcs11:token=my%20token?module-path=/lib/p11.so&pin-source=file:/run/pin".parse().unwrap();
        assert_eq!(ours, rfc);
        assert_eq!(ours.token, "my token");
        assert_eq!(ours.pin_file, PathBuf::from("/run/pin"));
        let url = "pkcs11:token=a?module-path=m&pin-source=file:///run/pin".parse::<Pkcs11Uri>().unwrap();
        assert_eq!(url.pin_file, PathBuf::from("/run/pin"));
    }

    #[test]
    fn what_is_wrong_is_named_and_a_pin_is_not_repeated() {
        let cases = [
            ("keys.age", "pkcs11:module"),
            ("pkcs11:token=a;pin-file=b", "module=FILE is missing"),
            ("pkcs11:module=a;pin-file=b", "token=NAME is missing"),
            ("pkcs11:module=a;token=b", "pin-file=FILE is missing"),
            ("pkcs11:module=a;token=b;token=c;pin-file=d", "once"),
            ("pkcs11:module=a;colour=red", "colour"),
            ("pkcs11:module", "NAME=VALUE"),
            ("pkcs11:module=%zz", "percent"),
            ("pkcs11:module=a;token=b?pin-value=4711", "pin-file"),
        ];
        for (text, expected) in cases {
            let error = text.parse::<Pkcs11Uri>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains("4711"), "{error}");
        }
    }
}
