//! The functions of the delegate and what they cost.

use crate::invoke::Call;
use alloy_sol_types::SolCall;
use cryptlet_attestation::{
    CryptletEntry,
    evidence::{PROVIDER_SGX, PROVIDER_TDX, PROVIDER_TPM, provider},
};
use cryptlet_primitives::{FabricLimits, abi::ICryptoDelegate};

/// The functions of `ICryptoDelegate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    Invoke,
    Create,
    Verify,
    Appraise,
    Unknown,
}

impl Function {
    pub(crate) fn of(selector: Option<[u8; 4]>) -> Self {
        match selector {
            Some(ICryptoDelegate::invokeCall::SELECTOR) => Self::Invoke,
            Some(ICryptoDelegate::createCall::SELECTOR) => Self::Create,
            Some(ICryptoDelegate::verifyCall::SELECTOR) => Self::Verify,
            Some(ICryptoDelegate::appraiseCall::SELECTOR) => Self::Appraise,
            _ => Self::Unknown,
        }
    }

    /// Charged before anything is looked at. A refused call costs no more.
    pub(crate) const fn entry_gas(self, limits: &FabricLimits, call_data_bytes: usize) -> u64 {
        let fixed = match self {
            Self::Verify | Self::Appraise => limits.gas_verify,
            Self::Invoke | Self::Create | Self::Unknown => limits.gas_base,
        };
        fixed.saturating_add(limits.gas_per_input_byte.saturating_mul(call_data_bytes as u64))
    }
}

/// What appraising costs beyond its entry, by what the provider's evidence takes to check.
pub(crate) fn appraisal_gas(limits: &FabricLimits, evidence: &[u8]) -> u64 {
    match provider(evidence) {
        Ok(PROVIDER_SGX | PROVIDER_TDX) => limits.gas_appraise_quote,
        Ok(PROVIDER_TPM) => limits.gas_appraise_tpm,
        _ => 0,
    }
}

/// What a call may use, and what that costs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Price {
    pub(crate) entry_gas: u64,
    gas_per_unit: u64,
    gas_per_output_byte: u64,
    pub(crate) units_max: u64,
    pub(crate) output_bytes_max: u32,
}

impl Price {
    pub(crate) fn of(call: &Call, entry: &CryptletEntry, limits: &FabricLimits) -> Self {
        Self {
            entry_gas: call.entry_gas,
            gas_per_unit: limits.gas_per_unit,
            gas_per_output_byte: limits.gas_per_output_byte,
            units_max: entry.units_max.min(limits.units_per_call_max),
            output_bytes_max: entry.output_bytes_max.min(limits.output_bytes_max),
        }
    }

    /// Charged before dispatch.
    pub(crate) const fn maximum(&self) -> u64 {
        self.settled(self.units_max, self.output_bytes_max as usize)
    }

    /// Charged in the end.
    pub(crate) const fn settled(&self, units: u64, output_bytes: usize) -> u64 {
        self.entry_gas
            .saturating_add(self.gas_per_unit.saturating_mul(units))
            .saturating_add(self.gas_per_output_byte.saturating_mul(output_bytes as u64))
    }
}
