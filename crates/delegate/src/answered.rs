//! A call that has its answer: how it ends, what it costs the caller and the block, and what the receipt says.

use crate::{context::BlockSpending, invoke::Call, price::Price, reply::Reply, transcript::DryRunOutcome};
use alloy_primitives::{B256, Bytes, Log, U256};
use alloy_rlp::Encodable;
use alloy_sol_types::{SolEvent, SolValue};
use cryptlet_attestation::{RecoveredRecord, record::unavailable_reason};
use cryptlet_primitives::{
    CryptletId, RefusalCode, RegistrationId, ResultStatus, UnavailableReason, abi::ICryptoDelegate::CryptletInvoked,
    system::CRYPTO_DELEGATE,
};

/// Most bytes that a record takes in a block besides its output, its share of the block's list included.
pub(crate) const RECORD_OVERHEAD_BYTES: u64 = 640;

/// Bytes that a record may add to the block's list around itself: list headers and the transaction's index.
const RECORD_FRAMING_BYTES: u64 = 32;

/// A call with its answer, before it is settled.
#[derive(Clone, Debug)]
pub(crate) struct Answered {
    pub(crate) outcome: DryRunOutcome,
    pub(crate) units: u64,
    pub(crate) spending: BlockSpending,
    pub(crate) charge_maximum: bool,
    pub(crate) log: Option<Log>,
}

impl Answered {
    /// By a record that has been verified.
    pub(crate) fn by_record(call: &Call, recovered: &RecoveredRecord) -> Self {
        let record = recovered.record();
        let output = record.output.clone();
        let outcome = match record.status() {
            Some(ResultStatus::Ok) => DryRunOutcome::Returned(output),
            Some(ResultStatus::Error) => DryRunOutcome::Failed(output),
            // The verifier lets no other status and no unknown reason pass.
            Some(ResultStatus::Unavailable) | None => {
                DryRunOutcome::Unavailable(unavailable_reason(&output).unwrap_or(UnavailableReason::Malformed))
            }
        };
        let log = matches!(outcome, DryRunOutcome::Returned(_)).then(|| {
            let instance = RegistrationId(record.result.registrationId);
            log(call, recovered.request_hash(), recovered.result_hash(), instance)
        });
        let units = record.result.units;
        let record_bytes = record.length() as u64 + RECORD_FRAMING_BYTES;
        Self { outcome, units, spending: BlockSpending { record_bytes, units }, charge_maximum: false, log }
    }

    /// How the call ends, with the gas that it is charged in the end.
    pub(crate) fn reply(&self, price: &Price, cryptlet: CryptletId) -> Reply {
        let entry_gas = price.entry_gas;
        let gas = |output: &Bytes| match self.charge_maximum {
            true => price.maximum(),
            false => price.settled(self.units, output.len()),
        };
        match &self.outcome {
            DryRunOutcome::Returned(output) => Reply::Return { output: output.abi_encode().into(), gas: gas(output) },
            DryRunOutcome::Failed(output) => {
                Reply::Refuse { code: RefusalCode::CryptletFailed, data: output.clone(), gas: gas(output) }
            }
            DryRunOutcome::Unavailable(reason) => {
                Reply::refuse(RefusalCode::Unavailable, &U256::from(*reason as u8), entry_gas)
            }
            DryRunOutcome::Denied => Reply::refuse(RefusalCode::SimulationDenied, &cryptlet.0, entry_gas),
        }
    }
}

/// What people and indexers see in the user's receipt.
pub(crate) fn log(call: &Call, request_hash: B256, result_hash: B256, instance: RegistrationId) -> Log {
    let event = CryptletInvoked {
        cryptlet: call.cryptlet.0,
        caller: call.caller,
        requestHash: request_hash,
        resultHash: result_hash,
        instance: instance.0,
    };
    Log { address: CRYPTO_DELEGATE, data: event.encode_log_data() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{Address, FixedBytes};
    use cryptlet_primitives::{CryptletRequest, CryptletResult, Record, Signature65};

    #[test]
    fn the_largest_record_fits_what_is_set_aside_for_it() {
        let word = B256::repeat_byte(0xff);
        let request = CryptletRequest {
            key: word,
            cryptletId: word,
            caller: Address::repeat_byte(0xff),
            codeDigest: word,
            inputHash: word,
            anchorBlock: u64::MAX,
            anchorHash: word,
            policyVersion: u32::MAX,
        };
        let result = CryptletResult {
            requestHash: word,
            registrationId: word,
            keyEpoch: u64::MAX,
            status: u8::MAX,
            outputHash: word,
            units: u64::MAX,
            observedAt: u64::MAX,
            notBefore: u64::MAX,
            expires: u64::MAX,
        };
        for bytes in [0usize, 1, 55, 56, 255, 256, 65_535, 65_536, 1 << 24] {
            let signature = Signature65(FixedBytes::repeat_byte(0xff));
            let record = Record { request, result, output: vec![0xff; bytes].into(), signature };
            let length = record.length() as u64 + RECORD_FRAMING_BYTES;
            assert!(length <= RECORD_OVERHEAD_BYTES + bytes as u64, "{length} for an output of {bytes}");
        }
    }
}
