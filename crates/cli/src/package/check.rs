//! `cryptlet package check`: what an author would be told at registration, beforehand.
#![expect(clippy::print_stdout, reason = "this is the answer of the command")]

use crate::args::CheckArgs;
use anyhow::Result;
use cryptlet_container::{
    Configured, ContainerFault, ProcessConfig, ProcessProvider, WorkerCommand,
    check::{Report, Severity},
};
use cryptlet_host::{Package, package::CryptletConfig};
use std::{num::NonZeroUsize, path::Path, process::ExitCode};

pub(super) async fn run(args: &CheckArgs) -> Result<ExitCode> {
    if let Some(report) = config_report(Path::new(&args.package)) {
        return Ok(print(args, &args.package, None, &report));
    }
    let package = super::find(&args.package, &args.layout.layout, &args.registry).await?.package;
    let mut report = package.check();
    if report.is_accepted() && !args.no_start {
        start(&package, &mut report)?;
    }
    Ok(print(args, package.name(), Some(&package), &report))
}

/// What is wrong with the configuration in a folder, all of it at once; nothing if it can be built.
fn config_report(folder: &Path) -> Option<Report> {
    let json = std::fs::read(folder.join("config.json")).ok()?;
    let mut report = Report::default();
    for objection in CryptletConfig::objections(&json) {
        report.refuse("config", "config.json", objection, "the schema is crates/host/schema/cryptlet.schema.json");
    }
    (!report.is_accepted()).then_some(report)
}

/// Compiles it, or starts it, as a host would: in a jailed process.
fn start(package: &Package, report: &mut Report) -> Result<()> {
    let command = WorkerCommand { program: std::env::current_exe()?, arguments: vec!["worker".into()] };
    let mut config = ProcessConfig::new(command);
    (config.pool.workers, config.signers) = (NonZeroUsize::MIN, NonZeroUsize::MIN);
    let provider = ProcessProvider::start(config)?;
    match Configured::new(package.guest_code()).measure(&provider) {
        Ok(_) => Ok(()),
        Err(ContainerFault::Guest(refusal)) => {
            report.refuse("does-not-start", "the code", refusal.to_string(), "run it by hand with the same input");
            Ok(())
        }
        Err(fault @ ContainerFault::NoRuntime { .. }) => {
            report.warn("not-started", "this machine", fault.to_string(), "check it where the runtime is installed");
            Ok(())
        }
        Err(other) => Err(other.into()),
    }
}

fn print(args: &CheckArgs, name: &str, package: Option<&Package>, report: &Report) -> ExitCode {
    let accepted = report.is_accepted();
    if args.output.json {
        let answer = serde_json::json!({
            "name": name,
            "accepted": accepted,
            "kind": package.map(|package| package.config().kind),
            "deterministic": package.map(|package| package.config().is_deterministic),
            "findings": report.findings,
        });
        println!("{answer}");
    } else {
        for finding in &report.findings {
            println!("{finding}");
        }
        let warnings = report.findings.iter().filter(|finding| finding.severity == Severity::Warning).count();
        let verdict = if accepted { "would be accepted" } else { "would be refused" };
        println!("{name} {verdict}{}", if warnings > 0 { ", with warnings" } else { "" });
    }
    if accepted { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
