//! Setting balances, nonces, code and storage, and what the next block's header says.

use super::{Dialect, Group, Registered, miner_error, small};
use crate::{miner::DevEdit, rpc::RpcError};
use alloy_primitives::{Address, B256, Bytes, U256};

pub(super) fn register(group: &mut Group) -> Registered {
    if group.is(Dialect::Evm) {
        // ganache's names.
        balance(group, "setAccountBalance")?;
        nonce(group, "setAccountNonce")?;
        code(group, "setAccountCode")?;
        slot(group, "setAccountStorageAt")?;
        return gas_limit(group, "setBlockGasLimit");
    }
    balance(group, "setBalance")?;
    group.offer_deed("addBalance", |params, rpc| async move {
        let (address, more): (Address, U256) = params.parse()?;
        rpc.node.edit(DevEdit::MoreBalance(address, more)).await.map_err(miner_error)
    })?;
    if group.is(Dialect::Tenderly) {
        return Ok(());
    }
    nonce(group, "setNonce")?;
    code(group, "setCode")?;
    slot(group, "setStorageAt")?;
    gas_limit(group, "setBlockGasLimit")?;
    group.offer_deed("setCoinbase", |params, rpc| async move {
        rpc.node.edit(DevEdit::Beneficiary(params.one()?)).await.map_err(miner_error)
    })?;
    group.offer_deed("setPrevRandao", |params, rpc| async move {
        let word: U256 = params.one()?;
        rpc.node.edit(DevEdit::PrevRandao(B256::from(word))).await.map_err(miner_error)
    })?;
    group.offer_deed("setNextBlockBaseFeePerGas", |params, rpc| async move {
        let fee = small(params.one()?, "the base fee")?;
        rpc.node.edit(DevEdit::BaseFee(fee)).await.map_err(miner_error)
    })?;
    let method = format!("{}_setMinGasPrice", group.dialect.prefix());
    group.offer_deed("setMinGasPrice", move |params, _| {
        let method = method.clone();
        async move {
            let _: U256 = params.one()?;
            // anvil's and hardhat's words. Every chain of this node that can be cheated on has EIP-1559.
            Err(RpcError::invalid(format!("{method} is not supported when EIP-1559 is active")).into())
        }
    })?;
    group.refuse(
        "setChainId",
        "the chain id is part of the genesis, and every signature is for it. Start the node with --chain-id",
    )
}

fn balance(group: &mut Group, name: &str) -> Registered {
    group.offer_deed(name, |params, rpc| async move {
        let (address, balance): (Address, U256) = params.parse()?;
        rpc.node.edit(DevEdit::Balance(address, balance)).await.map_err(miner_error)
    })
}

fn nonce(group: &mut Group, name: &str) -> Registered {
    let is_hardhat = group.is(Dialect::Hardhat);
    group.offer_deed(name, move |params, rpc| async move {
        let (address, nonce): (Address, U256) = params.parse()?;
        let nonce = small(nonce, "the nonce")?;
        let state = rpc.state(None)?;
        let now = state.account(address).map_err(RpcError::from)?.map_or(0, |account| account.nonce);
        if is_hardhat && nonce < now {
            // hardhat's words. anvil lets a nonce go back.
            let why = format!("New nonce ({nonce}) must not be smaller than the existing nonce ({now})");
            return Err(RpcError::refused(why).into());
        }
        rpc.node.edit(DevEdit::Nonce(address, nonce)).await.map_err(miner_error)
    })
}

fn code(group: &mut Group, name: &str) -> Registered {
    group.offer_deed(name, |params, rpc| async move {
        let (address, code): (Address, Bytes) = params.parse()?;
        rpc.node.edit(DevEdit::Code(address, code)).await.map_err(miner_error)
    })
}

fn slot(group: &mut Group, name: &str) -> Registered {
    group.offer(name, |params, rpc| async move {
        // The value comes as a word or as a quantity.
        let (address, slot, value): (Address, U256, U256) = params.parse()?;
        rpc.node.edit(DevEdit::Slot(address, slot, value)).await.map_err(miner_error)?;
        Ok(true)
    })
}

fn gas_limit(group: &mut Group, name: &str) -> Registered {
    group.offer(name, |params, rpc| async move {
        let limit = small(params.one()?, "the gas limit")?;
        rpc.node.edit(DevEdit::GasLimit(limit)).await.map_err(miner_error)?;
        Ok(true)
    })
}
