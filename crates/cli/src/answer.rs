//! The answer of a command: for a machine, or for a person.

use crate::args::OutputArgs;
use serde::Serialize;

/// Prints one JSON document, or the lines for a person.
#[expect(clippy::print_stdout, reason = "this is the answer of the command")]
pub(crate) fn answer(output: OutputArgs, machine: &(impl Serialize + ?Sized), person: impl FnOnce() -> String) {
    if output.json {
        println!("{}", serde_json::to_string(machine).expect("text, numbers and hashes are JSON"));
    } else {
        print!("{}", person());
    }
}
