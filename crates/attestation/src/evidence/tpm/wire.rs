//! The few structures of TPM 2.0 that a quote consists of (TCG TPM 2.0 Library, part 2; the sections are named). Big-endian; whatever
//! goes on after its end is refused.

use super::TpmFault;
use alloy_primitives::B256;

/// `TPM_GENERATED_VALUE` (§6.2)
const GENERATED: u32 = 0xff54_4347;
/// `TPM_ST_ATTEST_QUOTE` (§6.9)
const ST_ATTEST_QUOTE: u16 = 0x8018;
/// `TPM_ALG_SHA256` (§6.3)
const ALG_SHA256: u16 = 0x000b;
/// `TPM_ALG_NULL`
const ALG_NULL: u16 = 0x0010;
/// `TPM_ALG_ECDSA`
const ALG_ECDSA: u16 = 0x0018;
/// `TPM_ALG_ECC`
const ALG_ECC: u16 = 0x0023;
/// `TPM_ECC_NIST_P256` (§6.4)
const CURVE_P256: u16 = 0x0003;
/// Bytes of a coordinate, or of `r` or `s`.
const SCALAR_BYTES: usize = 32;

/// `TPMA_OBJECT` (§8.3): fixedTPM, fixedParent, sensitiveDataOrigin, restricted, sign.
const KEY_MUST_BE: u32 = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 16 | 1 << 18;
/// A key that also decrypts could be made to sign what it should not.
const KEY_MUST_NOT_BE: u32 = 1 << 17;

/// What a quote says (`TPMS_ATTEST`, §10.12.12, with `TPMS_QUOTE_INFO`, §10.12.4).
#[derive(Debug)]
pub(super) struct Quote<'a> {
    /// `extraData`
    pub(super) nonce: B256,
    /// `TPML_PCR_SELECTION`, as it stands.
    pub(super) selection: &'a [u8],
    pub(super) pcr_digest: &'a [u8],
}

impl<'a> Quote<'a> {
    pub(super) fn parse(attest: &'a [u8]) -> Result<Self, TpmFault> {
        let mut reader = Reader { rest: attest, what: "the attestation" };
        let magic = reader.u32()?;
        if magic != GENERATED {
            return Err(TpmFault::NotByTpm(magic));
        }
        let kind = reader.u16()?;
        if kind != ST_ATTEST_QUOTE {
            return Err(TpmFault::NotAQuote(kind));
        }
        let _qualified_signer = reader.sized()?;
        let nonce = reader.sized()?;
        let nonce = B256::try_from(nonce).map_err(|_| TpmFault::Nonce(nonce.len()))?;
        // TPMS_CLOCK_INFO: clock, reset count, restart count, safe; then the firmware's version.
        reader.take(8 + 4 + 4 + 1 + 8)?;
        let selection = reader.selection()?;
        let pcr_digest = reader.sized()?;
        reader.end()?;
        Ok(Self { nonce, selection, pcr_digest })
    }
}

/// An ECDSA key on P-256 (`TPMT_PUBLIC`, §12.2.4, with `TPMS_ECC_PARMS`, §12.2.3.6).
#[derive(Debug)]
pub(super) struct AttestationKey {
    /// Uncompressed point (SEC 1).
    pub(super) sec1: [u8; 1 + 2 * SCALAR_BYTES],
}

impl AttestationKey {
    pub(super) fn parse(public_area: &[u8]) -> Result<Self, TpmFault> {
        let mut reader = Reader { rest: public_area, what: "the attestation key" };
        let (kind, name_algorithm, attributes) = (reader.u16()?, reader.u16()?, reader.u32()?);
        if (kind, name_algorithm) != (ALG_ECC, ALG_SHA256) {
            return Err(TpmFault::KeyAlgorithm);
        }
        if attributes & KEY_MUST_BE != KEY_MUST_BE || attributes & KEY_MUST_NOT_BE != 0 {
            return Err(TpmFault::KeyAttributes(attributes));
        }
        let _policy = reader.sized()?;
        // A signing key has no symmetric algorithm; its scheme, hash and curve follow, and no key derivation.
        let parameters = [reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?];
        if parameters != [ALG_NULL, ALG_ECDSA, ALG_SHA256, CURVE_P256, ALG_NULL] {
            return Err(TpmFault::KeyAlgorithm);
        }
        let mut sec1 = [4; 1 + 2 * SCALAR_BYTES];
        reader.scalar(&mut sec1[1..=SCALAR_BYTES])?;
        reader.scalar(&mut sec1[1 + SCALAR_BYTES..])?;
        reader.end()?;
        Ok(Self { sec1 })
    }
}

/// `r ‖ s` of a `TPMT_SIGNATURE` (§11.3.4) by ECDSA with SHA-256.
pub(super) fn parse_signature(bytes: &[u8]) -> Result<[u8; 2 * SCALAR_BYTES], TpmFault> {
    let mut reader = Reader { rest: bytes, what: "the signature" };
    if [reader.u16()?, reader.u16()?] != [ALG_ECDSA, ALG_SHA256] {
        return Err(TpmFault::KeyAlgorithm);
    }
    let mut signature = [0; 2 * SCALAR_BYTES];
    reader.scalar(&mut signature[..SCALAR_BYTES])?;
    reader.scalar(&mut signature[SCALAR_BYTES..])?;
    reader.end()?;
    Ok(signature)
}

struct Reader<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Reader<'a> {
    fn take(&mut self, bytes: usize) -> Result<&'a [u8], TpmFault> {
        let (taken, rest) = self.rest.split_at_checked(bytes).ok_or(TpmFault::Unreadable(self.what))?;
        self.rest = rest;
        Ok(taken)
    }

    fn u8(&mut self) -> Result<u8, TpmFault> {
        Ok(self.take(1)?[0])
    }

    fn u16(&mut self) -> Result<u16, TpmFault> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn u32(&mut self) -> Result<u32, TpmFault> {
        let bytes = self.take(4)?;
        Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// A `TPM2B`: two bytes of length, then as many.
    fn sized(&mut self) -> Result<&'a [u8], TpmFault> {
        let bytes = self.u16()?;
        self.take(bytes.into())
    }

    /// A `TPM2B` with a number of at most 32 bytes; TPMs leave leading zeros out, or do not.
    fn scalar(&mut self, into: &mut [u8]) -> Result<(), TpmFault> {
        let bytes = self.sized()?;
        let start = into.len().checked_sub(bytes.len()).ok_or(TpmFault::Unreadable(self.what))?;
        into.fill(0);
        into[start..].copy_from_slice(bytes);
        Ok(())
    }

    /// `TPML_PCR_SELECTION` (§10.9.7): one bank, SHA-256, with a register below 16.
    fn selection(&mut self) -> Result<&'a [u8], TpmFault> {
        let whole = self.rest;
        let (banks, hash, bytes) = (self.u32()?, self.u16()?, self.u8()?);
        let bitmap = self.take(bytes.into())?;
        let selects_static = bitmap.iter().take(2).any(|byte| *byte != 0);
        if (banks, hash) != (1, ALG_SHA256) || !selects_static {
            return Err(TpmFault::Selection);
        }
        Ok(&whole[..whole.len() - self.rest.len()])
    }

    fn end(&self) -> Result<(), TpmFault> {
        if self.rest.is_empty() { Ok(()) } else { Err(TpmFault::Unreadable(self.what)) }
    }
}
