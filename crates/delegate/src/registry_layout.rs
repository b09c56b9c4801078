//! Registry and policy, read from their storage in the parent state.
//!
//! The slots in [`slots`] are generated from what the compiler says (`contracts/artifacts/*.storage.json`); a test
//! generates them again and compares. What is packed into a word is described there, byte for byte from the low end, as
//! Solidity packs.

/// Modules of [`Packed`] places: slot, bytes below it in the slot, its own bytes.
macro_rules! slots {
    ($($module:ident { $($name:ident: $slot:literal, $offset:literal, $bytes:literal;)* })*) => {
        $(pub mod $module {
            use crate::registry_layout::Packed;
            $(pub const $name: Packed = Packed { slot: $slot, offset: $offset, bytes: $bytes };)*
        })*
    };
}

pub mod slots;
pub mod storage;

use crate::{
    context::DelegateScope,
    parent::{ParentState, ParentStateError},
};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256, map::HashMap};
use cryptlet_attestation::{
    AcceptedVersions, CryptletEntry, CryptletStatus, InstanceEntry, InstanceStatus, Listing, PolicyEntry,
    SimulationPolicy, ToleratedTcb,
};
use cryptlet_primitives::{
    CodeDigest, CryptletId, FabricVersion, RegistrationId,
    system::{CRYPTLET_POLICY, CRYPTLET_REGISTRY},
};

/// Entries remembered at most; beyond that all are forgotten. A block's gas does not reach so far by default.
const ENTRIES_MAX: usize = 16_384;

/// Where a value is inside a slot: `bytes` of it, beginning `offset` bytes from the low end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packed {
    /// Slot, counted from the start of the structure or contract.
    pub slot: u64,
    /// Bytes below it in the slot.
    pub offset: usize,
    /// Its own bytes.
    pub bytes: usize,
}

// Each of the readers below takes several values from one word.
const _: () = {
    use slots::{cryptlet, instance, rules, versions};
    assert!(
        cryptlet::STATUS.slot == cryptlet::ISOLATION.slot && cryptlet::STATUS.slot == cryptlet::SIMULATION_POLICY.slot
    );
    assert!(cryptlet::BOUND_CONTRACT.slot == cryptlet::OUTPUT_BYTES_MAX.slot);
    assert!(cryptlet::BOUND_CONTRACT.slot == cryptlet::ACTIVE_INSTANCES.slot);
    assert!(cryptlet::UNITS_MAX.slot == cryptlet::KEY_EPOCH.slot);
    assert!(cryptlet::UNITS_MAX.slot == cryptlet::PREVIOUS_EPOCH.slot);
    assert!(cryptlet::UNITS_MAX.slot == cryptlet::PREVIOUS_EPOCH_UNTIL.slot);
    assert!(instance::STATUS.slot == instance::SIGNER.slot && instance::STATUS.slot == instance::KEY_EPOCH.slot);
    assert!(instance::ENDORSER.slot == instance::CONTAINER.slot && instance::ENDORSER.slot == instance::VERSION.slot);
    assert!(versions::MINIMUM.slot == 0 && versions::MAXIMUM.slot == 0);
    assert!(instance::STATUS.slot == instance::PROVIDER.slot && instance::STATUS.slot == instance::ISOLATION.slot);
    assert!(
        rules::VERSION.slot == rules::ACCEPTED_PROVIDERS.slot && rules::VERSION.slot == rules::MINIMUM_ISOLATION.slot
    );
    assert!(
        rules::VERSION.slot == rules::TOLERATED_TCB.slot && rules::VERSION.slot == rules::RESTRICTED_PROVIDERS.slot
    );
    assert!(rules::VERSION.slot == rules::IS_ENDORSER_RESTRICTED.slot);
};

/// The cryptlet with this id, if it is registered.
pub fn read_cryptlet(state: &dyn ParentState, id: CryptletId) -> Result<Option<CryptletEntry>, ParentStateError> {
    use slots::cryptlet as at;
    let entry = Structure::of_mapping(state, CRYPTLET_REGISTRY, slots::registry::CRYPTLETS.slot, id.0);
    let word = entry.word(at::STATUS)?;
    let status = status(at::STATUS.of(word), CryptletStatus::Revoked);
    if status == CryptletStatus::Unknown {
        return Ok(None);
    }
    let bounds = entry.word(at::BOUND_CONTRACT)?;
    let units = entry.word(at::UNITS_MAX)?;
    let bound_contract = address(at::BOUND_CONTRACT.of(bounds));
    Ok(Some(CryptletEntry {
        id,
        status,
        code_digest: CodeDigest(entry.word(at::CODE_DIGEST)?.into()),
        bound_contract: (!bound_contract.is_zero()).then_some(bound_contract),
        units_max: at::UNITS_MAX.of(units).saturating_to(),
        output_bytes_max: at::OUTPUT_BYTES_MAX.of(bounds).saturating_to(),
        key_epoch: at::KEY_EPOCH.of(units).saturating_to(),
        previous_epoch: at::PREVIOUS_EPOCH.of(units).saturating_to(),
        previous_epoch_until: at::PREVIOUS_EPOCH_UNTIL.of(units).saturating_to(),
        isolation: at::ISOLATION.of(word).saturating_to(),
        active_instances: at::ACTIVE_INSTANCES.of(bounds).saturating_to(),
        simulation: SimulationPolicy::try_from(at::SIMULATION_POLICY.of(word).saturating_to::<u8>())
            .unwrap_or(SimulationPolicy::Deny),
    }))
}

/// The instance with this registration id, if it is registered.
pub fn read_instance(state: &dyn ParentState, id: RegistrationId) -> Result<Option<InstanceEntry>, ParentStateError> {
    use slots::instance as at;
    let entry = Structure::of_mapping(state, CRYPTLET_REGISTRY, slots::registry::INSTANCES.slot, id.0);
    let word = entry.word(at::STATUS)?;
    let status = status(at::STATUS.of(word), InstanceStatus::Revoked);
    if status == InstanceStatus::Unknown {
        return Ok(None);
    }
    let provider = at::PROVIDER.of(word).saturating_to();
    let measurement = entry.word(at::MEASUREMENT)?.into();
    let stack = entry.word(at::ENDORSER)?;
    let endorser = address(at::ENDORSER.of(stack));
    let container = at::CONTAINER.of(stack).saturating_to();
    Ok(Some(InstanceEntry {
        id,
        status,
        cryptlet: CryptletId(entry.word(at::CRYPTLET_ID)?.into()),
        code_digest: CodeDigest(entry.word(at::CODE_DIGEST)?.into()),
        signer: address(at::SIGNER.of(word)),
        key_epoch: at::KEY_EPOCH.of(word).saturating_to(),
        not_after_block: at::NOT_AFTER_BLOCK.of(entry.word(at::NOT_AFTER_BLOCK)?).saturating_to(),
        provider,
        isolation: at::ISOLATION.of(word).saturating_to(),
        measurement,
        endorser: (!endorser.is_zero()).then_some(endorser),
        measurement_listing: listing(state, measurement_listing_slot(provider, measurement))?,
        endorser_listing: listing(state, endorser_listing_slot(endorser))?,
        container,
        version: FabricVersion(at::VERSION.of(stack).saturating_to()),
        accepted_versions: accepted_versions(state, container)?,
    }))
}

/// Where the policy says what it thinks of a measurement.
pub fn measurement_listing_slot(provider: u16, measurement: B256) -> U256 {
    let of_provider =
        mapping_slot_within(U256::from(slots::policy::MEASUREMENT_LISTING.slot), U256::from(provider).into());
    mapping_slot_within(of_provider, measurement)
}

/// Where the policy says what it thinks of an endorser.
pub fn endorser_listing_slot(endorser: Address) -> U256 {
    mapping_slot(slots::policy::ENDORSER_LISTING.slot, endorser.into_word())
}

/// Where the policy says which versions of the fabric may run containers of this kind.
pub fn accepted_versions_slot(container: u8) -> U256 {
    mapping_slot(slots::policy::ACCEPTED_VERSIONS.slot, U256::from(container).into())
}

fn accepted_versions(state: &dyn ParentState, container: u8) -> Result<AcceptedVersions, ParentStateError> {
    use slots::versions as at;
    let word = state.storage(CRYPTLET_POLICY, accepted_versions_slot(container))?;
    let version = |at: Packed| FabricVersion(at.of(word).saturating_to());
    Ok(AcceptedVersions { minimum: version(at::MINIMUM), maximum: version(at::MAXIMUM) })
}

fn listing(state: &dyn ParentState, slot: U256) -> Result<Listing, ParentStateError> {
    let word = state.storage(CRYPTLET_POLICY, slot)?;
    Ok(status(Packed { slot: 0, offset: 0, bytes: 1 }.of(word), Listing::Revoked))
}

/// The policy.
pub fn read_policy(state: &dyn ParentState) -> Result<PolicyEntry, ParentStateError> {
    use slots::rules as at;
    let rules = Structure { state, address: CRYPTLET_POLICY, base: U256::from(slots::policy::RULES.slot) };
    let word = rules.word(at::VERSION)?;
    Ok(PolicyEntry {
        version: at::VERSION.of(word).saturating_to(),
        accepted_providers: at::ACCEPTED_PROVIDERS.of(word).saturating_to(),
        minimum_isolation: at::MINIMUM_ISOLATION.of(word).saturating_to(),
        restricted_providers: at::RESTRICTED_PROVIDERS.of(word).saturating_to(),
        is_endorser_restricted: !at::IS_ENDORSER_RESTRICTED.of(word).is_zero(),
        tolerated_tcb: ToleratedTcb(at::TOLERATED_TCB.of(word).saturating_to()),
    })
}

/// The cryptlet behind `create`, if the chain has one.
pub fn read_factory(state: &dyn ParentState) -> Result<Option<CryptletId>, ParentStateError> {
    let factory = state.storage(CRYPTLET_REGISTRY, U256::from(slots::registry::FACTORY.slot))?;
    Ok((!factory.is_zero()).then_some(CryptletId(factory.into())))
}

/// What simulations are told in place of a cryptlet's answer, if its policy is `Stub`: at most `bytes_max` bytes of it.
pub fn read_simulation_stub(
    state: &dyn ParentState,
    id: CryptletId,
    bytes_max: usize,
) -> Result<Bytes, ParentStateError> {
    let entry = Structure::of_mapping(state, CRYPTLET_REGISTRY, slots::registry::CRYPTLETS.slot, id.0);
    entry.bytes(slots::cryptlet::SIMULATION_STUB, bytes_max)
}

/// What has been read in this block. The parent state does not change while a block is executed.
#[derive(Clone, Debug, Default)]
pub struct RegistryCache {
    cryptlets: HashMap<CryptletId, Option<CryptletEntry>>,
    instances: HashMap<RegistrationId, Option<InstanceEntry>>,
    policy: Option<PolicyEntry>,
    factory: Option<Option<CryptletId>>,
}

impl RegistryCache {
    /// See [`read_cryptlet`].
    pub fn cryptlet(
        &mut self,
        scope: &DelegateScope,
        id: CryptletId,
    ) -> Result<Option<CryptletEntry>, ParentStateError> {
        remember(&mut self.cryptlets, id, || read_cryptlet(&*scope.state, id))
    }

    /// See [`read_instance`].
    pub fn instance(
        &mut self,
        scope: &DelegateScope,
        id: RegistrationId,
    ) -> Result<Option<InstanceEntry>, ParentStateError> {
        remember(&mut self.instances, id, || read_instance(&*scope.state, id))
    }

    /// See [`read_policy`].
    pub fn policy(&mut self, scope: &DelegateScope) -> Result<PolicyEntry, ParentStateError> {
        match self.policy {
            Some(policy) => Ok(policy),
            None => Ok(*self.policy.insert(read_policy(&*scope.state)?)),
        }
    }

    /// See [`read_factory`].
    pub fn factory(&mut self, scope: &DelegateScope) -> Result<Option<CryptletId>, ParentStateError> {
        match self.factory {
            Some(factory) => Ok(factory),
            None => Ok(*self.factory.insert(read_factory(&*scope.state)?)),
        }
    }
}

fn remember<K: Copy + Eq + std::hash::Hash, V: Copy>(
    entries: &mut HashMap<K, V>,
    key: K,
    read: impl FnOnce() -> Result<V, ParentStateError>,
) -> Result<V, ParentStateError> {
    if let Some(value) = entries.get(&key) {
        return Ok(*value);
    }
    if entries.len() >= ENTRIES_MAX {
        entries.clear();
    }
    let value = read()?;
    entries.insert(key, value);
    Ok(value)
}

/// A structure in a contract's storage.
struct Structure<'a> {
    state: &'a dyn ParentState,
    address: Address,
    base: U256,
}

impl<'a> Structure<'a> {
    /// The value of a `mapping(bytes32 => struct)` (Solidity: `keccak256(key ‖ slot)`).
    fn of_mapping(state: &'a dyn ParentState, address: Address, mapping: u64, key: B256) -> Self {
        Self { state, address, base: mapping_slot(mapping, key) }
    }

    fn word(&self, at: Packed) -> Result<U256, ParentStateError> {
        self.state.storage(self.address, self.base.wrapping_add(U256::from(at.slot)))
    }

    /// A Solidity `bytes` or `string`: up to 31 bytes stand in the slot itself, their length doubled in its lowest byte;
    /// more stand from `keccak256(slot)` on, and the slot holds their length, doubled, plus one.
    fn bytes(&self, at: Packed, bytes_max: usize) -> Result<Bytes, ParentStateError> {
        let slot = self.base.wrapping_add(U256::from(at.slot));
        let word = self.state.storage(self.address, slot)?;
        if !word.bit(0) {
            let length = usize::from(word.byte(0) / 2).min(31).min(bytes_max);
            return Ok(Bytes::copy_from_slice(&word.to_be_bytes::<32>()[..length]));
        }
        let length = (word >> 1usize).saturating_to::<usize>().min(bytes_max);
        let first = U256::from_be_bytes(keccak256(slot.to_be_bytes::<32>()).0);
        let mut bytes = Vec::with_capacity(length.next_multiple_of(32));
        for index in 0..length.div_ceil(32) {
            let word = self.state.storage(self.address, first.wrapping_add(U256::from(index)))?;
            bytes.extend_from_slice(&word.to_be_bytes::<32>());
        }
        bytes.truncate(length);
        Ok(bytes.into())
    }
}

/// Slot at which the value of `key` begins in a mapping (Solidity: `keccak256(key ‖ slot)`).
pub fn mapping_slot(mapping: u64, key: B256) -> U256 {
    mapping_slot_within(U256::from(mapping), key)
}

/// The same for a mapping that is itself the value of another.
fn mapping_slot_within(mapping: U256, key: B256) -> U256 {
    let mut preimage = [0u8; 64];
    preimage[..32].copy_from_slice(key.as_slice());
    preimage[32..].copy_from_slice(&mapping.to_be_bytes::<32>());
    keccak256(preimage).into()
}

impl Packed {
    /// The value in its word.
    pub fn of(self, word: U256) -> U256 {
        let shifted = word >> (8 * self.offset);
        if self.bytes >= 32 { shifted } else { shifted & ((U256::ONE << (8 * self.bytes)) - U256::ONE) }
    }

    /// The word with this value in it; for genesis and tests.
    pub fn set(self, word: U256, value: U256) -> U256 {
        let mask = if self.bytes >= 32 { U256::MAX } else { (U256::ONE << (8 * self.bytes)) - U256::ONE };
        (word & !(mask << (8 * self.offset))) | ((value & mask) << (8 * self.offset))
    }
}

fn address(value: U256) -> Address {
    Address::from_word(value.into())
}

/// A number that this version does not know stands for the status that permits nothing.
fn status<S: TryFrom<u8>>(value: U256, otherwise: S) -> S {
    S::try_from(value.saturating_to::<u8>()).unwrap_or(otherwise)
}
