//! Taking blocks away, and putting others in their place.

use super::{Dialect, Group, Registered, impersonation::unsigned};
use crate::{
    pool::decode_transaction,
    rpc::{Rpc, RpcError, accounts::build},
    types::PooledTransaction,
};
use alloy::rpc::types::TransactionRequest;
use alloy_primitives::{Address, Bytes};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Blocks that one reorganization may replace.
const DEPTH_MAX: u64 = 10_000;
/// Gas of a transaction that does not say how much it wants: the chain it will run on is not there yet.
const GAS_UNSAID: u64 = 1_000_000;

/// A transaction of a reorganized chain: signed bytes, or a request that the node signs.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Wanted {
    Raw(Bytes),
    Request(Box<TransactionRequest>),
}

/// Depth, and transactions with the block that each goes into, from 0. anvil takes both as two parameters or as one object.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum ReorgOptions {
    Depth(u64),
    #[serde(rename_all = "camelCase")]
    Named {
        depth: u64,
        #[serde(default, alias = "tx_block_pairs")]
        tx_block_pairs: Vec<(Wanted, u64)>,
    },
}

pub(super) fn register(group: &mut Group) -> Registered {
    if !group.is(Dialect::Anvil) {
        return Ok(());
    }
    group.offer_deed("reorg", |params, rpc| async move {
        // By position, or by name: alloy sends the options as the params themselves.
        let is_named = params.as_str().is_some_and(|params| params.trim_start().starts_with('{'));
        let mut params_in_order = params.sequence();
        let options = if is_named { params.parse::<ReorgOptions>()? } else { params_in_order.next()? };
        let (depth, pairs) = match options {
            ReorgOptions::Depth(depth) => {
                (depth, params_in_order.optional_next::<Vec<(Wanted, u64)>>()?.unwrap_or_default())
            }
            ReorgOptions::Named { depth, tx_block_pairs } => (depth, tx_block_pairs),
        };
        Ok(rpc.reorg(depth, pairs).await?)
    })?;
    group.offer_deed("rollback", |params, rpc| async move {
        let depth = params.sequence().optional_next::<u64>()?.unwrap_or(1);
        let height = rpc.height_below("Rollback", depth)?;
        rpc.node.rewind_to(height).await.map_err(super::miner_error)?;
        Ok(())
    })
}

impl Rpc {
    async fn reorg(&self, depth: u64, pairs: Vec<(Wanted, u64)>) -> Result<(), RpcError> {
        let above = self.height_below("Reorg", depth)?;
        if depth > DEPTH_MAX {
            return Err(RpcError::invalid(format!("cannot reorganize {depth} blocks; at most {DEPTH_MAX}")));
        }
        let mut blocks: Vec<Vec<PooledTransaction>> = (0..depth).map(|_| Vec::new()).collect();
        let mut nonces = BTreeMap::new();
        for (wanted, index) in pairs {
            let block = usize::try_from(index).ok().and_then(|index| blocks.get_mut(index));
            // anvil's words.
            let block = block.ok_or_else(|| {
                RpcError::invalid(format!(
                    "Block number for reorg tx will exceed the reorged chain height. Block number {index} must not exceed \
                     (depth-1) {}",
                    depth.saturating_sub(1)
                ))
            })?;
            block.push(match wanted {
                Wanted::Raw(raw) => decode_transaction(&raw)?,
                Wanted::Request(request) => self.signed_after(above, *request, &mut nonces)?,
            });
        }
        self.node.reorg(above, blocks).await?;
        Ok(())
    }

    /// Signs a request as it can run on the state after block `above`, behind those that came before it.
    fn signed_after(
        &self,
        above: u64,
        mut request: TransactionRequest,
        nonces: &mut BTreeMap<Address, u64>,
    ) -> Result<PooledTransaction, RpcError> {
        let from = request.from.ok_or_else(|| RpcError::invalid(r#"the transaction has no "from""#))?;
        let nonce = match (request.nonce, nonces.get(&from)) {
            (Some(nonce), _) | (None, Some(&nonce)) => nonce,
            (None, None) => {
                let account = self.node.chain().state_at(above)?.account(from)?;
                account.map(|account| account.nonce).unwrap_or_default()
            }
        };
        nonces.insert(from, nonce + 1);
        request.nonce = Some(nonce);
        request.gas.get_or_insert(GAS_UNSAID);
        self.fill_chain_id(&mut request)?;
        self.fill_fees(&mut request)?;
        let transaction = build(request)?;
        if self.accounts.addresses().contains(&from) && !self.is_impersonated(from) {
            return self.accounts.sign_transaction(from, transaction);
        }
        if !self.is_impersonated(from) {
            return Err(RpcError::invalid(format!("No Signer available: {from} is neither unlocked nor impersonated")));
        }
        unsigned(from, transaction)
    }

    /// The height that is left when so many blocks are taken away.
    fn height_below(&self, what: &str, depth: u64) -> Result<u64, RpcError> {
        let (height, first) = (self.node.head().number, self.node.chain().first_block()?);
        // anvil's words.
        height.checked_sub(depth).filter(|left| *left >= first).ok_or_else(|| {
            RpcError::invalid(format!(
                "{what} depth must not exceed current chain height: current height {height}, depth {depth}"
            ))
        })
    }
}
