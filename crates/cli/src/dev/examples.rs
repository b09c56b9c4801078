//! The example cryptlets and contracts, carried in the binary: a dev node needs no file beside it.

use alloy::primitives::Bytes;
use anyhow::{Context, Result};
use cryptlet_host::Package;
use serde::Deserialize;

/// A cryptlet's package as the tree has it.
pub(crate) struct ExamplePackage {
    config: &'static [u8],
    code: &'static [u8],
    header: &'static [u8],
    interface_artifact: &'static str,
}

macro_rules! package {
    ($folder:literal, $header:literal) => {
        ExamplePackage {
            config: include_bytes!(concat!("../../../../examples/", $folder, "/config.json")),
            code: include_bytes!(concat!("../../../../examples/", $folder, "/cryptlet.wasm")),
            header: include_bytes!(concat!("../../../../examples/", $folder, "/contracts/", $header, ".sol")),
            interface_artifact: include_str!(concat!("../../../../contracts/artifacts/", $header, ".json")),
        }
    };
}

/// Cryptlet of the contract `CreditDefaultSwap`, created by its constructor.
pub(crate) const CREDIT_DEFAULT_SWAP: ExamplePackage = package!("credit-default-swap", "ICreditDefaultSwap");
/// Utility cryptlet behind `StockClient`.
pub(crate) const EQUITY_TOOLS: ExamplePackage = package!("equity-tools", "EquityTools");
/// Utility cryptlet behind `OptionPricer`.
pub(crate) const MONTE_CARLO: ExamplePackage = package!("monte-carlo", "MonteCarlo");

impl ExamplePackage {
    /// The package as a host takes it.
    pub(crate) fn build(&self) -> Result<Package> {
        #[derive(Deserialize)]
        struct Interface {
            abi: serde_json::Value,
        }
        let interface: Interface = serde_json::from_str(self.interface_artifact).context("an interface's artefact")?;
        let interface = serde_json::to_vec(&interface.abi)?;
        let bytes = Bytes::from_static;
        Ok(Package::new(bytes(self.config), bytes(self.code), bytes(self.header), interface.into())?)
    }
}

/// A contract's creation code, from its committed artefact.
pub(crate) fn creation_code(artifact: &str) -> Result<Bytes> {
    #[derive(Deserialize)]
    struct Artifact {
        bytecode: Bytes,
    }
    let artifact: Artifact = serde_json::from_str(artifact).context("a contract's artefact")?;
    Ok(artifact.bytecode)
}
