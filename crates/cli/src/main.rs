//! `cryptlet`: one binary for the whole fabric. Each command has a file; this one only chooses.

mod account;
mod answer;
mod args;
mod council;
mod data;
mod dev;
mod export;
mod fabric;
mod fork;
mod genesis_file;
mod host;
mod host_parts;
mod import;
mod invoke;
mod logs;
mod metrics;
mod node;
mod package;
mod policy;
mod progress;
mod register;
mod registry;
mod registry_activate;
mod registry_facts;
mod registry_rule;
mod registry_view;
mod rpc;
mod signals;
mod state_file;

use args::{Cli, Command};
use clap::Parser;
use std::process::ExitCode;

/// A node allocates in many small pieces on many threads, for days: jemalloc wastes less of both time and memory on that than the
/// C library. RocksDB gets it, too.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // HTTP clients take the process's cryptography; there is one, the same that the host's TLS has.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cli = Cli::parse_from(args::with_dashes(std::env::args_os()));
    let outcome = match cli.command {
        Command::Worker => Ok(cryptlet_container::worker::main()),
        Command::VaultWorker => Ok(cryptlet_host::vault::pkcs11::worker_main()),
        Command::Node(args) => node::run(*args),
        Command::Host(args) => host::run(*args),
        Command::Key(args) => account::run(&args),
        Command::Package(args) => package::run(args),
        Command::Register(args) => register::run(args),
        Command::Registry(args) => registry_view::run(args),
        Command::Policy(args) => policy::run(&args),
        Command::Invoke(args) => invoke::run(args),
        Command::Genesis(args) => genesis_file::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Audit(args) => cryptlet_audit::audit(&args),
        Command::Verify(args) => cryptlet_audit::verify(&args),
        Command::Replay(args) => cryptlet_audit::replay(&args),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
