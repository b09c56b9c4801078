//! Entries as storage: the inverse of reading, for whoever installs the delegate in an EVM that has no registry contract
//! (tests, examples, tools). Fields that the delegate does not read are left zero.

use super::{Packed, accepted_versions_slot, endorser_listing_slot, mapping_slot, measurement_listing_slot, slots};
use alloy_primitives::{B256, U256};
use cryptlet_attestation::{CryptletEntry, InstanceEntry, PolicyEntry};
use std::collections::BTreeMap;

/// Slots and words of `CryptletRegistry` that hold this cryptlet.
pub fn of_cryptlet(entry: &CryptletEntry) -> BTreeMap<U256, U256> {
    use slots::cryptlet as at;
    let mut words = Words::at(mapping_slot(slots::registry::CRYPTLETS.slot, entry.id.0));
    words.set(at::STATUS, entry.status as u8);
    words.set(at::ISOLATION, entry.isolation);
    words.set(at::SIMULATION_POLICY, entry.simulation as u8);
    words.set_word(at::CODE_DIGEST, entry.code_digest.0);
    words.set_word(at::BOUND_CONTRACT, entry.bound_contract.unwrap_or_default().into_word());
    words.set(at::OUTPUT_BYTES_MAX, entry.output_bytes_max);
    words.set(at::ACTIVE_INSTANCES, entry.active_instances);
    words.set(at::UNITS_MAX, entry.units_max);
    words.set(at::KEY_EPOCH, entry.key_epoch);
    words.set(at::PREVIOUS_EPOCH, entry.previous_epoch);
    words.set(at::PREVIOUS_EPOCH_UNTIL, entry.previous_epoch_until);
    words.words
}

/// Slots and words of `CryptletRegistry` that hold this instance.
pub fn of_instance(entry: &InstanceEntry) -> BTreeMap<U256, U256> {
    use slots::instance as at;
    let mut words = Words::at(mapping_slot(slots::registry::INSTANCES.slot, entry.id.0));
    words.set_word(at::SIGNER, entry.signer.into_word());
    words.set(at::KEY_EPOCH, entry.key_epoch);
    words.set(at::PROVIDER, entry.provider);
    words.set(at::STATUS, entry.status as u8);
    words.set(at::ISOLATION, entry.isolation);
    words.set_word(at::CRYPTLET_ID, entry.cryptlet.0);
    words.set_word(at::CODE_DIGEST, entry.code_digest.0);
    words.set(at::NOT_AFTER_BLOCK, entry.not_after_block);
    words.set_word(at::MEASUREMENT, entry.measurement);
    words.set_word(at::ENDORSER, entry.endorser.unwrap_or_default().into_word());
    words.set(at::CONTAINER, entry.container);
    words.set(at::VERSION, entry.version.0);
    words.words
}

/// Slots and words of `CryptletPolicy` that say of this instance's measurement, endorser and version what the entry does.
pub fn of_listings(entry: &InstanceEntry) -> BTreeMap<U256, U256> {
    let measurement = (measurement_listing_slot(entry.provider, entry.measurement), entry.measurement_listing);
    let endorser = entry.endorser.map(|endorser| (endorser_listing_slot(endorser), entry.endorser_listing));
    let listings =
        std::iter::once(measurement).chain(endorser).map(|(slot, listing)| (slot, U256::from(listing as u8)));
    let mut versions = Words::at(accepted_versions_slot(entry.container));
    versions.set(slots::versions::MINIMUM, entry.accepted_versions.minimum.0);
    versions.set(slots::versions::MAXIMUM, entry.accepted_versions.maximum.0);
    listings.chain(versions.words).collect()
}

/// Slots and words of `CryptletPolicy` that hold these rules.
pub fn of_policy(entry: &PolicyEntry) -> BTreeMap<U256, U256> {
    use slots::rules as at;
    let mut words = Words::at(U256::from(slots::policy::RULES.slot));
    words.set(at::VERSION, entry.version);
    words.set(at::ACCEPTED_PROVIDERS, entry.accepted_providers);
    words.set(at::MINIMUM_ISOLATION, entry.minimum_isolation);
    words.set(at::RESTRICTED_PROVIDERS, entry.restricted_providers);
    words.set(at::IS_ENDORSER_RESTRICTED, u8::from(entry.is_endorser_restricted));
    words.set(at::TOLERATED_TCB, entry.tolerated_tcb.0);
    words.words
}

struct Words {
    base: U256,
    words: BTreeMap<U256, U256>,
}

impl Words {
    const fn at(base: U256) -> Self {
        Self { base, words: BTreeMap::new() }
    }

    fn set(&mut self, at: Packed, value: impl Into<u64>) {
        self.put(at, U256::from(value.into()));
    }

    fn set_word(&mut self, at: Packed, value: B256) {
        self.put(at, value.into());
    }

    fn put(&mut self, at: Packed, value: U256) {
        let word = self.words.entry(self.base.wrapping_add(U256::from(at.slot))).or_default();
        *word = at.set(*word, value);
    }
}
