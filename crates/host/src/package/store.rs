//! The store: an OCI image layout folder (`oci-layout`, `index.json`, `blobs/sha256/…`), which any OCI tool can copy to and
//! from a registry. Nothing read from it is believed before its digest is checked.

use super::{
    MANIFEST_BYTES_MAX, PROVENANCE_BYTES_MAX, Package, Provenance,
    manifest::{MANIFEST_MEDIA_TYPE, Manifest, Referrer, sha256_text},
    provenance, sha256,
};
use crate::{error::HostError, files};
use alloy_primitives::{B256, Bytes, hex};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

const LAYOUT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;
const INDEX_BYTES_MAX: u64 = 16 << 20;
const PACKAGES_MAX: usize = 10_000;
/// OCI's name for the name of a manifest in an index.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// How a package is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PackageRef {
    /// By its identity.
    Digest(B256),
    /// By its author's name: the newest one added.
    Name(String),
}

impl fmt::Display for PackageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digest(digest) => write!(f, "sha256:{}", hex::encode(digest)),
            Self::Name(name) => write!(f, "{name:?}"),
        }
    }
}

impl From<B256> for PackageRef {
    fn from(digest: B256) -> Self {
        Self::Digest(digest)
    }
}

impl FromStr for PackageRef {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digest = sha256_text::parse(text).or_else(|| text.strip_prefix("0x").and_then(|_| text.parse().ok()));
        Ok(digest.map_or_else(|| Self::Name(text.to_owned()), Self::Digest))
    }
}

/// Packages on disk.
#[derive(Debug)]
pub struct PackageStore {
    folder: PathBuf,
    index: Mutex<Index>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u32,
    manifests: Vec<IndexEntry>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct IndexEntry {
    media_type: String,
    #[serde(with = "sha256_text")]
    digest: B256,
    size: u64,
    /// Given for what is no package but refers to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    artifact_type: Option<String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

impl PackageStore {
    /// Opens a layout folder, or begins one.
    pub fn open(folder: &Path) -> Result<Self, HostError> {
        files::create_dir(&folder.join("blobs/sha256"))?;
        let layout = folder.join("oci-layout");
        if files::read(&layout, 4096)?.is_none() {
            files::write_public(&layout, LAYOUT.as_bytes())?;
        }
        let file = folder.join("index.json");
        let index = match files::read(&file, INDEX_BYTES_MAX)? {
            Some(json) => serde_json::from_slice(&json).map_err(|error| HostError::damaged(&file, error))?,
            None => Index { schema_version: 2, manifests: Vec::new() },
        };
        Ok(Self { folder: folder.to_owned(), index: Mutex::new(index) })
    }

    /// Keeps a package. Adding it again changes nothing but makes it the newest of its name.
    pub fn add(&self, package: &Package) -> Result<B256, HostError> {
        let mut index = self.index.lock();
        if index.manifests.len() >= PACKAGES_MAX
            && !index.manifests.iter().any(|entry| entry.digest == package.digest())
        {
            return Err(HostError::package(
                package.name(),
                format!("the store holds {PACKAGES_MAX} packages, its most"),
            ));
        }
        for blob in package.blobs().into_iter().chain([package.manifest()]) {
            self.keep(blob)?;
        }
        index.manifests.retain(|entry| entry.digest != package.digest());
        index.manifests.push(IndexEntry {
            media_type: MANIFEST_MEDIA_TYPE.to_owned(),
            digest: package.digest(),
            size: package.manifest().len() as u64,
            artifact_type: None,
            annotations: BTreeMap::from([(REF_NAME.to_owned(), package.name().to_owned())]),
        });
        self.write(&index)?;
        Ok(package.digest())
    }

    /// Keeps a package's provenance beside it.
    pub fn attach(&self, package: &Package, provenance: &Provenance) -> Result<(), HostError> {
        let mut index = self.index.lock();
        let manifest = Referrer::of(package, &provenance.envelope).to_bytes();
        let digest = sha256(&manifest);
        if index.manifests.iter().any(|entry| entry.digest == digest) {
            return Ok(());
        }
        if index.manifests.len() >= PACKAGES_MAX {
            let why = format!("the store holds {PACKAGES_MAX} packages and signatures, its most");
            return Err(HostError::package(package.name(), why));
        }
        for blob in [&Bytes::from_static(Referrer::EMPTY), &provenance.envelope, &manifest] {
            self.keep(blob)?;
        }
        index.manifests.push(IndexEntry {
            media_type: MANIFEST_MEDIA_TYPE.to_owned(),
            digest,
            size: manifest.len() as u64,
            artifact_type: Some(Referrer::ARTIFACT_TYPE.to_owned()),
            annotations: BTreeMap::new(),
        });
        self.write(&index)
    }

    /// The provenance kept beside a package. Every signature is checked; one that does not hold is an error.
    pub fn provenance(&self, package: B256) -> Result<Vec<Provenance>, HostError> {
        let wrong = |why: String| HostError::package(PackageRef::Digest(package), why);
        let referrers: Vec<B256> = {
            let index = self.index.lock();
            index.manifests.iter().filter(|entry| !entry.is_package()).map(|entry| entry.digest).collect()
        };
        let mut found = Vec::new();
        for digest in referrers {
            let missing = || wrong("its provenance is named and not there".to_owned());
            let manifest = self.blob(digest, MANIFEST_BYTES_MAX)?.ok_or_else(missing)?;
            let Ok(referrer) = Referrer::parse(&manifest) else { continue };
            if referrer.subject() == package {
                let envelope = self.blob(referrer.envelope().digest(), PROVENANCE_BYTES_MAX)?.ok_or_else(missing)?;
                found.push(provenance::verify(&envelope, package).map_err(wrong)?);
            }
        }
        Ok(found)
    }

    fn keep(&self, blob: &Bytes) -> Result<(), HostError> {
        let path = self.blob_path(sha256(blob));
        if path.exists() { Ok(()) } else { files::write_public(&path, blob) }
    }

    fn write(&self, index: &Index) -> Result<(), HostError> {
        let json = serde_json::to_vec_pretty(index).expect("an index is JSON");
        files::write_public(&self.folder.join("index.json"), &json)
    }

    /// Reads a package and checks every digest.
    pub fn get(&self, wanted: &PackageRef) -> Result<Package, HostError> {
        let digest = match wanted {
            PackageRef::Digest(digest) => *digest,
            PackageRef::Name(name) => self.newest(name).ok_or_else(|| HostError::NoPackage(wanted.to_string()))?,
        };
        let manifest = self
            .blob(digest, MANIFEST_BYTES_MAX)?
            .ok_or_else(|| HostError::NoPackage(PackageRef::Digest(digest).to_string()))?;
        let parsed = Manifest::parse(&manifest).map_err(|why| HostError::package(wanted, why))?;
        let mut blobs = Vec::new();
        for blob in parsed.needed() {
            let bytes = self.blob(blob.digest(), blob.size())?;
            blobs.push(
                bytes.ok_or_else(|| HostError::package(wanted, format!("blob sha256:{} is missing", blob.hex())))?,
            );
        }
        Package::from_blobs(manifest, blobs)
    }

    /// Names and digests, oldest first.
    pub fn list(&self) -> Vec<(String, B256)> {
        let index = self.index.lock();
        index
            .manifests
            .iter()
            .filter(|entry| entry.is_package())
            .map(|entry| (entry.name().to_owned(), entry.digest))
            .collect()
    }

    fn newest(&self, name: &str) -> Option<B256> {
        let index = self.index.lock();
        index.manifests.iter().rev().find(|entry| entry.is_package() && entry.name() == name).map(|entry| entry.digest)
    }

    fn blob(&self, digest: B256, bytes_max: u64) -> Result<Option<Bytes>, HostError> {
        let Some(bytes) = files::read(&self.blob_path(digest), bytes_max)? else { return Ok(None) };
        let found = sha256(&bytes);
        if found != digest {
            return Err(HostError::BlobDigest { expected: digest, found });
        }
        Ok(Some(bytes.into()))
    }

    fn blob_path(&self, digest: B256) -> PathBuf {
        self.folder.join("blobs/sha256").join(hex::encode(digest))
    }
}

impl IndexEntry {
    fn is_package(&self) -> bool {
        self.artifact_type.is_none()
    }

    fn name(&self) -> &str {
        self.annotations.get(REF_NAME).map_or("", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(code: &'static [u8]) -> Package {
        let config = Bytes::from_static(br#"{"name":"tools","publicKey":""}"#);
        Package::new(config, Bytes::from_static(code), Bytes::from_static(b"// header"), Bytes::from_static(b"[]"))
            .unwrap()
    }

    #[test]
    fn what_was_added_is_found_by_digest_and_the_newest_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (package(b"one"), package(b"two"));
        {
            let store = PackageStore::open(folder.path()).unwrap();
            store.add(&old).unwrap();
            store.add(&new).unwrap();
        }
        let store = PackageStore::open(folder.path()).unwrap();
        assert_eq!(store.get(&old.digest().into()).unwrap(), old);
        assert_eq!(store.get(&"tools".parse().unwrap()).unwrap(), new);
        assert_eq!(store.list().len(), 2);
        let unknown = store.get(&PackageRef::Name("none".to_owned())).unwrap_err();
        assert!(matches!(unknown, HostError::NoPackage(_)), "{unknown}");
    }

    #[test]
    fn tampering_with_any_blob_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let store = PackageStore::open(folder.path()).unwrap();
        let package = package(b"code");
        store.add(&package).unwrap();
        for blob in package.blobs().into_iter().chain([package.manifest()]) {
            let path = store.blob_path(sha256(blob));
            for damage in [vec![b'x'; blob.len()], blob[..blob.len() - 1].to_vec(), [&blob[..], b"x"].concat(), vec![]]
            {
                std::fs::write(&path, damage).unwrap();
                assert!(store.get(&package.digest().into()).is_err());
            }
            std::fs::write(&path, blob).unwrap();
        }
        assert_eq!(store.get(&package.digest().into()).unwrap(), package);
    }

    #[test]
    fn a_reference_is_a_digest_or_a_name() {
        let digest = B256::repeat_byte(7);
        for text in [digest.to_string(), format!("sha256:{}", hex::encode(digest))] {
            assert_eq!(text.parse(), Ok(PackageRef::Digest(digest)));
        }
        assert_eq!("equity-tools".parse(), Ok(PackageRef::Name("equity-tools".to_owned())));
    }
}
