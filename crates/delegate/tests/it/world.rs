//! A chain with one cryptlet, one instance that signs, and accounts with code.

use super::asm::Asm;
use alloy_evm::{Evm, EvmEnv};
use alloy_primitives::{Address, B256, Bytes, U256, address, keccak256};
use alloy_sol_types::{SolCall, SolError};
use cryptlet_attestation::{
    AcceptedVersions, CryptletEntry, CryptletStatus, InstanceEntry, InstanceStatus, Listing, PolicyEntry,
    RecoveredRecord, SimulationPolicy, signature::result_digest,
};
use cryptlet_delegate::{
    Anchor, BuildOutcome, Built, DatabaseParent, DelegateContext, DelegateEvm, DelegateScope, DelegateSlot, Executed,
    ReplayError, Transcript, build_to_end, build_transaction,
    registry_layout::{Packed, accepted_versions_slot, mapping_slot, slots, storage},
    replay_transaction,
};
use cryptlet_primitives::{
    CodeDigest, ContainerKind, CryptletId, CryptletResult, FabricAnswer, FabricDomain, FabricLimits, FabricVersion,
    Invocation, Record, RefusalCode, RegistrationId, ResultStatus, Signature65,
    abi::ICryptoDelegate::{self, CryptletError},
    system::{CRYPTLET_POLICY, CRYPTLET_REGISTRY, CRYPTO_DELEGATE},
};
use k256::ecdsa::SigningKey;
use revm::{
    bytecode::Bytecode,
    context::{BlockEnv, CfgEnv, TxEnv},
    context_interface::result::{EVMError, ExecutionResult, ResultAndState},
    database::{CacheDB, EmptyDB, State},
    primitives::{TxKind, hardfork::SpecId},
    state::AccountInfo,
};
use std::{collections::BTreeMap, convert::Infallible, sync::Arc};

pub const USER: Address = address!("00000000000000000000000000000000000000aa");
pub const OUTER: Address = address!("0000000000000000000000000000000000001001");
pub const INNER: Address = address!("0000000000000000000000000000000000001002");
pub const PARENT_NUMBER: u64 = 400;
pub const MEASUREMENT: B256 = B256::repeat_byte(0x3e);
pub const ENDORSER: Address = Address::repeat_byte(0x40);
pub const VERSION: FabricVersion = FabricVersion(1_002);
pub const TIMESTAMP: u64 = 1_700_000_000;
pub const GAS: u64 = 5_000_000;

pub type Db = CacheDB<EmptyDB>;
pub type TestEvm = DelegateEvm<State<Db>>;
pub type Run = ResultAndState;
pub type RunError = EVMError<revm::database_interface::bal::EvmDatabaseError<Infallible>>;

/// One instance's secret.
pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).unwrap()
}

pub fn address_of(key: &SigningKey) -> Address {
    Address::from_public_key(key.verifying_key())
}

pub fn sign(key: &SigningKey, digest: B256) -> Signature65 {
    let (signature, parity) = key.sign_prehash_recoverable(digest.as_slice()).unwrap();
    alloy_primitives::Signature::from((signature, parity)).into()
}

#[derive(Clone)]
pub struct World {
    pub domain: FabricDomain,
    pub limits: FabricLimits,
    pub db: Db,
    pub parent_number: u64,
    pub timestamp: u64,
    pub cryptlet: CryptletId,
    pub code: CodeDigest,
    pub instance: RegistrationId,
    pub key: SigningKey,
}

impl World {
    pub fn new() -> Self {
        let mut world = Self {
            domain: FabricDomain { chain_id: 31337, genesis_hash: B256::repeat_byte(0x6e) },
            limits: FabricLimits::default(),
            db: Db::default(),
            parent_number: PARENT_NUMBER,
            timestamp: TIMESTAMP,
            cryptlet: CryptletId::utility(USER, "oracle"),
            code: CodeDigest(B256::repeat_byte(0xc0)),
            instance: RegistrationId(B256::repeat_byte(0x17)),
            key: key(7),
        };
        world.account(USER, 10u128.pow(20), 0, Bytes::new());
        world.account(CRYPTO_DELEGATE, 0, 1, Bytes::from_static(&[0xfe]));
        world.db.insert_account_storage(CRYPTO_DELEGATE, U256::ZERO, world.limits.digest().into()).unwrap();
        world.account(CRYPTLET_REGISTRY, 0, 1, Bytes::from_static(&[0xfe]));
        world.account(CRYPTLET_POLICY, 0, 1, Bytes::from_static(&[0xfe]));
        world.register(world.cryptlet);
        world.set_instance(world.cryptlet, world.instance, address_of(&world.key.clone()));
        let policy =
            PolicyEntry { version: 3, accepted_providers: 0b10, minimum_isolation: 1, ..PolicyEntry::default() };
        world.insert(CRYPTLET_POLICY, storage::of_policy(&policy));
        world
    }

    pub fn account(&mut self, address: Address, balance: u128, nonce: u64, code: Bytes) {
        let code = Bytecode::new_raw(code);
        let info = AccountInfo {
            balance: U256::from(balance),
            nonce,
            code_hash: code.hash_slow(),
            code: Some(code),
            ..Default::default()
        };
        self.db.insert_account_info(address, info);
    }

    pub fn with_code(mut self, address: Address, code: Asm) -> Self {
        self.account(address, 0, 1, code.build());
        self
    }

    pub fn register(&mut self, cryptlet: CryptletId) {
        let words = storage::of_cryptlet(&CryptletEntry {
            id: cryptlet,
            status: CryptletStatus::Active,
            code_digest: self.code,
            bound_contract: None,
            units_max: 2_000,
            output_bytes_max: 256,
            key_epoch: 1,
            previous_epoch: 0,
            previous_epoch_until: 0,
            isolation: 1,
            active_instances: 1,
            simulation: SimulationPolicy::Live,
        });
        self.insert(CRYPTLET_REGISTRY, words);
    }

    fn insert(&mut self, address: Address, words: BTreeMap<U256, U256>) {
        words.into_iter().for_each(|(slot, word)| self.db.insert_account_storage(address, slot, word).unwrap());
    }

    pub fn set_cryptlet(&mut self, cryptlet: CryptletId, at: Packed, value: impl IntoWord) {
        let base = mapping_slot(slots::registry::CRYPTLETS.slot, cryptlet.0);
        self.set(CRYPTLET_REGISTRY, base, at, value.into_word());
    }

    pub fn set_instance(&mut self, cryptlet: CryptletId, instance: RegistrationId, signer: Address) {
        let words = storage::of_instance(&InstanceEntry {
            id: instance,
            status: InstanceStatus::Active,
            cryptlet,
            code_digest: self.code,
            signer,
            key_epoch: 1,
            not_after_block: 10_000,
            provider: 1,
            isolation: 1,
            measurement: MEASUREMENT,
            endorser: Some(ENDORSER),
            measurement_listing: Listing::None,
            endorser_listing: Listing::None,
            container: ContainerKind::Wasm as u8,
            version: VERSION,
            accepted_versions: AcceptedVersions::default(),
        });
        self.insert(CRYPTLET_REGISTRY, words);
    }

    pub fn set_instance_field(&mut self, instance: RegistrationId, at: Packed, value: impl IntoWord) {
        let base = mapping_slot(slots::registry::INSTANCES.slot, instance.0);
        self.set(CRYPTLET_REGISTRY, base, at, value.into_word());
    }

    pub fn set_listing(&mut self, slot: U256, listing: Listing) {
        self.db.insert_account_storage(CRYPTLET_POLICY, slot, U256::from(listing as u8)).unwrap();
    }

    pub fn set_versions(&mut self, container: u8, minimum: u32, maximum: u32) {
        let base = accepted_versions_slot(container);
        self.set(CRYPTLET_POLICY, base, slots::versions::MINIMUM, U256::from(minimum));
        self.set(CRYPTLET_POLICY, base, slots::versions::MAXIMUM, U256::from(maximum));
    }

    pub fn set_rule(&mut self, at: Packed, value: u64) {
        self.set(CRYPTLET_POLICY, U256::from(slots::policy::RULES.slot), at, U256::from(value));
    }

    pub fn set_factory(&mut self, factory: CryptletId) {
        self.set(CRYPTLET_REGISTRY, U256::ZERO, slots::registry::FACTORY, factory.0.into());
    }

    fn set(&mut self, address: Address, base: U256, at: Packed, value: U256) {
        use revm::DatabaseRef;
        let slot = base + U256::from(at.slot);
        let word = self.db.storage_ref(address, slot).unwrap();
        self.db.insert_account_storage(address, slot, at.set(word, value)).unwrap();
    }

    pub fn block_number(&self) -> u64 {
        self.parent_number + 1
    }

    pub fn block_hash(&self, number: u64) -> B256 {
        keccak256(number.to_string())
    }

    pub fn scope(&self) -> DelegateScope {
        DelegateScope {
            domain: self.domain,
            limits: self.limits,
            parent: Anchor { number: self.parent_number, hash: self.block_hash(self.parent_number) },
            state: Arc::new(DatabaseParent(self.db.clone())),
        }
    }

    pub fn env(&self) -> EvmEnv {
        let cfg = CfgEnv::new_with_spec(SpecId::PRAGUE).with_chain_id(self.domain.chain_id);
        let block = BlockEnv {
            number: U256::from(self.block_number()),
            timestamp: U256::from(self.timestamp),
            gas_limit: 1_000_000_000,
            ..Default::default()
        };
        EvmEnv::new(cfg, block)
    }

    pub fn state(&self) -> State<Db> {
        State::builder().with_database(self.db.clone()).with_bundle_update().build()
    }

    pub fn evm(&self) -> TestEvm {
        DelegateEvm::new(self.state(), self.env(), DelegateContext::new(self.scope()))
    }

    /// What an honest instance answers: the input, upside down.
    pub fn answer(&self, invocation: &Invocation) -> FabricAnswer {
        let output: Bytes = invocation.input.iter().rev().copied().collect::<Vec<_>>().into();
        self.answer_with(invocation, ResultStatus::Ok, output, 100)
    }

    pub fn answer_with(
        &self,
        invocation: &Invocation,
        status: ResultStatus,
        output: Bytes,
        units: u64,
    ) -> FabricAnswer {
        let result = CryptletResult {
            requestHash: invocation.request_hash(),
            registrationId: self.instance.0,
            keyEpoch: 1,
            status: status as u8,
            outputHash: keccak256(&output),
            units,
            observedAt: TIMESTAMP,
            notBefore: invocation.request.anchorBlock,
            expires: invocation.request.anchorBlock + 100,
        };
        self.signed(result, output)
    }

    pub fn signed(&self, result: CryptletResult, output: Bytes) -> FabricAnswer {
        FabricAnswer { result, output, signature: sign(&self.key, result_digest(&result, &self.domain)) }
    }

    pub fn recover(&self, record: Record) -> RecoveredRecord {
        RecoveredRecord::recover(record, &self.domain)
    }

    pub fn record(&self, invocation: &Invocation) -> RecoveredRecord {
        self.recover(Record::answered(invocation, self.answer(invocation)))
    }

    /// Builds the transaction with honest answers.
    pub fn build(&self, evm: &mut TestEvm, tx: &TxEnv) -> Built<Run> {
        let answer = |invocation: &Invocation| Ok::<_, Infallible>(self.record(invocation));
        let execute = |evm: &mut TestEvm| evm.transact_raw(tx.clone());
        build_to_end(evm, TX_HASH, &mut Transcript::new(), execute, answer).unwrap()
    }

    /// Builds in a fresh EVM, then replays in another, and wants the same from both.
    pub fn build_and_replay(&self, tx: &TxEnv) -> (Run, Vec<RecoveredRecord>, u32) {
        let mut evm = self.evm();
        let Built { executed, runs } = self.build(&mut evm, tx);
        let (built, records) = executed.include(&mut evm);
        let mut other = self.evm();
        let replayed = self.replay(&mut other, tx, records.clone()).unwrap();
        let (replayed, consumed) = replayed.include(&mut other);
        assert_eq!(built, replayed);
        assert_eq!(records, consumed);
        assert_eq!(evm.delegate().spent(), other.delegate().spent());
        (built, records, runs)
    }

    pub fn replay(
        &self,
        evm: &mut TestEvm,
        tx: &TxEnv,
        records: Vec<RecoveredRecord>,
    ) -> Result<Executed<Run>, ReplayError<RunError>> {
        replay_transaction(evm, TX_HASH, records, |evm| evm.transact_raw(tx.clone()))
    }

    /// The first call that waits for an answer.
    pub fn first_invocation(&self, tx: &TxEnv) -> Invocation {
        let mut evm = self.evm();
        match build_transaction(&mut evm, TX_HASH, &mut Transcript::new(), |evm| evm.transact_raw(tx.clone())) {
            BuildOutcome::Suspended(suspension) => suspension.invocation,
            other => panic!("not suspended: {other:?}"),
        }
    }

    pub fn invoke_data(&self, input: &[u8]) -> Vec<u8> {
        invoke_data(self.cryptlet, input)
    }
}

pub const TX_HASH: B256 = B256::repeat_byte(0x77);

pub fn invoke_data(cryptlet: CryptletId, input: &[u8]) -> Vec<u8> {
    ICryptoDelegate::invokeCall { cryptlet: cryptlet.0, input: input.to_vec().into() }.abi_encode()
}

pub fn tx(to: Address, data: impl Into<Bytes>, gas: u64) -> TxEnv {
    TxEnv::builder()
        .caller(USER)
        .kind(TxKind::Call(to))
        .data(data.into())
        .gas_limit(gas)
        .gas_price(0)
        .chain_id(Some(31337))
        .build()
        .unwrap()
}

/// The refusal that a transaction reverted with.
pub fn refusal(result: &ExecutionResult) -> Option<(RefusalCode, Bytes)> {
    let ExecutionResult::Revert { output, .. } = result else { return None };
    let error = CryptletError::abi_decode_validate(output).ok()?;
    Some((RefusalCode::try_from(error.code).ok()?, error.data))
}

pub fn stored(run: &Run, address: Address, slot: u64) -> U256 {
    run.state[&address].storage.get(&U256::from(slot)).map(|value| value.present_value).unwrap_or_default()
}

pub trait IntoWord {
    fn into_word(self) -> U256;
}

impl IntoWord for U256 {
    fn into_word(self) -> U256 {
        self
    }
}

impl IntoWord for u64 {
    fn into_word(self) -> U256 {
        U256::from(self)
    }
}

impl IntoWord for B256 {
    fn into_word(self) -> U256 {
        self.into()
    }
}
