//! Deterministic ends of a call other than an answer, as a contract sees them.

pub(crate) use crate::guest::ending::*;
use alloy_sol_types::{SolError, sol};

sol! {
    /// What a contract sees when its cryptlet did not return by itself: in the output of a result of status `Error`.
    #[derive(Debug, PartialEq, Eq)]
    error CryptletTrap(string reason);
}

/// `CryptletTrap(reason)` as revert data, or, if not that much output was paid for, its selector, or nothing.
pub fn revert_data(reason: &str, output_bytes_max: usize) -> Vec<u8> {
    let whole = CryptletTrap { reason: reason.to_owned() }.abi_encode();
    match output_bytes_max {
        room if room >= whole.len() => whole,
        4.. => CryptletTrap::SELECTOR.to_vec(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revert_data_never_exceeds_what_was_paid_for() {
        for room in 0..200 {
            assert!(revert_data("out of compute units", room).len() <= room, "{room}");
        }
        let whole = revert_data("out of compute units", 200);
        assert_eq!(CryptletTrap::abi_decode(&whole).unwrap().reason, "out of compute units");
    }
}
