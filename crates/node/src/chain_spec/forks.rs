//! From the fork numbers and times of a genesis to activation conditions.
//!
//! [`check_order`] refuses what geth refuses: a fork that begins before one it builds on.

use super::genesis::GenesisError;
use alloy::eips::eip7892::BlobScheduleBlobParams;
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
        (Fork::SpuriousDragon, config.eip158_block),
        (Fork::Byzantium, config.byzantium_block),
        (Fork::Constantinople, config.constantinople_block),
        // geth: a chain that does not name Petersburg has it from Constantinople on.
        (Fork::Petersburg, config.petersburg_block.or(config.constantinople_block)),
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

/// The merge. Which block it is, is known beforehand only if it is the first; else the headers say
/// ([`super::ChainSpec::rules`]), and `mergeNetsplitBlock` is what others are told.
fn merge(config: &ChainConfig) -> Option<(EthereumHardfork, ForkCondition)> {
    let total_difficulty = config.terminal_total_difficulty?;
    let activation = if total_difficulty == U256::ZERO { Some(0) } else { config.merge_netsplit_block };
    let condition = ForkCondition::TTD {
        activation_block_number: activation.unwrap_or(u64::MAX),
        fork_block: config.merge_netsplit_block,
        total_difficulty,
    };
    Some((EthereumHardfork::Paris, condition))
}

/// The blob bounds of each fork. Whoever writes a genesis file writes the names of forks small; alloy-genesis has the ones
/// behind the BPO forks with a capital.
pub(super) fn blob_schedule(config: &ChainConfig) -> BlobScheduleBlobParams {
    let mut config = config.clone();
    if let Some(params) = config.blob_schedule.remove("amsterdam") {
        config.blob_schedule.insert("Amsterdam".to_owned(), params);
    }
    config.blob_schedule_blob_params()
}

/// Do the forks begin in an order in which they can be run? Forks that add nothing to others may be left out.
pub(super) fn check_order(config: &ChainConfig) -> Result<(), GenesisError> {
    let (required, optional) = (true, false);
    let by_number = [
        ("homesteadBlock", config.homestead_block, required),
        ("daoForkBlock", config.dao_fork_block, optional),
        ("eip150Block", config.eip150_block, required),
        ("eip155Block", config.eip155_block, required),
        ("eip158Block", config.eip158_block, required),
        ("byzantiumBlock", config.byzantium_block, required),
        ("constantinopleBlock", config.constantinople_block, required),
        ("petersburgBlock", config.petersburg_block.or(config.constantinople_block), required),
        ("istanbulBlock", config.istanbul_block, required),
        ("muirGlacierBlock", config.muir_glacier_block, optional),
        ("berlinBlock", config.berlin_block, required),
        ("londonBlock", config.london_block, required),
        ("arrowGlacierBlock", config.arrow_glacier_block, optional),
        ("grayGlacierBlock", config.gray_glacier_block, optional),
        ("mergeNetsplitBlock", config.merge_netsplit_block, optional),
    ];
    let by_time = [
        ("shanghaiTime", config.shanghai_time, required),
        ("cancunTime", config.cancun_time, required),
        ("pragueTime", config.prague_time, required),
        ("osakaTime", config.osaka_time, required),
        ("bpo1Time", config.bpo1_time, optional),
        ("bpo2Time", config.bpo2_time, optional),
        ("bpo3Time", config.bpo3_time, optional),
        ("bpo4Time", config.bpo4_time, optional),
        ("bpo5Time", config.bpo5_time, optional),
        ("amsterdamTime", config.amsterdam_time, required),
    ];
    check_row(&by_number)?;
    check_row(&by_time)?;
    if config.eip155_block != config.eip158_block {
        // One fork, Spurious Dragon, brought both, and the EVM knows it as one.
        let (before, after) = ("eip155Block", "eip158Block");
        return Err(GenesisError::ForksApart { before, after });
    }
    if config.petersburg_block.is_some_and(|petersburg| Some(petersburg) != config.constantinople_block) {
        return Err(GenesisError::ConstantinopleAlone);
    }
    let after_merge = by_time.iter().find(|(_, at, _)| at.is_some());
    if let Some((field, ..)) = after_merge.filter(|_| config.london_block.is_none()) {
        return Err(GenesisError::ForkOrder { missing: "londonBlock", field });
    }
    if config.terminal_total_difficulty.is_some() && config.london_block.is_none() {
        return Err(GenesisError::ForkOrder { missing: "londonBlock", field: "terminalTotalDifficulty" });
    }
    Ok(())
}

fn check_row(row: &[(&'static str, Option<u64>, bool)]) -> Result<(), GenesisError> {
    let mut last: Option<(&'static str, Option<u64>)> = None;
    for &(field, at, is_required) in row {
        if let Some((before, begins)) = last {
            match (begins, at) {
                (None, Some(_)) => return Err(GenesisError::ForkOrder { missing: before, field }),
                (Some(begins), Some(at)) if at < begins => {
                    return Err(GenesisError::ForkTooEarly { field, at, before, begins });
                }
                _ => {}
            }
        }
        if is_required || at.is_some() {
            last = Some((field, at));
        }
    }
    Ok(())
}
