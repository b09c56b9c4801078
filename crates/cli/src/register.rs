//! `cryptlet register`: has a host run a package, and puts cryptlet and instance on the chain.

use crate::{
    args::RegisterArgs,
    fabric::{Entered, FabricAccess, how_to_activate},
    logs, package,
    progress::Progress,
    registry,
    rpc::Chain,
};
use alloy::primitives::B256;
use anyhow::Result;
use cryptlet_container::Kind;
use cryptlet_host::{ClientOptions, FACTORY_NAME};
use cryptlet_primitives::{CryptletId, RegistrationId};
use serde::Serialize;
use std::process::ExitCode;

pub(crate) fn run(args: RegisterArgs) -> Result<ExitCode> {
    logs::start(args.output);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(register(args))
}

async fn register(args: RegisterArgs) -> Result<ExitCode> {
    let progress = Progress::start(args.output, "reaching the chain");
    let chain = Chain::of_author(&args.rpc_url, &args.author)?;
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
        print_resumed(&args, &resumed);
        return Ok(ExitCode::SUCCESS);
    }
    let answer = match &package {
        Some(package) => {
            progress.step("handing the package to the host");
            fabric.publish(package).await?;
            progress.step("registering");
            let (cryptlet_id, entered) = fabric.register_package(&chain, package).await?;
            let config = package.config();
            Answer {
                name: package.name().to_owned(),
                cryptlet_id,
                package_digest: Some(package.digest()),
                kind: Some(config.kind),
                deterministic: Some(config.is_deterministic),
                active: entered.active,
                pending: entered.pending,
            }
        }
        None => {
            progress.step("registering the factory");
            let (cryptlet_id, Entered { active, pending }) = fabric.install_factory(&chain).await?;
            let name = FACTORY_NAME.to_owned();
            Answer { name, cryptlet_id, package_digest: None, kind: None, deterministic: None, active, pending }
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
    /// Instances that were registered and count from the next block on.
    active: Vec<RegistrationId>,
    /// Instances that were registered and wait for the administrator.
    pending: Vec<RegistrationId>,
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
    for id in &answer.active {
        println!("  instance {id}");
    }
    for id in &answer.pending {
        println!("  {}", how_to_activate(id));
    }
}

#[expect(clippy::print_stdout, reason = "this is the answer of the command")]
fn print_resumed(args: &RegisterArgs, Entered { active, pending }: &Entered) {
    let resumed = active.len();
    if args.output.json {
        println!("{}", serde_json::json!({ "resumed": resumed, "pending": pending }));
    } else {
        println!("{resumed} instances started again and registered");
        for id in pending {
            println!("  {}", how_to_activate(id));
        }
    }
}
