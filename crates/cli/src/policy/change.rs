//! What an administrator may ask of the policy, as words of a command line become calls.

use crate::registry::CryptletPolicy::{self, CryptletPolicyCalls};
use alloy::{
    primitives::{Address, B256, Bytes},
    sol_types::SolInterface,
};
use anyhow::{Context, Result, bail, ensure};
use cryptlet_primitives::{
    FabricVersion,
    names::{CONTAINERS, ISOLATIONS, PROVIDERS, TCB_STATUSES},
};

/// A setting and its value.
pub(crate) fn setting(words: &[String]) -> Result<Bytes> {
    use CryptletPolicyCalls as Call;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let call = match *words.as_slice() {
        ["provider", provider, value] => Call::setProviderAccepted(CryptletPolicy::setProviderAcceptedCall {
            provider: attesting(provider)?,
            isAccepted: one_of(value, "accepted", "refused")?,
        }),
        ["isolation", isolation] => Call::setMinimumIsolation(CryptletPolicy::setMinimumIsolationCall {
            isolation: number(&ISOLATIONS, isolation, "isolation")?,
        }),
        ["measurements", provider, value] => {
            Call::setMeasurementRestricted(CryptletPolicy::setMeasurementRestrictedCall {
                provider: attesting(provider)?,
                isRestricted: one_of(value, "listed", "any")?,
            })
        }
        ["measurement", provider, measurement, value] => {
            Call::setMeasurementListed(CryptletPolicy::setMeasurementListedCall {
                provider: attesting(provider)?,
                measurement: word(measurement)?,
                isListed: one_of(value, "listed", "unlisted")?,
            })
        }
        ["endorsers", value] => Call::setEndorserRestricted(CryptletPolicy::setEndorserRestrictedCall {
            isRestricted: one_of(value, "listed", "any")?,
        }),
        ["endorser", endorser, value] => Call::setEndorserListed(CryptletPolicy::setEndorserListedCall {
            endorser: address(endorser)?,
            isListed: one_of(value, "listed", "unlisted")?,
        }),
        ["tcb", status, value] => Call::setTcbStatusTolerated(CryptletPolicy::setTcbStatusToleratedCall {
            status: tolerable(status)?,
            isTolerated: one_of(value, "tolerated", "refused")?,
        }),
        ["versions", container, first, last] => Call::setAcceptedVersions(CryptletPolicy::setAcceptedVersionsCall {
            container: number(&CONTAINERS, container, "kind of container")?,
            minimum: version(first)?,
            maximum: version(last)?,
        }),
        ["key-lifetime", blocks] => Call::setKeyLifetimeBlocksMax(CryptletPolicy::setKeyLifetimeBlocksMaxCall {
            blocksMax: if blocks == "any" { 0 } else { count(blocks)? },
        }),
        ["rotation-grace", blocks] => Call::setRotationGraceBlocksMax(CryptletPolicy::setRotationGraceBlocksMaxCall {
            blocksMax: blocks.parse().with_context(|| format!("{blocks:?} is no number of blocks"))?,
        }),
        ["activation", value] => Call::setActivationAutomatic(CryptletPolicy::setActivationAutomaticCall {
            isAutomatic: one_of(value, "automatic", "by-administrators")?,
        }),
        _ => bail!("{:?} is no setting with its value; `cryptlet policy set --help` lists them", words.join(" ")),
    };
    Ok(call.abi_encode().into())
}

/// What is to be revoked.
pub(crate) fn revocation(words: &[String], reason: &str) -> Result<Bytes> {
    use CryptletPolicyCalls as Call;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let reason = reason.to_owned();
    let call = match *words.as_slice() {
        ["provider", provider] => {
            Call::revokeProvider(CryptletPolicy::revokeProviderCall { provider: attesting(provider)?, reason })
        }
        ["measurement", provider, measurement] => Call::revokeMeasurement(CryptletPolicy::revokeMeasurementCall {
            provider: attesting(provider)?,
            measurement: word(measurement)?,
            reason,
        }),
        ["endorser", endorser] => {
            Call::revokeEndorser(CryptletPolicy::revokeEndorserCall { endorser: address(endorser)?, reason })
        }
        _ => bail!(
            "{:?} cannot be revoked by the policy; it is `provider NAME`, `measurement PROVIDER 0x…` or `endorser ADDRESS`. \
             Cryptlets and instances: `cryptlet registry revoke`",
            words.join(" ")
        ),
    };
    Ok(call.abi_encode().into())
}

fn number(names: &[&str], name: &str, what: &str) -> Result<u8> {
    let position = names.iter().position(|known| *known == name);
    let position = position.with_context(|| format!("{name:?} is no {what}; there are {}", names.join(", ")))?;
    Ok(u8::try_from(position)?)
}

fn attesting(name: &str) -> Result<u16> {
    let number = number(&PROVIDERS, name, "provider")?;
    ensure!(number != 0, "`none` is no provider that evidence can come from");
    Ok(number.into())
}

fn tolerable(name: &str) -> Result<u8> {
    let known = &TCB_STATUSES[1..TCB_STATUSES.len() - 1];
    let number = number(known, name, "TCB status that could be tolerated")?;
    Ok(number + 1)
}

fn one_of(value: &str, yes: &str, no: &str) -> Result<bool> {
    ensure!(value == yes || value == no, "{value:?} cannot be; it is {yes} or {no}");
    Ok(value == yes)
}

fn word(text: &str) -> Result<B256> {
    text.parse().with_context(|| format!("{text:?} is no measurement: 32 bytes in hexadecimal"))
}

fn address(text: &str) -> Result<Address> {
    text.parse().with_context(|| format!("{text:?} is no address: 20 bytes in hexadecimal"))
}

fn count(text: &str) -> Result<u32> {
    let blocks = text.parse().with_context(|| format!("{text:?} is no number of blocks"))?;
    ensure!(blocks > 0, "a lifetime of 0 blocks is none; `any` takes the limit away");
    Ok(blocks)
}

fn version(text: &str) -> Result<u32> {
    if text == "any" {
        return Ok(0);
    }
    let version = FabricVersion::parse(text);
    Ok(version.with_context(|| format!("{text:?} is no version: MAJOR.MINOR.PATCH, or any"))?.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::words::of_call;
    use cryptlet_primitives::system::CRYPTLET_POLICY;

    fn split(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn every_setting_says_back_what_was_asked_for() {
        let (hash, account) = (B256::repeat_byte(0xab).to_string(), Address::repeat_byte(0x11).to_string());
        let cases = [
            ("provider sgx accepted".to_owned(), "accept evidence of provider sgx".to_owned()),
            ("provider tpm refused".into(), "refuse evidence of provider tpm".into()),
            ("isolation vm".into(), "accept no isolation below vm".into()),
            ("measurements tdx listed".into(), "accept from provider tdx listed measurements only".into()),
            ("measurements tdx any".into(), "accept from provider tdx any measurement that is not revoked".into()),
            (format!("measurement tdx {hash} listed"), format!("put measurement {hash} on the list of provider tdx")),
            (
                format!("measurement tdx {hash} unlisted"),
                format!("take measurement {hash} off the list of provider tdx"),
            ),
            ("endorsers listed".into(), "accept listed endorsers only".into()),
            (format!("endorser {account} listed"), format!("put endorser {account} on the list")),
            ("tcb out-of-date tolerated".into(), "tolerate platforms whose TCB status is out-of-date".into()),
            ("versions wasm 0.1.0 any".into(), "accept containers of kind wasm in versions 0.1.0 and later".into()),
            ("versions evm 0.1.0 1.2.3".into(), "accept containers of kind evm in versions 0.1.0 to 1.2.3".into()),
            ("versions host any any".into(), "accept containers of kind host in any version".into()),
            ("key-lifetime 7200".into(), "let instances register their keys for at most 7200 blocks".into()),
            ("key-lifetime any".into(), "let instances register their keys for as long as they like".into()),
            ("rotation-grace 0".into(), "let keys count for at most 0 blocks after they were rotated".into()),
            ("activation automatic".into(), "let registrations count as soon as they are made".into()),
        ];
        for (words, expected) in cases {
            let data = setting(&split(&words)).unwrap_or_else(|error| panic!("{words}: {error}"));
            assert_eq!(of_call(CRYPTLET_POLICY, &data), expected, "{words}");
        }
        let data = revocation(&split(&format!("measurement software {hash}")), "it leaks").expect("it is one");
        let expected = format!("revoke measurement {hash} of provider software, with the reason \"it leaks\"");
        assert_eq!(of_call(CRYPTLET_POLICY, &data), expected);
    }

    #[test]
    fn what_cannot_be_says_what_could() {
        let cases = [
            ("provider none accepted", "evidence can come from"),
            ("provider intel accepted", "there are none, software, sgx"),
            ("provider sgx yes", "accepted or refused"),
            ("isolation strong", "none, process, vm, enclave"),
            ("measurement sgx 0xab listed", "32 bytes"),
            ("tcb up-to-date tolerated", "could be tolerated"),
            ("tcb revoked tolerated", "could be tolerated"),
            ("versions wasm 1 any", "MAJOR.MINOR.PATCH"),
            ("key-lifetime 0", "`any`"),
            ("colour red", "--help"),
        ];
        for (words, expected) in cases {
            let error = setting(&split(words)).expect_err(words).to_string();
            assert!(error.contains(expected), "{words}: {error}");
        }
        let error = revocation(&split("cryptlet x"), "why").expect_err("it is none").to_string();
        assert!(error.contains("cryptlet registry revoke"), "{error}");
    }

    #[test]
    fn what_is_not_known_is_shown_as_it_is() {
        let shown = of_call(Address::repeat_byte(9), &Bytes::from_static(&[1, 2]));
        assert!(shown.ends_with("with 0x0102"), "{shown}");
    }
}
