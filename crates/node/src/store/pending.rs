//! What a development node's cheats set since the head, until the next block carries it.
//!
//! It is written before a cheat is acknowledged, so a killed node still has it; the block that carries it removes it in
//! the same atomic write, and so does a rewind.

use super::{
    chain::ChainStore,
    error::StoreError,
    kv::{Batch, KeyValueRead},
    schema::{Table, meta},
};
use crate::state::StateOverlay;
use alloy_primitives::{Address, B256, Bytes};
use alloy_rlp::{RlpDecodable, RlpEncodable};
use cryptlet_primitives::DevEdits;
use std::sync::Arc;

/// What the next block is to be, other than the rules and the clock would make it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PendingEdits {
    /// What the block will carry as its request of type `0xCE`.
    pub edits: DevEdits,
    /// Who gets the tips, from the next block on.
    pub beneficiary: Option<Address>,
    /// What `PREVRANDAO` gives in the next block.
    pub prev_randao: Option<B256>,
}

/// The pending edits and what they lie on.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) edits: Arc<PendingEdits>,
    pub(super) overlay: Option<StateOverlay>,
}

#[derive(RlpEncodable, RlpDecodable)]
struct Row {
    head: B256,
    /// The request, with its type byte; empty if there are no edits.
    request: Bytes,
    beneficiary: Bytes,
    prev_randao: Bytes,
}

impl PendingEdits {
    /// Will the next block be what the rules and the clock make it?
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty() && self.beneficiary.is_none() && self.prev_randao.is_none()
    }
}

impl ChainStore {
    /// What was set since the head; `None` if nothing was.
    pub fn pending_edits(&self) -> Option<Arc<PendingEdits>> {
        self.view()?.pending.as_ref().map(|pending| pending.edits.clone())
    }

    /// Replaces what was set since the head. When this returns, a killed process does not lose it.
    pub fn set_pending_edits(&self, edits: PendingEdits) -> Result<(), StoreError> {
        let _writing = self.inner.writing.lock();
        let head = self.with_unsettled().head()?;
        let malformed = |detail: String| StoreError::Malformed { number: head.number + 1, detail };
        let mut batch = Batch::default();
        let pending = if edits.is_empty() {
            batch.delete(Table::Meta, meta::PENDING_EDITS);
            None
        } else {
            let overlay = StateOverlay::new(&edits.edits.accounts).map_err(|error| malformed(error.to_string()))?;
            batch.put(Table::Meta, meta::PENDING_EDITS, Row::new(head.hash(), &edits).encoded());
            Some(Arc::new(Pending { edits: Arc::new(edits), overlay }))
        };
        self.inner.tables.write(batch)?;
        self.inner.set_pending(pending);
        Ok(())
    }

    /// In the batch that moves the head.
    pub(super) fn drop_pending_edits(&self, batch: &mut Batch) {
        if self.pending_edits().is_some() {
            batch.delete(Table::Meta, meta::PENDING_EDITS);
        }
    }
}

/// What a node that was stopped or killed had set since its head.
pub(super) fn read_pending(tables: &dyn KeyValueRead, head: B256) -> Result<Option<Pending>, StoreError> {
    let key = meta::PENDING_EDITS;
    let Some(bytes) = tables.get(Table::Meta, key)? else { return Ok(None) };
    let damaged = |detail: String| StoreError::corrupt(Table::Meta, key, detail);
    let row: Row = alloy_rlp::decode_exact(&bytes).map_err(|error| damaged(format!("is not well-formed: {error}")))?;
    if row.head != head {
        return Err(damaged(format!("was set on block {}, which is not the head {head}", row.head)));
    }
    let edits = row.edits().map_err(damaged)?;
    let overlay = StateOverlay::new(&edits.edits.accounts).map_err(|error| damaged(error.to_string()))?;
    Ok(Some(Pending { edits: Arc::new(edits), overlay }))
}

impl Row {
    fn new(head: B256, pending: &PendingEdits) -> Self {
        let bytes = |bytes: Option<&[u8]>| Bytes::copy_from_slice(bytes.unwrap_or_default());
        Self {
            head,
            request: if pending.edits.is_empty() { Bytes::new() } else { pending.edits.to_request() },
            beneficiary: bytes(pending.beneficiary.as_ref().map(|address| address.as_slice())),
            prev_randao: bytes(pending.prev_randao.as_ref().map(|word| word.as_slice())),
        }
    }

    fn encoded(&self) -> Vec<u8> {
        alloy_rlp::encode(self)
    }

    fn edits(&self) -> Result<PendingEdits, String> {
        let edits = match self.request.get(1..) {
            None => DevEdits::default(),
            Some(data) => DevEdits::from_request_data(data).map_err(|error| error.to_string())?,
        };
        let wrong = |what: &str| format!("has a {what} of another length");
        Ok(PendingEdits {
            edits,
            beneficiary: match self.beneficiary.is_empty() {
                true => None,
                false => Some(Address::try_from(self.beneficiary.as_ref()).map_err(|_| wrong("beneficiary"))?),
            },
            prev_randao: match self.prev_randao.is_empty() {
                true => None,
                false => Some(B256::try_from(self.prev_randao.as_ref()).map_err(|_| wrong("randao"))?),
            },
        })
    }
}
