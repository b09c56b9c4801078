//! A chain into a file.

use super::rlp::write_block;
use super::{
    Progress,
    format::{ChainFileError, ChainFileWriter},
};
use crate::store::{ChainStore, StoreError};
use alloy_primitives::{B256, Bytes};
use serde::Serialize;
use std::{io::Write, ops::RangeInclusive};

/// EIP-7685 request types from here on are this project's: what they say does not follow from execution.
const OWN_REQUESTS_FROM: u8 = cryptlet_primitives::CRYPTLET_REQUEST_TYPE;

/// What was exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExportReport {
    /// First block in the file.
    pub first_block: u64,
    /// Last block in the file.
    pub last_block: u64,
    /// Hash of the last block.
    pub hash: B256,
    /// Length of the file.
    pub bytes: u64,
}

/// Writes the blocks in this range (the genesis block is never among them; it is the head of the file). For the whole
/// chain, ask for `1..=u64::MAX`: the range is cut at the head.
pub fn export(
    chain: &ChainStore,
    range: RangeInclusive<u64>,
    writer: impl Write,
    progress: &mut dyn FnMut(Progress),
) -> Result<ExportReport, ChainFileError> {
    let (first, last) = checked(chain, &range)?;
    let mut file = ChainFileWriter::begin(writer, &chain.genesis()?, first)?;
    let mut hash = chain.genesis_hash()?;
    if first <= last {
        for stored in chain.blocks(first..=last) {
            let stored = stored?;
            let number = stored.number();
            let requests = chain.requests(number)?.unwrap_or_default();
            hash = stored.hash;
            file.append(stored.block, stored.hash, requests)?;
            progress(Progress { blocks: file.blocks(), block_number: number, bytes: file.bytes() });
        }
    }
    let bytes = file.bytes() + 4 + 8 + 32;
    file.finish()?;
    Ok(ExportReport { first_block: first, last_block: last, hash, bytes })
}

/// Writes the blocks in this range as geth does. A block that RLP alone does not describe is refused.
pub fn export_rlp(
    chain: &ChainStore,
    range: RangeInclusive<u64>,
    mut writer: impl Write,
    progress: &mut dyn FnMut(Progress),
) -> Result<ExportReport, ChainFileError> {
    let (first, last) = checked(chain, &range)?;
    let mut report = ExportReport { first_block: first, last_block: last, hash: chain.genesis_hash()?, bytes: 0 };
    for number in first..=last {
        let missing = || StoreError::UnknownBlock { number, head: last };
        let stored = chain.block(number)?.ok_or_else(missing)?;
        check_plain(number, &chain.requests(number)?.unwrap_or_default())?;
        report.bytes += write_block(&mut writer, &stored.block)?;
        report.hash = stored.hash;
        progress(Progress { blocks: number - first + 1, block_number: number, bytes: report.bytes });
    }
    writer.flush()?;
    Ok(report)
}

/// Can a block with these requests be executed again without them?
pub fn check_plain(number: u64, requests: &[Bytes]) -> Result<(), ChainFileError> {
    if requests.iter().any(|request| request.first().is_some_and(|kind| *kind >= OWN_REQUESTS_FROM)) {
        return Err(ChainFileError::NotPlainBlock { number });
    }
    Ok(())
}

/// The range, cut at the head.
fn checked(chain: &ChainStore, range: &RangeInclusive<u64>) -> Result<(u64, u64), ChainFileError> {
    let head = chain.head()?;
    let oldest = chain.first_block()? + 1;
    let (first, last) = (*range.start(), (*range.end()).min(head.number));
    let is_whole_of_nothing = first == oldest && head.number + 1 == oldest;
    if (first > last || first < oldest) && !is_whole_of_nothing {
        return Err(ChainFileError::Range { first, last: *range.end(), oldest, head: head.number });
    }
    Ok((first, last))
}
