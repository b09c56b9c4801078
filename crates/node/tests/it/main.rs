//! The node from the outside: a chain with a fabric that really signs, built, exported, replayed and tampered with.

mod support;

mod amsterdam;
mod fork;
mod gas;
mod hosts;
mod kinds;
mod mining;
mod replay;
mod simulate;
mod stale;
mod tamper;
