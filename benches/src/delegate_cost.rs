//! What the delegate itself costs: state in memory, answers at hand, signatures already recovered.

use crate::{
    bytecode::{self, Ending},
    stats::{grouped, median_s, us},
    table::{Section, progress},
};
use alloy_evm::{Evm, EvmEnv};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_sol_types::SolCall;
use anyhow::{Context, Result, anyhow, ensure};
use cryptlet_attestation::{
    AcceptedVersions, CryptletEntry, CryptletStatus, InstanceEntry, InstanceStatus, Listing, PolicyEntry,
    RecoveredRecord, SimulationPolicy, signature::result_digest,
};
use cryptlet_delegate::{
    Anchor, DatabaseParent, DelegateContext, DelegateEvm, DelegateScope, Transcript, build_to_end,
    registry_layout::storage, replay_transaction,
};
use cryptlet_primitives::{
    CodeDigest, CryptletId, CryptletResult, FabricAnswer, FabricDomain, FabricLimits, FabricVersion, Invocation,
    Record, RegistrationId, ResultStatus, Signature65,
    abi::ICryptoDelegate::invokeCall,
    system::{CRYPTLET_POLICY, CRYPTLET_REGISTRY, CRYPTO_DELEGATE},
};
use k256::ecdsa::SigningKey;
use revm::{
    bytecode::Bytecode,
    context::TxEnv,
    database::{CacheDB, EmptyDB, State},
    primitives::{TxKind, hardfork::SpecId},
    state::AccountInfo,
};
use std::{collections::BTreeMap, convert::Infallible, hint::black_box, sync::Arc};

const USER: Address = Address::repeat_byte(0xaa);
const REPEATER: Address = Address::repeat_byte(0x11);
const NOOP: Address = Address::repeat_byte(0x12);
const IDENTITY: Address = Address::with_last_byte(4);
const CRYPTLET: CryptletId = CryptletId(B256::repeat_byte(1));
const INSTANCE: RegistrationId = RegistrationId(B256::repeat_byte(2));
const TX_HASH: B256 = B256::repeat_byte(3);
const DOMAIN: FabricDomain = FabricDomain { chain_id: 31_337, genesis_hash: B256::repeat_byte(4) };
const PARENT: Anchor = Anchor { number: 400, hash: B256::repeat_byte(5) };
const GAS_LIMIT: u64 = 20_000_000;
const INPUT_BYTES: usize = 68;
const CALLS: [u64; 3] = [1, 4, 16];
/// Samples of each figure, and transactions per sample.
const SAMPLES: usize = 301;
const PER_SAMPLE: usize = 20;
const SIGNATURES: usize = 2_001;

type BenchEvm = DelegateEvm<State<CacheDB<EmptyDB>>>;

/// The section.
pub(crate) fn run() -> Result<Vec<Section>> {
    Ok(vec![calls()?, signatures()?])
}

fn calls() -> Result<Section> {
    let world = World::new()?;
    let columns = [
        "calls per transaction",
        "runs to build",
        "gas plain",
        "gas",
        "gas per call more",
        "µs plain",
        "µs replay",
        "µs per call more, replay",
        "µs build",
        "µs per call more, build",
    ];
    let mut section = Section::new("The delegate's own cost", &columns).how(format!(
        "A contract calls the delegate once, 4 and 16 times with {INPUT_BYTES} bytes of input, in memory, in one warm EVM as \
         within a block; *plain* is the same contract calling the identity precompile as often with the same bytes. *Replay* \
         is one run against records whose signers are known; *build* is k + 1 runs with the answers at hand (each run ends at \
         the first missing answer). Wall time, median of {SAMPLES} samples of {PER_SAMPLE} transactions.",
    ));
    let (mut worst_replay_us, mut worst_build_us): (f64, f64) = (0.0, 0.0);
    for calls in CALLS {
        progress(&format!("delegate: {calls} calls per transaction"));
        let Measured { runs, gas_plain, gas, plain_s, replay_s, build_s } = world.measure(calls)?;
        let count = calls as f64;
        let (replay_more_s, build_more_s) = ((replay_s - plain_s) / count, (build_s - plain_s) / count);
        worst_replay_us = worst_replay_us.max(replay_more_s * 1e6);
        worst_build_us = worst_build_us.max(build_more_s * 1e6);
        section.row(&[
            calls.to_string(),
            runs.to_string(),
            grouped(gas_plain as i64),
            grouped(gas as i64),
            grouped((gas - gas_plain) as i64 / calls as i64),
            us(plain_s),
            us(replay_s),
            us(replay_more_s),
            us(build_s),
            us(build_more_s),
        ]);
    }
    let noop = world.transaction(16, NOOP)?;
    let mut evm = world.evm();
    let noop_s = sample(|| Ok(evm.transact_raw(noop.clone())?))?;
    Ok(section.finding(format!(
        "Target: below 20 µs per call besides signature and container. Worst of the three: {worst_replay_us:.1} µs in a replay, \
         {worst_build_us:.1} µs in a build with all its runs. (16 calls of an empty contract instead of the precompile take {} µs.) \
         Building makes k + 1 runs, so k calls in a row are about k²/2 executed ones. \
         Gas pays for the registry reads, the signature check and the log; *gas plain* leaves out the floor price of call data (EIP-7623), \
         which would hide what calls cost.",
        us(noop_s)
    )))
}

fn signatures() -> Result<Section> {
    progress("delegate: signatures");
    let world = World::new()?;
    let record = world.records(1)?.remove(0).into_record();
    let digest = result_digest(&record.result, &DOMAIN);
    let sign_s = median_s(SIGNATURES, || drop(black_box(world.sign(black_box(digest)))));
    let recover_s = median_s(SIGNATURES, || {
        black_box(cryptlet_attestation::recover(black_box(digest), &record.signature)).ok();
    });
    let whole_s = median_s(SIGNATURES, || drop(black_box(RecoveredRecord::recover(record.clone(), &DOMAIN))));
    let mut section = Section::new("One signature", &["what", "µs"])
        .how("The same for every call, once per record and node; not part of the figures above. One thread, wall time, median.");
    section.row(&["sign a result (k256, as the instance's signer does)".into(), us(sign_s)]);
    section.row(&["recover a signer".into(), us(recover_s)]);
    section.row(&["recover a record: typed-data hashes and signer".into(), us(whole_s)]);
    Ok(section)
}

struct Measured {
    runs: u32,
    gas_plain: u64,
    gas: u64,
    plain_s: f64,
    replay_s: f64,
    build_s: f64,
}

/// A chain with one cryptlet and one instance that signs.
struct World {
    db: CacheDB<EmptyDB>,
    key: SigningKey,
}

impl World {
    fn new() -> Result<Self> {
        let key = SigningKey::from_slice(&[7; 32])?;
        let mut world = Self { db: CacheDB::new(EmptyDB::new()), key };
        world.account(CRYPTO_DELEGATE, &[0xfe]);
        world.account(REPEATER, &bytecode::repeater());
        world.account(NOOP, &[0x00]);
        let signer = Address::from_public_key(world.key.verifying_key());
        let cryptlet = CryptletEntry {
            id: CRYPTLET,
            code_digest: CodeDigest::default(),
            status: CryptletStatus::Active,
            bound_contract: None,
            units_max: 2_000,
            output_bytes_max: 256,
            key_epoch: 1,
            previous_epoch: 0,
            previous_epoch_until: 0,
            isolation: 0,
            active_instances: 1,
            simulation: SimulationPolicy::Live,
        };
        let instance = InstanceEntry {
            id: INSTANCE,
            status: InstanceStatus::Active,
            cryptlet: CRYPTLET,
            code_digest: CodeDigest::default(),
            signer,
            key_epoch: 1,
            not_after_block: 10_000,
            provider: 1,
            isolation: 0,
            measurement: B256::repeat_byte(3),
            endorser: Some(Address::repeat_byte(4)),
            measurement_listing: Listing::None,
            endorser_listing: Listing::None,
            container: 1,
            version: FabricVersion(1_002),
            accepted_versions: AcceptedVersions::default(),
        };
        let policy =
            PolicyEntry { version: 1, accepted_providers: 0b10, minimum_isolation: 0, ..PolicyEntry::default() };
        world.words(CRYPTLET_REGISTRY, storage::of_cryptlet(&cryptlet))?;
        world.words(CRYPTLET_REGISTRY, storage::of_instance(&instance))?;
        world.words(CRYPTLET_POLICY, storage::of_policy(&policy))?;
        Ok(world)
    }

    fn account(&mut self, address: Address, code: &[u8]) {
        let code = Bytecode::new_raw(Bytes::copy_from_slice(code));
        self.db.insert_account_info(address, AccountInfo::from_bytecode(code).with_nonce(1));
    }

    fn words(&mut self, address: Address, words: BTreeMap<U256, U256>) -> Result<()> {
        words.into_iter().try_for_each(|(slot, word)| Ok(self.db.insert_account_storage(address, slot, word)?))
    }

    fn evm(&self) -> BenchEvm {
        self.evm_of(SpecId::PRAGUE)
    }

    fn evm_of(&self, spec: SpecId) -> BenchEvm {
        let state = Arc::new(DatabaseParent(self.db.clone()));
        let scope = DelegateScope { domain: DOMAIN, limits: FabricLimits::default(), parent: PARENT, state };
        let mut env: EvmEnv = EvmEnv::default();
        env.cfg_env.set_spec_and_mainnet_gas_params(spec);
        env.cfg_env.chain_id = DOMAIN.chain_id;
        env.block_env.number = U256::from(PARENT.number + 1);
        let database = State::builder().with_database(self.db.clone()).with_bundle_update().build();
        DelegateEvm::new(database, env, DelegateContext::new(scope))
    }

    fn transaction(&self, calls: u64, target: Address) -> Result<TxEnv> {
        let data = invokeCall { cryptlet: CRYPTLET.0, input: vec![0x5a; INPUT_BYTES].into() }.abi_encode();
        let data = bytecode::repeat(calls, target, &data, Ending::Stop);
        let builder = TxEnv::builder().caller(USER).kind(TxKind::Call(REPEATER)).data(data).gas_price(0);
        builder.gas_limit(GAS_LIMIT).chain_id(Some(DOMAIN.chain_id)).build().map_err(|error| anyhow!("{error:?}"))
    }

    fn sign(&self, digest: B256) -> Result<Signature65> {
        let (signature, parity) = self.key.sign_prehash_recoverable(digest.as_slice())?;
        Ok(alloy_primitives::Signature::from((signature, parity)).into())
    }

    fn answer(&self, invocation: &Invocation) -> Result<RecoveredRecord> {
        let output: Bytes = invocation.input.iter().rev().copied().collect::<Vec<_>>().into();
        let result = CryptletResult {
            requestHash: invocation.request_hash(),
            registrationId: INSTANCE.0,
            keyEpoch: 1,
            status: ResultStatus::Ok as u8,
            outputHash: keccak256(&output),
            units: 100,
            observedAt: 1_700_000_000,
            notBefore: PARENT.number,
            expires: PARENT.number + 100,
        };
        let signature = self.sign(result_digest(&result, &DOMAIN))?;
        let record = Record::answered(invocation, FabricAnswer { result, output, signature });
        Ok(RecoveredRecord::recover(record, &DOMAIN))
    }

    fn records(&self, calls: u64) -> Result<Vec<RecoveredRecord>> {
        let tx = self.transaction(calls, CRYPTO_DELEGATE)?;
        let mut evm = self.evm();
        let execute = |evm: &mut BenchEvm| evm.transact_raw(tx.clone());
        let built = build_to_end(&mut evm, TX_HASH, &mut Transcript::new(), execute, |call| self.answer(call));
        let built = built.map_err(|error| anyhow!("{error}"))?;
        ensure!(built.executed.value.result.is_success(), "the repeater failed: {:?}", built.executed.value.result);
        Ok(built.executed.records().to_vec())
    }

    fn measure(&self, calls: u64) -> Result<Measured> {
        let (tx, plain) = (self.transaction(calls, CRYPTO_DELEGATE)?, self.transaction(calls, IDENTITY)?);
        let records = self.records(calls)?;
        let mut evm = self.evm();
        let plain_s = sample(|| Ok(evm.transact_raw(plain.clone())?))?;
        // The same prices but for the floor of EIP-7623.
        let gas_plain = self.evm_of(SpecId::CANCUN).transact_raw(plain)?.result.tx_gas_used();

        let mut evm = self.evm();
        let execute = |evm: &mut BenchEvm| evm.transact_raw(tx.clone());
        let replay_s = sample(|| Ok(replay_transaction(&mut evm, TX_HASH, records.clone(), execute)?))?;
        let mut build = || {
            let answer = |call: &Invocation| Ok::<_, Infallible>(records[call.sequence as usize].clone());
            build_to_end(&mut evm, TX_HASH, &mut Transcript::new(), execute, answer).map_err(|error| anyhow!("{error}"))
        };
        let built = build()?;
        let (runs, result) = (built.runs, built.executed.value.result);
        ensure!(result.is_success() && u64::from(runs) == calls + 1, "{calls} calls took {runs} runs: {result:?}");
        let build_s = sample(&mut build)?;
        Ok(Measured { runs, gas_plain, gas: result.tx_gas_used(), plain_s, replay_s, build_s })
    }
}

/// Median seconds of one call of `work`.
fn sample<T>(mut work: impl FnMut() -> Result<T>) -> Result<f64> {
    let mut failed = None;
    let per_sample_s = median_s(SAMPLES, || {
        for _ in 0..PER_SAMPLE {
            failed = black_box(work()).err().or(failed.take());
        }
    });
    match failed {
        Some(error) => Err(error).context("a transaction of the benchmark could not run"),
        None => Ok(per_sample_s / PER_SAMPLE as f64),
    }
}
