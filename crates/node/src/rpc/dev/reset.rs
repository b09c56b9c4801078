//! Back to where the node began.

use super::{Dialect, Group, Registered};
use crate::rpc::{Rpc, RpcError};
use serde::Deserialize;
use serde_json::Value;

/// What a reset may be given: the chain to fork from, as far as it is looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResetOptions {
    forking: Option<Forking>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Forking {
    json_rpc_url: Option<String>,
    block_number: Option<Value>,
}

const NO_FORKS: &str = "this chain is made from its genesis alone; it does not fork another";

pub(super) fn register(group: &mut Group) -> Registered {
    if !matches!(group.dialect, Dialect::Anvil | Dialect::Hardhat) {
        return Ok(());
    }
    group.offer_deed("reset", |params, rpc| async move {
        let options: Option<ResetOptions> = params.sequence().optional_next()?;
        let forking = options.unwrap_or_default().forking;
        if forking.is_some_and(|forking| forking.json_rpc_url.is_some() || forking.block_number.is_some()) {
            return Err(RpcError::refused(NO_FORKS).into());
        }
        Ok(rpc.reset().await?)
    })?;
    if group.is(Dialect::Anvil) {
        group.refuse("setRpcUrl", NO_FORKS)?;
    }
    Ok(())
}

impl Rpc {
    /// The chain as it was when the node was ready, with an empty pool, real time and nobody impersonated.
    async fn reset(&self) -> Result<(), RpcError> {
        self.node.drop_transactions(None).await?;
        self.node.rewind_to(self.node.reset_height()).await?;
        self.node.time().reset();
        self.node.impersonation().clear();
        self.snapshots.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardhat_sends_an_empty_fork_and_viem_a_fork_of_nothing() {
        for given in [r"{}", r#"{"forking":null}"#, r#"{"forking":{}}"#, r#"{"forking":{"jsonRpcUrl":null}}"#] {
            let options: ResetOptions = serde_json::from_str(given).expect("options");
            assert!(options.forking.is_none_or(|forking| forking.json_rpc_url.is_none()), "{given}");
        }
    }
}
