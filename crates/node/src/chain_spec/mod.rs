//! The rules of one chain, read from its genesis: which fork is active when, and the bounds of the delegate.
//!
//! A genesis file has geth's format. `config.cryptletFabric` ([`FabricLimits`]) turns the delegate on; the delegate's account
//! in `alloc` must commit to the same limits, so that the genesis hash does.

mod dev;
mod forks;
mod genesis;
mod rules;
mod system_contracts;
#[cfg(test)]
mod tests;
mod wallet;

pub use dev::{
    DEV_ACCOUNTS, DEV_CHAIN_ID, DEV_KEY_FOLDER, DEV_MNEMONIC, dev_accounts, dev_genesis, dev_genesis_at, dev_operator,
    limit_code, remove_fabric,
};
pub(crate) use genesis::GAS_LIMIT_MIN;
pub use genesis::{CODE_BYTES_MAX_MAX, FABRIC_SETTING, GenesisError, genesis_header};
pub use rules::BlockRules;
pub use system_contracts::{Council, CouncilError, InitialPolicy, SystemContracts, delegate_account};
pub use wallet::{KeyFolder, WalletError};

pub use alloy_hardforks::EthereumHardfork;

use crate::{
    fork::{Base, ForkPoint},
    state::BaseLayer,
    types::{Block, Header},
};
use alloy::consensus::BlockBody;
use alloy::eips::{eip7840::BlobParams, eip7892::BlobScheduleBlobParams};
use alloy::genesis::Genesis;
use alloy_evm::eth::spec::EthExecutorSpec;
use alloy_hardforks::{EthereumChainHardforks, EthereumHardforks, ForkCondition};
use alloy_primitives::{Address, B256, U256, map::HashSet};
use cryptlet_primitives::{FabricDomain, FabricLimits};
use revm::primitives::{eip3860, eip7954};
use std::sync::Arc;

/// The rules of one chain.
#[derive(Clone, Debug)]
pub struct ChainSpec {
    genesis: Genesis,
    genesis_header: Header,
    genesis_hash: B256,
    hardforks: EthereumChainHardforks,
    blob_schedule: BlobScheduleBlobParams,
    limits: Option<FabricLimits>,
    takes_dev_edits: bool,
    code_bytes_max: Option<usize>,
    fork: Option<Fork>,
}

/// A chain that continues another.
#[derive(Clone, Debug)]
struct Fork {
    point: ForkPoint,
    /// The accounts in `alloc`.
    own: Arc<HashSet<Address>>,
}

impl ChainSpec {
    /// Reads the rules out of a genesis and checks that they are some this node can follow.
    pub fn from_genesis(mut genesis: Genesis) -> Result<Self, GenesisError> {
        complete(&mut genesis);
        let hardforks = forks::hardforks(&genesis.config);
        let limits = genesis::fabric_limits(&genesis)?;
        let takes_dev_edits = genesis::takes_dev_edits(&genesis)?;
        let code_bytes_max = genesis::code_bytes_max(&genesis)?;
        let fork = genesis::fork_point(&genesis)?;
        let own = |point| Fork { point, own: Arc::new(genesis.alloc.keys().copied().collect()) };
        let fork = fork.map(own);
        genesis::validate(&genesis, &hardforks, limits.as_ref())?;
        let genesis_header = genesis_header(&genesis, &hardforks);
        let genesis_hash = genesis_header.hash_slow();
        let blob_schedule = forks::blob_schedule(&genesis.config);
        Ok(Self {
            genesis,
            genesis_header,
            genesis_hash,
            hardforks,
            blob_schedule,
            limits,
            takes_dev_edits,
            code_bytes_max,
            fork,
        })
    }

    /// Reads a genesis file.
    pub fn from_json(json: &str) -> Result<Self, GenesisError> {
        Self::from_genesis(serde_json::from_str(json)?)
    }

    /// The chain of `cryptlet node --dev`.
    pub fn dev() -> Self {
        Self::from_genesis(dev_genesis(&FabricLimits::default())).expect("the dev genesis is built to be valid")
    }

    /// EIP-155 chain id.
    pub fn chain_id(&self) -> u64 {
        self.genesis.config.chain_id
    }

    /// The genesis as it was given.
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// Header of block 0.
    pub fn genesis_header(&self) -> &Header {
        &self.genesis_header
    }

    /// Hash of block 0.
    pub fn genesis_hash(&self) -> B256 {
        self.genesis_hash
    }

    /// Block 0 itself. It has no transactions.
    pub fn genesis_block(&self) -> Block {
        let withdrawals = self.genesis_header.withdrawals_root.map(|_| Default::default());
        Block::new(self.genesis_header.clone(), BlockBody { transactions: vec![], ommers: vec![], withdrawals })
    }

    /// The bounds of the delegate, if this chain has one.
    pub fn limits(&self) -> Option<&FabricLimits> {
        self.limits.as_ref()
    }

    /// May blocks carry development edits (request `0xCE`)? `config.cryptletDevEdits` says so.
    pub fn takes_dev_edits(&self) -> bool {
        self.takes_dev_edits
    }

    /// Bytes of a contract's code, if `config.cryptletCodeSizeLimit` says something else than EIP-170.
    pub fn code_bytes_max(&self) -> Option<usize> {
        self.code_bytes_max
    }

    /// Bytes of the code that makes a contract, in a block at this time (EIP-3860, EIP-7954).
    pub fn init_code_bytes_max(&self, timestamp: u64) -> usize {
        match self.code_bytes_max {
            Some(bytes_max) => bytes_max * 2,
            None if self.is_amsterdam_active_at_timestamp(timestamp) => eip7954::MAX_INITCODE_SIZE,
            None => eip3860::MAX_INITCODE_SIZE,
        }
    }

    /// Where the chain was forked from another, if it was: `config.cryptletFork` says so.
    pub fn fork(&self) -> Option<&ForkPoint> {
        self.fork.as_ref().map(|fork| &fork.point)
    }

    /// What lies below the state of a forked chain, answered by `base`.
    pub fn base_layer(&self, base: Arc<dyn Base>) -> Option<BaseLayer> {
        self.fork.as_ref().map(|fork| BaseLayer::new(fork.own.clone(), base))
    }

    /// What signatures of the fabric are bound to on this chain.
    pub fn domain(&self) -> FabricDomain {
        FabricDomain { chain_id: self.chain_id(), genesis_hash: self.genesis_hash }
    }

    /// The same rules in an EVM that has the delegate, although neither genesis nor state say so: no block of any chain
    /// may come out otherwise for it, unless it calls the delegate. For tests that show just that.
    #[doc(hidden)]
    pub fn assuming_delegate(self, limits: FabricLimits) -> Self {
        Self { limits: Some(limits), ..self }
    }

    /// The total difficulty from which on blocks are made by proof of stake; `None` if the chain never merges.
    pub fn terminal_total_difficulty(&self) -> Option<U256> {
        self.genesis.config.terminal_total_difficulty
    }

    /// The blob bounds of a block at this time; `None` before Cancun.
    pub fn blob_params_at(&self, timestamp: u64) -> Option<BlobParams> {
        if let Some(params) = self.blob_schedule.active_scheduled_params_at_timestamp(timestamp) {
            return Some(*params);
        }
        if self.is_osaka_active_at_timestamp(timestamp) {
            Some(self.blob_schedule.osaka)
        } else if self.is_prague_active_at_timestamp(timestamp) {
            Some(self.blob_schedule.prague)
        } else if self.is_cancun_active_at_timestamp(timestamp) {
            Some(self.blob_schedule.cancun)
        } else {
            None
        }
    }
}

/// Says what a genesis file leaves open: a chain that starts without difficulty, or under forks that only follow the merge,
/// has merged.
fn complete(genesis: &mut Genesis) {
    let config = &mut genesis.config;
    let is_after_merge = |time: Option<u64>| time.is_some_and(|time| time <= genesis.timestamp);
    let has_merged = is_after_merge(config.shanghai_time)
        || config.terminal_total_difficulty_passed
        || (genesis.difficulty.is_zero() && config.london_block == Some(0));
    if config.terminal_total_difficulty.is_none() && has_merged {
        tracing::warn!("the genesis file has no config.terminalTotalDifficulty; it is taken to be 0");
        config.terminal_total_difficulty = Some(U256::ZERO);
    }
}

impl EthereumHardforks for ChainSpec {
    fn ethereum_fork_activation(&self, fork: EthereumHardfork) -> ForkCondition {
        self.hardforks.ethereum_fork_activation(fork)
    }
}

impl EthExecutorSpec for ChainSpec {
    fn deposit_contract_address(&self) -> Option<Address> {
        self.genesis.config.deposit_contract_address
    }
}
