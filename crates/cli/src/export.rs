//! `cryptlet export`: saves a chain as one file, from a running node or from a data folder.

use crate::{
    args::{ExportArgs, ExportFormat},
    logs,
    rpc::Chain,
};
use alloy::{genesis::Genesis, primitives::Bytes, rlp::Decodable};
use anyhow::{Context, Result, ensure};
use cryptlet_node::{
    chain_file::{self, ChainFileWriter, write_block},
    store::{ChainStore, StoreOptions},
    types::Block,
};
use flate2::{Compression, write::GzEncoder};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use std::{
    ffi::OsStr,
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

/// A block and what replaying it needs, as `cryptlet_getRawBlock` gives it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawBlock {
    block: Bytes,
    requests: Vec<Bytes>,
}

pub(crate) fn run(args: &ExportArgs) -> Result<ExitCode> {
    logs::start(args.output);
    // A file is there under its name only when it is whole.
    let unfinished = partial(&args.file);
    let file = File::create(&unfinished).with_context(|| format!("{} cannot be written", unfinished.display()))?;
    let mut out = Output::new(file, is_packed(&args.file));
    let written = match &args.datadir {
        Some(folder) => from_folder(folder, args, &mut out),
        None => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(from_node(args, &mut out))
        }
    };
    let blocks = match written.and_then(|blocks| out.finish().map(|()| blocks)) {
        Ok(blocks) => blocks,
        Err(error) => {
            // The half that was written helps nobody.
            let _ = std::fs::remove_file(&unfinished);
            return Err(error);
        }
    };
    std::fs::rename(&unfinished, &args.file).with_context(|| format!("{} cannot be written", args.file.display()))?;
    print(args, blocks, std::fs::metadata(&args.file)?.len());
    Ok(ExitCode::SUCCESS)
}

fn from_folder(folder: &Path, args: &ExportArgs, out: &mut Output) -> Result<u64> {
    let folder = folder.join("chain");
    ensure!(folder.join("CURRENT").exists(), "{} holds no chain", folder.display());
    let chain = ChainStore::open(&folder, &StoreOptions::default())?;
    let range = args.first.unwrap_or(chain.first_block()? + 1)..=args.last.unwrap_or(u64::MAX);
    let head = chain.head()?.number.min(*range.end());
    let bar = bar(args, (head + 1).saturating_sub(*range.start()))?;
    let mut progress = |progress: chain_file::Progress| bar.set_position(progress.blocks);
    let report = match format(args) {
        ExportFormat::Cryptlet => chain_file::export(&chain, range, out, &mut progress),
        ExportFormat::Rlp => chain_file::export_rlp(&chain, range, out, &mut progress),
    };
    bar.finish_and_clear();
    let report = report?;
    Ok((report.last_block + 1).saturating_sub(report.first_block))
}

async fn from_node(args: &ExportArgs, out: &mut Output) -> Result<u64> {
    let chain = Chain::reader(&args.rpc_url)?;
    let head = chain.anchor().await?.number;
    let genesis: Genesis = chain.raw("cryptlet_getGenesis", [(); 0]).await?;
    let begin = genesis.number.unwrap_or_default() + 1;
    ensure!(head >= begin, "the chain has no block yet besides its genesis");
    let (first, last) = (args.first.unwrap_or(begin), args.last.unwrap_or(head).min(head));
    ensure!(
        (begin..=last).contains(&first),
        "blocks {first} to {last} were asked for; the chain has {begin} to {head}"
    );
    let bar = bar(args, last + 1 - first)?;
    let mut writer = match format(args) {
        ExportFormat::Cryptlet => Writer::Cryptlet(ChainFileWriter::begin(out, &genesis, first)?),
        ExportFormat::Rlp => Writer::Rlp(out),
    };
    for number in first..=last {
        let raw: RawBlock = chain.raw("cryptlet_getRawBlock", [format!("{number:#x}")]).await?;
        let block =
            Block::decode(&mut raw.block.as_ref()).with_context(|| format!("block {number} is not well-formed"))?;
        writer.append(block, raw.requests)?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    writer.finish()?;
    Ok(last + 1 - first)
}

enum Writer<'a> {
    Cryptlet(ChainFileWriter<&'a mut Output>),
    Rlp(&'a mut Output),
}

impl Writer<'_> {
    fn append(&mut self, block: Block, requests: Vec<Bytes>) -> Result<()> {
        match self {
            Self::Cryptlet(writer) => {
                let hash = block.header.hash_slow();
                writer.append(block, hash, requests.into())?;
            }
            Self::Rlp(out) => {
                chain_file::check_plain(block.header.number, &requests)?;
                write_block(out, &block)?;
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<()> {
        if let Self::Cryptlet(writer) = self {
            writer.finish()?;
        }
        Ok(())
    }
}

/// A file that is packed if its name ends so.
enum Output {
    Plain(BufWriter<File>),
    Gzip(GzEncoder<BufWriter<File>>),
}

impl Output {
    fn new(file: File, is_packed: bool) -> Self {
        let file = BufWriter::with_capacity(1 << 20, file);
        if is_packed { Self::Gzip(GzEncoder::new(file, Compression::default())) } else { Self::Plain(file) }
    }

    fn finish(self) -> Result<()> {
        let mut file = match self {
            Self::Plain(file) => file,
            Self::Gzip(encoder) => encoder.finish()?,
        };
        file.flush()?;
        Ok(())
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(file) => file.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Plain(file) => file.flush(),
            Self::Gzip(encoder) => encoder.flush(),
        }
    }
}

/// The format that was asked for, or that the name of the file says.
fn format(args: &ExportArgs) -> ExportFormat {
    let name = if is_packed(&args.file) { args.file.with_extension("") } else { args.file.clone() };
    let by_name = if name.extension() == Some(OsStr::new("rlp")) { ExportFormat::Rlp } else { ExportFormat::Cryptlet };
    args.format.unwrap_or(by_name)
}

fn is_packed(file: &Path) -> bool {
    file.extension() == Some(OsStr::new("gz"))
}

fn partial(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

fn bar(args: &ExportArgs, blocks: u64) -> Result<ProgressBar> {
    let bar = if args.output.json || args.output.quiet { ProgressBar::hidden() } else { ProgressBar::new(blocks) };
    Ok(bar.with_style(ProgressStyle::with_template("exporting {bar:40} block {pos} of {len} ({eta} left)")?))
}

#[expect(clippy::print_stdout, reason = "this is the answer of the command")]
fn print(args: &ExportArgs, blocks: u64, bytes: u64) {
    if args.output.json {
        println!("{}", serde_json::json!({ "file": args.file, "blocks": blocks, "bytes": bytes }));
    } else {
        println!("{blocks} blocks, {bytes} bytes, in {}", args.file.display());
    }
}
