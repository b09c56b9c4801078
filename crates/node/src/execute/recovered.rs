//! A block from outside, made ready for execution: senders and signers of records recovered, in parallel, once.

use super::fault::{BlockFault, FaultReason};
use crate::{
    chain_spec::ChainSpec,
    fork::{BASE_ROWS_REQUEST_TYPE, BaseRows},
    store::StoredBlock,
    types::{Block, BlockWithRequests, RecoveredTransaction},
};
use alloy::consensus::{Transaction as _, transaction::SignerRecoverable};
use alloy::eips::eip7685::Requests;
use alloy_hardforks::EthereumHardforks;
use alloy_primitives::{Address, B256};
use alloy_rlp::{Decodable, Header as RlpHeader};
use cryptlet_attestation::RecoveredRecord;
use cryptlet_primitives::{BlockRecords, CRYPTLET_REQUEST_TYPE, DevEdits, Record, impersonated_sender};
use rayon::prelude::*;

/// A block whose signatures have been recovered. Nothing about it has been judged except that they could be.
#[derive(Clone, Debug)]
pub struct RecoveredBlock {
    pub(super) block: Block,
    pub(super) hash: B256,
    /// `None`: what it came from has no place for them.
    pub(super) requests: Option<Requests>,
    pub(super) senders: Vec<Address>,
    /// Per transaction.
    pub(super) records: Vec<Vec<RecoveredRecord>>,
    /// What a development node's cheats did before it, and who was impersonated in it.
    pub(super) edits: DevEdits,
    /// On a forked chain, what the block read of the other chain.
    pub(super) base_rows: Option<BaseRows>,
}

impl RecoveredBlock {
    /// Recovers everything that a signature stands behind. Needs no state, so it may run ahead of execution.
    pub fn recover(spec: &ChainSpec, given: BlockWithRequests) -> Result<Self, BlockFault> {
        Self::recover_parts(spec, given.block, Some(given.requests))
    }

    /// The same for a block that may come without its requests: it is executed as if it had no cryptlet records.
    pub fn recover_parts(spec: &ChainSpec, block: Block, requests: Option<Requests>) -> Result<Self, BlockFault> {
        let (number, hash) = (block.header.number, block.header.hash_slow());
        let nothing = Requests::default();
        let given = requests.as_ref().unwrap_or(&nothing);
        let records = decode_records(spec, &block, given)?;
        let edits = decode_edits(spec, &block, given)?;
        let base_rows = decode_base_rows(spec, &block, given)?;
        let knows_chain_ids = spec.is_spurious_dragon_active_at_block(number);
        let is_homestead = spec.is_homestead_active_at_block(number);
        let recover_sender = |(index, transaction): (usize, &crate::types::Transaction)| {
            let index = index as u64;
            let fault = |reason| BlockFault::of_transaction(number, index, Some(*transaction.tx_hash()), reason);
            if transaction.is_legacy() && transaction.chain_id().is_some() && !knows_chain_ids {
                return Err(fault(FaultReason::ChainIdTooEarly));
            }
            let marked = impersonated_sender(transaction.signature());
            match (edits.impersonated.get(&index), marked) {
                // EIP-2: before Homestead a signature could be turned into another one.
                (None, None) if !is_homestead => transaction.recover_signer_unchecked(),
                (None, None) => transaction.recover_signer(),
                (Some(named), Some(marked)) if *named == marked => return Ok(marked),
                (named, marked) => return Err(fault(FaultReason::Impersonation { named: named.copied(), marked })),
            }
            .map_err(|_| fault(FaultReason::Sender))
        };
        let senders = block.body.transactions.par_iter().enumerate().map(recover_sender).collect::<Result<_, _>>()?;
        let records = records_recovered(spec, records);
        Ok(Self { block, hash, requests, senders, records, edits, base_rows })
    }

    /// A block of this node's own chain: who sent its transactions is known.
    pub fn of_stored(spec: &ChainSpec, stored: StoredBlock, requests: Requests) -> Result<Self, BlockFault> {
        let StoredBlock { hash, block, senders } = stored;
        let records = records_recovered(spec, decode_records(spec, &block, &requests)?);
        let edits = decode_edits(spec, &block, &requests)?;
        Ok(Self { block, hash, requests: Some(requests), senders, records, edits, base_rows: None })
    }

    /// Number that the block claims.
    pub fn number(&self) -> u64 {
        self.block.header.number
    }

    /// Hash of its header.
    pub fn hash(&self) -> B256 {
        self.hash
    }

    /// The block.
    pub fn block(&self) -> &Block {
        &self.block
    }

    /// The development edits that came with it.
    pub fn edits(&self) -> &DevEdits {
        &self.edits
    }

    /// Who sent each transaction.
    pub fn senders(&self) -> &[Address] {
        &self.senders
    }

    /// How many records came with it.
    pub fn record_count(&self) -> usize {
        self.records.iter().map(Vec::len).sum()
    }

    /// Records that came with it, with the index of their transaction.
    pub fn records(&self) -> impl Iterator<Item = (u64, &RecoveredRecord)> {
        let of_transaction = |(index, records)| std::iter::repeat(index as u64).zip(<&Vec<_>>::into_iter(records));
        self.records.iter().enumerate().flat_map(of_transaction)
    }

    pub(super) fn transactions(&self) -> impl Iterator<Item = RecoveredTransaction> {
        let pairs = self.block.body.transactions.iter().zip(&self.senders);
        pairs.map(|(transaction, sender)| RecoveredTransaction::new_unchecked(transaction.clone(), *sender))
    }
}

fn records_recovered(spec: &ChainSpec, records: Vec<Vec<Record>>) -> Vec<Vec<RecoveredRecord>> {
    let domain = spec.domain();
    let recover = |records: Vec<Record>| -> Vec<_> {
        records.into_par_iter().map(|record| RecoveredRecord::recover(record, &domain)).collect()
    };
    records.into_par_iter().map(recover).collect()
}

fn decode_records(spec: &ChainSpec, block: &Block, requests: &Requests) -> Result<Vec<Vec<Record>>, BlockFault> {
    let number = block.header.number;
    let fail = |reason| Err(BlockFault::of_block(number, reason));
    let is_ordered = requests.windows(2).all(|pair| pair[0].first() < pair[1].first());
    if !is_ordered || requests.iter().any(|request| request.len() < 2) {
        return fail(FaultReason::RequestsOrder);
    }
    let mut records = vec![Vec::new(); block.body.transactions.len()];
    let Some(request) = requests.iter().find(|request| request[0] == CRYPTLET_REQUEST_TYPE) else {
        return Ok(records);
    };
    let Some(limits) = spec.limits() else { return fail(FaultReason::RecordsWithoutDelegate) };
    let data = &request[1..];
    let decoded = BlockRecords::from_request_data(data, limits.record_bytes_per_block_max as usize);
    let BlockRecords(groups) = match decoded {
        Ok(groups) => groups,
        Err(error) => {
            let index = first_broken_group(data);
            let hash = index.and_then(|index| Some(*block.body.transactions.get(index as usize)?.tx_hash()));
            let reason = FaultReason::RecordsMalformed(error);
            return Err(index.map_or(BlockFault::of_block(number, reason.clone()), |index| {
                BlockFault::of_transaction(number, index, hash, reason)
            }));
        }
    };
    for group in groups {
        let index = group.transaction_index;
        let Some(of_transaction) = records.get_mut(usize::try_from(index).unwrap_or(usize::MAX)) else {
            let transactions = block.body.transactions.len();
            let reason = FaultReason::RecordsOfNoTransaction { index, transactions };
            return Err(BlockFault::of_transaction(number, index, None, reason));
        };
        *of_transaction = group.records;
    }
    Ok(records)
}

fn decode_base_rows(spec: &ChainSpec, block: &Block, requests: &Requests) -> Result<Option<BaseRows>, BlockFault> {
    let fail = |reason| BlockFault::of_block(block.header.number, reason);
    let request = requests.iter().find(|request| request.first() == Some(&BASE_ROWS_REQUEST_TYPE));
    if spec.fork().is_none() {
        return if request.is_none() { Ok(None) } else { Err(fail(FaultReason::BaseRowsWithoutFork)) };
    }
    // A block that read nothing of the other chain brings nothing.
    let Some(request) = request else { return Ok(Some(BaseRows::default())) };
    let rows = BaseRows::from_request_data(&request[1..]).map_err(|error| fail(FaultReason::BaseRows(error)))?;
    Ok(Some(rows))
}

fn decode_edits(spec: &ChainSpec, block: &Block, requests: &Requests) -> Result<DevEdits, BlockFault> {
    let fail = |reason| BlockFault::of_block(block.header.number, reason);
    let edits = DevEdits::of_requests(requests.iter()).map_err(|error| fail(FaultReason::DevEditsMalformed(error)))?;
    let Some(edits) = edits else { return Ok(DevEdits::default()) };
    if !spec.takes_dev_edits() {
        return Err(fail(FaultReason::DevEditsNotTaken));
    }
    let transactions = block.body.transactions.len();
    if let Some((index, _)) = edits.impersonated.last_key_value().filter(|(index, _)| **index >= transactions as u64) {
        return Err(fail(FaultReason::ImpersonationOfNoTransaction { index: *index, transactions }));
    }
    Ok(edits)
}

/// The transaction whose records cannot be read, as far as that can be told.
fn first_broken_group(mut data: &[u8]) -> Option<u64> {
    let mut groups = RlpHeader::decode_bytes(&mut data, true).ok()?;
    while !groups.is_empty() {
        let mut group = groups;
        let whole = cryptlet_primitives::TransactionRecords::decode(&mut groups).ok();
        let header = RlpHeader::decode(&mut group).ok()?;
        let index = header.list.then(|| u64::decode(&mut group).ok()).flatten();
        if whole.is_none_or(|whole| whole.records.is_empty()) {
            return index;
        }
    }
    None
}
