//! Everything there is to know about a package without running it.

use super::{Package, Provenance, manifest::MediaType};
use alloy_primitives::{Address, B256, hex};
use cryptlet_primitives::CodeDigest;
use serde::Serialize;
use serde_json::Value;

/// What a package holds and who vouches for it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Inspection {
    /// Its name.
    pub name: String,
    /// Its identity: SHA-256 of its manifest.
    pub digest: B256,
    /// The same, as OCI tools write it.
    pub oci_digest: String,
    /// Kind of container.
    pub kind: String,
    /// Does its author say that a call is a function of its inputs?
    pub deterministic: bool,
    /// Identity of its code as it runs here: what the chain's registry has.
    pub code_digest: CodeDigest,
    /// What runs the code, and is part of that.
    pub profile: Vec<String>,
    /// Its blobs.
    pub blobs: Vec<BlobView>,
    /// Its configuration.
    pub config: Value,
    /// `header.sol`.
    pub header: String,
    /// Its interface, an ABI.
    pub interface: Value,
    /// Its bill of materials, if it has one.
    pub sbom: Option<Value>,
    /// Its source.
    pub source: SourceState,
    /// Who signed that it is theirs; empty if nobody did.
    pub publishers: Vec<Address>,
    /// What they signed.
    pub provenance: Vec<Value>,
}

/// One blob of a package.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BlobView {
    /// What it is.
    pub what: String,
    /// Its media type.
    pub media_type: String,
    /// Its digest, as OCI writes it.
    pub digest: String,
    /// Its length.
    pub bytes: u64,
}

/// May the source be read?
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "state")]
pub enum SourceState {
    /// It is in the package.
    Included {
        /// SHA-256 of the archive.
        sha256: B256,
    },
    /// It is somewhere else.
    Published {
        /// Where.
        uri: String,
        /// SHA-256 of what is there.
        sha256: B256,
    },
    /// It is not published.
    Closed,
}

impl Inspection {
    /// Of a package, and the provenance found beside it.
    pub fn of(package: &Package, provenance: &[Provenance]) -> Self {
        let json = |bytes: &[u8]| serde_json::from_slice(bytes).unwrap_or(Value::Null);
        let guest = package.guest_code();
        let mut publishers: Vec<Address> = provenance.iter().flat_map(|one| one.publishers.iter().copied()).collect();
        publishers.sort();
        publishers.dedup();
        Self {
            name: package.name().to_owned(),
            digest: package.digest(),
            oci_digest: format!("sha256:{}", hex::encode(package.digest())),
            kind: package.config().kind.name().to_owned(),
            deterministic: package.config().is_deterministic,
            code_digest: guest.digest(),
            profile: guest.profile().lines().map(str::to_owned).collect(),
            blobs: package.manifest.media().into_iter().filter_map(|media| package.view(media)).collect(),
            config: json(package.config_json()),
            header: String::from_utf8_lossy(package.header()).into_owned(),
            interface: json(package.interface()),
            sbom: package.sbom().map(|bill| json(bill)),
            source: package.source_state(),
            publishers,
            provenance: provenance.iter().map(|one| one.statement.clone()).collect(),
        }
    }
}

impl Package {
    fn view(&self, media: MediaType) -> Option<BlobView> {
        let blob = self.manifest.blob(media).ok()?;
        Some(BlobView {
            what: media.to_string(),
            media_type: blob.media_type().to_owned(),
            digest: format!("sha256:{}", blob.hex()),
            bytes: blob.size(),
        })
    }

    fn source_state(&self) -> SourceState {
        match (self.source(), &self.config.source) {
            (Some(archive), _) => SourceState::Included { sha256: super::sha256(archive) },
            (None, Some(source)) => SourceState::Published { uri: source.uri.clone(), sha256: source.sha256 },
            (None, None) => SourceState::Closed,
        }
    }
}
