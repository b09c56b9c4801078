//! What a development node's cheats set since the head, until the next block carries it.
//!
//! It is written before a cheat is acknowledged, one row for each, so a killed node still has it; the block that carries it
//! removes the rows in the same atomic write, and so does a rewind.

use super::{
    chain::ChainStore,
    error::StoreError,
    kv::{Batch, KeyValueRead},
    schema::{Table, meta, number_key},
};
use crate::state::StateOverlay;
use alloy_primitives::{Address, B256, Bytes};
use alloy_rlp::{RlpDecodable, RlpEncodable};
use cryptlet_primitives::{DEV_EDITS_BYTES_MAX, DevEdits};
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
#[derive(Clone, Debug, Default)]
pub(super) struct Pending {
    pub(super) edits: Arc<PendingEdits>,
    pub(super) overlay: Option<StateOverlay>,
    /// How many rows of the table hold it: one for each time something was added.
    rows: u64,
    /// Bytes of their requests; at least those of the request that they come to.
    bytes: usize,
}

#[derive(RlpEncodable, RlpDecodable)]
struct Row {
    head: B256,
    /// The request, with its type byte; empty if there are no edits.
    request: Bytes,
    beneficiary: Bytes,
    prev_randao: Bytes,
}

/// See [`ChainStore::pending_edits_written`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PendingWritten {
    /// Rows.
    pub rows: usize,
    /// Bytes of all of them.
    pub bytes: usize,
    /// Bytes of the longest.
    pub bytes_max: usize,
}

impl PendingEdits {
    /// Will the next block be what the rules and the clock make it?
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty() && self.beneficiary.is_none() && self.prev_randao.is_none()
    }

    fn extend(&mut self, later: Self) {
        self.edits.extend(later.edits);
        self.beneficiary = later.beneficiary.or(self.beneficiary);
        self.prev_randao = later.prev_randao.or(self.prev_randao);
    }
}

impl ChainStore {
    /// What was set since the head; `None` if nothing was.
    pub fn pending_edits(&self) -> Option<Arc<PendingEdits>> {
        self.view()?.pending.as_ref().map(|pending| pending.edits.clone())
    }

    /// Adds to what was set since the head. When this returns, a killed process does not lose it. Writes what is added, not
    /// what there was.
    pub fn add_pending_edits(&self, more: PendingEdits) -> Result<(), StoreError> {
        let _writing = self.inner.writing.lock();
        if more.is_empty() {
            return Ok(());
        }
        let (rows, bytes) = self.pending_rows();
        let row = Row::new(self.with_unsettled().head()?.hash(), &more);
        let bytes = bytes + row.request.len();
        if bytes > DEV_EDITS_BYTES_MAX {
            return Err(StoreError::PendingEditsTooLong { bytes, bytes_max: DEV_EDITS_BYTES_MAX });
        }
        // Checked before it is written: what is written can be read again.
        StateOverlay::new(&more.edits.accounts).map_err(|error| StoreError::PendingEdits(error.to_string()))?;
        let mut batch = Batch::default();
        batch.put(Table::Meta, row_key(rows), row.encoded());
        self.inner.tables.write(batch)?;
        self.inner.change_pending(|pending| pending.add(more, bytes))
    }

    /// Replaces what was set since the head.
    pub fn set_pending_edits(&self, edits: PendingEdits) -> Result<(), StoreError> {
        {
            let _writing = self.inner.writing.lock();
            let mut batch = Batch::default();
            self.with_unsettled().drop_pending_edits(&mut batch);
            self.inner.tables.write(batch)?;
            self.inner.set_pending(None);
        }
        self.add_pending_edits(edits)
    }

    /// How what is pending lies in the database.
    #[doc(hidden)]
    pub fn pending_edits_written(&self) -> PendingWritten {
        let rows = self.inner.tables.prefix(Table::Meta, meta::PENDING_EDITS).filter_map(Result::ok);
        rows.fold(PendingWritten::default(), |sum, (_, value)| PendingWritten {
            rows: sum.rows + 1,
            bytes: sum.bytes + value.len(),
            bytes_max: sum.bytes_max.max(value.len()),
        })
    }

    /// In the batch that moves the head.
    pub(super) fn drop_pending_edits(&self, batch: &mut Batch) {
        let (rows, _) = self.pending_rows();
        (0..rows).for_each(|row| batch.delete(Table::Meta, row_key(row)));
        if rows > 0 {
            // As folders of older nodes have it: one row for all.
            batch.delete(Table::Meta, meta::PENDING_EDITS);
        }
    }

    /// How many rows hold what was set, and the bytes of their requests. For whoever holds `writing`.
    fn pending_rows(&self) -> (u64, usize) {
        let view = self.with_unsettled().view();
        view.and_then(|view| view.pending.as_ref().map(|pending| (pending.rows, pending.bytes))).unwrap_or_default()
    }
}

/// What a node that was stopped or killed had set since its head.
pub(super) fn read_pending(tables: &dyn KeyValueRead, head: B256) -> Result<Option<Pending>, StoreError> {
    let mut pending: Option<Pending> = None;
    for row in tables.prefix(Table::Meta, meta::PENDING_EDITS) {
        let (key, bytes) = row?;
        let damaged = |detail: String| StoreError::corrupt(Table::Meta, &key, detail);
        let row: Row =
            alloy_rlp::decode_exact(&bytes).map_err(|error| damaged(format!("is not well-formed: {error}")))?;
        if row.head != head {
            return Err(damaged(format!("was set on block {}, which is not the head {head}", row.head)));
        }
        let more = row.edits().map_err(damaged)?;
        let pending = pending.get_or_insert_default();
        let bytes = pending.bytes + row.request.len();
        pending.add(more, bytes)?;
    }
    Ok(pending)
}

fn row_key(row: u64) -> Vec<u8> {
    [meta::PENDING_EDITS, &number_key(row)].concat()
}

impl Pending {
    /// Adds a row; `bytes` is what all rows take. Costs what is added, unless somebody is reading what there was. Nothing
    /// changes if it fails.
    fn add(&mut self, more: PendingEdits, bytes: usize) -> Result<(), StoreError> {
        let laid = match &mut self.overlay {
            Some(overlay) => overlay.extend(&more.edits.accounts),
            None => StateOverlay::new(&more.edits.accounts).map(|overlay| self.overlay = overlay),
        };
        laid.map_err(|error| StoreError::PendingEdits(error.to_string()))?;
        Arc::make_mut(&mut self.edits).extend(more);
        (self.rows, self.bytes) = (self.rows + 1, bytes);
        Ok(())
    }
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
