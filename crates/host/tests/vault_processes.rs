//! Vaults as a host uses them, with processes: a PKCS#11 token behind a process that may crash, and a canary key that must not
//! be found anywhere it has no business to be.
//!
//! No test harness: `main` must be able to become a worker, the process of a vault, or the process that holds the canary.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

#[path = "vault_processes/canary.rs"]
mod canary;
#[path = "vault_processes/softhsm.rs"]
mod softhsm;
mod support;
#[path = "vault_processes/writers.rs"]
mod writers;

use std::process::ExitCode;

type Test = (&'static str, fn());

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("worker") => return cryptlet_container::worker::main(),
        Some("vault-worker") => return cryptlet_host::vault::pkcs11::worker_main(),
        Some("canary") => return canary::hold(arguments[2].as_ref()),
        Some("vault-writer") => return writers::write(arguments[2].as_ref(), &arguments[3]),
        Some("crash") => std::process::abort(),
        _ => {}
    }
    let is_there = softhsm::prepare();
    let tests: [(bool, Test); 7] = [
        (true, ("a_canary_key_is_found_nowhere_but_in_locked_memory", canary::is_found_nowhere)),
        (true, ("processes_that_write_into_one_file_at_a_time_lose_no_key", writers::lose_nothing)),
        (is_there, ("a_key_is_made_in_the_token_and_signs_as_ethereum_wants_it", softhsm::signs)),
        (is_there, ("a_crash_of_the_tokens_process_is_a_typed_error_and_is_got_over", softhsm::crashes)),
        (is_there, ("a_wrong_pin_is_not_tried_twice", softhsm::wrong_pin)),
        (is_there, ("a_key_that_was_put_into_the_token_is_refused", softhsm::imported_key)),
        (is_there, ("a_host_runs_on_a_token", softhsm::host)),
    ];
    println!("\nrunning {} tests", tests.len());
    let (mut passed, mut ignored) = (0, 0);
    for (is_there, (name, test)) in tests {
        if is_there {
            test();
            println!("test {name} ... ok");
            passed += 1;
        } else {
            println!("SKIPPED {name}: SoftHSM2 is not installed (scripts/setup installs it)");
            ignored += 1;
        }
    }
    println!("\ntest result: ok. {passed} passed; 0 failed; {ignored} ignored; 0 measured; 0 filtered out\n");
    ExitCode::SUCCESS
}
