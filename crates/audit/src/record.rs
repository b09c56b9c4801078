//! One record, as `cryptlet_getRecords` gives it, checked on its own.

use alloy_primitives::{Address, B256, keccak256};
use anyhow::{Context, Result, bail, ensure};
use cryptlet_attestation::RecoveredRecord;
use cryptlet_primitives::{FabricDomain, Record, ResultStatus};
use serde::Serialize;
use serde_json::Value;

/// Bytes of a file that holds records; more is no answer of a node.
const RECORD_FILE_BYTES_MAX: u64 = 64 << 20;

/// What holds of a record whatever chain it is from.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RecordFacts {
    /// Idempotency key of the call.
    pub(crate) key: B256,
    /// Cryptlet that answered.
    pub(crate) cryptlet_id: B256,
    /// Contract that asked.
    pub(crate) caller: Address,
    /// Instance that answered; zero if none did.
    pub(crate) registration_id: B256,
    /// How the call ended.
    pub(crate) status: ResultStatus,
    /// Compute units.
    pub(crate) units: u64,
    /// Who signed; nobody if the status is `unavailable`.
    pub(crate) signer: Option<Address>,
}

/// Reads one record, a list of records, or a whole answer of `cryptlet_getRecords`.
pub(crate) fn read(file: &std::path::Path) -> Result<Vec<Record>> {
    let opened = crate::output::open(file)?;
    let length = opened.metadata()?.len();
    ensure!(length <= RECORD_FILE_BYTES_MAX, "{} has {length} bytes; at most {RECORD_FILE_BYTES_MAX}", file.display());
    let json: Value = serde_json::from_reader(std::io::BufReader::new(opened))
        .with_context(|| format!("{} is not JSON", file.display()))?;
    parse(json).with_context(|| {
        format!("{} holds no record; save the answer of `cast rpc cryptlet_getRecords TRANSACTION`", file.display())
    })
}

fn parse(json: Value) -> Result<Vec<Record>> {
    let json = match json.get("result") {
        // An answer with its JSON-RPC envelope; a record has a `result` too, but also a `request`.
        Some(answer) if json.get("request").is_none() => answer.clone(),
        _ => json,
    };
    let list = match json.get("records").cloned().unwrap_or(json) {
        Value::Array(list) => list,
        one => vec![one],
    };
    ensure!(!list.is_empty(), "the list of records is empty");
    list.into_iter().map(|record| Ok(serde_json::from_value(record)?)).collect()
}

/// Checks that a record answers its own request, carries the output that was signed, and is signed by somebody.
pub(crate) fn check(record: &Record, domain: &FabricDomain) -> Result<RecordFacts> {
    use alloy_primitives::hex::ToHexExt;
    let recovered = RecoveredRecord::recover(record.clone(), domain);
    let (request, result) = (&record.request, &record.result);
    if result.requestHash != recovered.request_hash() {
        bail!(
            "the result answers request {}, but this request hashes to {}",
            result.requestHash,
            recovered.request_hash()
        );
    }
    let output_hash = keccak256(&record.output);
    if result.outputHash != output_hash {
        bail!("the result signs an output with hash {}, but this output hashes to {output_hash}", result.outputHash);
    }
    let status = record.status().with_context(|| format!("status {} is not a status of a result", result.status))?;
    let signer =
        match status {
            ResultStatus::Unavailable => {
                ensure!(record.signature.is_none(), "nobody signs for `unavailable`, but this record is signed");
                None
            }
            ResultStatus::Ok | ResultStatus::Error => Some(recovered.signer().with_context(|| {
                format!("the signature 0x{} is refused", record.signature.0.as_slice().encode_hex())
            })?),
        };
    Ok(RecordFacts {
        key: request.key,
        cryptlet_id: request.cryptletId,
        caller: request.caller,
        registration_id: result.registrationId,
        status,
        units: result.units,
        signer,
    })
}
