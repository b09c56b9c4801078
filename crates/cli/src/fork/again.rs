//! `--fork-transaction-hash`: the beginning of a block of the forked chain happens again on the fork.

use anyhow::{Context, Result, ensure};
use cryptlet_node::{NodeHandle, types::PooledTransaction};

/// What a block began with.
pub(crate) struct BlockPart {
    /// In Unix seconds.
    pub(super) timestamp: u64,
    pub(super) transactions: Vec<PooledTransaction>,
}

impl BlockPart {
    /// Makes a block of these transactions on top of the head, at the time they had, or a second after the head if there the time
    /// stood still (other development nodes let it). Fails if one of them cannot run.
    pub(crate) async fn happen_again(self, node: &NodeHandle) -> Result<()> {
        let head = node.head();
        node.time().set_now(self.timestamp);
        if self.timestamp > head.timestamp {
            node.time().set_next(self.timestamp, head.timestamp)?;
        }
        let wanted = self.transactions.len();
        let made = node.reorg(head.number, vec![self.transactions]).await?;
        let block = node.chain().block(made.number)?.context("the block that was just made is gone")?;
        let ran = block.block.body.transactions.len();
        ensure!(ran == wanted, "only {ran} of the first {wanted} transactions of the block run on this fork");
        Ok(())
    }
}
