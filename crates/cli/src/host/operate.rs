//! `cryptlet host status|drain|rotate|renew`: what an operator asks of a running host.

use super::SOCKET;
use crate::{
    args::{DrainArgs, OperateArgs, RenewArgs, RotateArgs},
    fabric::FabricAccess,
    logs,
    rpc::Chain,
    signals::StopSignals,
};
use anyhow::Result;
use cryptlet_host::{ClientOptions, FabricClient};
use serde_json::{Value, json};
use std::{process::ExitCode, time::Duration};

pub(super) fn status(args: &OperateArgs) -> Result<ExitCode> {
    run(args, async |client| {
        let (status, cryptlets) = (client.status().await?, client.cryptlets().await?);
        let mut answer = serde_json::to_value(&status)?;
        answer["cryptlets"] = serde_json::to_value(&cryptlets)?;
        let state = if status.health.is_draining { "draining" } else { "serving" };
        let mut text = format!(
            "{} is {state}: {} calls run, {} wait; {} answers and {} faults since its start\n  keys in {}\n  certificate until {} (Unix time)",
            status.address,
            status.health.calls_running,
            status.health.calls_waiting,
            status.health.answers_given,
            status.health.faults_given,
            status.vault,
            status.certificate_expires,
        );
        for cryptlet in &cryptlets {
            let instances: Vec<String> = cryptlet
                .instances
                .iter()
                .map(|instance| format!("{} epoch {} {}", instance.signer, instance.key_epoch, instance.state))
                .collect();
            text += &format!("\n  {} {}: {}", cryptlet.name, cryptlet.id, instances.join(", "));
        }
        Ok((answer, text, ExitCode::SUCCESS))
    })
}

pub(super) fn drain(args: &DrainArgs) -> Result<ExitCode> {
    run(&args.operate, async |client| {
        let health = if args.cancel {
            client.cancel_drain().await?
        } else {
            client.drain(Duration::from_secs(args.wait)).await?
        };
        let left = health.calls_running + health.calls_waiting;
        let (text, code) = match (args.cancel, left) {
            (true, _) => ("it takes calls again".to_owned(), ExitCode::SUCCESS),
            (false, 0) => {
                ("nothing is under way, and new calls are refused: it can be stopped".to_owned(), ExitCode::SUCCESS)
            }
            (false, left) => (format!("new calls are refused, and {left} are still under way"), ExitCode::FAILURE),
        };
        Ok((serde_json::to_value(health)?, text, code))
    })
}

pub(super) fn rotate(args: &RotateArgs) -> Result<ExitCode> {
    run(&args.operate, async |client| {
        if args.instances {
            let chain = Chain::of_author(&args.rpc_url, &args.author)?;
            let entered = FabricAccess::over(client).rotate_instances(&chain, args.grace_blocks).await?;
            let rotated = entered.active.len();
            let text = format!("{rotated} instances have new keys, registered on the chain{}", entered.advice());
            return Ok((json!({ "rotated": rotated, "pending": entered.pending }), text, ExitCode::SUCCESS));
        }
        let (fingerprint, expires) = client.rotate_certificate().await?;
        let text = format!("new connections see a new certificate, SHA-256 {fingerprint}, until {expires} (Unix time)");
        Ok((json!({ "fingerprint": fingerprint, "expires": expires }), text, ExitCode::SUCCESS))
    })
}

pub(super) fn renew(args: &RenewArgs) -> Result<ExitCode> {
    let ask = async |client: FabricClient| {
        let chain = Chain::of_author(&args.rpc_url, &args.author)?;
        let entered = FabricAccess::over(client).renew_instances(&chain, args.within).await?;
        let renewed = entered.active.len();
        let text = format!("{renewed} instances were registered for longer, or have come to count{}", entered.advice());
        Ok((json!({ "renewed": entered.active, "pending": entered.pending }), text, ExitCode::SUCCESS))
    };
    let Some(seconds) = args.watch else { return run(&args.operate, ask) };
    logs::start(args.operate.output);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut stop = StopSignals::listen()?;
        loop {
            // What fails now may work the next time: the host or the node may be starting again.
            match async { ask(reach(&args.operate).await?).await }.await {
                Ok((answer, text, _)) => print(&args.operate, &answer, &text),
                Err(error) => tracing::error!("nothing was renewed: {error:#}"),
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(seconds)) => {}
                () = stop.received() => return Ok(ExitCode::SUCCESS),
            }
        }
    })
}

/// Reaches the host, asks, and prints the answer.
fn run(
    args: &OperateArgs,
    ask: impl AsyncFnOnce(FabricClient) -> Result<(Value, String, ExitCode)>,
) -> Result<ExitCode> {
    logs::start(args.output);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (answer, text, code) = runtime.block_on(async { ask(reach(args).await?).await })?;
    print(args, &answer, &text);
    Ok(code)
}

#[expect(clippy::print_stdout, reason = "this is the answer of the command")]
fn print(args: &OperateArgs, answer: &Value, text: &str) {
    if args.output.json {
        println!("{answer}");
    } else {
        println!("{text}");
    }
}

async fn reach(args: &OperateArgs) -> Result<FabricClient> {
    let options = ClientOptions::default();
    if let Some(client) = FabricAccess::client_elsewhere(&args.fabric, options.clone()).await? {
        return Ok(client);
    }
    let socket = args.datadir.join(SOCKET);
    anyhow::ensure!(
        socket.exists(),
        "no host runs on {}; name its data folder with --datadir, or a host elsewhere with --crypto-delegate-path",
        args.datadir.display()
    );
    Ok(FabricClient::over_socket(&socket, options))
}
