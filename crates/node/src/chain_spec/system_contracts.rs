//! The accounts a chain of the fabric starts with: the delegate's, the system contracts', and Ethereum's own.

use alloy::eips::{eip2935, eip4788, eip7002, eip7251, eip8282};
use alloy::genesis::GenesisAccount;
use alloy_primitives::{Address, B256, Bytes, U256, address, bytes};
use cryptlet_delegate::registry_layout::{mapping_slot, slots};
use cryptlet_primitives::{
    FabricLimits,
    system::{ADMINISTRATORS, ATTESTATION_VERIFIER, CRYPTLET_POLICY, CRYPTLET_REGISTRY},
};
use std::collections::BTreeMap;

/// Code of the delegate's account: one invalid byte, so that `extcodesize` is not zero and nobody can run it.
pub(super) const MARKER_CODE: Bytes = bytes!("fe");

/// Slot of the delegate's account that holds [`FabricLimits::digest`].
pub(super) const LIMITS_SLOT: B256 = B256::ZERO;

/// EIP-7997: the factory, at the address that it has on every chain where a transaction deployed it.
const FACTORY: Address = address!("4e59b44847b379578588920cA78FbF26c0B4956C");

/// Its code: `CREATE2` with the first word of the call data as the salt and the rest as the code.
const FACTORY_CODE: Bytes = bytes!(
    "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182fd5b8082525050506014600cf3"
);

/// Runtime code and initial storage of the system contracts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SystemContracts {
    /// Address → account.
    pub accounts: BTreeMap<Address, GenesisAccount>,
}

/// The delegate's account: kept by EIP-161, visible to `extcodesize`, committing to the limits.
pub fn delegate_account(limits: &FabricLimits) -> GenesisAccount {
    GenesisAccount::default()
        .with_nonce(Some(1))
        .with_code(Some(MARKER_CODE))
        .with_storage(Some(BTreeMap::from([(LIMITS_SLOT, limits.digest())])))
}

/// As `contracts/scripts/build-artifacts` writes them.
const REGISTRY_ARTIFACT: &str = include_str!("../../../../contracts/artifacts/CryptletRegistry.json");
const POLICY_ARTIFACT: &str = include_str!("../../../../contracts/artifacts/CryptletPolicy.json");
const ADMINISTRATORS_ARTIFACT: &str = include_str!("../../../../contracts/artifacts/Administrators.json");
const VERIFIER_ARTIFACT: &str = include_str!("../../../../contracts/artifacts/AttestationVerifier.json");

/// For how many blocks rotated keys may count at most, in the beginning: a day of blocks of 12 s.
const ROTATION_GRACE_BLOCKS_MAX: u32 = 7_200;

/// What a chain accepts in the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InitialPolicy {
    /// Bit `p` is set if provider number `p` is accepted.
    pub accepted_providers: u32,
    /// Least isolation of an instance (`Claims.isolation`).
    pub minimum_isolation: u8,
    /// Do registrations count as soon as they are made? If not, the administrator activates each.
    pub activates_automatically: bool,
}

/// Who rules registry and policy from the beginning: so many of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Council {
    /// How many must approve.
    pub threshold: u32,
    /// Who they are, each once.
    pub members: std::collections::BTreeSet<Address>,
}

/// A council that could never decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{threshold} of {members} administrators cannot decide anything; the threshold must be between 1 and their number"
)]
pub struct CouncilError {
    threshold: u32,
    members: usize,
}

impl InitialPolicy {
    /// The software provider, with any isolation, active at once: for development.
    pub const DEVELOPMENT: Self =
        Self { accepted_providers: 1 << 1, minimum_isolation: 0, activates_automatically: true };
}

impl SystemContracts {
    /// The contracts of `contracts/`: registry and policy administered by this account, the policy as given.
    pub fn of_fabric(admin: Address, policy: InitialPolicy) -> Self {
        let slot = |number: u64| B256::from(U256::from(number));
        let rules = [
            (slots::rules::VERSION, U256::ONE),
            (slots::rules::ACCEPTED_PROVIDERS, U256::from(policy.accepted_providers)),
            (slots::rules::MINIMUM_ISOLATION, U256::from(policy.minimum_isolation)),
            (slots::rules::ROTATION_GRACE_BLOCKS_MAX, U256::from(ROTATION_GRACE_BLOCKS_MAX)),
            (slots::rules::IS_ACTIVATION_AUTOMATIC, U256::from(u8::from(policy.activates_automatically))),
        ];
        let rules = rules.into_iter().fold(U256::ZERO, |word, (field, value)| field.set(word, value));
        let registry_storage = BTreeMap::from([(slot(slots::registry::ADMIN.slot), admin.into_word())]);
        let policy_storage = BTreeMap::from([
            (slot(slots::policy::ADMIN.slot), admin.into_word()),
            (slot(slots::policy::RULES.slot), rules.into()),
        ]);
        let contract = |artifact, storage: BTreeMap<B256, B256>| {
            GenesisAccount::default()
                .with_nonce(Some(1))
                .with_code(Some(runtime_code(artifact)))
                .with_storage(Some(storage).filter(|storage| !storage.is_empty()))
        };
        let accounts = BTreeMap::from([
            (CRYPTLET_REGISTRY, contract(REGISTRY_ARTIFACT, registry_storage)),
            (CRYPTLET_POLICY, contract(POLICY_ARTIFACT, policy_storage)),
            (ATTESTATION_VERIFIER, contract(VERIFIER_ARTIFACT, BTreeMap::new())),
        ]);
        Self { accounts }
    }

    /// The same, ruled by so many of a council instead of one account.
    pub fn of_council(council: &Council, policy: InitialPolicy) -> Result<Self, CouncilError> {
        let members = council.members.len();
        if council.threshold == 0 || council.threshold as usize > members {
            return Err(CouncilError { threshold: council.threshold, members });
        }
        let mut contracts = Self::of_fabric(ADMINISTRATORS, policy);
        let numbers = [
            (slots::administrators::THRESHOLD, U256::from(council.threshold)),
            (slots::administrators::MEMBER_COUNT, U256::from(members)),
        ];
        let numbers = numbers.into_iter().fold(U256::ZERO, |word, (field, value)| field.set(word, value));
        let slot = |member: &Address| mapping_slot(slots::administrators::IS_MEMBER.slot, member.into_word());
        let mut storage: BTreeMap<B256, B256> =
            council.members.iter().map(|member| (slot(member).into(), B256::with_last_byte(1))).collect();
        storage.insert(U256::from(slots::administrators::THRESHOLD.slot).into(), numbers.into());
        let account = GenesisAccount::default()
            .with_nonce(Some(1))
            .with_code(Some(runtime_code(ADMINISTRATORS_ARTIFACT)))
            .with_storage(Some(storage));
        contracts.accounts.insert(ADMINISTRATORS, account);
        Ok(contracts)
    }

    /// What Ethereum itself expects to find: beacon roots (EIP-4788), block hashes (EIP-2935), withdrawal (EIP-7002) and
    /// consolidation (EIP-7251) requests. The request queues start empty instead of inhibited, as after their first block.
    pub fn of_ethereum() -> Self {
        let accounts = BTreeMap::from([
            (eip4788::BEACON_ROOTS_ADDRESS, contract(&eip4788::BEACON_ROOTS_CODE)),
            (eip2935::HISTORY_STORAGE_ADDRESS, contract(&eip2935::HISTORY_STORAGE_CODE)),
            (eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, contract(&eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_CODE)),
            (
                eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
                contract(&eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_CODE),
            ),
        ]);
        Self { accounts }
    }

    /// What Amsterdam adds to it: the deposits and exits of builders (EIP-8282), and the factory for contracts that have one
    /// address on every chain, which EIP-7997 expects to be there and no rule deploys.
    pub fn of_amsterdam() -> Self {
        let accounts = BTreeMap::from([
            (eip8282::BUILDER_DEPOSIT_CONTRACT_ADDRESS, contract(&eip8282::BUILDER_DEPOSIT_CONTRACT_CODE)),
            (eip8282::BUILDER_EXIT_CONTRACT_ADDRESS, contract(&eip8282::BUILDER_EXIT_CONTRACT_CODE)),
            (FACTORY, contract(&FACTORY_CODE)),
        ]);
        Self { accounts }
    }
}

/// A contract as if a transaction had made it.
fn contract(code: &Bytes) -> GenesisAccount {
    GenesisAccount::default().with_nonce(Some(1)).with_code(Some(code.clone()))
}

fn runtime_code(artifact: &str) -> Bytes {
    /// The part of an artifact that is wanted here.
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Artifact {
        deployed_bytecode: Bytes,
    }
    let artifact: Artifact =
        serde_json::from_str(artifact).expect("the artifacts are committed with the tree and checked by its tests");
    artifact.deployed_bytecode
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::uint;

    #[test]
    fn the_delegate_reads_the_policy_that_genesis_writes() {
        let contracts = SystemContracts::of_fabric(Address::repeat_byte(7), InitialPolicy::DEVELOPMENT);
        let storage = contracts.accounts[&CRYPTLET_POLICY].storage.clone().expect("storage");
        assert_eq!(storage[&B256::ZERO], Address::repeat_byte(7).into_word());
        let rules = uint!(0x2_00000001_U256) | U256::from(ROTATION_GRACE_BLOCKS_MAX) << 152 | U256::ONE << 184;
        assert_eq!(storage[&B256::with_last_byte(2)], B256::from(rules));
    }

    #[test]
    fn a_council_is_written_as_its_contract_reads_it() {
        let members = [Address::repeat_byte(1), Address::repeat_byte(2), Address::repeat_byte(3)].into();
        let council = Council { threshold: 2, members };
        let contracts = SystemContracts::of_council(&council, InitialPolicy::DEVELOPMENT).unwrap();
        let storage = contracts.accounts[&ADMINISTRATORS].storage.clone().unwrap();
        assert_eq!(storage[&B256::ZERO], B256::from(uint!(0x3_00000002_U256)));
        // As contracts/test/Administrators.t.sol stores it: keccak256(abi.encode(member, 1)).
        let slot = alloy_primitives::keccak256([Address::repeat_byte(2).into_word(), B256::with_last_byte(1)].concat());
        assert_eq!(storage[&slot], B256::with_last_byte(1));
        for account in [CRYPTLET_POLICY, CRYPTLET_REGISTRY] {
            let admin = contracts.accounts[&account].storage.clone().unwrap()[&B256::ZERO];
            assert_eq!(admin, ADMINISTRATORS.into_word());
        }
        for threshold in [0, 4] {
            let council = Council { threshold, ..council.clone() };
            assert!(SystemContracts::of_council(&council, InitialPolicy::DEVELOPMENT).is_err());
        }
    }
}
