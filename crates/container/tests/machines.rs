//! Isolation `vm`: what holds for it and for no other.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use support::*;

#[test]
fn a_machine_answers() {
    let Some(provider) = vm_provider(1) else { return };
    let container = start(&provider, echo());
    for _ in 0..3 {
        assert_eq!(&call(&container, b"hello").output[..], b"hello");
    }
}
