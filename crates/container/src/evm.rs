//! Container kind `evm`: Solidity logic off the chain, on revm, from a snapshot.
//!
//! Making it ready runs the constructor once and keeps code and storage: the *snapshot*. Every call runs on a fresh copy of it, so
//! nothing is kept from one call to the next. There is one contract in this world, and the precompiles of its fork; no delegate, no
//! other account, no past block. What a contract may ask about its block and transaction are inputs of the call.

use crate::{
    call::{CallAnswer, CallInputs, Ending},
    engine,
    fault::GuestRefusal,
    trap,
};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use revm::{
    Context, ExecuteEvm, MainBuilder, MainContext,
    bytecode::Bytecode,
    context::{
        BlockEnv, TxEnv,
        result::{ExecutionResult, HaltReason, OutOfGasError},
    },
    database::{CacheDB, EmptyDB},
    primitives::hardfork::SpecId,
    state::AccountInfo,
};
use serde::{Deserialize, Serialize};

/// Rules that guests run under; part of every code digest.
pub const FORK: SpecId = SpecId::PRAGUE;
/// Version of the EVM, as above; a test compares it with `Cargo.lock`.
pub const REVM_VERSION: &str = "43.0.3";
/// Gas in one compute unit.
pub const GAS_PER_UNIT: u64 = 1_000;
/// Most gas of one call, however many units are paid for: it bounds memory, too (at most about 730 MB in nested frames).
pub const GAS_MAX: u64 = 1_000_000_000;
/// Gas of a constructor, not charged to anyone; what needs more is refused.
pub const CREATION_GAS_MAX: u64 = 1_000_000_000;
/// Longest deployed code, in bytes: 16 times what a chain takes.
pub const CODE_BYTES_MAX: usize = 16 * 24_576;

/// Who runs the constructor.
const CREATOR: Address = Address::with_last_byte(0xc0);

/// What [`prepare`] makes: the contract as its constructor left it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    code: Bytes,
    storage: Vec<(U256, U256)>,
}

/// Everything that decides how EVM code runs, as text.
pub fn profile(is_creation: bool) -> String {
    let form = if is_creation { "creation" } else { "deployed" };
    format!(
        "profile=1\nkind=evm\nengine=revm {REVM_VERSION}\nfork=prague\nform={form}\ngas-per-unit={GAS_PER_UNIT}\ngas-max={GAS_MAX}\n\
         creation-gas-max={CREATION_GAS_MAX}\ncode-bytes-max={CODE_BYTES_MAX}\n"
    )
}

/// Runs the constructor, or takes deployed code as it is, and gives the snapshot as bytes. Only ever done in a jailed process, or in
/// tests.
pub(crate) fn prepare(code: &[u8], is_creation: bool) -> Result<Vec<u8>, GuestRefusal> {
    let snapshot =
        if is_creation { create(code)? } else { Snapshot { code: Bytes::copy_from_slice(code), storage: Vec::new() } };
    let (bytes, bytes_max) = (snapshot.code.len(), CODE_BYTES_MAX);
    if bytes > bytes_max {
        return Err(GuestRefusal::TooLong { bytes, bytes_max });
    }
    if snapshot.code.is_empty() {
        return Err(GuestRefusal::CannotStart(
            "there is no code: is it creation code, said to be deployed code?".into(),
        ));
    }
    postcard::to_stdvec(&snapshot).map_err(|error| GuestRefusal::Invalid(error.to_string()))
}

fn create(code: &[u8]) -> Result<Snapshot, GuestRefusal> {
    let tx = TxEnv::builder()
        .caller(CREATOR)
        .kind(TxKind::Create)
        .data(Bytes::copy_from_slice(code))
        .gas_limit(CREATION_GAS_MAX)
        .build()
        .map_err(|error| GuestRefusal::CannotStart(format!("{error:?}")))?;
    let mut evm = machine(CacheDB::new(EmptyDB::default()), BlockEnv { gas_limit: CREATION_GAS_MAX, ..block() }, 0);
    let outcome = evm.transact(tx).map_err(|error| GuestRefusal::CannotStart(error.to_string()))?;
    let address = match &outcome.result {
        ExecutionResult::Success { output, .. } => output.address().copied().unwrap_or_default(),
        ExecutionResult::Revert { output, .. } => {
            return Err(GuestRefusal::CannotStart(format!("its constructor reverted with {output}")));
        }
        ExecutionResult::Halt { reason, .. } => {
            return Err(GuestRefusal::CannotStart(format!("its constructor: {}", words(reason))));
        }
    };
    let Some(account) = outcome.state.get(&address) else {
        return Err(GuestRefusal::CannotStart("its constructor made no contract".into()));
    };
    let code = account.info.code.as_ref().map(Bytecode::original_bytes).unwrap_or_default();
    let mut storage: Vec<(U256, U256)> = account
        .storage
        .iter()
        .map(|(slot, value)| (*slot, value.present_value))
        .filter(|(_, value)| !value.is_zero())
        .collect();
    storage.sort_unstable();
    Ok(Snapshot { code, storage })
}

/// A snapshot, ready to be called.
pub(crate) struct EvmGuest {
    account: AccountInfo,
    storage: Vec<(U256, U256)>,
}

impl EvmGuest {
    /// Loads what [`prepare`] made.
    pub(crate) fn load(artefact: &[u8]) -> Result<Self, GuestRefusal> {
        let snapshot: Snapshot =
            postcard::from_bytes(artefact).map_err(|error| GuestRefusal::Invalid(error.to_string()))?;
        let account = AccountInfo {
            nonce: 1,
            code_hash: keccak256(&snapshot.code),
            code: Some(Bytecode::new_legacy(snapshot.code)),
            ..AccountInfo::default()
        };
        Ok(Self { account, storage: snapshot.storage })
    }

    /// Runs one call on a fresh copy of the snapshot.
    pub(crate) fn call(&self, inputs: &CallInputs, input: Vec<u8>) -> CallAnswer {
        let gas_max = inputs.units_max.saturating_mul(GAS_PER_UNIT).min(GAS_MAX);
        let trapped = |why: String, units| CallAnswer { ending: Ending::Trapped(why), units };
        let contract = address_of(inputs.cryptlet);
        let mut database = CacheDB::new(EmptyDB::default());
        database.insert_account_info(contract, self.account.clone());
        for (slot, value) in &self.storage {
            if database.insert_account_storage(contract, *slot, *value).is_err() {
                return trapped("the snapshot cannot be loaded".into(), 0);
            }
        }
        let block = BlockEnv {
            number: U256::from(inputs.anchor_block),
            timestamp: U256::from(inputs.observed_at_s),
            prevrandao: Some(inputs.anchor_hash),
            gas_limit: gas_max,
            ..block()
        };
        let tx = TxEnv::builder()
            .caller(inputs.caller)
            .kind(TxKind::Call(contract))
            .data(input.into())
            .gas_limit(gas_max)
            .chain_id(None)
            .build();
        let Ok(tx) = tx else { return trapped("the call cannot be made".into(), 0) };
        let mut evm = machine(database, block, inputs.chain_id);
        let Ok(outcome) = evm.transact(tx) else {
            // All it can refuse is a call that does not pay for its own data.
            return trapped(trap::OUT_OF_UNITS.to_owned(), inputs.units_max);
        };
        let units = outcome.result.tx_gas_used().div_ceil(GAS_PER_UNIT).min(inputs.units_max);
        let output_bytes_max = (inputs.output_bytes_max as usize).min(engine::OUTPUT_BYTES_MAX);
        let ending = match outcome.result {
            ExecutionResult::Success { output, .. } => Ending::Returned(output.into_data().to_vec()),
            ExecutionResult::Revert { output, .. } => Ending::Failed(output.to_vec()),
            ExecutionResult::Halt { reason: HaltReason::OutOfGas(_), .. } => {
                return trapped(trap::OUT_OF_UNITS.to_owned(), inputs.units_max.min(units.max(1)));
            }
            ExecutionResult::Halt { reason, .. } => Ending::Trapped(words(&reason).to_owned()),
        };
        match ending {
            Ending::Returned(output) | Ending::Failed(output) if output.len() > output_bytes_max => {
                trapped(trap::output_too_long(output_bytes_max), units)
            }
            ending => CallAnswer { ending, units },
        }
    }
}

/// Where the contract lives in its world: the end of the cryptlet's id, as an address is the end of a hash.
fn address_of(cryptlet: B256) -> Address {
    Address::from_word(cryptlet)
}

/// A block of which everything is nothing but what a call says.
fn block() -> BlockEnv {
    BlockEnv { basefee: 0, beneficiary: Address::ZERO, difficulty: U256::ZERO, ..BlockEnv::default() }
}

fn machine(
    database: CacheDB<EmptyDB>,
    block: BlockEnv,
    chain_id: u64,
) -> impl ExecuteEvm<Tx = TxEnv, ExecutionResult = ExecutionResult, State = revm::state::EvmState, Error: std::fmt::Display>
{
    Context::mainnet()
        .with_db(database)
        .with_block(block)
        .modify_cfg_chained(|cfg| {
            cfg.set_spec_and_mainnet_gas_params(FORK);
            cfg.chain_id = chain_id;
            cfg.tx_chain_id_check = false;
            cfg.limit_contract_code_size = Some(CODE_BYTES_MAX);
            cfg.limit_contract_initcode_size = Some(2 * CODE_BYTES_MAX);
        })
        .build_mainnet()
}

/// How a run that was stopped is told: the same words for the same end.
const fn words(reason: &HaltReason) -> &'static str {
    match reason {
        HaltReason::OutOfGas(OutOfGasError::Memory | OutOfGasError::MemoryLimit) => "out of memory",
        HaltReason::OutOfGas(_) => trap::OUT_OF_UNITS,
        HaltReason::OpcodeNotFound | HaltReason::InvalidFEOpcode => "invalid instruction",
        HaltReason::InvalidJump => "jump to a place that is none",
        HaltReason::StackUnderflow => "stack underflow",
        HaltReason::StackOverflow => "stack overflow",
        HaltReason::OutOfOffset => "read outside of what was returned",
        HaltReason::CreateCollision => "a contract is there already",
        HaltReason::PrecompileError | HaltReason::PrecompileErrorWithContext(_) => "a precompile refused its input",
        HaltReason::CreateContractSizeLimit => "the code made is too long",
        HaltReason::CallTooDeep => "calls too deep",
        _ => "stopped",
    }
}
