//! Where no contract may be created although there is none (EIP-7610): what the state says of an account's storage.

use super::watched::BlockState;
use crate::store::StoreError;
use alloy_primitives::{Address, U256};
use revm::database_interface::bal::EvmDatabaseError;

/// Has this account storage, as the block has left it so far? Reads the first slot of it that is not zero, if the block does
/// not know the answer. Of a chain that was forked, only accounts whose slots are here are known to have any.
pub fn has_storage(state: &mut BlockState, address: Address) -> Result<bool, EvmDatabaseError<StoreError>> {
    let cached = state.cache.accounts.get(&address);
    let written = cached.and_then(|cached| cached.account.as_ref()).map(|account| &account.storage);
    if written.is_some_and(|slots| slots.values().any(|value| !value.is_zero())) {
        return Ok(true);
    }
    if cached.is_some_and(|cached| cached.status.is_storage_known()) {
        return Ok(false);
    }
    for slot in state.database.0.slots(address, U256::ZERO) {
        let (slot, _) = slot.map_err(EvmDatabaseError::Database)?;
        if !written.is_some_and(|slots| slots.contains_key(&slot)) {
            return Ok(true);
        }
    }
    Ok(false)
}
