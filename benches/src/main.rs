//! The figures of `docs/benchmarks.md`: `make bench`, or
//! `scripts/bench [delegate] [calls] [containers] [fabric] [replay] [monte-carlo] [transfers] [rpc] [starts] [singles] [burst] [growth] [blocks] [instructions] [store] [million]`.
//! The binary `cryptlet` must be built beside this one: cryptlets run in its worker processes.

mod attested_calls;
mod blocks;
mod bytecode;
mod containers;
mod delegate_cost;
mod dev_day;
mod fabric;
mod instructions;
mod machine;
mod monte_carlo;
mod page;
mod process;
mod replay_speed;
mod rpc_load;
mod signed;
mod stats;
mod store_cost;
mod table;
mod testbed;
mod transfers;

use anyhow::{Context, Result, bail};
use dev_day::Part;
use page::Page;
use table::Section;

const NAMES: [&str; 16] = [
    "delegate",
    "calls",
    "containers",
    "fabric",
    "replay",
    "monte-carlo",
    "transfers",
    "rpc",
    "starts",
    "singles",
    "burst",
    "growth",
    "blocks",
    "instructions",
    "store",
    "million",
];
const USAGE: &str = "usage: cryptlet-benches [--write] [SECTION…]\n\
    sections: delegate calls containers fabric replay monte-carlo transfers rpc starts singles burst growth blocks instructions store million (default: all)\n\
    --write: write them into docs/benchmarks.md, in the place of those of before";

/// The node's allocator, so that what runs in process costs what it costs there.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[expect(clippy::print_stdout, reason = "this is the answer of the command")]
fn main() -> Result<()> {
    let (flags, chosen): (Vec<String>, Vec<String>) = std::env::args().skip(1).partition(|word| word.starts_with('-'));
    if flags.iter().any(|flag| flag == "--help" || flag == "-h") {
        println!("{USAGE}");
        return Ok(());
    }
    if let Some(unknown) = flags.iter().find(|flag| *flag != "--write") {
        bail!("unknown flag {unknown}\n{USAGE}");
    }
    let write = flags.iter().any(|flag| flag == "--write");
    // Several libraries bring TLS; the HTTP client wants to be told whose cryptography it is.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if let [instructions::COUNTED, rings, transfers, blocks] = chosen.iter().map(String::as_str).collect::<Vec<_>>()[..]
    {
        return runtime.block_on(instructions::make_blocks(rings, transfers.as_ref(), blocks.parse()?));
    }
    if let Some(unknown) = chosen.iter().find(|name| !NAMES.contains(&name.as_str())) {
        bail!("unknown section {unknown}\n{USAGE}");
    }
    let head = machine::head()?;
    print!("{head}");
    let mut page = if chosen.is_empty() { Page::default() } else { Page::read()? };
    page.begins_with(head);
    for name in NAMES.into_iter().filter(|name| chosen.is_empty() || chosen.iter().any(|chosen| chosen == name)) {
        let sections = runtime.block_on(run(name)).with_context(|| format!("the section {name}"))?;
        for section in sections {
            print!("\n{section}");
            page.put(&section);
        }
    }
    if write {
        page.write()?;
    }
    Ok(())
}

async fn run(name: &str) -> Result<Vec<Section>> {
    table::progress(name);
    match name {
        "delegate" => tokio::task::spawn_blocking(delegate_cost::run).await?,
        "calls" => attested_calls::run().await,
        "containers" => containers::run().await,
        "fabric" => fabric::run().await,
        "replay" => replay_speed::run().await,
        "monte-carlo" => monte_carlo::run().await,
        "transfers" => transfers::run().await,
        "rpc" => rpc_load::run().await,
        "starts" => dev_day::run(Part::Starts).await,
        "singles" => dev_day::run(Part::OneAtATime).await,
        "burst" => dev_day::run(Part::Burst).await,
        "growth" => dev_day::run(Part::Growth).await,
        "blocks" => blocks::run().await,
        "instructions" => tokio::task::spawn_blocking(instructions::run).await?,
        "store" => tokio::task::spawn_blocking(store_cost::run).await?,
        _ => blocks::run_million().await,
    }
}
