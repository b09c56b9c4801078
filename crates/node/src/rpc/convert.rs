//! From the chain's own types to what JSON-RPC shows.

use crate::types::{Block, Header, Receipt, RecoveredTransaction, Transaction};
use alloy::{
    consensus::{Sealable, Sealed, Transaction as _, transaction::TransactionInfo},
    eips::eip7840::BlobParams,
    rpc::types::{
        self as rpc, BlockTransactions, Log, TransactionReceipt,
        eth::{Block as RpcBlockOf, Header as RpcHeaderOf, Transaction as RpcTransactionOf},
    },
};
use alloy_consensus::transaction::Recovered;
use alloy_primitives::{Address, B256, U256};
use alloy_rlp::Encodable;

/// A transaction, as shown.
pub(crate) type RpcTransaction = RpcTransactionOf<Transaction>;
/// A header, as shown.
pub(crate) type RpcHeader = RpcHeaderOf<Header>;
/// A block, as shown.
pub(crate) type RpcBlock = RpcBlockOf<RpcTransaction, RpcHeader>;
/// A receipt, as shown.
pub(crate) type RpcReceipt = TransactionReceipt<alloy::consensus::ReceiptEnvelope<Log>>;

/// A header whose hash is known, with the size of its block in bytes if that is known too.
pub(crate) fn header(header: Header, hash: B256, block_bytes: Option<usize>) -> RpcHeader {
    RpcHeader::from_consensus(Sealed::new_unchecked(header, hash), None, block_bytes.map(U256::from))
}

/// A block: with whole transactions if `full`, else with their hashes. `senders` has one address per transaction.
pub(crate) fn block(block: &Block, hash: B256, senders: &[Address], full: bool) -> RpcBlock {
    let transactions = if full {
        BlockTransactions::Full(
            (0..block.body.transactions.len()).map(|index| included(block, hash, senders, index)).collect(),
        )
    } else {
        BlockTransactions::Hashes(block.body.transactions.iter().map(|tx| *tx.tx_hash()).collect())
    };
    RpcBlockOf {
        header: header(block.header.clone(), hash, Some(block.length())),
        uncles: block.body.ommers.iter().map(Sealable::hash_slow).collect(),
        transactions,
        withdrawals: block.body.withdrawals.clone(),
    }
}

/// The transaction at `index` of a block; panics if there is none.
pub(crate) fn included(block: &Block, hash: B256, senders: &[Address], index: usize) -> RpcTransaction {
    let transaction = block.body.transactions[index].clone();
    let info = TransactionInfo {
        hash: Some(*transaction.tx_hash()),
        index: Some(index as u64),
        block_hash: Some(hash),
        block_number: Some(block.header.number),
        base_fee: block.header.base_fee_per_gas,
        block_timestamp: Some(block.header.timestamp),
    };
    RpcTransaction::from_transaction(Recovered::new_unchecked(transaction, senders[index]), info)
}

/// A transaction that waits.
pub(crate) fn pending(transaction: RecoveredTransaction) -> RpcTransaction {
    RpcTransaction::from_transaction(transaction, TransactionInfo::default())
}

/// What a block's receipts need besides themselves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReceiptContext<'a> {
    /// The block.
    pub(crate) block: &'a Block,
    /// Its hash.
    pub(crate) hash: B256,
    /// Who sent each transaction.
    pub(crate) senders: &'a [Address],
    /// Blob schedule at the block, if blobs exist there.
    pub(crate) blob_params: Option<BlobParams>,
}

impl ReceiptContext<'_> {
    /// All receipts of the block, as shown.
    pub(crate) fn all(&self, receipts: &[Receipt]) -> Vec<RpcReceipt> {
        let mut log_index = 0;
        let mut gas_before = 0;
        let mut shown = Vec::with_capacity(receipts.len());
        for (index, receipt) in receipts.iter().enumerate() {
            shown.push(self.one(index, receipt, log_index, gas_before));
            log_index += receipt.logs().len() as u64;
            gas_before = receipt.cumulative_gas_used();
        }
        shown
    }

    /// The receipt at `index`, as shown.
    pub(crate) fn at(&self, receipts: &[Receipt], index: usize) -> Option<RpcReceipt> {
        let receipt = receipts.get(index)?;
        let log_index = receipts[..index].iter().map(|earlier| earlier.logs().len() as u64).sum();
        let gas_before = index.checked_sub(1).map_or(0, |last| receipts[last].cumulative_gas_used());
        Some(self.one(index, receipt, log_index, gas_before))
    }

    fn one(&self, index: usize, receipt: &Receipt, first_log_index: u64, gas_before: u64) -> RpcReceipt {
        let header = &self.block.header;
        let transaction = &self.block.body.transactions[index];
        let (hash, sender) = (*transaction.tx_hash(), self.senders[index]);
        let mut log_index = first_log_index;
        let inner = receipt.clone().map_logs(|log| {
            let shown = Log {
                inner: log,
                block_hash: Some(self.hash),
                block_number: Some(header.number),
                block_timestamp: Some(header.timestamp),
                transaction_hash: Some(hash),
                transaction_index: Some(index as u64),
                log_index: Some(log_index),
                removed: false,
            };
            log_index += 1;
            shown
        });
        let blob_gas_used = transaction.blob_gas_used();
        TransactionReceipt {
            inner,
            transaction_hash: hash,
            transaction_index: Some(index as u64),
            block_hash: Some(self.hash),
            block_number: Some(header.number),
            gas_used: receipt.cumulative_gas_used() - gas_before,
            effective_gas_price: transaction.effective_gas_price(header.base_fee_per_gas),
            blob_gas_used,
            blob_gas_price: blob_gas_used.and(self.blob_params).and_then(|params| header.blob_fee(params)),
            from: sender,
            to: transaction.to(),
            contract_address: transaction.is_create().then(|| sender.create(transaction.nonce())),
        }
    }
}

/// A block's header as a change of the head is told (`newHeads`).
pub(crate) fn new_head(head: &Header, hash: B256) -> rpc::Header {
    header(head.clone(), hash, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::consensus::{Receipt as ConsensusReceipt, ReceiptWithBloom, SignableTransaction, TxEip1559};
    use alloy_primitives::{Log as PlainLog, Signature, TxKind};

    fn transaction(nonce: u64, to: TxKind) -> Transaction {
        let tx = TxEip1559 { nonce, to, max_fee_per_gas: 100, max_priority_fee_per_gas: 3, ..Default::default() };
        tx.into_signed(Signature::test_signature()).into()
    }

    fn receipt(cumulative_gas_used: u64, logs: usize) -> Receipt {
        let log = PlainLog::empty();
        let receipt = ConsensusReceipt { status: true.into(), cumulative_gas_used, logs: vec![log; logs] };
        Receipt::Eip1559(ReceiptWithBloom::from(receipt))
    }

    fn example() -> (Block, Vec<Address>, Vec<Receipt>) {
        let mut block = Block::default();
        block.header.number = 7;
        block.header.base_fee_per_gas = Some(10);
        block.body.transactions = vec![transaction(0, TxKind::Call(Address::ZERO)), transaction(1, TxKind::Create)];
        let sender = Address::repeat_byte(1);
        (block, vec![sender, sender], vec![receipt(21_000, 2), receipt(80_000, 1)])
    }

    #[test]
    fn receipts_count_gas_and_logs_within_the_block() {
        let (block, senders, receipts) = example();
        let context = ReceiptContext { block: &block, hash: B256::ZERO, senders: &senders, blob_params: None };
        let shown = context.all(&receipts);
        assert_eq!([shown[0].gas_used, shown[1].gas_used], [21_000, 59_000]);
        assert_eq!(shown[1].inner.logs()[0].log_index, Some(2));
        assert_eq!(shown[0].effective_gas_price, 13);
        assert_eq!(shown[0].contract_address, None);
        assert_eq!(shown[1].contract_address, Some(senders[1].create(1)));
        assert_eq!(context.at(&receipts, 1).as_ref(), Some(&shown[1]));
        assert_eq!(context.at(&receipts, 2), None);
    }

    #[test]
    fn a_block_shows_hashes_or_whole_transactions() {
        let (consensus, senders, _) = example();
        let hashes = block(&consensus, B256::ZERO, &senders, false);
        assert_eq!(hashes.transactions.as_hashes().map(<[_]>::len), Some(2));
        let full = block(&consensus, B256::ZERO, &senders, true);
        let second = &full.transactions.as_transactions().expect("full")[1];
        assert_eq!((second.transaction_index, second.block_number), (Some(1), Some(7)));
        assert_eq!(second.inner.signer(), senders[1]);
    }
}
