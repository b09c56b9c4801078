//! State overrides of simulations: accounts and storage, and precompiles that are moved or replaced by code.

use crate::execute::BlockState;
use alloy::rpc::types::state::{AccountOverride, StateOverride};
use alloy_evm::overrides::{StateOverrideError, apply_state_overrides};
use alloy_primitives::Address;
use cryptlet_delegate::MovedPrecompiles;
use revm::state::{Account, AccountInfo, EvmStorageSlot, TransactionId};
use std::borrow::Cow;

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

/// Writes the overridden accounts into the state. One that is left empty exists all the same, with the storage it had, as in
/// geth; for a database, an account that a transaction leaves empty is gone (EIP-161).
pub(super) fn apply(overrides: StateOverride, database: &mut BlockState) -> Result<(), OverrideError> {
    let mut others = StateOverride::default();
    for (address, account) in overrides {
        let cached = database.load_cache_account(address).map_err(|error| OverrideError::Other(error.to_string()))?;
        let before = cached.account_info().unwrap_or_default();
        if !leaves_empty(&before, &account) {
            others.insert(address, account);
            continue;
        }
        let slots = account.state_diff.unwrap_or_default().into_iter();
        // The slot is taken for changed if it is not what it was, so what it was is said to be something else.
        let slots = slots.map(|(slot, value)| {
            (slot.into(), EvmStorageSlot::new_changed((!value).into(), value.into(), TransactionId::ZERO))
        });
        let mut empty = Account::default().with_storage(slots);
        empty.mark_touch();
        let transition = cached.change(Cow::Owned(empty));
        database.apply_transition([(address, transition)]);
    }
    apply_state_overrides(others, database).map_err(|error| match error {
        StateOverrideError::BothStateAndStateDiff(address) => OverrideError::BothStateAndDiff(address),
        StateOverrideError::InvalidBytecode(error) => OverrideError::Other(error.to_string()),
        StateOverrideError::Database(error) => OverrideError::Other(error.to_string()),
    })
}

/// Is there nothing of the account any more when it is overridden so, except the storage that it has?
fn leaves_empty(before: &AccountInfo, account: &AccountOverride) -> bool {
    let AccountOverride { balance, nonce, code, state, state_diff, move_precompile_to: _ } = account;
    let says_something = balance.is_some() || nonce.is_some() || code.is_some() || state_diff.is_some();
    let has_code = code.as_ref().map_or(!before.is_empty_code_hash(), |code| !code.is_empty());
    says_something
        && state.is_none()
        && balance.unwrap_or(before.balance).is_zero()
        && nonce.unwrap_or(before.nonce) == 0
        && !has_code
}

#[cfg(test)]
mod tests {
    use super::*;
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
