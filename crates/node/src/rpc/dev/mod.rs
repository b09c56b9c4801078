//! Methods of development nodes, under the names that ganache (`evm_`), hardhat (`hardhat_`), anvil (`anvil_`) and Tenderly
//! (`tenderly_`) gave them. Answers are anvil's; where hardhat's differ, those of `hardhat_` are hardhat's.
//!
//! What a cheat sets is seen at once and carried by the next block as its request of type `0xCE`, so that every block can
//! still be replayed from the chain's own record (ADR 0010).

mod blobs;
mod dump;
mod erc20;
mod impersonation;
mod info;
mod mining;
mod pool;
mod reorg;
mod reset;
mod snapshots;
mod state;
mod time;

pub(super) use snapshots::Snapshots;

use super::{Rpc, RpcError};
use crate::miner::MinerError;
use alloy_primitives::U256;
use jsonrpsee::{
    RpcModule,
    core::RegisterMethodError,
    types::{ErrorObjectOwned, Params},
};
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;

/// Every `evm_` method.
pub(super) fn evm_methods(rpc: &Rpc) -> RpcModule<()> {
    methods(rpc, Dialect::Evm)
}

/// Every `anvil_` method.
pub(super) fn anvil_methods(rpc: &Rpc) -> RpcModule<()> {
    methods(rpc, Dialect::Anvil)
}

/// Every `hardhat_` method.
pub(super) fn hardhat_methods(rpc: &Rpc) -> RpcModule<()> {
    methods(rpc, Dialect::Hardhat)
}

/// What anvil has in namespaces that are not a development node's: whoever is offered `anvil_` is offered these too.
pub(super) fn anvil_extras(rpc: &Rpc) -> RpcModule<()> {
    let mut module = methods(rpc, Dialect::Tenderly);
    module.merge(impersonation::unsigned_methods(rpc)).expect("no method is registered twice");
    module
}

fn methods(rpc: &Rpc, dialect: Dialect) -> RpcModule<()> {
    let mut group = Group { module: RpcModule::new(rpc.clone()), dialect };
    let parts = [
        state::register,
        erc20::register,
        impersonation::register,
        mining::register,
        time::register,
        snapshots::register,
        dump::register,
        reorg::register,
        reset::register,
        pool::register,
        blobs::register,
        info::register,
    ];
    for register in parts {
        register(&mut group).expect("no method is registered twice");
    }
    group.module.remove_context()
}

/// Whose names, and whose answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    Evm,
    Anvil,
    Hardhat,
    Tenderly,
}

impl Dialect {
    fn prefix(self) -> &'static str {
        match self {
            Self::Evm => "evm",
            Self::Anvil => "anvil",
            Self::Hardhat => "hardhat",
            Self::Tenderly => "tenderly",
        }
    }

    /// What a method without a result answers.
    fn done(self) -> Value {
        if self == Self::Hardhat { Value::Bool(true) } else { Value::Null }
    }
}

/// The methods of one dialect, being gathered.
struct Group {
    module: RpcModule<Rpc>,
    dialect: Dialect,
}

type Registered = Result<(), RegisterMethodError>;
type Answer<T> = Result<T, ErrorObjectOwned>;

impl Group {
    fn is(&self, dialect: Dialect) -> bool {
        self.dialect == dialect
    }

    /// Offers a method under this name in the dialect.
    fn offer<F, A, T>(&mut self, name: &str, handler: F) -> Registered
    where
        F: Fn(Params<'static>, Arc<Rpc>) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Answer<T>> + Send + 'static,
        T: Serialize + Clone + Send + 'static,
    {
        // Names live as long as the process; there are about a hundred.
        let name: &'static str = format!("{}_{name}", self.dialect.prefix()).leak();
        self.module.register_async_method(name, move |params, rpc, _| handler(params, rpc))?;
        Ok(())
    }

    /// Offers a method that has nothing to answer but that it was done.
    fn offer_deed<F, A>(&mut self, name: &str, handler: F) -> Registered
    where
        F: Fn(Params<'static>, Arc<Rpc>) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Answer<()>> + Send + 'static,
    {
        let dialect = self.dialect;
        self.offer(name, move |params, rpc| {
            let deed = handler(params, rpc);
            async move { deed.await.map(|()| dialect.done()) }
        })
    }

    /// Takes a method's parameters, whatever they are, and does nothing.
    fn offer_nothing(&mut self, name: &str) -> Registered {
        self.offer_deed(name, |_, _| async { Ok(()) })
    }

    /// Names a method that cannot be, and says why.
    fn refuse(&mut self, name: &str, why: &'static str) -> Registered {
        let method = format!("{}_{name}", self.dialect.prefix());
        self.offer(name, move |_, _| {
            let refusal = RpcError::refused(format!("{method} is not offered: {why}"));
            async move { Err::<Value, _>(refusal.into()) }
        })
    }
}

fn miner_error(error: MinerError) -> ErrorObjectOwned {
    RpcError::from(error).into()
}

fn small(number: U256, what: &str) -> Result<u64, RpcError> {
    u64::try_from(number).map_err(|_| RpcError::invalid(format!("{what} is too large: {number}")))
}
