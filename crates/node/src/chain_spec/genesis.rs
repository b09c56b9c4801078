//! Block 0, and what must hold of it.

use super::system_contracts::{LIMITS_SLOT, MARKER_CODE};
use crate::{fork::ForkPoint, types::Header};
use alloy::consensus::EMPTY_OMMER_ROOT_HASH;
use alloy::consensus::constants::{EMPTY_RECEIPTS, EMPTY_TRANSACTIONS, EMPTY_WITHDRAWALS};
use alloy::eips::{eip1559::INITIAL_BASE_FEE, eip7685::EMPTY_REQUESTS_HASH, eip7928::EMPTY_BLOCK_ACCESS_LIST_HASH};
use alloy::genesis::Genesis;
use alloy_hardforks::EthereumHardforks;
use alloy_primitives::{B256, Bytes, U256};
use alloy_trie::root::state_root_ref_unhashed;
use cryptlet_primitives::{FabricLimits, limits::LimitsError, system::CRYPTO_DELEGATE};

/// Why a genesis is not one this node can follow.
#[derive(Debug, thiserror::Error)]
pub enum GenesisError {
    /// Not JSON, or not of geth's format.
    #[error("the genesis is not well-formed: {0}")]
    Json(#[from] serde_json::Error),
    /// The delegate's limits cannot be read.
    #[error("config.cryptletFabric is not a set of limits: {0}")]
    LimitsJson(serde_json::Error),
    /// Neither true nor false.
    #[error("config.{DEV_EDITS_SETTING} is neither true nor false: {0}")]
    DevEditsJson(serde_json::Error),
    /// No number of bytes.
    #[error("config.{CODE_SIZE_SETTING} is not a number of bytes: {0}")]
    CodeSizeJson(serde_json::Error),
    /// Out of range.
    #[error("config.{CODE_SIZE_SETTING} is {0}; it is at least 1 and at most {CODE_BYTES_MAX_MAX} bytes")]
    CodeSize(u32),
    /// The delegate's limits make no sense.
    #[error("config.cryptletFabric: {0}")]
    Limits(#[from] LimitsError),
    /// The fork point cannot be read.
    #[error("config.cryptletFork is not a fork point (chainId, blockNumber, blockHash): {0}")]
    ForkJson(serde_json::Error),
    /// The first block is not where the chain was forked.
    #[error(
        "the first block has number {number}, but config.cryptletFork says that the chain was forked at block {fork}"
    )]
    ForkNumber {
        /// Number of the first block.
        number: u64,
        /// Number of the fork block.
        fork: u64,
    },
    /// A fork without the one it builds on.
    #[error("config.{field} is set, but config.{missing} is not: forks build on each other")]
    ForkOrder {
        /// What is not set.
        missing: &'static str,
        /// What is.
        field: &'static str,
    },
    /// A fork before the one it builds on.
    #[error("config.{field} is {at}, before config.{before} ({begins}), which it builds on")]
    ForkTooEarly {
        /// The fork.
        field: &'static str,
        /// When it begins.
        at: u64,
        /// The one before it.
        before: &'static str,
        /// When that begins.
        begins: u64,
    },
    /// Two names of one fork.
    #[error("config.{before} and config.{after} must be equal: they name one fork")]
    ForksApart {
        /// One.
        before: &'static str,
        /// The other.
        after: &'static str,
    },
    /// Constantinople on its own.
    #[error(
        "config.petersburgBlock must be config.constantinopleBlock (or not set): the gas rules of Constantinople alone \
         (EIP-1283) were withdrawn before any public chain ran them, and no EVM here has them"
    )]
    ConstantinopleAlone,
    /// The chain will come under rules this node does not run yet.
    #[error("this version runs rules up to Amsterdam; take {field} out of config: {why}")]
    ForkUnsupported {
        /// What to take out.
        field: &'static str,
        /// What is missing.
        why: &'static str,
    },
    /// Proof of authority before the merge.
    #[error("config.clique is set, and the chain begins before its merge: blocks of Clique cannot be verified here")]
    Clique,
    /// No difficulty to go on from.
    #[error("difficulty is 0, but the chain begins before the merge: set terminalTotalDifficulty to 0, or difficulty")]
    NoDifficulty,
    /// The delegate needs EIP-7685 requests.
    #[error(
        "config.cryptletFabric needs Prague rules from the start: config.pragueTime is {}, the genesis timestamp {timestamp}",
        prague_time.map_or("not set".to_owned(), |time| time.to_string())
    )]
    FabricBeforePrague {
        /// What the genesis says.
        prague_time: Option<u64>,
        /// When the chain starts.
        timestamp: u64,
    },
    /// The delegate has no account.
    #[error(
        "config.cryptletFabric is set, but alloc has no account {CRYPTO_DELEGATE}; it needs nonce 1, code 0xfe and, in \
         slot 0, {digest}"
    )]
    NoDelegateAccount {
        /// The digest of the limits.
        digest: B256,
    },
    /// The delegate's account would be cleared (EIP-161), or lies about being code.
    #[error("alloc.{CRYPTO_DELEGATE} must have nonce 1 and code 0xfe; it has nonce {nonce} and code {code}")]
    DelegateAccount {
        /// Nonce found.
        nonce: u64,
        /// Code found.
        code: Bytes,
    },
    /// Limits in the configuration and in the state differ.
    #[error(
        "slot 0 of alloc.{CRYPTO_DELEGATE} is {found}; the limits in config.cryptletFabric have digest {expected}. Both must \
         agree: the first is what the genesis hash commits to"
    )]
    LimitsDigest {
        /// In the state.
        found: B256,
        /// Of the configuration.
        expected: B256,
    },
    /// There is a delegate in the state and none in the configuration.
    #[error("slot 0 of alloc.{CRYPTO_DELEGATE} commits to limits {0}, but config.cryptletFabric is missing")]
    LimitsMissing(B256),
    /// A block cannot hold a transaction.
    #[error("gasLimit is {0}; it must be at least 5000")]
    GasLimit(u64),
}

/// The setting that turns the delegate on.
pub const FABRIC_SETTING: &str = "cryptletFabric";

/// The setting that lets blocks carry development edits.
pub(crate) const DEV_EDITS_SETTING: &str = "cryptletDevEdits";

/// The setting that stands in the place of EIP-170's bound on code; initialization code may be twice as long (EIP-3860).
pub(crate) const CODE_SIZE_SETTING: &str = "cryptletCodeSizeLimit";

/// The highest of these bounds: what no block has the gas for.
pub const CODE_BYTES_MAX_MAX: u32 = 1 << 30;

/// Least gas limit of a block.
pub(crate) const GAS_LIMIT_MIN: u64 = 5_000;

/// The header of block 0, as geth makes it.
pub fn genesis_header(genesis: &Genesis, hardforks: &impl EthereumHardforks) -> Header {
    let (time, number) = (genesis.timestamp, genesis.number.unwrap_or_default());
    let cancun = hardforks.is_cancun_active_at_timestamp(time);
    let shanghai = hardforks.is_shanghai_active_at_timestamp(time);
    let prague = hardforks.is_prague_active_at_timestamp(time);
    let amsterdam = hardforks.is_amsterdam_active_at_timestamp(time);
    let london = hardforks.is_london_active_at_block(number);
    let base_fee = genesis.base_fee_per_gas.map_or(INITIAL_BASE_FEE, |fee| u64::try_from(fee).unwrap_or(u64::MAX));
    Header {
        parent_hash: genesis.parent_hash.unwrap_or_default(),
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        beneficiary: genesis.coinbase,
        state_root: state_root_ref_unhashed(&genesis.alloc),
        transactions_root: EMPTY_TRANSACTIONS,
        receipts_root: EMPTY_RECEIPTS,
        logs_bloom: Default::default(),
        difficulty: genesis.difficulty,
        number,
        gas_limit: genesis.gas_limit,
        gas_used: 0,
        timestamp: time,
        extra_data: genesis.extra_data.clone(),
        mix_hash: genesis.mix_hash,
        nonce: genesis.nonce.to_be_bytes().into(),
        base_fee_per_gas: london.then_some(base_fee),
        withdrawals_root: shanghai.then_some(EMPTY_WITHDRAWALS),
        blob_gas_used: cancun.then_some(genesis.blob_gas_used.unwrap_or_default()),
        excess_blob_gas: cancun.then_some(genesis.excess_blob_gas.unwrap_or_default()),
        parent_beacon_block_root: cancun.then_some(B256::ZERO),
        requests_hash: prague.then_some(EMPTY_REQUESTS_HASH),
        block_access_list_hash: amsterdam.then_some(EMPTY_BLOCK_ACCESS_LIST_HASH),
        slot_number: amsterdam.then_some(genesis.slot_number.unwrap_or_default()),
    }
}

/// The delegate's limits, if the chain has a delegate.
pub(super) fn fabric_limits(genesis: &Genesis) -> Result<Option<FabricLimits>, GenesisError> {
    let Some(read) = genesis.config.extra_fields.get_deserialized::<FabricLimits>(FABRIC_SETTING) else {
        return Ok(None);
    };
    let limits = read.map_err(GenesisError::LimitsJson)?;
    limits.validate()?;
    Ok(Some(limits))
}

/// May blocks carry development edits?
pub(super) fn takes_dev_edits(genesis: &Genesis) -> Result<bool, GenesisError> {
    let setting = genesis.config.extra_fields.get_deserialized::<bool>(DEV_EDITS_SETTING);
    Ok(setting.transpose().map_err(GenesisError::DevEditsJson)?.unwrap_or_default())
}

/// Bytes of a contract's code, if they are not those of EIP-170.
pub(super) fn code_bytes_max(genesis: &Genesis) -> Result<Option<usize>, GenesisError> {
    let read = genesis.config.extra_fields.get_deserialized::<u32>(CODE_SIZE_SETTING);
    let Some(bytes_max) = read.transpose().map_err(GenesisError::CodeSizeJson)? else { return Ok(None) };
    if bytes_max == 0 || bytes_max > CODE_BYTES_MAX_MAX {
        return Err(GenesisError::CodeSize(bytes_max));
    }
    Ok(Some(bytes_max as usize))
}

/// Where the chain was forked from another, if it was.
pub(super) fn fork_point(genesis: &Genesis) -> Result<Option<ForkPoint>, GenesisError> {
    let read = genesis.config.extra_fields.get_deserialized::<ForkPoint>("cryptletFork");
    let Some(point) = read.transpose().map_err(GenesisError::ForkJson)? else { return Ok(None) };
    let number = genesis.number.unwrap_or_default();
    if number != point.block_number {
        return Err(GenesisError::ForkNumber { number, fork: point.block_number });
    }
    Ok(Some(point))
}

/// Refuses a genesis this node cannot follow, with what would be right.
pub(super) fn validate(
    genesis: &Genesis,
    hardforks: &impl EthereumHardforks,
    limits: Option<&FabricLimits>,
) -> Result<(), GenesisError> {
    if genesis.gas_limit < GAS_LIMIT_MIN {
        return Err(GenesisError::GasLimit(genesis.gas_limit));
    }
    if genesis.config.bogota_time.is_some() {
        let (field, why) = ("bogotaTime", "nothing runs its rules yet");
        return Err(GenesisError::ForkUnsupported { field, why });
    }
    super::forks::check_order(&genesis.config)?;
    if genesis.config.clique.is_some() {
        let is_merged = genesis.config.terminal_total_difficulty.is_some_and(|terminal| genesis.difficulty >= terminal);
        if !is_merged {
            return Err(GenesisError::Clique);
        }
        tracing::warn!("config.clique means nothing behind the merge; it is ignored");
    }
    if genesis.difficulty.is_zero() && genesis.config.terminal_total_difficulty != Some(U256::ZERO) {
        return Err(GenesisError::NoDifficulty);
    }
    validate_delegate(genesis, hardforks, limits)
}

fn validate_delegate(
    genesis: &Genesis,
    hardforks: &impl EthereumHardforks,
    limits: Option<&FabricLimits>,
) -> Result<(), GenesisError> {
    let account = genesis.alloc.get(&CRYPTO_DELEGATE);
    let slot = account.and_then(|account| account.storage.as_ref()?.get(&LIMITS_SLOT)).copied().unwrap_or_default();
    let Some(limits) = limits else {
        return if slot.is_zero() { Ok(()) } else { Err(GenesisError::LimitsMissing(slot)) };
    };
    if !hardforks.is_prague_active_at_timestamp(genesis.timestamp) {
        let (prague_time, timestamp) = (genesis.config.prague_time, genesis.timestamp);
        return Err(GenesisError::FabricBeforePrague { prague_time, timestamp });
    }
    let expected = limits.digest();
    let account = account.ok_or(GenesisError::NoDelegateAccount { digest: expected })?;
    let (nonce, code) = (account.nonce.unwrap_or_default(), account.code.clone().unwrap_or_default());
    if nonce != 1 || code != MARKER_CODE {
        return Err(GenesisError::DelegateAccount { nonce, code });
    }
    if slot != expected {
        return Err(GenesisError::LimitsDigest { found: slot, expected });
    }
    Ok(())
}
