//! The policy in full, and who may change it.

use super::{proposals::Acts, words};
use crate::{
    answer::answer,
    args::PolicyShowArgs,
    genesis_file,
    registry::{Administrators, CryptletPolicy, CryptletRegistry},
    registry_facts,
    rpc::Chain,
};
use alloy::{
    primitives::{Address, B256},
    sol_types::SolEvent,
};
use anyhow::Result;
use cryptlet_attestation::Listing;
use cryptlet_primitives::{
    FabricVersion,
    names::{CONTAINERS, ISOLATIONS, PROVIDERS, TCB_STATUSES, name_of},
    system::{ADMINISTRATORS, CRYPTLET_POLICY, CRYPTLET_REGISTRY},
};
use serde::Serialize;
use std::{collections::BTreeSet, path::Path};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Policy {
    version: u32,
    /// The head that this was read at.
    block_number: u64,
    minimum_isolation: &'static str,
    providers: Vec<Provider>,
    /// TCB statuses of Intel platforms that are tolerated, besides those that are up to date.
    tolerated_tcb: Vec<&'static str>,
    endorsers_listed_only: bool,
    endorsers: Vec<ListedEndorser>,
    versions: Vec<Versions>,
    /// None: no limit.
    key_lifetime_blocks_max: Option<u32>,
    rotation_grace_blocks_max: u32,
    /// Registrations count as soon as they are made.
    activates_automatically: bool,
    host_operators: Vec<Address>,
    factory: Option<B256>,
    administration: Administration,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Provider {
    provider: &'static str,
    accepted: bool,
    measurements_listed_only: bool,
    measurements: Vec<ListedMeasurement>,
}

#[derive(Debug, Serialize)]
struct ListedMeasurement {
    measurement: B256,
    listing: &'static str,
}

#[derive(Debug, Serialize)]
struct ListedEndorser {
    endorser: Address,
    listing: &'static str,
}

#[derive(Debug, Serialize)]
struct Versions {
    container: &'static str,
    /// None: any.
    minimum: Option<String>,
    maximum: Option<String>,
    #[serde(skip)]
    words: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Administration {
    policy: Address,
    registry: Address,
    /// Who may take the policy over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pending: Option<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    council: Option<Council>,
}

#[derive(Debug, Serialize)]
struct Council {
    threshold: u32,
    members: u32,
    /// Those of them whose names are known: who acted, was added, or is in the genesis file.
    known: Vec<Address>,
}

pub(super) async fn run(chain: &Chain, args: &PolicyShowArgs) -> Result<()> {
    let policy = read(chain, args.genesis.as_deref()).await?;
    answer(args.access.output, &policy, || policy.sentences());
    Ok(())
}

async fn read(chain: &Chain, genesis: Option<&Path>) -> Result<Policy> {
    let entry = registry_facts::policy(chain).await?;
    let lifetime = chain.call(CRYPTLET_POLICY, &CryptletPolicy::keyLifetimeBlocksMaxCall {}).await?;
    let factory = chain.call(CRYPTLET_REGISTRY, &CryptletRegistry::factoryCall {}).await?;
    let tolerated =
        TCB_STATUSES.iter().enumerate().filter(|(status, _)| u32::from(entry.tolerated_tcb.0) >> status & 1 == 1);
    let Listings { measurements, endorsers } = Listings::of(chain).await?;
    Ok(Policy {
        version: entry.version,
        block_number: chain.anchor().await?.number,
        minimum_isolation: name_of(&ISOLATIONS, entry.minimum_isolation.into()),
        providers: providers(chain, entry.accepted_providers, measurements).await?,
        tolerated_tcb: tolerated.map(|(_, name)| *name).collect(),
        endorsers_listed_only: entry.is_endorser_restricted,
        endorsers: endorsers.into_iter().map(|(endorser, listing)| ListedEndorser { endorser, listing }).collect(),
        versions: versions(chain).await?,
        key_lifetime_blocks_max: (lifetime != 0).then_some(lifetime),
        rotation_grace_blocks_max: chain.call(CRYPTLET_POLICY, &CryptletPolicy::rotationGraceBlocksMaxCall {}).await?,
        activates_automatically: chain.call(CRYPTLET_POLICY, &CryptletPolicy::isActivationAutomaticCall {}).await?,
        host_operators: host_operators(chain).await?,
        factory: (!factory.is_zero()).then_some(factory),
        administration: administration(chain, genesis).await?,
    })
}

async fn providers(
    chain: &Chain,
    accepted: u32,
    mut measurements: Vec<(u16, ListedMeasurement)>,
) -> Result<Vec<Provider>> {
    let mut providers = Vec::new();
    for (number, name) in (0u16..).zip(PROVIDERS).skip(1) {
        let restricted = CryptletPolicy::isMeasurementRestrictedCall { provider: number };
        providers.push(Provider {
            provider: name,
            accepted: accepted >> number & 1 == 1,
            measurements_listed_only: chain.call(CRYPTLET_POLICY, &restricted).await?,
            measurements: measurements.extract_if(.., |(of, _)| *of == number).map(|(_, listed)| listed).collect(),
        });
    }
    Ok(providers)
}

/// What the lists say of everything that was ever put on them or revoked.
struct Listings {
    measurements: Vec<(u16, ListedMeasurement)>,
    endorsers: Vec<(Address, &'static str)>,
}

impl Listings {
    async fn of(chain: &Chain) -> Result<Self> {
        use CryptletPolicy as P;
        let topics = vec![
            P::MeasurementAcceptanceChanged::SIGNATURE_HASH,
            P::MeasurementRevoked::SIGNATURE_HASH,
            P::EndorserAcceptanceChanged::SIGNATURE_HASH,
            P::EndorserRevoked::SIGNATURE_HASH,
        ];
        let (mut named_measurements, mut named_endorsers) = (BTreeSet::new(), BTreeSet::new());
        for log in chain.logs(CRYPTLET_POLICY, topics).await? {
            if let Ok(event) = P::MeasurementAcceptanceChanged::decode_log(&log) {
                named_measurements.insert((event.provider, event.measurement));
            } else if let Ok(event) = P::MeasurementRevoked::decode_log(&log) {
                named_measurements.insert((event.provider, event.measurement));
            } else if let Ok(event) = P::EndorserAcceptanceChanged::decode_log(&log) {
                named_endorsers.insert(event.endorser);
            } else if let Ok(event) = P::EndorserRevoked::decode_log(&log) {
                named_endorsers.insert(event.endorser);
            }
        }
        let mut listings = Self { measurements: Vec::new(), endorsers: Vec::new() };
        for (provider, measurement) in named_measurements {
            let number = chain.call(CRYPTLET_POLICY, &P::measurementListingCall { provider, measurement }).await?;
            if let Some(listing) = listing(number) {
                listings.measurements.push((provider, ListedMeasurement { measurement, listing }));
            }
        }
        for endorser in named_endorsers {
            let number = chain.call(CRYPTLET_POLICY, &P::endorserListingCall { endorser }).await?;
            if let Some(listing) = listing(number) {
                listings.endorsers.push((endorser, listing));
            }
        }
        Ok(listings)
    }
}

fn listing(number: u8) -> Option<&'static str> {
    match Listing::try_from(number) {
        Ok(Listing::None) => None,
        Ok(Listing::Accepted) => Some("listed"),
        Ok(Listing::Revoked) | Err(_) => Some("revoked"),
    }
}

async fn versions(chain: &Chain) -> Result<Vec<Versions>> {
    let version = |number: u32| (number != 0).then(|| FabricVersion(number).to_string());
    let mut versions = Vec::new();
    for (number, name) in (0u8..).zip(CONTAINERS) {
        let read = chain.call(CRYPTLET_POLICY, &CryptletPolicy::acceptedVersionsCall { container: number }).await?;
        versions.push(Versions {
            container: name,
            minimum: version(read.minimum),
            maximum: version(read.maximum),
            words: words::versions(read.minimum, read.maximum),
        });
    }
    Ok(versions)
}

async fn host_operators(chain: &Chain) -> Result<Vec<Address>> {
    let mut named = BTreeSet::new();
    for log in chain.logs(CRYPTLET_REGISTRY, vec![CryptletRegistry::HostOperatorChanged::SIGNATURE_HASH]).await? {
        named.extend(CryptletRegistry::HostOperatorChanged::decode_log(&log).map(|event| event.operator));
    }
    let mut operators = Vec::new();
    for operator in named {
        if chain.call(CRYPTLET_REGISTRY, &CryptletRegistry::isHostOperatorCall { operator }).await? {
            operators.push(operator);
        }
    }
    Ok(operators)
}

async fn administration(chain: &Chain, genesis: Option<&Path>) -> Result<Administration> {
    let policy = chain.call(CRYPTLET_POLICY, &CryptletPolicy::adminCall {}).await?;
    let registry = chain.call(CRYPTLET_REGISTRY, &CryptletRegistry::adminCall {}).await?;
    let pending = chain.call(CRYPTLET_POLICY, &CryptletPolicy::pendingAdminCall {}).await?;
    let council = match policy == ADMINISTRATORS || registry == ADMINISTRATORS {
        true => Some(council(chain, genesis).await?),
        false => None,
    };
    Ok(Administration { policy, registry, pending: (!pending.is_zero()).then_some(pending), council })
}

/// The contract answers who is a member, and does not list them: whoever might be one is asked about.
async fn council(chain: &Chain, genesis: Option<&Path>) -> Result<Council> {
    let mut named: BTreeSet<Address> = Acts::of(chain).await?.seen.into_iter().collect();
    if let Some(file) = genesis {
        let accounts = genesis_file::read(file)?.alloc.into_iter().filter(|(_, account)| account.code.is_none());
        named.extend(accounts.map(|(address, _)| address));
    }
    let mut known = Vec::new();
    for account in named {
        if chain.call(ADMINISTRATORS, &Administrators::isMemberCall { account }).await? {
            known.push(account);
        }
    }
    Ok(Council {
        threshold: chain.call(ADMINISTRATORS, &Administrators::thresholdCall {}).await?,
        members: chain.call(ADMINISTRATORS, &Administrators::memberCountCall {}).await?,
        known,
    })
}

impl Policy {
    fn sentences(&self) -> String {
        let mut text = format!("Policy version {}, at block {}.\n\n", self.version, self.block_number);
        text += "Evidence\n";
        for provider in &self.providers {
            let which = match (provider.accepted, provider.measurements_listed_only) {
                (false, _) => "refused",
                (true, true) => "accepted, listed measurements only",
                (true, false) => "accepted",
            };
            text += &format!("  {:<12} {which}\n", provider.provider);
            for ListedMeasurement { measurement, listing } in &provider.measurements {
                text += &format!("    {measurement} {listing}\n");
            }
        }
        text += &format!("  isolation    {} or stronger\n", self.minimum_isolation);
        if !self.tolerated_tcb.is_empty() {
            text += &format!("  Intel TCB    also {}\n", self.tolerated_tcb.join(", "));
        }
        let endorsers = if self.endorsers_listed_only { "listed only" } else { "any that is not revoked" };
        text += &format!("  endorsers    {endorsers}\n");
        for ListedEndorser { endorser, listing } in &self.endorsers {
            text += &format!("    {endorser} {listing}\n");
        }
        text += "\nVersions of the fabric\n";
        for Versions { container, words, .. } in &self.versions {
            text += &format!("  {container:<12} {words}\n");
        }
        text += "\nRegistrations\n";
        let lifetime = self.key_lifetime_blocks_max.map_or("no limit".to_owned(), |blocks| format!("{blocks} blocks"));
        let activation = if self.activates_automatically { "automatic" } else { "by the administrators" };
        text += &format!("  activation   {activation}\n  key lifetime {lifetime}\n");
        text += &format!("  grace        {} blocks after a rotation at most\n", self.rotation_grace_blocks_max);
        text += &self.host_operators.iter().map(|operator| format!("  operator     {operator}\n")).collect::<String>();
        if let Some(factory) = self.factory {
            text += &format!("  factory      {factory}\n");
        }
        text + "\nAdministration\n" + &self.administration.sentences()
    }
}

impl Administration {
    fn sentences(&self) -> String {
        let Self { policy, registry, .. } = self;
        let mut text = match policy == registry {
            true => format!("  policy and registry obey {policy}\n"),
            false => format!("  the policy obeys {policy}, the registry {registry}\n"),
        };
        if let Some(pending) = self.pending {
            text += &format!("  {pending} may take the policy over\n");
        }
        if let Some(Council { threshold, members, known }) = &self.council {
            text += &format!("  a council: {threshold} of {members} must approve\n");
            text += &known.iter().map(|member| format!("    {member}\n")).collect::<String>();
            let silent = (*members as usize).saturating_sub(known.len());
            if silent > 0 {
                text += &format!("    and {silent} who never acted (name them with --genesis FILE)\n");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_that_never_acted_are_counted_and_not_left_out() {
        let administration = Administration {
            policy: ADMINISTRATORS,
            registry: ADMINISTRATORS,
            pending: None,
            council: Some(Council { threshold: 2, members: 3, known: vec![Address::repeat_byte(1)] }),
        };
        let text = administration.sentences();
        assert!(text.contains("2 of 3 must approve") && text.contains("and 2 who never acted"), "{text}");
        assert_eq!(
            [listing(0), listing(1), listing(2), listing(9)],
            [None, Some("listed"), Some("revoked"), Some("revoked")]
        );
    }
}
