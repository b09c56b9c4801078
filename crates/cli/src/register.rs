//! `cryptlet register`: has a host run a package, and puts cryptlet and instance on the chain.

use crate::{args::RegisterArgs, dev, fabric::FabricAccess, logs, package, progress::Progress, registry, rpc::Chain};
use alloy::{primitives::B256, signers::local::PrivateKeySigner};
use anyhow::{Context, Result};
use cryptlet_container::Kind;
use cryptlet_host::{ClientOptions, FACTORY_NAME};
use cryptlet_primitives::CryptletId;
use serde::Serialize;
use std::process::ExitCode;

pub(crate) fn run(args: RegisterArgs) -> Result<ExitCode> {
    logs::start(args.output);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(register(args))
}

async fn register(args: RegisterArgs) -> Result<ExitCode> {
    let progress = Progress::start(args.output, "reaching the chain");
    let key = match &args.private_key {
        Some(key) => PrivateKeySigner::from_bytes(key).context("--private-key is not a secp256k1 key")?,
        None => dev::operator(),
    };
    let chain = Chain::sender(&args.rpc_url, key)?;
    let package = match &args.package {
        Some(what) => Some(package::find(what, &args.layout.layout, &args.registry).await?.package),
        None => None,
    };
    let fabric = match FabricAccess::elsewhere(&args.fabric, chain.domain().await?, ClientOptions::default()).await? {
        Some(fabric) => fabric,
        None => FabricAccess::of_dev_node(&chain).await?,
    };
    registry::initialize(&chain).await?;
    if args.resume {
        progress.step("starting again what the host ran");
        let resumed = fabric.resume(&chain).await?;
        progress.done();
        print_resumed(&args, resumed);
        return Ok(ExitCode::SUCCESS);
    }
    let answer = match &package {
        Some(package) => {
            progress.step("handing the package to the host");
            fabric.publish(package).await?;
            progress.step("registering");
            let cryptlet_id = fabric.register_package(&chain, package).await?;
            let config = package.config();
            Answer {
                name: package.name().to_owned(),
                cryptlet_id,
                package_digest: Some(package.digest()),
                kind: Some(config.kind),
                deterministic: Some(config.is_deterministic),
            }
        }
        None => {
            progress.step("registering the factory");
            let cryptlet_id = fabric.install_factory(&chain).await?;
            let name = FACTORY_NAME.to_owned();
            Answer { name, cryptlet_id, package_digest: None, kind: None, deterministic: None }
        }
    };
    progress.done();
    print(&args, &answer);
    Ok(ExitCode::SUCCESS)
}

/// What was registered.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    name: String,
    cryptlet_id: CryptletId,
    #[serde(skip_serializing_if = "Option::is_none")]
    package_digest: Option<B256>,
    /// Kind of container. The factory has none: it is the host itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<Kind>,
    /// Is a call a function of its inputs, on every machine?
    #[serde(skip_serializing_if = "Option::is_none")]
    deterministic: Option<bool>,
}

#[expect(clippy::print_stdout, reason = "this is the answer of the command")]
fn print(args: &RegisterArgs, answer: &Answer) {
    if args.output.json {
        println!("{}", serde_json::to_string(answer).expect("text and hashes are JSON"));
        return;
    }
    println!("registered {}\n  cryptlet {}", answer.name, answer.cryptlet_id);
    if let Some(digest) = answer.package_digest {
        println!("  package  {digest}");
    }
    if let (Some(kind), Some(is_deterministic)) = (answer.kind, answer.deterministic) {
        let claim = if is_deterministic {
            "deterministic"
        } else {
            "not deterministic: its answers are recorded, not recomputed"
        };
        println!("  kind     {kind}, {claim}");
    }
}

#[expect(clippy::print_stdout, reason = "this is the answer of the command")]
fn print_resumed(args: &RegisterArgs, resumed: usize) {
    if args.output.json {
        println!("{}", serde_json::json!({ "resumed": resumed }));
    } else {
        println!("{resumed} instances started again and registered");
    }
}
