//! Logs go to standard error: text for people, JSON lines for machines. Standard output is for answers.

use crate::args::OutputArgs;
use std::io::IsTerminal;
use tracing_subscriber::{EnvFilter, fmt};

/// Starts logging. `CRYPTLET_LOG` overrides the level with a filter such as `cryptlet_node=debug`.
pub(crate) fn start(output: OutputArgs) {
    let level = match (output.quiet, output.verbose) {
        (true, _) => "warn",
        (false, 0) => "info",
        (false, 1) => "debug",
        (false, _) => "trace",
    };
    let fallback =
        format!("warn,cryptlet={level},cryptlet_node={level},cryptlet_host={level},cryptlet_container={level}");
    let filter = EnvFilter::try_from_env("CRYPTLET_LOG").unwrap_or_else(|_| EnvFilter::new(fallback));
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if output.json {
        builder.json().init();
    } else {
        builder.with_target(false).with_ansi(std::io::stderr().is_terminal()).init();
    }
}
