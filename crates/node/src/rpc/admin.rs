//! `admin_` and `rpc_`: what tools ask to find out whom they talk to. This node has no peers of its own.

use super::{Namespace, Rpc, RpcError};
use alloy_primitives::hex;
use jsonrpsee::{RpcModule, core::RegisterMethodError, types::ErrorObjectOwned};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// geth's version of every namespace.
const NAMESPACE_VERSION: &str = "1.0";

/// Every `admin_` method.
pub(super) fn methods(rpc: &Rpc) -> RpcModule<()> {
    let mut module = RpcModule::new(rpc.clone());
    register(&mut module).expect("no method is registered twice");
    module.remove_context()
}

fn register(module: &mut RpcModule<Rpc>) -> Result<(), RegisterMethodError> {
    module.register_method("admin_nodeInfo", |_, rpc, _| rpc.admin_info())?;
    module.register_method("admin_peers", |_, _, _| json!([]))?;
    module.register_method("admin_datadir", |_, rpc, _| {
        let folder = rpc.datadir.as_ref().map(|folder| folder.display().to_string());
        folder.ok_or_else(|| RpcError::refused("the chain is kept in memory: there is no data folder"))
    })?;
    // As a geth that may have no peers: what is well-formed is taken note of, and nobody is dialled.
    for name in ["admin_addPeer", "admin_removePeer", "admin_addTrustedPeer", "admin_removeTrustedPeer"] {
        module.register_method(name, |params, _, _| {
            let url: String = params.one()?;
            check_enode(&url)?;
            tracing::warn!(peer = %url, "this node has no peer-to-peer network; the peer changes nothing");
            Ok::<_, ErrorObjectOwned>(true)
        })?;
    }
    Ok(())
}

/// Is this a node's URL: `enode://`, 64 bytes of public key, `@`, address and port? The words are geth's (`ParseV4`).
fn check_enode(url: &str) -> Result<(), RpcError> {
    let wrong = |why: &str| Err(RpcError::refused(format!("invalid enode: {why}")));
    let Some(rest) = url.strip_prefix("enode://") else {
        return wrong(if url.starts_with("enr:") {
            "this node reads URLs, not records"
        } else {
            "missing 'enr:' prefix"
        });
    };
    let (id, address) = rest.split_once('@').map_or((rest, None), |(id, address)| (id, Some(address)));
    match hex::decode(id) {
        Err(error) => return wrong(&format!("invalid public key ({error})")),
        Ok(bytes) if bytes.len() != 64 => return wrong("invalid public key (wrong length, want 128 hex chars)"),
        Ok(_) => {}
    }
    // A URL without an address is a node's identity alone.
    let Some(address) = address else { return Ok(()) };
    let place = address.split_once('?').map_or(address, |(place, _)| place);
    match place.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(()),
        _ => wrong("invalid host or port"),
    }
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
    /// geth's answer. It speaks of a node that listens to no peers: what would identify it among them (`id`, `enode`, `enr`,
    /// `listenAddr`) is empty, because it has none.
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
            "id": "",
            "name": self.client_version,
            "enode": "",
            "enr": "",
            "ip": "127.0.0.1",
            "ports": { "discovery": 0, "listener": 0 },
            "listenAddr": "",
            "protocols": { "eth": eth },
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_named_by_key_and_address() {
        let key = "ab".repeat(64);
        assert!(check_enode(&format!("enode://{key}@127.0.0.1:30303?discport=0")).is_ok());
        assert!(check_enode(&format!("enode://{key}@[::1]:30303")).is_ok());
        assert!(check_enode(&format!("enode://{key}")).is_ok());
        for (url, why) in [
            ("http://127.0.0.1".to_owned(), "missing 'enr:' prefix"),
            ("enode://abcd@127.0.0.1:1".to_owned(), "wrong length"),
            (format!("enode://{key}@127.0.0.1"), "host or port"),
            (format!("enode://{key}@127.0.0.1:99999"), "host or port"),
        ] {
            let error = check_enode(&url).expect_err("no peer").to_string();
            assert!(error.starts_with("invalid enode: ") && error.contains(why), "{url}: {error}");
        }
    }
}
