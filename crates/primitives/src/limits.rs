//! The consensus bounds of the fabric. They live in genesis (`config.cryptletFabric`), are hashed into it, and no flag or
//! environment variable overrides them.

use alloy_primitives::{B256, keccak256};
use alloy_sol_types::SolValue;
use serde::{Deserialize, Serialize};

/// Bounds and prices of cryptlet calls. Changing one makes another chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FabricLimits {
    /// Calls one transaction may make.
    pub calls_per_transaction_max: u32,
    /// Depth of the EVM call stack at which the delegate may still be called.
    pub depth_max: u32,
    /// Bytes of input of one call.
    pub input_bytes_max: u32,
    /// Bytes of output of one call.
    pub output_bytes_max: u32,
    /// Bytes of encoded records in one block.
    pub record_bytes_per_block_max: u32,
    /// Compute units of one call.
    pub units_per_call_max: u64,
    /// Compute units of one block.
    pub units_per_block_max: u64,
    /// Blocks a call waits for its host before it is answered `Unavailable`; at most 256, the reach of an anchor.
    pub unavailable_after_blocks: u32,
    /// Gas of a call before anything else: two storage proofs' worth of registry reads, a signature check and the log.
    pub gas_base: u64,
    /// Gas per byte of input.
    pub gas_per_input_byte: u64,
    /// Gas per byte of output.
    pub gas_per_output_byte: u64,
    /// Gas per compute unit (1,000 fuel).
    pub gas_per_unit: u64,
    /// Gas of `verify` and `appraise` before their input bytes: one recovery of a signer.
    pub gas_verify: u64,
    /// Further gas of appraising a quote of Intel SGX or TDX, whose chain of some ten signatures takes 1.6 to 4 ms.
    #[serde(default = "default_gas_appraise_quote")]
    pub gas_appraise_quote: u64,
    /// Further gas of appraising a quote of a TPM: one signature on P-256.
    #[serde(default = "default_gas_appraise_tpm")]
    pub gas_appraise_tpm: u64,
}

/// As much per millisecond as `ecrecover` costs (3,000 for 31 µs), for the slowest quote that was measured.
const fn default_gas_appraise_quote() -> u64 {
    400_000
}

const fn default_gas_appraise_tpm() -> u64 {
    30_000
}

impl Default for FabricLimits {
    fn default() -> Self {
        Self {
            calls_per_transaction_max: 16,
            depth_max: 64,
            input_bytes_max: 128 * 1024,
            output_bytes_max: 64 * 1024,
            record_bytes_per_block_max: 2 * 1024 * 1024,
            units_per_call_max: 10_000_000,
            units_per_block_max: 100_000_000,
            unavailable_after_blocks: 15,
            gas_base: 12_000,
            gas_per_input_byte: 8,
            gas_per_output_byte: 16,
            gas_per_unit: 1,
            gas_verify: 10_000,
            gas_appraise_quote: default_gas_appraise_quote(),
            gas_appraise_tpm: default_gas_appraise_tpm(),
        }
    }
}

/// Bounds that no chain can run with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitsError {
    /// An anchor reaches 256 blocks back; a call cannot wait longer.
    #[error("unavailableAfterBlocks is {0}; it must be between 1 and 255, because an anchor reaches 256 blocks back")]
    UnavailableAfter(u32),
    /// Without at least one call the delegate is useless.
    #[error("callsPerTransactionMax is {0}; it must be between 1 and 1024")]
    Calls(u32),
}

impl FabricLimits {
    /// Are these bounds a chain can run with?
    pub fn validate(&self) -> Result<(), LimitsError> {
        if !(1..256).contains(&self.unavailable_after_blocks) {
            return Err(LimitsError::UnavailableAfter(self.unavailable_after_blocks));
        }
        if !(1..=1024).contains(&self.calls_per_transaction_max) {
            return Err(LimitsError::Calls(self.calls_per_transaction_max));
        }
        Ok(())
    }

    /// What genesis commits to: the value of slot 0 of the delegate's account.
    pub fn digest(&self) -> B256 {
        let counts = (
            self.calls_per_transaction_max,
            self.depth_max,
            self.input_bytes_max,
            self.output_bytes_max,
            self.record_bytes_per_block_max,
            self.units_per_call_max,
            self.units_per_block_max,
            self.unavailable_after_blocks,
        );
        let prices =
            (self.gas_base, self.gas_per_input_byte, self.gas_per_output_byte, self.gas_per_unit, self.gas_verify);
        let appraisals = (self.gas_appraise_quote, self.gas_appraise_tpm);
        keccak256((keccak256("cryptlet/limits/v2"), counts, prices, appraisals).abi_encode())
    }

    /// Gas of a call with this input, if it uses this many units and returns this many bytes. Saturates.
    pub fn invoke_gas(&self, input_bytes: usize, units: u64, output_bytes: usize) -> u64 {
        self.gas_base
            .saturating_add(self.gas_per_input_byte.saturating_mul(input_bytes as u64))
            .saturating_add(self.gas_per_unit.saturating_mul(units))
            .saturating_add(self.gas_per_output_byte.saturating_mul(output_bytes as u64))
    }
}
