//! What a block accesses (`eth_getBlockAccessList`, EIP-7928). The list is not kept: the block is executed again, from its own
//! records, and the list compared with its header.

use crate::{
    execute::AccessList,
    rpc::{Rpc, RpcError},
};
use alloy::eips::{BlockId, eip7928};
use alloy_primitives::{Address, B256, Bytes, U64, U256};
use jsonrpsee::proc_macros::rpc;
use revm::inspector::NoOpInspector;
use serde::Serialize;

/// execution-apis: the block is of a time before the lists.
const NO_LIST_YET: i32 = 4445;

/// One account (execution-apis: `AccountAccess`).
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AccountAccess {
    address: Address,
    storage_changes: Vec<SlotChanges>,
    storage_reads: Vec<B256>,
    balance_changes: Vec<Change<U256>>,
    nonce_changes: Vec<Change<U64>>,
    code_changes: Vec<CodeChange>,
}

#[derive(Clone, Debug, Serialize)]
struct SlotChanges {
    key: B256,
    changes: Vec<Change<B256>>,
}

/// `index` is 0 before the transactions, then that of a transaction plus one.
#[derive(Clone, Debug, Serialize)]
struct Change<T> {
    index: U64,
    value: T,
}

#[derive(Clone, Debug, Serialize)]
struct CodeChange {
    index: U64,
    code: Bytes,
}

#[rpc(server, namespace = "eth")]
pub(crate) trait EthAccessLists {
    #[method(name = "getBlockAccessList")]
    async fn block_access_list(&self, block: BlockId) -> Result<Option<Vec<AccountAccess>>, RpcError>;
}

#[jsonrpsee::core::async_trait]
impl EthAccessListsServer for Rpc {
    async fn block_access_list(&self, block: BlockId) -> Result<Option<Vec<AccountAccess>>, RpcError> {
        let found = self.search(move |rpc| rpc.block_access_list(block)).await?;
        Ok(found.map(|list| list.list().iter().map(AccountAccess::from).collect()))
    }
}

impl Rpc {
    /// What a block of the chain accesses; `None` if there is no such block.
    pub(crate) fn block_access_list(&self, id: BlockId) -> Result<Option<AccessList>, RpcError> {
        let Some(block) = self.block(id)? else { return Ok(None) };
        let header = &block.block.header;
        let Some(expected) = header.block_access_list_hash else {
            let message = "Block access list not available for pre-Amsterdam blocks".to_owned();
            return Err(RpcError::Coded { code: NO_LIST_YET, message });
        };
        if header.number == self.node.spec().genesis_header().number {
            // Block 0 is not executed.
            return Ok(Some(AccessList::default()));
        }
        let recovered = self.recovered(&block)?;
        let mut rerun = self.rerun(&recovered, NoOpInspector {})?;
        rerun.skip(rerun.transactions_left())?;
        let (finished, _) = rerun.finish()?;
        let list = finished.access_list().filter(|list| list.hash() == expected).cloned();
        let differs = || RpcError::internal(format!("block {} does not give the access list it gave", block.number()));
        list.ok_or_else(differs).map(Some)
    }
}

impl From<&eip7928::AccountChanges> for AccountAccess {
    fn from(account: &eip7928::AccountChanges) -> Self {
        let slot = |slot: &eip7928::SlotChanges| {
            let change = |change: &eip7928::StorageChange| Change {
                index: index(change.block_access_index),
                value: change.new_value.into(),
            };
            SlotChanges { key: slot.slot.into(), changes: slot.changes.iter().map(change).collect() }
        };
        let balance = |change: &eip7928::BalanceChange| Change {
            index: index(change.block_access_index),
            value: change.post_balance,
        };
        let nonce = |change: &eip7928::NonceChange| Change {
            index: index(change.block_access_index),
            value: U64::from(change.new_nonce),
        };
        let code = |change: &eip7928::CodeChange| CodeChange {
            index: index(change.block_access_index),
            code: change.new_code.clone(),
        };
        Self {
            address: account.address,
            storage_changes: account.storage_changes.iter().map(slot).collect(),
            storage_reads: account.storage_reads.iter().map(|slot| B256::from(*slot)).collect(),
            balance_changes: account.balance_changes.iter().map(balance).collect(),
            nonce_changes: account.nonce_changes.iter().map(nonce).collect(),
            code_changes: account.code_changes.iter().map(code).collect(),
        }
    }
}

fn index(index: eip7928::BlockAccessIndex) -> U64 {
    U64::from(index.get())
}
