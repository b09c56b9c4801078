//! The blobs of a transaction (EIP-4844): are they the ones that it commits to?
//!
//! A block does not carry blobs, so this is the only place where a node that makes blocks can tell.

use super::{PoolError, PoolRules, PooledEntry};
use alloy::consensus::Transaction as _;
use alloy::eips::{
    eip4844::{Blob, BlobTransactionSidecar, Bytes48},
    eip7594::{BlobTransactionSidecarEip7594, BlobTransactionSidecarVariant},
};
use c_kzg::{CELLS_PER_EXT_BLOB, KzgSettings, ethereum_kzg_settings};
use revm::primitives::hardfork::SpecId;

/// Tables that KZG computes in advance: none, which costs no memory and some time.
const KZG_PRECOMPUTE: u64 = 0;

/// Checks form, number, commitments and proofs. Takes milliseconds per blob: not under a lock.
pub(super) fn validate(entry: &PooledEntry, rules: &PoolRules) -> Result<(), PoolError> {
    let Some(hashes) = entry.transaction().blob_versioned_hashes() else { return Ok(()) };
    let Some(params) = rules.blob_params else { return refuse("blobs are not active on this chain") };
    if hashes.is_empty() {
        return refuse("it has no blobs");
    }
    if hashes.len() as u64 > params.max_blobs_per_tx {
        return refuse(format!("too many blobs: have {}, permitted {}", hashes.len(), params.max_blobs_per_tx));
    }
    let Some(sidecar) = entry.sidecar() else { return refuse("the blobs are missing") };
    if !sidecar.versioned_hashes().eq(hashes.iter().copied()) {
        return refuse("the versioned hashes are not those of its commitments");
    }
    let settings = ethereum_kzg_settings(KZG_PRECOMPUTE);
    let verdict = match (sidecar, rules.spec.is_enabled_in(SpecId::OSAKA)) {
        (BlobTransactionSidecarVariant::Eip4844(sidecar), false) => verify_blob_proofs(settings, sidecar),
        (BlobTransactionSidecarVariant::Eip7594(sidecar), true) => verify_cell_proofs(settings, sidecar),
        (BlobTransactionSidecarVariant::Eip4844(_), true) => {
            return refuse("from Osaka on blobs need cell proofs (EIP-7594)");
        }
        (BlobTransactionSidecarVariant::Eip7594(_), false) => return refuse("before Osaka blobs have no cell proofs"),
    };
    match verdict {
        Ok(true) => Ok(()),
        Ok(false) => refuse("a proof does not hold for its blob and commitment"),
        Err(error) => refuse(format!("a blob, commitment or proof is malformed: {error:?}")),
    }
}

fn verify_blob_proofs(settings: &KzgSettings, sidecar: &BlobTransactionSidecar) -> Result<bool, c_kzg::Error> {
    let BlobTransactionSidecar { blobs, commitments, proofs } = sidecar;
    let blobs = blobs.iter().map(blob).collect::<Result<Vec<_>, _>>()?;
    settings.verify_blob_kzg_proof_batch(&blobs, &points(commitments), &points(proofs))
}

fn verify_cell_proofs(settings: &KzgSettings, sidecar: &BlobTransactionSidecarEip7594) -> Result<bool, c_kzg::Error> {
    let BlobTransactionSidecarEip7594 { blobs, commitments, cell_proofs } = sidecar;
    if blobs.len() != commitments.len() || cell_proofs.len() != blobs.len() * CELLS_PER_EXT_BLOB {
        return Ok(false);
    }
    let mut cells = Vec::with_capacity(cell_proofs.len());
    for extended in blobs {
        cells.extend(settings.compute_cells(&blob(extended)?)?.iter().copied());
    }
    let commitments: Vec<_> = points(commitments).into_iter().flat_map(|point| [point; CELLS_PER_EXT_BLOB]).collect();
    let indices: Vec<u64> = (0..blobs.len()).flat_map(|_| 0..CELLS_PER_EXT_BLOB as u64).collect();
    settings.verify_cell_kzg_proof_batch(&commitments, &indices, &cells, &points(cell_proofs))
}

fn blob(blob: &Blob) -> Result<c_kzg::Blob, c_kzg::Error> {
    c_kzg::Blob::from_bytes(blob.as_slice())
}

fn points(points: &[Bytes48]) -> Vec<c_kzg::Bytes48> {
    points.iter().map(|point| c_kzg::Bytes48::new(point.0)).collect()
}

fn refuse(why: impl Into<String>) -> Result<(), PoolError> {
    Err(PoolError::Blobs(why.into()))
}
