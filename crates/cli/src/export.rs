//! `cryptlet export`: saves the chain of a running node as one file, which `verify` and `replay` read.

use crate::{args::ExportArgs, logs, rpc::Chain};
use alloy::{genesis::Genesis, primitives::Bytes, rlp::Decodable};
use anyhow::{Context, Result, ensure};
use cryptlet_node::{chain_file::ChainFileWriter, types::Block};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use std::{fs::File, io::BufWriter, path::Path, process::ExitCode};

/// A block and what replaying it needs, as `cryptlet_getRawBlock` gives it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawBlock {
    block: Bytes,
    requests: Vec<Bytes>,
}

pub(crate) fn run(args: &ExportArgs) -> Result<ExitCode> {
    logs::start(args.output);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(export(args))
}

async fn export(args: &ExportArgs) -> Result<ExitCode> {
    let chain = Chain::reader(&args.rpc_url)?;
    let head = chain.anchor().await?.number;
    ensure!(head > 0, "the chain has no block yet besides its genesis");
    let genesis: Genesis = chain.raw("cryptlet_getGenesis", [(); 0]).await?;

    // A file is there under its name only when it is whole.
    let unfinished = args.file.with_extension("partial");
    let blocks = write(&chain, &genesis, head, &unfinished, args).await?;
    std::fs::rename(&unfinished, &args.file).with_context(|| format!("{} cannot be written", args.file.display()))?;
    print(args, blocks, std::fs::metadata(&args.file)?.len());
    Ok(ExitCode::SUCCESS)
}

async fn write(chain: &Chain, genesis: &Genesis, head: u64, file: &Path, args: &ExportArgs) -> Result<u64> {
    let out = File::create(file).with_context(|| format!("{} cannot be written", file.display()))?;
    let mut writer = ChainFileWriter::begin(BufWriter::new(out), genesis, 1)?;
    let bar = if args.output.json || args.output.quiet { ProgressBar::hidden() } else { ProgressBar::new(head) };
    bar.set_style(ProgressStyle::with_template("exporting {bar:40} block {pos} of {len} ({eta} left)")?);
    for number in 1..=head {
        let raw: RawBlock = chain.raw("cryptlet_getRawBlock", [format!("{number:#x}")]).await?;
        let block =
            Block::decode(&mut raw.block.as_ref()).with_context(|| format!("block {number} is not well-formed"))?;
        let hash = block.header.hash_slow();
        writer.append(block, hash, raw.requests.into())?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    let blocks = writer.blocks();
    writer.finish()?;
    Ok(blocks)
}

#[expect(clippy::print_stdout, reason = "this is the answer of the command")]
fn print(args: &ExportArgs, blocks: u64, bytes: u64) {
    if args.output.json {
        println!("{}", serde_json::json!({ "file": args.file, "blocks": blocks, "bytes": bytes }));
    } else {
        println!("{blocks} blocks, {bytes} bytes, in {}", args.file.display());
    }
}
