//! The difficulty of blocks before the merge: Homestead's rule (EIP-2), Byzantium's (EIP-100), and the bomb with its delays.
//!
//! Only the value is checked, not the work: a seal that nobody could have found in time is not this node's concern.

use crate::types::Header;
use alloy::consensus::EMPTY_OMMER_ROOT_HASH;
use alloy_hardforks::{EthereumHardfork as Fork, EthereumHardforks};
use alloy_primitives::U256;

/// No block is easier.
pub const DIFFICULTY_MIN: u64 = 131_072;

const BOMB_PERIOD: u64 = 100_000;

/// How many blocks each fork put the bomb off (EIP-649, 1234, 2384, 3554, 4345, 5133), newest first.
const BOMB_DELAYS: [(Fork, u64); 6] = [
    (Fork::GrayGlacier, 11_400_000),
    (Fork::ArrowGlacier, 10_700_000),
    (Fork::London, 9_700_000),
    (Fork::MuirGlacier, 9_000_000),
    (Fork::Constantinople, 5_000_000),
    (Fork::Byzantium, 3_000_000),
];

/// The difficulty of the block after `parent`, if it has this timestamp.
pub fn next_difficulty(forks: &impl EthereumHardforks, parent: &Header, timestamp: u64) -> U256 {
    let number = parent.number + 1;
    let is_active = |fork| forks.ethereum_fork_activation(fork).active_at_block(number);
    let elapsed = timestamp.saturating_sub(parent.timestamp);
    let adjustment = parent.difficulty >> 11;
    if let Some((_, delay)) = BOMB_DELAYS.into_iter().find(|(fork, _)| is_active(*fork)) {
        let reward = if parent.ommers_hash == EMPTY_OMMER_ROOT_HASH { 1 } else { 2 };
        let base = stepped(parent.difficulty, adjustment, reward, elapsed / 9);
        // The delay counts from the block itself, the number is its parent's.
        return base.saturating_add(bomb(parent.number.saturating_sub(delay - 1)));
    }
    if is_active(Fork::Homestead) {
        let base = stepped(parent.difficulty, adjustment, 1, elapsed / 10);
        return base.saturating_add(bomb(number));
    }
    let base = if elapsed < 13 {
        parent.difficulty.saturating_add(adjustment)
    } else {
        parent.difficulty.saturating_sub(adjustment)
    };
    base.max(U256::from(DIFFICULTY_MIN)).saturating_add(bomb(number))
}

/// The parent's difficulty, moved by `up - down` adjustments, at most 99 of them down.
fn stepped(parent: U256, adjustment: U256, up: u64, down: u64) -> U256 {
    let moved = if down <= up {
        parent.saturating_add(adjustment.saturating_mul(U256::from(up - down)))
    } else {
        parent.saturating_sub(adjustment.saturating_mul(U256::from((down - up).min(99))))
    };
    moved.max(U256::from(DIFFICULTY_MIN))
}

/// What the bomb adds: twice as much every 100,000 blocks.
fn bomb(number: u64) -> U256 {
    match number / BOMB_PERIOD {
        0 | 1 => U256::ZERO,
        period => U256::ONE.checked_shl(usize::try_from(period - 2).unwrap_or(usize::MAX)).unwrap_or(U256::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_hardforks::EthereumChainHardforks;
    use alloy_primitives::B256;

    fn mainnet(number: u64, elapsed: u64, difficulty: u128, has_uncles: bool) -> U256 {
        let ommers_hash = if has_uncles { B256::ZERO } else { EMPTY_OMMER_ROOT_HASH };
        let parent = Header {
            number: number - 1,
            difficulty: U256::from(difficulty),
            ommers_hash,
            timestamp: 1000,
            ..Header::default()
        };
        next_difficulty(&EthereumChainHardforks::mainnet(), &parent, 1000 + elapsed)
    }

    #[test]
    fn the_first_block_of_the_main_chain_has_the_difficulty_that_is_computed() {
        assert_eq!(mainnet(1, 1_438_269_988, 17_179_869_184, false), U256::from(17_171_480_576_u64));
    }

    #[test]
    fn each_delay_of_the_bomb_counts_from_its_fork() {
        let base = 1_000_000_000_000_000_u128;
        // Neither harder nor easier but for the bomb: 9 to 17 seconds after a parent without uncles.
        for (number, period) in [(4_369_999, 43), (4_370_000, 13), (7_280_000, 22), (9_200_000, 2), (12_965_000, 32)] {
            let expected = U256::from(base) + (U256::ONE << (period - 2));
            assert_eq!(mainnet(number, 12, base, false), expected, "block {number}");
        }
    }

    #[test]
    fn an_uncle_makes_the_next_block_harder_and_time_makes_it_easier() {
        let base = 1_000_000_000_u128;
        let step = base >> 11;
        assert_eq!(mainnet(4_400_000, 1, base, false), U256::from(base + step + (1 << 12)));
        assert_eq!(mainnet(4_400_000, 1, base, true), U256::from(base + 2 * step + (1 << 12)));
        assert_eq!(mainnet(4_400_000, 10_000, base, true), U256::from(base - 99 * step + (1 << 12)));
        assert_eq!(mainnet(4_400_000, 10_000, 1, false), U256::from(u128::from(DIFFICULTY_MIN) + (1 << 12)));
    }
}
