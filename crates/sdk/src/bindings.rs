//! What `wit-bindgen` makes of `wit/`.
#![allow(missing_docs, unreachable_pub, clippy::all)]

wit_bindgen::generate!({
    path: "../../wit",
    world: "cryptlet",
    pub_export_macro: true,
    default_bindings_module: "cryptlet_sdk::bindings",
});

/// A refusal as the component's `failure`: ABI-encoded revert data.
pub fn failure(failure: crate::Failure) -> Vec<u8> {
    failure.into_bytes()
}
