//! The rules of one block: the chain's, seen from its header.
//!
//! Where the merge lies is not in the configuration of a chain that mined before it; a header says it. As in geth, a block
//! is one of proof of stake if its difficulty is zero, and forks by time begin only there.

use super::ChainSpec;
use alloy::consensus::BlockHeader;
use alloy_evm::eth::spec::EthExecutorSpec;
use alloy_hardforks::{EthereumHardfork, EthereumHardforks, ForkCondition};
use alloy_primitives::{Address, U256};
use revm::primitives::hardfork::SpecId;

/// The rules of the blocks on one side of the merge.
#[derive(Clone, Copy, Debug)]
pub struct BlockRules<'a> {
    spec: &'a ChainSpec,
    is_merged: bool,
}

impl BlockRules<'_> {
    /// Is the block made by proof of stake: no difficulty, no uncles, no reward?
    pub fn is_merged(&self) -> bool {
        self.is_merged
    }
}

impl ChainSpec {
    /// The rules of a block with this header.
    pub fn rules(&self, header: &impl BlockHeader) -> BlockRules<'_> {
        let is_merged = match self.terminal_total_difficulty() {
            None => false,
            Some(U256::ZERO) => true,
            Some(_) => header.difficulty().is_zero(),
        };
        BlockRules { spec: self, is_merged }
    }

    /// The rules of the EVM in a block with this header.
    pub fn spec_id_of(&self, header: &impl BlockHeader) -> SpecId {
        alloy_evm::spec_by_timestamp_and_block_number(&self.rules(header), header.timestamp(), header.number())
    }
}

impl EthereumHardforks for BlockRules<'_> {
    fn ethereum_fork_activation(&self, fork: EthereumHardfork) -> ForkCondition {
        let condition = self.spec.ethereum_fork_activation(fork);
        match fork {
            EthereumHardfork::Paris if self.is_merged => ForkCondition::Block(0),
            EthereumHardfork::Paris => ForkCondition::Never,
            // alloy-evm would drain the accounts behind the transactions; `execute` does it before them, as EIP-779 has it.
            EthereumHardfork::Dao => ForkCondition::Never,
            _ if condition.is_timestamp() && !self.is_merged => ForkCondition::Never,
            _ => condition,
        }
    }
}

impl EthExecutorSpec for BlockRules<'_> {
    fn deposit_contract_address(&self) -> Option<Address> {
        self.spec.deposit_contract_address()
    }
}
