//! The OCI image manifest of a package. Written in one way only, so that equal packages have equal digests.

use super::{
    CODE_BYTES_MAX, CONFIG_BYTES_MAX, HEADER_BYTES_MAX, INTERFACE_BYTES_MAX, MANIFEST_BYTES_MAX, PROVENANCE_BYTES_MAX,
    SBOM_BYTES_MAX, SOURCE_BYTES_MAX, sha256,
};
use alloy_primitives::{B256, Bytes, hex};
use cryptlet_container::Kind;
use serde::{Deserialize, Serialize};
use std::fmt;

pub(super) const MANIFEST_MEDIA_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const ARTIFACT_TYPE: &str = "application/vnd.cryptlet.package.v1";
/// Other layers may come with it and are left alone.
const LAYERS_MAX: usize = 16;

/// The kinds of blob that a package has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MediaType {
    Config,
    /// Of one kind of container.
    Code(Kind),
    Header,
    Interface,
    /// A bill of materials; there may be none.
    Sbom,
    /// Source, as an archive; there may be none.
    Source,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    schema_version: u32,
    media_type: String,
    artifact_type: String,
    config: BlobRef,
    layers: Vec<BlobRef>,
}

/// An OCI content descriptor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BlobRef {
    media_type: String,
    #[serde(with = "sha256_text")]
    digest: B256,
    size: u64,
}

impl MediaType {
    const fn text(self) -> &'static str {
        match self {
            Self::Config => "application/vnd.cryptlet.config.v1+json",
            Self::Code(Kind::Wasm) => "application/wasm",
            Self::Code(Kind::Process) => "application/vnd.cryptlet.program.v1",
            Self::Code(Kind::Evm) => "application/vnd.cryptlet.evm.v1",
            Self::Header => "text/x-solidity",
            Self::Interface => "application/vnd.cryptlet.interface.v1+json",
            Self::Sbom => "application/vnd.cyclonedx+json",
            Self::Source => "application/vnd.cryptlet.source.v1+tar",
        }
    }

    const fn bytes_max(self) -> u64 {
        match self {
            Self::Config => CONFIG_BYTES_MAX,
            Self::Code(_) => CODE_BYTES_MAX,
            Self::Header => HEADER_BYTES_MAX,
            Self::Interface => INTERFACE_BYTES_MAX,
            Self::Sbom => SBOM_BYTES_MAX,
            Self::Source => SOURCE_BYTES_MAX,
        }
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Config => "config.json",
            Self::Code(_) => "code layer",
            Self::Header => "header.sol",
            Self::Interface => "interface",
            Self::Sbom => "bill of materials",
            Self::Source => "source",
        })
    }
}

impl BlobRef {
    fn of(media: MediaType, bytes: &[u8]) -> Self {
        Self { media_type: media.text().to_owned(), digest: sha256(bytes), size: bytes.len() as u64 }
    }

    pub(super) fn digest(&self) -> B256 {
        self.digest
    }

    pub(super) fn media_type(&self) -> &str {
        &self.media_type
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn hex(&self) -> String {
        hex::encode(self.digest)
    }
}

impl Manifest {
    /// Of these blobs: the configuration first.
    pub(super) fn of(config: &Bytes, layers: &[(MediaType, Bytes)]) -> Self {
        Self {
            schema_version: 2,
            media_type: MANIFEST_MEDIA_TYPE.to_owned(),
            artifact_type: ARTIFACT_TYPE.to_owned(),
            config: BlobRef::of(MediaType::Config, config),
            layers: layers.iter().map(|(media, bytes)| BlobRef::of(*media, bytes)).collect(),
        }
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() as u64 > MANIFEST_BYTES_MAX {
            return Err(format!("its manifest has {} bytes; at most {MANIFEST_BYTES_MAX}", bytes.len()));
        }
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|error| format!("its manifest is malformed: {error}"))?;
        if manifest.schema_version != 2 || manifest.media_type != MANIFEST_MEDIA_TYPE {
            return Err("its manifest is not an OCI image manifest, version 2".to_owned());
        }
        if manifest.artifact_type != ARTIFACT_TYPE {
            return Err(format!(
                "its artifact type is {:?}; a cryptlet package has {ARTIFACT_TYPE:?}",
                manifest.artifact_type
            ));
        }
        if manifest.layers.len() > LAYERS_MAX {
            return Err(format!("it has {} layers; at most {LAYERS_MAX}", manifest.layers.len()));
        }
        for media in manifest.media() {
            manifest.blob(media)?;
        }
        Ok(manifest)
    }

    /// The kind of container, by the media type of the code layer; wasm if there is none, so that its absence is told.
    pub(super) fn kind(&self) -> Kind {
        let is_here = |kind: &Kind| self.layers.iter().any(|layer| layer.media_type == MediaType::Code(*kind).text());
        Kind::ALL.into_iter().find(is_here).unwrap_or_default()
    }

    /// The kinds of blob it has to have, and those it has that it need not have.
    pub(super) fn media(&self) -> Vec<MediaType> {
        let mut media = vec![MediaType::Config, MediaType::Code(self.kind()), MediaType::Header, MediaType::Interface];
        let is_here = |media: &MediaType| self.layers.iter().any(|layer| layer.media_type == media.text());
        media.extend([MediaType::Sbom, MediaType::Source].into_iter().filter(is_here));
        media
    }

    pub(super) fn to_bytes(&self) -> Bytes {
        serde_json::to_vec(self).expect("a manifest is JSON").into()
    }

    /// The one blob of a kind.
    pub(super) fn blob(&self, media: MediaType) -> Result<&BlobRef, String> {
        let all = std::iter::once(&self.config).chain(&self.layers);
        let mut found = all.filter(|blob| blob.media_type == media.text());
        match (found.next(), found.next()) {
            (Some(blob), None) if blob.size <= media.bytes_max() => Ok(blob),
            (Some(blob), None) => Err(format!("its {media} has {} bytes; at most {}", blob.size, media.bytes_max())),
            (None, _) => Err(format!("it has no {media} ({})", media.text())),
            (Some(_), Some(_)) => Err(format!("it has more than one {media} ({})", media.text())),
        }
    }

    /// Digest and length of every blob that makes a package.
    pub(super) fn needed(&self) -> impl Iterator<Item = &BlobRef> {
        self.media().into_iter().filter_map(|media| self.blob(media).ok())
    }
}

/// Digests as OCI writes them: `sha256:` and 64 hex digits.
pub(super) mod sha256_text {
    use super::{B256, hex};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(digest: &B256, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("sha256:{}", hex::encode(digest)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<B256, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text).ok_or_else(|| D::Error::custom(format!("{text:?} is not \"sha256:\" and 64 hex digits")))
    }

    pub(crate) fn parse(text: &str) -> Option<B256> {
        let digits = text.strip_prefix("sha256:")?;
        let bytes = (digits.len() == 64).then(|| hex::decode(digits).ok())??;
        Some(B256::from_slice(&bytes))
    }
}

/// The OCI manifest of a package's provenance: it refers to the package, which does not know of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Referrer {
    schema_version: u32,
    media_type: String,
    artifact_type: String,
    config: BlobRef,
    layers: Vec<BlobRef>,
    subject: BlobRef,
}

impl Referrer {
    pub(super) const ARTIFACT_TYPE: &'static str = "application/vnd.in-toto+json";
    /// OCI's empty blob, the configuration of what has none.
    pub(super) const EMPTY: &'static [u8] = b"{}";
    const EMPTY_TYPE: &'static str = "application/vnd.oci.empty.v1+json";
    const ENVELOPE_TYPE: &'static str = "application/vnd.dsse.envelope.v1+json";

    pub(super) fn of(package: &super::Package, envelope: &Bytes) -> Self {
        let blob = |media_type: &str, bytes: &[u8]| BlobRef {
            media_type: media_type.to_owned(),
            digest: sha256(bytes),
            size: bytes.len() as u64,
        };
        Self {
            schema_version: 2,
            media_type: MANIFEST_MEDIA_TYPE.to_owned(),
            artifact_type: Self::ARTIFACT_TYPE.to_owned(),
            config: blob(Self::EMPTY_TYPE, Self::EMPTY),
            layers: vec![blob(Self::ENVELOPE_TYPE, envelope)],
            subject: blob(MANIFEST_MEDIA_TYPE, package.manifest()),
        }
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let manifest: Self = serde_json::from_slice(bytes)
            .map_err(|error| format!("the manifest of its provenance is malformed: {error}"))?;
        let is_one = manifest.artifact_type == Self::ARTIFACT_TYPE && manifest.layers.len() == 1;
        if !is_one || manifest.envelope().size > PROVENANCE_BYTES_MAX {
            return Err(format!("its provenance must be one envelope of at most {PROVENANCE_BYTES_MAX} bytes"));
        }
        Ok(manifest)
    }

    pub(super) fn to_bytes(&self) -> Bytes {
        serde_json::to_vec(self).expect("a manifest is JSON").into()
    }

    /// The signed statement.
    pub(super) fn envelope(&self) -> &BlobRef {
        &self.layers[0]
    }

    /// Digest of the package's manifest.
    pub(super) fn subject(&self) -> B256 {
        self.subject.digest
    }
}
