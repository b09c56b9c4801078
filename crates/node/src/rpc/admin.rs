//! `admin_` and `rpc_`: what tools ask to find out whom they talk to. This node has no peers of its own.

use super::{Namespace, Rpc, RpcError, web3};
use jsonrpsee::RpcModule;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// geth's version of every namespace.
const NAMESPACE_VERSION: &str = "1.0";

/// Every `admin_` method.
pub(super) fn methods(rpc: &Rpc) -> RpcModule<()> {
    let mut module = RpcModule::new(rpc.clone());
    module.register_method("admin_nodeInfo", |_, rpc, _| rpc.admin_info()).expect("no method is registered twice");
    module.register_method("admin_peers", |_, _, _| json!([])).expect("no method is registered twice");
    module.remove_context()
}

/// `rpc_modules`, which geth offers whatever else is off.
pub(super) fn rpc_methods(namespaces: &BTreeSet<Namespace>) -> RpcModule<()> {
    let version = || Value::from(NAMESPACE_VERSION);
    let names = namespaces.iter().map(|namespace| namespace.name()).chain(["rpc"]);
    let modules: Map<String, Value> = names.map(|name| (name.to_owned(), version())).collect();
    let mut module = RpcModule::new(());
    let registered = module.register_method("rpc_modules", move |_, _, _| Value::Object(modules.clone()));
    registered.expect("no method is registered twice");
    module
}

impl Rpc {
    /// geth's answer as far as it is about the chain; what is about peers (`enode`, `id`, `ip`) is left out.
    fn admin_info(&self) -> Result<Value, RpcError> {
        let (spec, (header, hash)) = (self.node.spec(), self.head_header()?);
        let eth = json!({
            "network": spec.chain_id(),
            "genesis": spec.genesis_hash(),
            "head": hash,
            "number": header.number,
            "config": spec.genesis().config,
        });
        Ok(json!({
            "name": web3::client_version(),
            "ports": { "discovery": 0, "listener": 0 },
            "protocols": { "eth": eth },
        }))
    }
}
