//! The blocks of a sequence, each with its number and its time, and none missing in between.

use super::{SEQUENCE_BLOCKS_MAX, SequenceBlock, SequenceError};

/// Seconds between two blocks, unless the request says otherwise (geth: `timestampIncrement`).
const BLOCK_INTERVAL_S: u64 = 12;

/// A block that has its place.
#[derive(Debug)]
pub(super) struct PlannedBlock {
    pub(super) number: u64,
    /// Unix seconds.
    pub(super) timestamp: u64,
    pub(super) block: SequenceBlock,
}

/// Places the blocks after the base; empty ones fill gaps between their numbers.
pub(super) fn plan(
    base_number: u64,
    base_timestamp: u64,
    blocks: Vec<SequenceBlock>,
) -> Result<Vec<PlannedBlock>, SequenceError> {
    if blocks.is_empty() {
        return Err(SequenceError::Empty);
    }
    let mut planned: Vec<PlannedBlock> = Vec::with_capacity(blocks.len());
    let (mut previous, mut previous_time) = (base_number, base_timestamp);
    for block in blocks {
        let number = match block.block_overrides.number {
            Some(number) => number.saturating_to(),
            None => previous.saturating_add(1),
        };
        if number <= previous {
            return Err(SequenceError::NumberOrder { number, previous });
        }
        if number - base_number > SEQUENCE_BLOCKS_MAX {
            return Err(SequenceError::TooManyBlocks);
        }
        for gap in previous + 1..number {
            previous_time = previous_time.saturating_add(BLOCK_INTERVAL_S);
            planned.push(PlannedBlock { number: gap, timestamp: previous_time, block: SequenceBlock::default() });
        }
        let timestamp = block.block_overrides.time.unwrap_or(previous_time.saturating_add(BLOCK_INTERVAL_S));
        if timestamp <= previous_time {
            return Err(SequenceError::TimeOrder { timestamp, previous: previous_time });
        }
        (previous, previous_time) = (number, timestamp);
        planned.push(PlannedBlock { number, timestamp, block });
    }
    Ok(planned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::rpc::types::BlockOverrides;
    use alloy_primitives::U256;

    fn at(number: Option<u64>, time: Option<u64>) -> SequenceBlock {
        let block_overrides = BlockOverrides { number: number.map(U256::from), time, ..Default::default() };
        SequenceBlock { block_overrides, ..Default::default() }
    }

    fn planned(blocks: Vec<SequenceBlock>) -> Result<Vec<(u64, u64)>, String> {
        let planned = plan(54, 540, blocks).map_err(|error| error.to_string())?;
        Ok(planned.into_iter().map(|block| (block.number, block.timestamp)).collect())
    }

    #[test]
    fn blocks_follow_each_other_and_gaps_are_filled() {
        assert_eq!(planned(vec![at(None, None), at(None, None)]), Ok(vec![(55, 552), (56, 564)]));
        let with_gap = vec![at(Some(57), Some(600)), at(None, None)];
        assert_eq!(planned(with_gap), Ok(vec![(55, 552), (56, 564), (57, 600), (58, 612)]));
    }

    #[test]
    fn disorder_is_refused_in_geths_words() {
        // Of ethereum/execution-apis `tests/eth_simulateV1`: -38020, -38020, -38021, -38021.
        let cases = [
            (vec![at(Some(0x9a), None), at(Some(0x90), None)], "block numbers must be in order: 144 <= 154"),
            (
                vec![at(Some(0x9a), None), at(None, None), at(Some(0x9b), None)],
                "block numbers must be in order: 155 <= 155",
            ),
            (vec![at(None, Some(0x228)), at(None, Some(0x227))], "block timestamps must be in order: 551 <= 552"),
            (vec![at(Some(0x40), Some(0x226))], "block timestamps must be in order: 550 <= 648"),
            (vec![], "empty input"),
            (vec![at(Some(54 + 257), None)], "too many blocks"),
        ];
        for (blocks, words) in cases {
            assert_eq!(planned(blocks), Err(words.to_owned()));
        }
    }

    #[test]
    fn as_many_blocks_as_allowed_are_planned() {
        assert_eq!(planned(vec![at(Some(54 + 256), None)]).map(|blocks| blocks.len()), Ok(256));
    }
}
