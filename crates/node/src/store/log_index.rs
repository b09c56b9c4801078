//! Which blocks have which logs, so that `eth_getLogs` over a long range reads only blocks that may have some.
//!
//! Every block with logs has a row for each *term* in them: the address that logged, and each topic with its position. A
//! term is cut to 8 bytes, so the blocks found are a superset; whoever asked looks into them. The rows are part of the
//! block's batch and go with it in a rewind.

use super::{
    chain::ChainStore,
    error::StoreError,
    kv::{Batch, KeyValueRead, Rows},
    schema::Table,
};
use crate::types::Receipt;
use alloy_primitives::{Address, B256};
use std::{collections::BTreeSet, ops::RangeInclusive, sync::Arc};

/// Terms of one block, at most. A block with more is found by every question.
const TERMS_PER_BLOCK_MAX: usize = 4_096;

/// Rows that are passed one by one before the database is asked to seek.
const STEPS_MAX: usize = 16;

/// What the logs of a block are found by: kind, then the last 8 bytes of the address or topic.
type Term = [u8; 9];

const ADDRESS: u8 = 0;
/// Plus the position of the topic, 0 to 3.
const TOPIC: u8 = 1;
/// Every block with logs has it.
const ANY: Term = [0xf0, 0, 0, 0, 0, 0, 0, 0, 0];
/// A block with too many terms to be written down.
const ALL: Term = [0xff, 0, 0, 0, 0, 0, 0, 0, 0];

/// Logs that are wanted. An empty list accepts anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// Who logged, any of these.
    pub addresses: Vec<Address>,
    /// Per position any of these topics.
    pub topics: [Vec<B256>; 4],
}

impl ChainStore {
    /// The blocks of this range that may have logs that the query wants, ascending, read as they are asked for. Blocks
    /// without such logs may be among them; no block with such logs is left out.
    pub fn blocks_with_logs(&self, range: RangeInclusive<u64>, query: &LogQuery) -> BlocksWithLogs {
        let groups = query.groups();
        BlocksWithLogs { tables: self.tables(), groups, next: Some(*range.start()), last: *range.end() }
    }
}

impl LogQuery {
    /// One list of terms per thing that must hold.
    fn groups(&self) -> Vec<Vec<Term>> {
        let mut groups = vec![self.addresses.iter().map(address_term).collect::<Vec<_>>()];
        let topics = self.topics.iter().enumerate();
        groups
            .extend(topics.map(|(position, topics)| topics.iter().map(|topic| topic_term(position, topic)).collect()));
        groups.retain(|terms| !terms.is_empty());
        if groups.is_empty() {
            groups.push(vec![ANY]);
        }
        groups
    }
}

/// See [`ChainStore::blocks_with_logs`].
pub struct BlocksWithLogs {
    tables: Arc<dyn KeyValueRead>,
    groups: Vec<Vec<Term>>,
    /// Where to go on; `None`: that was all.
    next: Option<u64>,
    last: u64,
}

impl BlocksWithLogs {
    /// Goes on until `found` says to stop, or there are no more.
    pub fn try_for_each<E: From<StoreError>>(self, mut found: impl FnMut(u64) -> Result<bool, E>) -> Result<(), E> {
        let last = self.last;
        let mut groups: Vec<Group<'_>> =
            self.groups.iter().map(|terms| Group::new(&*self.tables, terms, last)).collect();
        let mut next = self.next;
        while let Some(from) = next.filter(|from| *from <= last) {
            let mut candidate = from;
            let mut agreed = 0;
            // Every list moves up to the highest of them, until all stand at the same block.
            while agreed < groups.len() {
                agreed = 0;
                for group in &mut groups {
                    match group.first_from(candidate)? {
                        None => return Ok(()),
                        Some(block) if block == candidate => agreed += 1,
                        Some(block) => candidate = block,
                    }
                }
            }
            if !found(candidate)? {
                return Ok(());
            }
            next = candidate.checked_add(1);
        }
        Ok(())
    }
}

/// Blocks with any of some terms.
struct Group<'a> {
    postings: Vec<Posting<'a>>,
}

impl<'a> Group<'a> {
    fn new(tables: &'a dyn KeyValueRead, terms: &[Term], last: u64) -> Self {
        let terms: BTreeSet<Term> = terms.iter().copied().chain([ALL]).collect();
        let posting = |term| Posting { tables, term, last, rows: None, at: None };
        Self { postings: terms.into_iter().map(posting).collect() }
    }

    fn first_from(&mut self, block: u64) -> Result<Option<u64>, StoreError> {
        let mut first = None;
        for posting in &mut self.postings {
            let found = posting.first_from(block)?;
            first = first.into_iter().chain(found).min();
        }
        Ok(first)
    }
}

/// The blocks with one term.
struct Posting<'a> {
    tables: &'a dyn KeyValueRead,
    term: Term,
    last: u64,
    rows: Option<Rows<'a>>,
    /// Where it stands; `Some(None)`: behind its end.
    at: Option<Option<u64>>,
}

impl Posting<'_> {
    fn first_from(&mut self, block: u64) -> Result<Option<u64>, StoreError> {
        for _ in 0..STEPS_MAX {
            match (self.at, &mut self.rows) {
                (Some(None), _) => return Ok(None),
                (Some(Some(at)), _) if at >= block => return Ok(Some(at)),
                (Some(_), Some(rows)) => self.at = Some(rows.next().map(number_of).transpose()?),
                _ => break,
            }
        }
        let to = self.last.checked_add(1).map(|end| row_key(&self.term, end));
        let to = to.unwrap_or_else(|| [&self.term[..], &[0xff; 9]].concat());
        let mut rows = self.tables.range(Table::LogIndex, &row_key(&self.term, block), Some(&to));
        self.at = Some(rows.next().map(number_of).transpose()?);
        self.rows = Some(rows);
        Ok(self.at.flatten())
    }
}

/// Writes the terms of a block's logs.
pub(super) fn put_terms(batch: &mut Batch, number: u64, receipts: &[Receipt]) {
    for term in terms(receipts) {
        batch.put(Table::LogIndex, row_key(&term, number), Vec::new());
    }
}

/// Removes what [`put_terms`] wrote.
pub(super) fn delete_terms(batch: &mut Batch, number: u64, receipts: &[Receipt]) {
    for term in terms(receipts) {
        batch.delete(Table::LogIndex, row_key(&term, number));
    }
}

fn terms(receipts: &[Receipt]) -> BTreeSet<Term> {
    let mut terms = BTreeSet::new();
    for log in receipts.iter().flat_map(|receipt| receipt.logs()) {
        terms.insert(ANY);
        terms.insert(address_term(&log.address));
        terms.extend(log.topics().iter().enumerate().map(|(position, topic)| topic_term(position, topic)));
        if terms.len() > TERMS_PER_BLOCK_MAX {
            return BTreeSet::from([ANY, ALL]);
        }
    }
    terms
}

fn address_term(address: &Address) -> Term {
    term(ADDRESS, address.as_slice())
}

fn topic_term(position: usize, topic: &B256) -> Term {
    // Four positions fit.
    term(TOPIC + position as u8, topic.as_slice())
}

fn term(kind: u8, bytes: &[u8]) -> Term {
    let mut term = [kind; 9];
    term[1..].copy_from_slice(&bytes[bytes.len() - 8..]);
    term
}

fn row_key(term: &Term, number: u64) -> Vec<u8> {
    [&term[..], &number.to_be_bytes()].concat()
}

fn number_of(row: Result<super::kv::Row, StoreError>) -> Result<u64, StoreError> {
    let (key, _) = row?;
    let number = key.get(9..).and_then(|number| <[u8; 8]>::try_from(number).ok());
    number
        .map(u64::from_be_bytes)
        .ok_or_else(|| StoreError::corrupt(Table::LogIndex, &key, "has a key of another length"))
}
