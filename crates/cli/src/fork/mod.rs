//! `--fork-url`: the chain that a dev chain continues, over JSON-RPC, with what was fetched before kept in a file.

mod again;
mod cache_file;
mod remote;

pub(crate) use remote::RemoteChain;

use crate::args::ForkArgs;
use again::BlockPart;
use alloy::{
    eips::BlockNumberOrTag,
    genesis::{Genesis, GenesisAccount},
    primitives::Address,
};
use anyhow::{Context, Result, ensure};
use cache_file::CacheFile;
use cryptlet_node::fork::{BaseKey, BaseValue, ForkPoint, ForkSource};
use std::{path::PathBuf, sync::Arc};

/// A fork that is ready to be continued.
pub(crate) struct Fork {
    /// Where it was forked.
    pub(crate) point: ForkPoint,
    /// Reaches the other chain.
    pub(crate) source: Arc<RemoteChain>,
    /// What is to happen again on top of it.
    pub(crate) again: Option<BlockPart>,
}

impl Fork {
    /// Finds the block to fork from; a chain that is stored knows it already.
    pub(crate) async fn open(args: &ForkArgs, stored: Option<&Genesis>) -> Result<Option<Self>> {
        let Some(given) = &args.fork_url else { return Ok(None) };
        let (url, at) = split_block(given);
        let source = RemoteChain::connect(url, args)?;
        let chain_id = source.chain_id().await?;
        let known =
            stored.and_then(|genesis| genesis.config.extra_fields.get_deserialized::<ForkPoint>("cryptletFork"));
        let mut again = None;
        let point = match known.transpose()? {
            Some(point) => point,
            None => {
                let mut number =
                    args.fork_block_number.or(at).map_or(BlockNumberOrTag::Latest, BlockNumberOrTag::Number);
                if let Some(hash) = args.fork_transaction_hash {
                    let found = source.block_up_to(hash).await?;
                    let (block, part) = found.with_context(|| format!("no block of {url} has transaction {hash}"))?;
                    (number, again) = (BlockNumberOrTag::Number(block.saturating_sub(1)), Some(part));
                }
                let header = source.header(number).await?.with_context(|| format!("{url} has no block {number}"))?;
                ForkPoint { chain_id, block_number: header.number, block_hash: header.hash }
            }
        };
        ensure!(
            chain_id == point.chain_id,
            "the data folder holds a fork of chain {}, and {url} is a node of chain {chain_id}",
            point.chain_id
        );
        let folder = || args.cache_path.clone().unwrap_or_else(cache_folder);
        let cache = (!args.no_storage_caching).then(|| CacheFile::open(&folder(), &point)).transpose()?;
        Ok(Some(Self { point, source: Arc::new(source.at(point.block_number, cache)), again }))
    }

    /// Makes a dev chain's genesis the continuation of the fork block: its number, time and fees, and of the accounts that
    /// the dev chain brings with it, what they already did there.
    pub(crate) async fn continue_from(&self, genesis: &mut Genesis) -> Result<()> {
        let number = BlockNumberOrTag::Number(self.point.block_number);
        let header = self.source.header(number).await?.with_context(|| format!("block {number} is gone"))?;
        ensure!(header.hash == self.point.block_hash, "block {number} was replaced by another meanwhile; try again");
        ensure!(header.base_fee_per_gas.is_some(), "block {number} is before London; fork from a later one");
        genesis.number = Some(header.number);
        genesis.parent_hash = Some(header.parent_hash);
        genesis.timestamp = header.timestamp;
        genesis.gas_limit = header.gas_limit;
        genesis.base_fee_per_gas = header.base_fee_per_gas.map(u128::from);
        genesis.excess_blob_gas = Some(header.excess_blob_gas.unwrap_or_default());
        genesis.mix_hash = header.mix_hash;
        genesis.config.extra_fields.insert_value("cryptletFork".to_owned(), self.point)?;

        let addresses: Vec<Address> = genesis.alloc.keys().copied().collect();
        let keys: Vec<BaseKey> = addresses.iter().copied().map(BaseKey::Account).collect();
        let there = self.source.fetch(keys).await?;
        for (address, value) in addresses.into_iter().zip(there) {
            let BaseValue::Account(Some(account)) = value else { continue };
            let here = genesis.alloc.entry(address).or_default();
            if here.code.as_ref().is_some_and(|code| !code.is_empty()) && !account.code.is_empty() {
                // Ethereum's own system contracts: the ones over there have their history with them.
                genesis.alloc.remove(&address);
                continue;
            }
            keep_nonce(here, account.nonce);
        }
        Ok(())
    }
}

/// Wallets would be confused by a nonce that goes back.
fn keep_nonce(here: &mut GenesisAccount, nonce: u64) {
    here.nonce = Some(here.nonce.unwrap_or_default().max(nonce));
}

/// `http://…@123` names a block, as anvil's `--fork-url` does; the `@` of a user name does not.
fn split_block(given: &str) -> (&str, Option<u64>) {
    match given.rsplit_once('@') {
        Some((url, number)) => match number.parse() {
            Ok(number) => (url, Some(number)),
            Err(_) => (given, None),
        },
        None => (given, None),
    }
}

/// Where caches are kept on this system (XDG Base Directory Specification).
fn cache_folder() -> PathBuf {
    let from = |name: &str| std::env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
    let cache = from("XDG_CACHE_HOME").or_else(|| from("HOME").map(|home| home.join(".cache")));
    cache.unwrap_or_else(std::env::temp_dir).join("cryptlet").join("fork")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_may_follow_the_url_and_a_user_name_is_none() {
        assert_eq!(split_block("http://node:8545@17000000"), ("http://node:8545", Some(17_000_000)));
        assert_eq!(split_block("http://me:secret@node:8545"), ("http://me:secret@node:8545", None));
        assert_eq!(split_block("http://node:8545"), ("http://node:8545", None));
    }
}
