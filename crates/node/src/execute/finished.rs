//! A block whose transactions have all been executed: its header is derived, or compared.

use super::{
    access_list::AccessList,
    blame::storage_fault,
    fault::{BlockFault, FaultReason},
};
use crate::{
    fork::BaseRows,
    state::{StateChanges, StateUpdate},
    store::{ChainStore, CommitBlock, StoreError},
    types::{Block, ExecutedBlock, Header, Receipt, RecoveredTransaction, Transaction},
};
use alloy::consensus::{
    BlockBody, Sealed, TxReceipt,
    proofs::{calculate_receipt_root, calculate_transaction_root},
};
use alloy::eips::{eip4895::Withdrawals, eip7685::Requests};
use alloy_primitives::{B256, Bloom};
use cryptlet_primitives::{BlockRecords, DevEdits, impersonated_sender};

/// What execution came to.
#[derive(Debug)]
pub struct FinishedExecution {
    pub(super) header: Header,
    pub(super) is_prague: bool,
    pub(super) receipts: Vec<Receipt>,
    pub(super) requests: Requests,
    pub(super) records: BlockRecords,
    pub(super) edits: DevEdits,
    /// None before Shanghai.
    pub(super) withdrawals: Option<Withdrawals>,
    pub(super) base_rows: BaseRows,
    /// None before Amsterdam.
    pub(super) access_list: Option<AccessList>,
    pub(super) gas_used: u64,
    pub(super) blob_gas_used: u64,
    pub(super) changes: StateChanges,
}

/// A block and the state it makes, ready to be stored.
#[derive(Debug)]
pub struct FinishedBlock {
    /// The block with everything that is stored of it.
    pub executed: ExecutedBlock,
    /// The state.
    pub state: StateUpdate,
    /// What it accesses; `None` before Amsterdam. It is not stored: executing the block gives it again.
    pub access_list: Option<AccessList>,
}

impl FinishedBlock {
    /// Stores the block and makes it the head.
    pub fn commit(&self, chain: &ChainStore) -> Result<Sealed<Header>, StoreError> {
        chain.commit(self.parts())
    }

    /// Writes the block on top of the written ones; readers see it when it is settled ([`ChainStore::settle`]).
    pub fn append(&self, chain: &ChainStore) -> Result<Sealed<Header>, StoreError> {
        chain.append(self.parts())
    }

    fn parts(&self) -> CommitBlock<'_> {
        let ExecutedBlock { block, hash, requests, receipts, senders, .. } = &self.executed;
        CommitBlock { block, hash: *hash, senders, receipts, requests, state: &self.state }
    }
}

impl FinishedExecution {
    /// What the block does to the state.
    pub fn changes(&self) -> &StateChanges {
        &self.changes
    }

    /// What the block accesses; `None` before Amsterdam.
    pub fn access_list(&self) -> Option<&AccessList> {
        self.access_list.as_ref()
    }

    /// Completes the header of a block that was built.
    pub fn seal(
        mut self,
        chain: &ChainStore,
        parent: &Sealed<Header>,
        transactions: Vec<RecoveredTransaction>,
    ) -> Result<FinishedBlock, BlockFault> {
        let number = self.header.number;
        let state = self.state_after(chain, parent)?;
        let (transactions, senders): (Vec<_>, Vec<_>) =
            transactions.into_iter().map(RecoveredTransaction::into_parts).unzip();
        self.derive_edits(&transactions);
        let body = BlockBody { transactions, ommers: Vec::new(), withdrawals: self.withdrawals.take() };
        let (receipts_root, logs_bloom) = self.receipt_commitments();
        let requests_hash = self.is_prague.then(|| self.requests.requests_hash());
        if let Some(list) = &self.access_list {
            list.check_length(number, self.header.gas_limit)?;
        }
        debug_assert_eq!(number, parent.number + 1);
        let header = Header {
            state_root: state.root(),
            transactions_root: calculate_transaction_root(&body.transactions),
            receipts_root,
            logs_bloom,
            gas_used: self.gas_used,
            withdrawals_root: body.calculate_withdrawals_root(),
            blob_gas_used: self.header.excess_blob_gas.map(|_| self.blob_gas_used),
            requests_hash,
            block_access_list_hash: self.access_list.as_ref().map(AccessList::hash),
            ..self.header
        };
        let hash = header.hash_slow();
        let block = Block::new(header, body);
        let executed = ExecutedBlock {
            block,
            hash,
            requests: self.requests,
            receipts: self.receipts,
            senders,
            records: self.records,
        };
        Ok(FinishedBlock { executed, state, access_list: self.access_list })
    }

    /// Compares what execution came to with what the header of a given block says.
    pub fn verify(
        mut self,
        chain: &ChainStore,
        parent: &Sealed<Header>,
        block: Block,
        hash: B256,
        senders: Vec<alloy_primitives::Address>,
    ) -> Result<FinishedBlock, BlockFault> {
        let header = &block.header;
        let fail = |reason| Err(BlockFault::of_block(header.number, reason));
        if self.gas_used != header.gas_used {
            return fail(FaultReason::GasUsed { header: header.gas_used, computed: self.gas_used });
        }
        if header.blob_gas_used.unwrap_or_default() != self.blob_gas_used {
            return fail(FaultReason::BlobGasUsed { header: header.blob_gas_used, computed: self.blob_gas_used });
        }
        self.derive_edits(&block.body.transactions);
        let computed = self.requests.requests_hash();
        if self.is_prague && header.requests_hash != Some(computed) {
            return fail(FaultReason::RequestsHash { header: header.requests_hash, computed });
        }
        let (receipts_root, logs_bloom) = self.receipt_commitments();
        if receipts_root != header.receipts_root {
            return fail(FaultReason::ReceiptsRoot { header: header.receipts_root, computed: receipts_root });
        }
        if logs_bloom != header.logs_bloom {
            let (header, computed) = (Box::new(header.logs_bloom), Box::new(logs_bloom));
            return fail(FaultReason::LogsBloom { header, computed });
        }
        let state = self.state_after(chain, parent)?;
        if state.root() != header.state_root {
            return fail(FaultReason::StateRoot { header: header.state_root, computed: state.root() });
        }
        if let Some(list) = &self.access_list {
            list.check_length(header.number, header.gas_limit)?;
            if header.block_access_list_hash != Some(list.hash()) {
                let (header, computed) = (header.block_access_list_hash, list.hash());
                return fail(FaultReason::AccessListHash { header, computed });
            }
        }
        let executed = ExecutedBlock {
            block,
            hash,
            requests: self.requests,
            receipts: self.receipts,
            senders,
            records: self.records,
        };
        Ok(FinishedBlock { executed, state, access_list: self.access_list })
    }

    /// Adds the requests of a development chain: what was edited, who was impersonated, and what was read of the chain
    /// that was forked.
    fn derive_edits(&mut self, transactions: &[Transaction]) {
        let marked = |(index, transaction): (usize, &Transaction)| {
            impersonated_sender(transaction.signature()).map(|sender| (index as u64, sender))
        };
        self.edits.impersonated = transactions.iter().enumerate().filter_map(marked).collect();
        if !self.edits.is_empty() {
            // Behind 0xCD: the order stays ascending.
            self.requests.push_request(self.edits.to_request());
        }
        if !self.base_rows.is_empty() {
            self.requests.push_request(self.base_rows.to_request());
        }
    }

    fn state_after(&self, chain: &ChainStore, parent: &Sealed<Header>) -> Result<StateUpdate, BlockFault> {
        let number = self.header.number;
        chain.state_root_after(parent.number, &self.changes).map_err(|error| storage_fault(number, &error))
    }

    fn receipt_commitments(&self) -> (B256, Bloom) {
        let bloom = self.receipts.iter().fold(Bloom::ZERO, |bloom, receipt| bloom | receipt.bloom());
        (calculate_receipt_root(&self.receipts), bloom)
    }
}
