//! `cryptlet register`: has a host run a package, and puts cryptlet and instance on the chain.

use crate::{args::RegisterArgs, dev, fabric::FabricAccess, logs, progress::Progress, rpc::Chain};
use alloy::signers::local::PrivateKeySigner;
use anyhow::{Context, Result};
use cryptlet_host::{ClientOptions, Package};
use cryptlet_primitives::CryptletId;
use std::process::ExitCode;

pub(crate) fn run(args: RegisterArgs) -> Result<ExitCode> {
    logs::start(args.output);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(register(args))
}

async fn register(args: RegisterArgs) -> Result<ExitCode> {
    let progress = Progress::start(args.output, "reading the package");
    let package = Package::build(&args.package)?;
    let key = match &args.private_key {
        Some(key) => PrivateKeySigner::from_bytes(key).context("--private-key is not a secp256k1 key")?,
        None => dev::operator(),
    };
    let chain = Chain::sender(&args.rpc_url, key)?;
    let fabric = match FabricAccess::elsewhere(&args.fabric, chain.domain().await?, ClientOptions::default()).await? {
        Some(fabric) => fabric,
        None => FabricAccess::of_dev_node(&chain).await?,
    };
    progress.step("handing the package to the host");
    fabric.publish(&package).await?;
    progress.step("registering");
    let id = fabric.register_package(&chain, &package).await?;
    progress.done();
    print(&args, &package, id);
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::print_stdout, reason = "this is the answer of the command")]
fn print(args: &RegisterArgs, package: &Package, id: CryptletId) {
    if args.output.json {
        let answer = serde_json::json!({ "name": package.name(), "cryptletId": id, "packageDigest": package.digest() });
        println!("{answer}");
    } else {
        println!("registered {}\n  cryptlet {id}\n  package  {}", package.name(), package.digest());
    }
}
