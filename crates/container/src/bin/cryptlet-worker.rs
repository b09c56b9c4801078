//! A child process of an isolation provider, as a binary of its own; `cryptlet worker` does the same.

use std::process::ExitCode;

fn main() -> ExitCode {
    cryptlet_container::worker::main()
}
