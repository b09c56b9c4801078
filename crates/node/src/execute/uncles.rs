//! Uncles: at most two, of one of the six generations before, not included before, with valid headers of their own.

use super::{
    fault::{BlockFault, FaultReason, UncleFault},
    validate::validate_mined_header,
};
use crate::{
    chain_spec::ChainSpec,
    types::{Block, Header},
};
use alloy::consensus::EMPTY_OMMER_ROOT_HASH;
use alloy_primitives::{B256, keccak256, map::HashMap};
use cryptlet_primitives::DevEdits;
use std::collections::HashSet;

/// Uncles of one block, at most.
pub const UNCLES_MAX: usize = 2;

/// Blocks before a block that an uncle's parent may be one of; its own parent is the first.
pub const UNCLE_ANCESTORS_MAX: usize = 7;

/// A block before the one that is judged.
#[derive(Clone, Debug)]
pub struct Ancestor {
    /// Its hash.
    pub hash: B256,
    /// Its header.
    pub header: Header,
    /// The hashes of the uncles it includes.
    pub uncles: Vec<B256>,
}

/// Are these uncles that the block may have? `ancestors` are the blocks before it, the parent first.
pub fn validate_uncles(spec: &ChainSpec, ancestors: &[Ancestor], block: &Block, hash: B256) -> Result<(), BlockFault> {
    let header = &block.header;
    let uncles = &block.body.ommers;
    let fail = |reason| Err(BlockFault::of_block(header.number, reason));
    let computed = if uncles.is_empty() { EMPTY_OMMER_ROOT_HASH } else { keccak256(alloy_rlp::encode(uncles)) };
    if computed != header.ommers_hash {
        return fail(FaultReason::UnclesHash { header: header.ommers_hash, computed });
    }
    if uncles.len() > UNCLES_MAX {
        return fail(FaultReason::TooManyUncles(uncles.len()));
    }
    let ancestors = &ancestors[..ancestors.len().min(UNCLE_ANCESTORS_MAX)];
    let mut seen: HashSet<B256> = ancestors.iter().flat_map(|ancestor| ancestor.uncles.iter().copied()).collect();
    seen.insert(hash);
    let by_hash: HashMap<B256, &Header> = ancestors.iter().map(|ancestor| (ancestor.hash, &ancestor.header)).collect();
    for (index, uncle) in uncles.iter().enumerate() {
        let hash = uncle.hash_slow();
        let fail = |fault| fail(FaultReason::Uncle { index, hash, fault: Box::new(fault) });
        if !seen.insert(hash) {
            return fail(UncleFault::Twice);
        }
        if by_hash.contains_key(&hash) {
            return fail(UncleFault::Ancestor);
        }
        let Some(parent) = by_hash.get(&uncle.parent_hash).filter(|_| uncle.parent_hash != header.parent_hash) else {
            return fail(UncleFault::NotKin);
        };
        if let Err(fault) = validate_mined_header(spec, parent, uncle, &DevEdits::default()) {
            return fail(UncleFault::Header(fault.reason));
        }
    }
    Ok(())
}
