//! `cryptlet host federate`: one descriptor for several hosts.

use crate::{args::FederateArgs, host_parts::open_vault, logs};
use anyhow::{Context, Result};
use cryptlet_host::{SystemClock, federate_offline, fetch_descriptor};
use std::process::ExitCode;

#[expect(clippy::print_stdout, reason = "this is the answer of the command")]
pub(super) fn run(args: &FederateArgs) -> Result<ExitCode> {
    logs::start(args.output);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut others = Vec::with_capacity(args.others.len());
    for other in &args.others {
        let (url, pin) = other.rsplit_once('=').with_context(|| format!("{other:?} is not URL=0x…"))?;
        others.push(runtime.block_on(fetch_descriptor(url, pin.parse()?, &SystemClock))?);
    }
    let vault = open_vault(&args.datadir, &args.vault)?;
    let signed = federate_offline(&args.datadir, vault.as_ref(), &SystemClock, &others)?;
    std::fs::write(&args.out, signed.to_json()).with_context(|| format!("{} cannot be written", args.out.display()))?;
    let (address, hosts) = (signed.descriptor.host_key, signed.descriptor.hosts.len() + 1);
    if args.output.json {
        println!("{}", serde_json::json!({ "address": address, "hosts": hosts, "file": args.out }));
    } else {
        println!("a fabric of {hosts} hosts, signed by {address}, is described in {}", args.out.display());
    }
    Ok(ExitCode::SUCCESS)
}
