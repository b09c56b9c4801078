//! State overrides of simulations: accounts and storage, and precompiles that are moved or replaced by code.

use alloy::rpc::types::state::StateOverride;
use alloy_evm::overrides::{StateOverrideError, apply_state_overrides};
use alloy_primitives::Address;
use cryptlet_delegate::MovedPrecompiles;
use revm::{Database, DatabaseCommit};
use std::fmt::Display;

/// Why overrides cannot be applied. The words are geth's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverrideError {
    /// There is nothing to move.
    #[error("account {0} is not a precompile")]
    NotAPrecompile(Address),
    /// A precompile is to be moved to where it is.
    #[error("account {0}: movePrecompileToAddress refers to itself")]
    MovedToItself(Address),
    /// A precompile is to be moved onto an account that is overridden, too.
    #[error("account {0} is already overridden")]
    AlreadyOverridden(Address),
    /// Whole storage or single slots, but not both.
    #[error("account {0} has both 'state' and 'stateDiff'")]
    BothStateAndDiff(Address),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// Moves and removes precompiles as these overrides say: an account that is overridden is no precompile any more.
pub(super) fn move_precompiles(
    overrides: &StateOverride,
    precompiles: &mut MovedPrecompiles,
) -> Result<(), OverrideError> {
    // In the order of the addresses, so that the same request has the same result.
    let mut accounts: Vec<_> = overrides.iter().collect();
    accounts.sort_unstable_by_key(|(address, _)| **address);
    for (address, account) in accounts {
        if account.state.is_some() && account.state_diff.is_some() {
            return Err(OverrideError::BothStateAndDiff(*address));
        }
        let was_precompile = precompiles.contains(address);
        if let Some(to) = account.move_precompile_to {
            if !was_precompile {
                return Err(OverrideError::NotAPrecompile(*address));
            }
            if to == *address {
                return Err(OverrideError::MovedToItself(*address));
            }
            if overrides.contains_key(&to) {
                return Err(OverrideError::AlreadyOverridden(to));
            }
            precompiles.copy(*address, to);
        }
        if was_precompile {
            precompiles.remove(*address);
        }
    }
    Ok(())
}

/// Writes the overridden accounts into the state.
pub(super) fn apply<DB>(overrides: StateOverride, database: &mut DB) -> Result<(), OverrideError>
where
    DB: Database<Error: Display> + DatabaseCommit,
{
    apply_state_overrides(overrides, database).map_err(|error| match error {
        StateOverrideError::BothStateAndStateDiff(address) => OverrideError::BothStateAndDiff(address),
        StateOverrideError::InvalidBytecode(error) => OverrideError::Other(error.to_string()),
        StateOverrideError::Database(error) => OverrideError::Other(error.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::rpc::types::state::AccountOverride;
    use alloy_primitives::map::AddressSet;

    const ECRECOVER: Address = Address::with_last_byte(1);
    const SHA256: Address = Address::with_last_byte(2);
    const ELSEWHERE: Address = Address::repeat_byte(0xc2);

    fn moved(overrides: Vec<(Address, AccountOverride)>) -> Result<MovedPrecompiles, OverrideError> {
        let mut precompiles = MovedPrecompiles::new(&AddressSet::from_iter([ECRECOVER, SHA256]));
        move_precompiles(&overrides.into_iter().collect(), &mut precompiles)?;
        Ok(precompiles)
    }

    fn to(address: Address) -> AccountOverride {
        AccountOverride { move_precompile_to: Some(address), ..Default::default() }
    }

    #[test]
    fn a_moved_precompile_is_elsewhere_and_no_longer_where_it_was() {
        let precompiles = moved(vec![(ECRECOVER, to(ELSEWHERE))]).expect("it moves");
        assert!(precompiles.contains(&ELSEWHERE) && !precompiles.contains(&ECRECOVER));
        assert!(precompiles.contains(&SHA256));
    }

    #[test]
    fn code_takes_the_place_of_a_precompile() {
        let code = AccountOverride::default().with_code(vec![0x00]);
        let precompiles = moved(vec![(SHA256, code)]).expect("it is replaced");
        assert!(!precompiles.contains(&SHA256));
    }

    #[test]
    fn what_cannot_be_moved_is_refused_in_geths_words() {
        let error = moved(vec![(ELSEWHERE, to(ECRECOVER))]).expect_err("nothing is there");
        assert_eq!(error.to_string(), format!("account {ELSEWHERE} is not a precompile"));
        let onto_overridden = vec![(ECRECOVER, to(ELSEWHERE)), (ELSEWHERE, AccountOverride::default())];
        let error = moved(onto_overridden).expect_err("it is overridden");
        assert_eq!(error.to_string(), format!("account {ELSEWHERE} is already overridden"));
        assert_eq!(moved(vec![(ECRECOVER, to(ECRECOVER))]), Err(OverrideError::MovedToItself(ECRECOVER)));
        let both = AccountOverride::default().with_state([]).with_state_diff([]);
        assert_eq!(moved(vec![(ELSEWHERE, both)]), Err(OverrideError::BothStateAndDiff(ELSEWHERE)));
    }
}
