//! The DAO fork's irregular change of state (EIP-779): what 116 accounts had goes to one, before the block's transactions.

use crate::{
    state::{StateChanges, StateSnapshot},
    store::StoreError,
};
use alloy_evm::eth::dao_fork::{DAO_HARDFORK_ACCOUNTS, DAO_HARDFORK_BENEFICIARY};
use alloy_primitives::{Address, U256};
use revm::{
    Database, DatabaseCommit,
    database::{State, WrapDatabaseRef, states::bundle_state::BundleRetention},
    database_interface::bal::EvmDatabaseError,
    primitives::AddressMap,
    state::Account,
};

pub(super) type Fault = EvmDatabaseError<StoreError>;

/// Moves the balances. Returns what changed.
pub(super) fn move_balances(database: &mut State<WrapDatabaseRef<StateSnapshot>>) -> Result<StateChanges, Fault> {
    let mut touched = AddressMap::default();
    let mut sum = U256::ZERO;
    for address in DAO_HARDFORK_ACCOUNTS {
        let balance = database.basic(address)?.map_or(U256::ZERO, |info| info.balance);
        sum += balance;
        touched.insert(address, with_balance(database, address, U256::ZERO)?);
    }
    let before = database.basic(DAO_HARDFORK_BENEFICIARY)?.map_or(U256::ZERO, |info| info.balance);
    let refund = with_balance(database, DAO_HARDFORK_BENEFICIARY, before + sum)?;
    touched.insert(DAO_HARDFORK_BENEFICIARY, refund);
    database.commit(touched);
    database.merge_transitions(BundleRetention::PlainState);
    Ok(StateChanges::from_bundle(&database.bundle_state))
}

/// The account with this balance. Empty accounts were not removed yet, and an account that was not there comes into being
/// by being written to: marking it as created is how revm is told to keep it.
fn with_balance(
    database: &mut State<WrapDatabaseRef<StateSnapshot>>,
    address: Address,
    balance: U256,
) -> Result<Account, Fault> {
    let mut account = Account::from(database.basic(address)?.unwrap_or_default());
    account.info.balance = balance;
    account.mark_touch();
    if account.is_empty() {
        account.mark_created();
    }
    Ok(account)
}
