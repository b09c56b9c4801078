//! Keys in the key management service of a cloud, through alloy's signers: thin adapters, **untested against the real services**.
//!
//! A service signs with keys that were made there, and does nothing else for us: it makes no key at our asking, and keeps no
//! secret. So keys are named in the vault's URI, and secrets lie in another vault, if one is given.

#[cfg(feature = "aws-kms")]
mod aws;
#[cfg(feature = "gcp-kms")]
mod gcp;
#[cfg(any(feature = "aws-kms", feature = "gcp-kms"))]
mod service;
mod uri;

pub use uri::{Cloud, KmsUri};

use super::Vault;
use crate::error::HostError;
use std::sync::Arc;

/// Reaches the service; `secrets` is where what is not a signing key is kept. Fails if this binary was built without that service's
/// feature, `aws-kms` or `gcp-kms`.
#[cfg_attr(not(any(feature = "aws-kms", feature = "gcp-kms")), expect(unused_variables, reason = "nobody keeps them"))]
pub fn open(uri: KmsUri, secrets: Option<Box<dyn Vault>>) -> Result<Arc<dyn Vault>, HostError> {
    match uri.cloud {
        #[cfg(feature = "aws-kms")]
        Cloud::Aws => Ok(Arc::new(service::KmsVault::open(uri, secrets, aws::connect)?)),
        #[cfg(feature = "gcp-kms")]
        Cloud::Gcp => Ok(Arc::new(service::KmsVault::open(uri, secrets, gcp::connect)?)),
        #[cfg(not(feature = "aws-kms"))]
        Cloud::Aws => Err(absent(
            "aws-kms",
            "this binary was built without it; build one with `cargo build --release --locked --features cryptlet-cli/aws-kms`",
        )),
        #[cfg(not(feature = "gcp-kms"))]
        Cloud::Gcp => Err(absent(
            "gcp-kms",
            "this binary was built without it; build one with `cargo build --release --locked --features cryptlet-cli/gcp-kms`",
        )),
    }
}

#[cfg(not(all(feature = "aws-kms", feature = "gcp-kms")))]
fn absent(feature: &str, expected: &'static str) -> HostError {
    HostError::Setting { setting: "--vault", value: feature.to_owned(), expected }
}

#[cfg(all(test, not(all(feature = "aws-kms", feature = "gcp-kms"))))]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_was_not_built_in_is_refused_with_the_feature_that_has_it() {
        let uris = [
            (cfg!(feature = "aws-kms"), "aws-kms:region=eu-central-1;host-key=alias/host"),
            (cfg!(feature = "gcp-kms"), "gcp-kms:project=p;location=l;keyring=r;host-key=host/1"),
        ];
        for (is_there, uri) in uris {
            let feature = &uri[..7];
            if !is_there {
                let error = open(uri.parse().unwrap(), None).unwrap_err().to_string();
                assert!(error.contains(&format!("--features cryptlet-cli/{feature}")), "{error}");
            }
        }
    }
}
