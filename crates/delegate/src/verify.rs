//! May a record be part of the block? The one place that gathers what [`verify_record`] wants to know, for a builder that was
//! given an answer, for the run that consumes it, and for whoever replays.

use crate::{context::DelegateScope, parent::ParentStateError, registry_layout::RegistryCache};
use alloy_primitives::B256;
use cryptlet_attestation::{BlockFacts, RecordFault, RecoveredRecord, record::ANCHOR_DEPTH_MAX, verify_record};
use cryptlet_primitives::{CryptletId, RegistrationId};

/// Does this record hold in the block after `scope.parent`? The outer error is this node's fault, the inner one the record's.
pub fn verify_in_scope(
    scope: &DelegateScope,
    registry: &mut RegistryCache,
    recovered: &RecoveredRecord,
) -> Result<Result<(), RecordFault>, ParentStateError> {
    let record = recovered.record();
    let id = CryptletId(record.request.cryptletId);
    let Some(cryptlet) = registry.cryptlet(scope, id)? else {
        return Ok(Err(RecordFault::UnknownCryptlet(id)));
    };
    // What nobody signed names no instance.
    let instance = match record.result.registrationId {
        B256::ZERO => None,
        id => registry.instance(scope, RegistrationId(id))?,
    };
    let policy = registry.policy(scope)?;
    let canonical_anchor = canonical_hash(scope, record.request.anchorBlock)?;
    let block = BlockFacts { number: scope.block_number(), canonical_anchor };
    Ok(verify_record(recovered, &cryptlet, instance.as_ref(), &policy, &block, &scope.limits))
}

/// Hash of the ancestor with this number, if it is within an anchor's reach.
pub(crate) fn canonical_hash(scope: &DelegateScope, number: u64) -> Result<Option<B256>, ParentStateError> {
    if number == scope.parent.number {
        return Ok(Some(scope.parent.hash));
    }
    match scope.block_number().checked_sub(number) {
        Some(1..=ANCHOR_DEPTH_MAX) => scope.state.ancestor_hash(number),
        _ => Ok(None),
    }
}
