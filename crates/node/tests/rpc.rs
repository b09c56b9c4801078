//! JSON-RPC as clients see it: a real node on a chain in memory, a real server on a port of its own, JSON on the wire.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "rpc/support.rs"]
mod support;

/// A chain whose cryptlet is one signing key.
#[allow(dead_code)]
#[path = "it/support.rs"]
mod signing;

#[path = "rpc/accounts.rs"]
mod accounts;
#[path = "rpc/admin.rs"]
mod admin;
#[path = "rpc/amsterdam.rs"]
mod amsterdam;
#[path = "rpc/calls.rs"]
mod calls;
#[path = "rpc/cheat_replay.rs"]
mod cheat_replay;
#[path = "rpc/cheats.rs"]
mod cheats;
#[path = "rpc/collisions.rs"]
mod collisions;
#[path = "rpc/conformance.rs"]
mod conformance;
#[path = "rpc/cryptlet.rs"]
mod cryptlet;
#[path = "rpc/dev.rs"]
mod dev;
#[path = "rpc/faults.rs"]
mod faults;
#[path = "rpc/fees.rs"]
mod fees;
#[path = "rpc/ipc.rs"]
mod ipc;
#[path = "rpc/logs.rs"]
mod logs;
#[path = "rpc/otterscan.rs"]
mod otterscan;
#[path = "rpc/parity.rs"]
mod parity;
#[path = "rpc/pool.rs"]
mod pool;
#[path = "rpc/readiness.rs"]
mod readiness;
#[path = "rpc/records.rs"]
mod records;
#[path = "rpc/scripts.rs"]
mod scripts;
#[path = "rpc/simulate_cases.rs"]
mod simulate_cases;
#[path = "rpc/simulate_v1.rs"]
mod simulate_v1;
#[path = "rpc/states.rs"]
mod states;
#[path = "rpc/subscriptions.rs"]
mod subscriptions;
#[path = "rpc/testing.rs"]
mod testing;
#[path = "rpc/traces.rs"]
mod traces;
#[path = "rpc/transactions.rs"]
mod transactions;
#[path = "rpc/wire.rs"]
mod wire;
