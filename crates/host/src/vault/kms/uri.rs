//! Which service, and which of its keys is which of ours: `aws-kms:region=R;host-key=KEY_ID;account/NAME=KEY_ID;registration/0x…=KEY_ID`.

use crate::{error::HostError, vault::KeyName};
use std::{collections::BTreeMap, fmt, str::FromStr};

/// Whose service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cloud {
    /// Amazon Web Services.
    Aws,
    /// Google Cloud Platform.
    Gcp,
}

/// A service, how to reach it, and what its keys are called there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KmsUri {
    /// Whose service.
    pub cloud: Cloud,
    settings: BTreeMap<&'static str, String>,
    keys: BTreeMap<KeyName, String>,
}

impl Cloud {
    /// Settings that must be given.
    const fn required(self) -> &'static [&'static str] {
        match self {
            Self::Aws => &["region"],
            Self::Gcp => &["project", "location", "keyring"],
        }
    }

    /// Settings that may be.
    const fn optional(self) -> &'static [&'static str] {
        match self {
            Self::Aws => &["endpoint", "alias-prefix"],
            Self::Gcp => &[],
        }
    }

    const fn grammar(self) -> &'static str {
        match self {
            Self::Aws => {
                "it must be aws-kms:region=REGION;NAME=KEY_ID;…, where NAME is host-key, account/NAME or registration/0x…, and KEY_ID \
                 an id, an ARN or alias/…; alias-prefix=alias/… finds the rest, endpoint=URL is another address"
            }
            Self::Gcp => {
                "it must be gcp-kms:project=P;location=L;keyring=R;NAME=KEY/VERSION;…, where NAME is host-key, account/NAME or \
                 registration/0x…"
            }
        }
    }
}

impl KmsUri {
    /// Is this the beginning of such a URI?
    pub fn is_one(text: &str) -> bool {
        cloud_of(text).is_some()
    }

    /// What a key is called there; and whether it was named, not just derived from the prefix of its alias.
    pub fn key(&self, name: &KeyName) -> Option<(String, bool)> {
        let named = self.keys.get(name).map(|id| (id.clone(), true));
        named.or_else(|| self.settings.get("alias-prefix").map(|prefix| (format!("{prefix}{name}"), false)))
    }

    /// A setting; empty if it may be left out and was.
    pub(super) fn setting(&self, name: &str) -> &str {
        self.settings.get(name).map(String::as_str).unwrap_or_default()
    }
}

impl FromStr for KmsUri {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        let wrong =
            |value: &str, expected| HostError::Setting { setting: "--vault", value: value.to_owned(), expected };
        let (cloud, rest) = cloud_of(text).ok_or_else(|| wrong(text, "it must begin with aws-kms: or gcp-kms:"))?;
        let (mut settings, mut keys) = (BTreeMap::new(), BTreeMap::new());
        for attribute in rest.split(';').filter(|attribute| !attribute.is_empty()) {
            let (name, value) = attribute.split_once('=').ok_or_else(|| wrong(attribute, cloud.grammar()))?;
            let known = cloud.required().iter().chain(cloud.optional()).find(|known| **known == name);
            let is_second = match (known, KeyName::parse(name)) {
                _ if value.is_empty() => return Err(wrong(name, "its value is missing")),
                (Some(known), _) => settings.insert(*known, value.to_owned()).is_some(),
                (None, Some(key)) => keys.insert(key, value.to_owned()).is_some(),
                (None, None) => return Err(wrong(name, cloud.grammar())),
            };
            if is_second {
                return Err(wrong(name, "it must be given once"));
            }
        }
        if cloud.required().iter().any(|required| !settings.contains_key(required)) {
            return Err(wrong(text, cloud.grammar()));
        }
        Ok(Self { cloud, settings, keys })
    }
}

impl fmt::Display for KmsUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cloud {
            Cloud::Aws => write!(f, "AWS KMS in {}", self.setting("region")),
            Cloud::Gcp => {
                let [project, location, keyring] = ["project", "location", "keyring"].map(|name| self.setting(name));
                write!(f, "GCP KMS key ring {project}/{location}/{keyring}")
            }
        }
    }
}

fn cloud_of(text: &str) -> Option<(Cloud, &str)> {
    let aws = text.strip_prefix("aws-kms:").map(|rest| (Cloud::Aws, rest));
    aws.or_else(|| text.strip_prefix("gcp-kms:").map(|rest| (Cloud::Gcp, rest)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::B256;
    use cryptlet_primitives::CryptletId;

    #[test]
    fn keys_are_found_by_what_they_are_named_and_by_the_prefix_of_their_alias() {
        let id = B256::repeat_byte(0xab);
        let arn = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd";
        let uri: KmsUri =
            format!("aws-kms:region=eu-central-1;host-key=alias/host;registration/{id}={arn}").parse().unwrap();
        let publisher = KeyName::account("publisher").unwrap();
        assert_eq!(uri.key(&KeyName::host()), Some(("alias/host".to_owned(), true)));
        assert_eq!(uri.key(&KeyName::registration(CryptletId(id))), Some((arn.to_owned(), true)));
        assert_eq!(uri.key(&publisher), None);
        assert_eq!(uri.to_string(), "AWS KMS in eu-central-1");
        let uri: KmsUri = "aws-kms:region=r;alias-prefix=alias/cryptlet/".parse().unwrap();
        assert_eq!(uri.key(&publisher), Some(("alias/cryptlet/account/publisher".to_owned(), false)));
        let uri: KmsUri = "gcp-kms:project=p;location=global;keyring=ring;host-key=host/3".parse().unwrap();
        assert_eq!(uri.key(&KeyName::host()), Some(("host/3".to_owned(), true)));
        assert_eq!(uri.to_string(), "GCP KMS key ring p/global/ring");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            ("vault:x", "begin with"),
            ("aws-kms:host-key=a", "region=REGION"),
            ("aws-kms:region=r;colour=red", "host-key, account/NAME"),
            ("aws-kms:region=r;registration/0x12=a", "--vault is registration/0x12"),
            ("aws-kms:region", "region=REGION"),
            ("aws-kms:region=r;region=s", "once"),
            ("aws-kms:region=r;host-key=", "missing"),
            ("gcp-kms:project=p;location=l;host-key=h/1", "keyring=R"),
            ("gcp-kms:project=p;location=l;keyring=r;endpoint=x", "project=P"),
        ];
        for (text, expected) in cases {
            let error = text.parse::<KmsUri>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
