//! How answers, errors and progress reach people and machines.

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::{fs::File, io::IsTerminal, path::Path, process::ExitCode};

/// Flags that every command of an auditor has.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct OutputArgs {
    /// One JSON document on standard output, errors included
    #[arg(long)]
    pub(crate) json: bool,
}

impl OutputArgs {
    /// Prints an answer, in one of its two forms.
    #[expect(clippy::print_stdout, reason = "this is the answer of the command")]
    pub(crate) fn answer(self, machine: &impl Serialize, person: impl FnOnce() -> String) {
        if self.json {
            println!("{}", serde_json::to_string(machine).expect("an answer of numbers, hashes and text is JSON"));
        } else {
            println!("{}", person());
        }
    }

    /// Ends a command: an error becomes a message and a failing exit code.
    #[expect(clippy::print_stderr, reason = "this is where errors go")]
    pub(crate) fn finish(self, outcome: anyhow::Result<()>) -> ExitCode {
        let Err(error) = outcome else { return ExitCode::SUCCESS };
        if self.json {
            self.answer(&serde_json::json!({ "error": format!("{error:#}") }), String::new);
        } else {
            eprintln!("error: {error:#}");
        }
        ExitCode::FAILURE
    }

    /// A bar over the bytes of a file: on a terminal only, and not beside JSON.
    pub(crate) fn bar(self, file: &File, what: &str) -> ProgressBar {
        if self.json || !std::io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let template = format!("{what} {{bar:40}} {{msg}}, {{bytes_per_sec}}, {{eta}} left");
        let style = ProgressStyle::with_template(&template).expect("the template is well-formed");
        ProgressBar::new(file.metadata().map_or(0, |metadata| metadata.len())).with_style(style)
    }
}

/// Opens a file, with its name in the error.
pub(crate) fn open(file: &Path) -> anyhow::Result<File> {
    use anyhow::Context;
    File::open(file).with_context(|| format!("{} cannot be read", file.display()))
}
