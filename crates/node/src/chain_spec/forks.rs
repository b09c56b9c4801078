//! From the fork numbers and times of a genesis to activation conditions.
//!
//! The table is complete: what the first cut does not run (chains that start before the merge) is refused by
//! `genesis::validate`, not forgotten here.

use alloy::genesis::ChainConfig;
use alloy_hardforks::{EthereumChainHardforks, EthereumHardfork, ForkCondition};
use alloy_primitives::U256;

/// When each fork becomes active on a chain with this configuration.
pub(super) fn hardforks(config: &ChainConfig) -> EthereumChainHardforks {
    use EthereumHardfork as Fork;
    let by_number = [
        (Fork::Frontier, Some(0)),
        (Fork::Homestead, config.homestead_block),
        (Fork::Dao, config.dao_fork_block.filter(|_| config.dao_fork_support)),
        (Fork::Tangerine, config.eip150_block),
        (Fork::SpuriousDragon, config.eip155_block.max(config.eip158_block)),
        (Fork::Byzantium, config.byzantium_block),
        (Fork::Constantinople, config.constantinople_block),
        (Fork::Petersburg, config.petersburg_block),
        (Fork::Istanbul, config.istanbul_block),
        (Fork::MuirGlacier, config.muir_glacier_block),
        (Fork::Berlin, config.berlin_block),
        (Fork::London, config.london_block),
        (Fork::ArrowGlacier, config.arrow_glacier_block),
        (Fork::GrayGlacier, config.gray_glacier_block),
    ];
    let by_time = [
        (Fork::Shanghai, config.shanghai_time),
        (Fork::Cancun, config.cancun_time),
        (Fork::Prague, config.prague_time),
        (Fork::Osaka, config.osaka_time),
        (Fork::Bpo1, config.bpo1_time),
        (Fork::Bpo2, config.bpo2_time),
        (Fork::Bpo3, config.bpo3_time),
        (Fork::Bpo4, config.bpo4_time),
        (Fork::Bpo5, config.bpo5_time),
        (Fork::Amsterdam, config.amsterdam_time),
        (Fork::Bogota, config.bogota_time),
    ];
    let numbers = by_number.into_iter().filter_map(|(fork, at)| Some((fork, ForkCondition::Block(at?))));
    let times = by_time.into_iter().filter_map(|(fork, at)| Some((fork, ForkCondition::Timestamp(at?))));
    EthereumChainHardforks::new(numbers.chain(merge(config)).chain(times))
}

/// The merge: at genesis if the terminal total difficulty is zero, else where the configuration says it happened.
fn merge(config: &ChainConfig) -> Option<(EthereumHardfork, ForkCondition)> {
    let total_difficulty = config.terminal_total_difficulty?;
    let activation = if total_difficulty == U256::ZERO { Some(0) } else { config.merge_netsplit_block };
    let condition = ForkCondition::TTD {
        activation_block_number: activation?,
        fork_block: config.merge_netsplit_block,
        total_difficulty,
    };
    Some((EthereumHardfork::Paris, condition))
}
