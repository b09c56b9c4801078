//! What a block runs in: the EVM's environment, what the delegate knows, and the state below it.

use super::{
    blame::storage_fault,
    fault::{BlockFault, FaultReason},
};
use crate::{
    chain_spec::ChainSpec,
    fork::{BaseRows, Recording},
    state::{MalformedCode, StateChanges, StateOverlay, StateSnapshot},
    store::ChainStore,
    types::{Block, Header},
};
use alloy::consensus::{BlockBody, Sealed};
use alloy::eips::eip4895::Withdrawal;
use alloy_evm::EvmEnv;
use cryptlet_delegate::{Anchor, DatabaseParent, DelegateScope};
use cryptlet_primitives::DevEdits;
use std::sync::Arc;

/// Of a block, what execution needs besides header and transactions.
#[derive(Clone, Debug, Default)]
pub(crate) struct BodyEffects<'a> {
    /// Uncles that are rewarded.
    pub(crate) uncles: &'a [Header],
    /// Withdrawals that are paid.
    pub(crate) withdrawals: &'a [Withdrawal],
    /// On a forked chain, the rows of the other chain that came with the block; without them, the chain's own base answers.
    pub(crate) base_rows: Option<BaseRows>,
}

impl<'a> BodyEffects<'a> {
    /// Of this block.
    pub(crate) fn of(block: &'a Block) -> Self {
        let BlockBody { ommers, withdrawals, .. } = &block.body;
        let withdrawals = withdrawals.as_ref().map_or(&[][..], |withdrawals| withdrawals);
        Self { uncles: ommers, withdrawals, base_rows: None }
    }
}

/// The environment of the EVM in a block with this header.
pub fn evm_env(spec: &ChainSpec, header: &Header) -> EvmEnv {
    let blob_params = spec.blob_params_at(header.timestamp);
    let mut env = EvmEnv::for_eth_block(header, spec.rules(header), spec.chain_id(), blob_params);
    if let Some(bytes_max) = spec.code_bytes_max() {
        env.cfg_env.limit_contract_code_size = Some(bytes_max);
        env.cfg_env.limit_contract_initcode_size = Some(spec.init_code_bytes_max(header.timestamp));
    }
    env
}

/// The block by number and hash.
pub fn anchor(block: &Sealed<Header>) -> Anchor {
    Anchor { number: block.number, hash: block.hash() }
}

/// What the delegate needs to know of a block: `None` on a chain without a delegate.
pub fn delegate_scope(spec: &ChainSpec, parent: Anchor, state: StateSnapshot) -> Option<DelegateScope> {
    let limits = *spec.limits()?;
    Some(DelegateScope { domain: spec.domain(), limits, parent, state: Arc::new(DatabaseParent(state)) })
}

/// On a forked chain: the state with a base below it whose answers are remembered.
pub(super) fn recorded_state(
    spec: &ChainSpec,
    chain: &ChainStore,
    state: StateSnapshot,
    given: Option<BaseRows>,
) -> (StateSnapshot, Option<(Arc<Recording>, StateSnapshot)>) {
    let layer = match (given, chain.base()) {
        (Some(rows), _) => spec.base_layer(Arc::new(rows)),
        (None, layer) => layer.cloned(),
    };
    let Some(layer) = layer else { return (state, None) };
    let recording = Arc::new(Recording::new(layer.base().clone()));
    let state = state.with_base(Some(layer.answered_by(recording.clone())));
    (state.clone(), Some((recording, state)))
}

/// The state with the edits laid over it, and what they change.
pub(super) fn edited_state(
    number: u64,
    state: StateSnapshot,
    edits: &DevEdits,
) -> Result<(StateSnapshot, Option<StateChanges>), BlockFault> {
    let impossible =
        |error: MalformedCode| BlockFault::of_block(number, FaultReason::DevEditsImpossible(error.to_string()));
    let Some(overlay) = StateOverlay::new(&edits.accounts).map_err(impossible)? else { return Ok((state, None)) };
    let changes = overlay.changes(|address| state.sealed_account(address));
    let changes = changes.map_err(|error| storage_fault(number, &error))?;
    Ok((state.with_overlay(Some(overlay)), Some(changes)))
}
