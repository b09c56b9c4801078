//! `verify`: every record of an exported chain, or one record alone.

use crate::{
    output::OutputArgs,
    record::{self, RecordFacts},
    replay::{ReplayArgs, replay_file, summary},
};
use alloy_primitives::{B256, hex};
use anyhow::{Context, Result, bail};
use clap::Args;
use cryptlet_node::{ChainSpec, chain_file::ReplayReport, types::ExecutedBlock};
use cryptlet_primitives::{FabricDomain, Record, ResultStatus};
use serde::Serialize;
use std::{path::PathBuf, process::ExitCode};

/// Checks one record, or every record of an exported chain, with no node.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The chain, as `cryptlet export` wrote it: every block is re-executed and every record checked
    #[arg(value_name = "CHAIN", required_unless_present = "record")]
    chain: Option<PathBuf>,
    /// File with records, as `cryptlet_getRecords` answers: checked on their own, or, with CHAIN, looked for in it
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Chain id the record was signed for; CHAIN knows it
    #[arg(long, value_name = "ID", required_unless_present_any = ["chain", "genesis"])]
    chain_id: Option<u64>,
    /// Hash of the genesis block the record was signed for; CHAIN knows it
    #[arg(long, value_name = "0x…", required_unless_present_any = ["chain", "genesis"])]
    genesis_hash: Option<B256>,
    /// Genesis file of the chain the record was signed for, instead of --chain-id and --genesis-hash
    #[arg(long, value_name = "FILE", conflicts_with_all = ["chain", "chain_id", "genesis_hash"])]
    genesis: Option<PathBuf>,
    /// Print every record of the chain
    #[arg(long)]
    list: bool,
    /// Keep the state in a temporary folder: for chains that do not fit in memory
    #[arg(long)]
    on_disk: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// A record that a re-executed block consumed, and where.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PlacedRecord {
    block_number: u64,
    transaction_hash: B256,
    /// Position among the transaction's calls, from 0.
    sequence: usize,
    #[serde(flatten)]
    facts: RecordFacts,
}

/// What `verify` says of a chain.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ChainVerdict {
    #[serde(flatten)]
    replay: ReplayReport,
    ok: u64,
    failed: u64,
    unavailable: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    list: Vec<PlacedRecord>,
}

/// Runs the command.
pub fn verify(args: &VerifyArgs) -> Result<ExitCode> {
    let outcome = match (&args.chain, &args.record) {
        (Some(chain), None) => verify_chain(args, chain.clone()),
        (Some(chain), Some(file)) => {
            record::read(file).and_then(|records| find_in_chain(args, chain.clone(), &records))
        }
        (None, Some(file)) => record::read(file).and_then(|records| verify_alone(args, &records)),
        (None, None) => Err(anyhow::anyhow!("name a chain file, or a record with --record")),
    };
    Ok(args.output.finish(outcome))
}

fn verify_chain(args: &VerifyArgs, chain: PathBuf) -> Result<()> {
    let (placed, replay) = records_of(args, chain)?;
    let count = |status: ResultStatus| placed.iter().filter(|(record, _)| record.facts.status == status).count() as u64;
    let verdict = ChainVerdict {
        replay,
        ok: count(ResultStatus::Ok),
        failed: count(ResultStatus::Error),
        unavailable: count(ResultStatus::Unavailable),
        list: if args.list { placed.into_iter().map(|(record, _)| record).collect() } else { Vec::new() },
    };
    args.output.answer(&verdict, || {
        let lines = verdict.list.iter().map(|record| line(record) + "\n").collect::<String>();
        let counts = format!("{} answered, {} failed, {} unavailable", verdict.ok, verdict.failed, verdict.unavailable);
        format!("{lines}{}\nrecords    {counts}", summary(&verdict.replay))
    });
    Ok(())
}

/// Re-executes the chain, which checks every record in its place, and gives the records that execution consumed.
fn records_of(args: &VerifyArgs, file: PathBuf) -> Result<(Vec<(PlacedRecord, Record)>, ReplayReport)> {
    let replay = ReplayArgs { file, until_block: None, on_disk: args.on_disk, blocks: false, output: args.output };
    let mut consumed = Vec::new();
    let report = replay_file(&replay, &mut |block| consumed.extend(consumed_in(block)))?;
    let domain = FabricDomain { chain_id: report.chain_id, genesis_hash: report.genesis_hash };
    let place = |(block_number, transaction_hash, sequence, record): Consumed| {
        let facts = record::check(&record, &domain)?;
        Ok((PlacedRecord { block_number, transaction_hash, sequence, facts }, record))
    };
    Ok((consumed.into_iter().map(place).collect::<Result<_>>()?, report))
}

type Consumed = (u64, B256, usize, Record);

fn consumed_in(block: &ExecutedBlock) -> Vec<Consumed> {
    let transactions = &block.block.body.transactions;
    let number = block.block.header.number;
    let of_transaction = |group: &cryptlet_primitives::TransactionRecords| {
        let hash = transactions.get(group.transaction_index as usize).map(|transaction| *transaction.tx_hash());
        let records = group.records.iter().cloned().enumerate();
        records.map(move |(sequence, record)| (number, hash.unwrap_or_default(), sequence, record)).collect::<Vec<_>>()
    };
    block.records.0.iter().flat_map(of_transaction).collect()
}

fn find_in_chain(args: &VerifyArgs, chain: PathBuf, wanted: &[Record]) -> Result<()> {
    let (placed, _) = records_of(args, chain)?;
    let mut found = Vec::new();
    for record in wanted {
        match placed.iter().find(|(_, other)| other == record) {
            Some((place, _)) => found.push(place.clone()),
            None => bail!("{}", why_missing(record, &placed)),
        }
    }
    args.output.answer(&found, || found.iter().map(line).collect::<Vec<_>>().join("\n"));
    Ok(())
}

/// A record that is not in the chain is a stranger, or a known one that was altered.
fn why_missing(record: &Record, placed: &[(PlacedRecord, Record)]) -> String {
    let key = record.request.key;
    match placed.iter().find(|(place, _)| place.facts.key == key) {
        None => format!("the chain has no record for call {key}"),
        Some((place, known)) => format!(
            "call {key} is in block {}, transaction {}, but its record there is another: request, result, output, signature {}",
            place.block_number,
            place.transaction_hash,
            differences(record, known)
        ),
    }
}

fn differences(record: &Record, known: &Record) -> String {
    let same = |same: bool| if same { "equal" } else { "different" };
    [
        same(record.request == known.request),
        same(record.result == known.result),
        same(record.output == known.output),
        same(record.signature == known.signature),
    ]
    .join(", ")
}

fn verify_alone(args: &VerifyArgs, records: &[Record]) -> Result<()> {
    let domain = domain(args)?;
    let check = |(index, record): (usize, &Record)| {
        record::check(record, &domain).with_context(|| format!("record {index} does not hold"))
    };
    let facts = records.iter().enumerate().map(check).collect::<Result<Vec<_>>>()?;
    args.output.answer(&facts, || {
        let line = |facts: &RecordFacts| match facts.signer {
            Some(signer) => format!("call {} answered by {}, signed by {signer}", facts.key, facts.cryptlet_id),
            None => format!("call {} went unanswered; nobody signs that", facts.key),
        };
        let lines: Vec<_> = facts.iter().map(line).collect();
        let note = "Whether a signer was registered then, only the chain says: give it as the first argument.";
        format!("{}\n{note}", lines.join("\n"))
    });
    Ok(())
}

/// The chain that signatures must be for.
fn domain(args: &VerifyArgs) -> Result<FabricDomain> {
    if let Some(file) = &args.genesis {
        let json = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
        return Ok(ChainSpec::from_json(&json).with_context(|| format!("{}", file.display()))?.domain());
    }
    let chain_id = args.chain_id.context("--chain-id is missing")?;
    let genesis_hash = args.genesis_hash.context("--genesis-hash is missing")?;
    Ok(FabricDomain { chain_id, genesis_hash })
}

fn line(record: &PlacedRecord) -> String {
    let PlacedRecord { block_number, transaction_hash, sequence, facts } = record;
    let signer = facts.signer.map_or_else(|| "nobody".to_owned(), |signer| signer.to_string());
    let status = format!("{:?}", facts.status).to_lowercase();
    let cryptlet = hex::encode_prefixed(&facts.cryptlet_id[..6]);
    format!(
        "block {block_number} transaction {transaction_hash} call {sequence}: {cryptlet}… {status}, signed by {signer}"
    )
}
