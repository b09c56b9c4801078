//! The secure channel: what happens on a TLS connection before the first call.
//!
//! A certificate says which authority vouched for a key; whoever steals that key can answer in the host's name. So after the
//! handshake the host proves that its *evidence* is at the other end of this very connection: it signs, with the key its evidence
//! rests on, a value that both ends derive from the secrets of the handshake (RFC 9266, `tls-exporter`) and that no other
//! connection has. A relay has two connections, and with them two values. The client checks this before it sends anything.
//!
//! On the wire: ALPN `cryptlet-fabric/1`; the host sends one frame, two bytes of length and that much JSON; then HTTP/2.

use crate::{error::HostError, identity::DigestSigner};
use alloy_primitives::{Address, B256, keccak256};
use alloy_sol_types::{Eip712Domain, SolStruct, eip712_domain, sol};
use cryptlet_attestation::evidence::PROVIDER_SOFTWARE;
use cryptlet_primitives::Signature65;
use rustls::ConnectionCommon;
use serde::{Deserialize, Serialize};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// What both ends must agree to speak (RFC 7301).
pub(crate) const ALPN: &[u8] = b"cryptlet-fabric/1";
/// RFC 9266, section 4.2.
const EXPORTER_LABEL: &[u8] = b"EXPORTER-Channel-Binding";
/// Longest proof that is read, in bytes. A quote with its certificates fits.
const PROOF_BYTES_MAX: usize = 32 * 1024;

sol! {
    struct ChannelEvidence {
        bytes32 binding;
        uint16 provider;
        address host;
    }
}

/// What makes this connection differ from every other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Binding(B256);

impl Binding {
    /// Derives it. The handshake must be complete, and with TLS 1.3, where the value is unique (RFC 9266, section 3).
    pub(crate) fn of<D>(connection: &ConnectionCommon<D>) -> io::Result<Self> {
        if connection.protocol_version() != Some(rustls::ProtocolVersion::TLSv1_3) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the connection is not TLS 1.3"));
        }
        let mut exported = zeroize::Zeroizing::new([0; 32]);
        connection
            .export_keying_material(exported.as_mut_slice(), EXPORTER_LABEL, Some(&[]))
            .map_err(|error| io::Error::other(format!("nothing to bind to: {error}")))?;
        Ok(Self(keccak256(exported.as_slice())))
    }
}

/// The host's word that it is at the other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ChannelProof {
    binding: B256,
    /// Kind of the evidence (1 is software: the host's key is all there is to it).
    provider: u16,
    /// Address of the host's key.
    host: Address,
    signature: Signature65,
}

/// Why a host was not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProofFault {
    #[error("the host's evidence is of another connection: somebody between us passes it on")]
    OtherConnection,
    #[error("the evidence is of host {found}; the descriptor names {expected}")]
    OtherHost { found: Address, expected: Address },
    #[error(
        "the evidence is of provider {0}, which the descriptor does not name or this node cannot check on a channel"
    )]
    Provider(u16),
    #[error("the evidence is signed by {found}, not by its host {expected}")]
    Signer { found: Address, expected: Address },
    #[error("the evidence is malformed: {0}")]
    Malformed(String),
}

impl ChannelProof {
    /// Signs. Blocks if the key is in a vault elsewhere.
    pub(crate) fn make(binding: Binding, key: &DigestSigner) -> Result<Self, HostError> {
        let (provider, host) = (PROVIDER_SOFTWARE, key.address());
        let signature = key.sign(digest(binding, provider, host))?;
        Ok(Self { binding: binding.0, provider, host, signature })
    }

    /// Is the host that the descriptor names at the other end of the connection with this binding?
    pub(crate) fn check(&self, binding: Binding, expected: Address, providers: &[u16]) -> Result<(), ProofFault> {
        if self.host != expected {
            return Err(ProofFault::OtherHost { found: self.host, expected });
        }
        if self.provider != PROVIDER_SOFTWARE || !providers.contains(&self.provider) {
            return Err(ProofFault::Provider(self.provider));
        }
        let found =
            cryptlet_attestation::recover(digest(Binding(self.binding), self.provider, self.host), &self.signature)
                .map_err(|fault| ProofFault::Malformed(fault.to_string()))?;
        if found != expected {
            return Err(ProofFault::Signer { found, expected });
        }
        if self.binding != binding.0 {
            return Err(ProofFault::OtherConnection);
        }
        Ok(())
    }

    /// Sends it, as the first bytes of a connection.
    pub(crate) async fn send(&self, stream: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let json = serde_json::to_vec(self).map_err(io::Error::other)?;
        let length = u16::try_from(json.len()).map_err(io::Error::other)?;
        stream.write_all(&length.to_be_bytes()).await?;
        stream.write_all(&json).await?;
        stream.flush().await
    }

    /// Reads it. The caller keeps the time.
    pub(crate) async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Self> {
        let length = usize::from(stream.read_u16().await?);
        if length > PROOF_BYTES_MAX {
            return Err(ProofFault::Malformed(format!("{length} bytes; at most {PROOF_BYTES_MAX} are read")).into());
        }
        let mut json = vec![0; length];
        stream.read_exact(&mut json).await?;
        serde_json::from_slice(&json).map_err(|error| ProofFault::Malformed(error.to_string()).into())
    }
}

impl From<ProofFault> for io::Error {
    fn from(fault: ProofFault) -> Self {
        Self::new(io::ErrorKind::PermissionDenied, fault)
    }
}

fn digest(binding: Binding, provider: u16, host: Address) -> B256 {
    ChannelEvidence { binding: binding.0, provider, host }.eip712_signing_hash(&domain())
}

/// The domain names no chain: a host answers for its door before it serves one.
fn domain() -> Eip712Domain {
    eip712_domain! {
        name: "CryptletFabricChannel",
        version: "1",
    }
}

#[cfg(test)]
mod tests;
