//! What the numbers on the chain are called when people read or write them; the index is the number.

/// Isolation providers (`Claims.provider`).
pub const PROVIDERS: [&str; 7] = ["none", "software", "sgx", "tdx", "snp", "nitro", "tpm"];
/// Isolation, rising (`Claims.isolation`).
pub const ISOLATIONS: [&str; 4] = ["none", "process", "vm", "enclave"];
/// How Intel rates a platform (`CryptletPolicy.toleratedTcb`). The first and the last can be neither tolerated nor refused.
pub const TCB_STATUSES: [&str; 9] = [
    "up-to-date",
    "sw-hardening-needed",
    "configuration-needed",
    "configuration-and-sw-hardening-needed",
    "out-of-date",
    "out-of-date-configuration-needed",
    "td-relaunch-advised",
    "td-relaunch-advised-configuration-needed",
    "revoked",
];
/// What instances run in ([`ContainerKind`](crate::ContainerKind)).
pub const CONTAINERS: [&str; 4] = ["host", "wasm", "process", "evm"];

/// The name of this number, or `unknown`.
pub fn name_of(names: &[&'static str], number: u16) -> &'static str {
    names.get(usize::from(number)).copied().unwrap_or("unknown")
}
