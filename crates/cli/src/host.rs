//! `cryptlet host`: the papers' CryptletHostContainerService as a process of its own.

mod federate;
mod operate;

use crate::{
    args::{EnrollArgs, HostAction, HostArgs, ServeArgs},
    host_parts::{free_port, host_parts, open_vault},
    logs,
    signals::StopSignals,
};
use anyhow::{Context, Result};
use cryptlet_host::{
    DESCRIPTOR_PATH, Host, HostConfig, Role, SystemClock, SystemEntropy, enroll_offline, forbid_core_dumps,
};
use serde::Serialize;
use std::{net::SocketAddr, path::Path, process::ExitCode, sync::Arc};

pub(crate) fn run(args: HostArgs) -> Result<ExitCode> {
    forbid_core_dumps()?;
    match args.action {
        Some(HostAction::Enroll(enroll)) => {
            logs::start(enroll.output);
            self::enroll(&enroll)
        }
        Some(HostAction::Federate(args)) => federate::run(&args),
        Some(HostAction::Status(args)) => operate::status(&args),
        Some(HostAction::Drain(args)) => operate::drain(&args),
        Some(HostAction::Rotate(args)) => operate::rotate(&args),
        Some(HostAction::Renew(args)) => operate::renew(&args),
        None => {
            logs::start(args.serve.output);
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            runtime.block_on(serve(args.serve))
        }
    }
}

/// Name of the operators' socket in the data folder.
const SOCKET: &str = "host.sock";

/// What a machine wants to know of a host that is ready.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ready {
    ready: bool,
    /// For `--crypto-delegate-path`.
    descriptor: String,
    /// For `--crypto-delegate-signature`.
    address: String,
    listen: SocketAddr,
    /// For Prometheus, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<String>,
}

async fn serve(args: ServeArgs) -> Result<ExitCode> {
    let parts = host_parts(&args.datadir, &args.vault, args.workers, args.isolation)?;
    // The door is opened before the descriptor that names it is signed.
    let listen = free_port(args.listen).with_context(|| format!("{} cannot be listened on", args.listen))?;
    let defaults = HostConfig::new(&args.datadir);
    let config = HostConfig {
        endpoints: vec![format!("{}:{}", args.name, listen.port())],
        names: vec![args.name.clone(), args.listen.ip().to_string()],
        key_lifetime_blocks: args.key_lifetime_blocks.unwrap_or(defaults.key_lifetime_blocks),
        ..defaults
    };
    let host = Host::start(config, parts)?;
    let door = host.serve_tls(listen).await?;
    let plate = host.serve_descriptor(args.descriptor_listen).await?;
    let metrics = match args.metrics {
        Some(listen) => Some(host.serve_metrics(listen).await?),
        None => None,
    };
    let socket = match host.serve_socket(&args.datadir.join(SOCKET)) {
        Ok(socket) => Some(socket),
        // The path may be longer than a socket's may be; operators can come over TLS.
        Err(error) => {
            tracing::warn!(%error, "no socket for operators");
            None
        }
    };
    let mut stop = StopSignals::listen()?;
    print(
        &args,
        &Ready {
            ready: true,
            descriptor: format!("http://{}{DESCRIPTOR_PATH}", plate.address()),
            address: host.address().to_string(),
            listen: door.address(),
            metrics: metrics.as_ref().map(|server| format!("http://{}/metrics", server.address())),
        },
    );
    stop.received().await;
    // Nodes are told to go elsewhere while the calls under way end.
    host.drain(true);
    drop((metrics, socket));
    plate.stop().await;
    door.stop().await;
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::print_stdout, reason = "this is the answer of the command")]
fn print(args: &ServeArgs, ready: &Ready) {
    if args.output.json {
        println!("{}", serde_json::to_string(ready).expect("strings are JSON"));
        return;
    }
    println!("serving nodes on {} (TLS 1.3, client certificates)\n", ready.listen);
    println!("A node reaches this host with:");
    println!("  cryptlet host enroll NODE --datadir {} --out node.pem", args.datadir.display());
    println!("  cryptlet node --crypto-delegate-path {} \\", ready.descriptor);
    println!("    --crypto-delegate-signature {} --crypto-delegate-identity node.pem", ready.address);
}

fn enroll(args: &EnrollArgs) -> Result<ExitCode> {
    anyhow::ensure!(
        args.datadir.is_dir(),
        "{} is not the data folder of a host; start `cryptlet host --datadir {0}` once",
        args.datadir.display()
    );
    let vault = open_vault(&args.datadir, &args.vault)?;
    let role = if args.operator { Role::Operator } else { Role::Node };
    let around = (Arc::new(SystemClock) as _, Arc::new(SystemEntropy) as _);
    let identity = enroll_offline(&args.datadir, vault.as_ref(), around, &args.name, role)?;
    write_private(&args.out, identity.to_pem_bundle().as_bytes())
        .with_context(|| format!("{} cannot be written", args.out.display()))?;
    report_enrolment(args);
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::print_stdout, reason = "this is the answer of the command")]
fn report_enrolment(args: &EnrollArgs) {
    if args.output.json {
        println!("{}", serde_json::json!({ "name": args.name, "operator": args.operator, "file": args.out }));
    } else {
        let may = if args.operator { "call, publish and register" } else { "call" };
        println!("{} may {may}; its certificate and key are in {} (keep it secret)", args.name, args.out.display());
    }
}

fn write_private(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file)?.write_all(bytes)
}
