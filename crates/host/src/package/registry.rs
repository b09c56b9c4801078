//! Packages in OCI registries. Nothing that comes from one is believed before its digest is checked, and nothing is read beyond
//! what a package may hold.

use super::{
    MANIFEST_BYTES_MAX, Package, Provenance,
    manifest::{MANIFEST_MEDIA_TYPE, Manifest, Referrer, sha256_text},
    provenance, sha256,
};
use crate::error::HostError;
use alloy_primitives::{B256, Bytes, hex};
use http::HeaderValue;
use oci_client::{
    Client, Reference, RegistryOperation,
    client::{ClientConfig, ClientProtocol},
    manifest::OciDescriptor,
    secrets::RegistryAuth,
};
use std::{
    fmt,
    pin::Pin,
    str::FromStr,
    task::{Context, Poll},
    time::Duration,
};
use tokio::io::AsyncWrite;

const INDEX_MEDIA_TYPE: &str = "application/vnd.oci.image.index.v1+json";
/// Time to reach a registry, in seconds.
const CONNECT_S_MAX: u64 = 10;
/// Time a registry may be silent, in seconds.
const SILENCE_S_MAX: u64 = 60;
/// Provenance of one package that is looked at.
const REFERRERS_MAX: usize = 16;

/// A place in a registry: `oci://host[:port]/name[:tag][@sha256:…]`.
#[derive(Clone, Debug)]
pub struct RegistryRef(Reference);

impl FromStr for RegistryRef {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        let wrong = |why: String| HostError::Setting {
            setting: "the registry's address",
            value: format!("{text:?} ({why})"),
            expected: "write oci://host[:port]/name[:tag] or oci://host[:port]/name@sha256:…",
        };
        let place = text.strip_prefix("oci://").ok_or_else(|| wrong("it does not begin with oci://".to_owned()))?;
        place.parse().map(Self).map_err(|error: oci_client::ParseError| wrong(error.to_string()))
    }
}

impl fmt::Display for RegistryRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "oci://{}", self.0)
    }
}

impl RegistryRef {
    /// Is it on this very machine? Then it is spoken to without TLS.
    fn is_local(&self) -> bool {
        let registry = self.0.registry();
        let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
        matches!(host, "localhost" | "127.0.0.1" | "[::1]")
    }

    fn at(&self, tag: String) -> Reference {
        Reference::with_tag(self.0.registry().to_owned(), self.0.repository().to_owned(), tag)
    }

    fn by(&self, digest: B256) -> Reference {
        let digest = format!("sha256:{}", hex::encode(digest));
        Reference::with_digest(self.0.registry().to_owned(), self.0.repository().to_owned(), digest)
    }
}

/// A client of one registry.
pub struct Registry {
    client: Client,
    auth: RegistryAuth,
    place: RegistryRef,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Registry {
    /// A client for this place. `login` is a name and a password. Registries elsewhere are spoken to over TLS, unless
    /// `insecure_plain_http` says otherwise.
    pub fn new(place: RegistryRef, login: Option<(String, String)>, insecure_plain_http: bool) -> Self {
        // Whoever set one first is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let protocol =
            if insecure_plain_http || place.is_local() { ClientProtocol::Http } else { ClientProtocol::Https };
        let client = Client::new(ClientConfig {
            protocol,
            connect_timeout: Some(Duration::from_secs(CONNECT_S_MAX)),
            read_timeout: Some(Duration::from_secs(SILENCE_S_MAX)),
            ..ClientConfig::default()
        });
        let auth = login.map_or(RegistryAuth::Anonymous, |(name, password)| RegistryAuth::Basic(name, password));
        Self { client, auth, place }
    }

    /// Sends a package and its provenance; what is there already is not sent again.
    pub async fn push(&self, package: &Package, provenance: &[Provenance]) -> Result<(), HostError> {
        self.client
            .auth(&self.place.0, &self.auth, RegistryOperation::Push)
            .await
            .map_err(|error| self.fault("will not let us in", error))?;
        for blob in package.blobs() {
            self.push_blob(blob).await?;
        }
        self.push_manifest(&self.place.by(package.digest()), package.manifest()).await?;
        if let Some(tag) = self.place.0.tag() {
            self.push_manifest(&self.place.at(tag.to_owned()), package.manifest()).await?;
        }
        self.push_referrers(package, provenance).await
    }

    /// Fetches a package and the provenance whose signatures hold. Provenance that does not is an error.
    pub async fn pull(&self) -> Result<(Package, Vec<Provenance>), HostError> {
        let manifest = self.pull_manifest(&self.place.0, &[MANIFEST_MEDIA_TYPE]).await?;
        let manifest = manifest.ok_or_else(|| HostError::NoPackage(self.place.to_string()))?;
        if let Some(wanted) = self.place.0.digest().and_then(sha256_text::parse) {
            let found = sha256(&manifest);
            if wanted != found {
                return Err(HostError::BlobDigest { expected: wanted, found });
            }
        }
        let wrong = |why: String| HostError::package(&self.place, why);
        let parsed = Manifest::parse(&manifest).map_err(wrong)?;
        let mut blobs = Vec::new();
        for blob in parsed.needed() {
            blobs.push(self.pull_blob(blob.digest(), blob.size()).await?);
        }
        let package = Package::from_blobs(manifest, blobs)?;
        let provenance = self.pull_referrers(&package).await?;
        Ok((package, provenance))
    }

    /// Provenance goes where clients of registries without the referrers API look: an index under a tag made of the digest.
    async fn push_referrers(&self, package: &Package, provenance: &[Provenance]) -> Result<(), HostError> {
        let mut all = self.pull_referrers(package).await?;
        all.extend(provenance.iter().filter(|one| !all.contains(one)).cloned().collect::<Vec<_>>());
        if all.is_empty() {
            return Ok(());
        }
        self.push_blob(&Bytes::from_static(Referrer::EMPTY)).await?;
        let mut entries = Vec::new();
        for one in &all {
            self.push_blob(&one.envelope).await?;
            let manifest = Referrer::of(package, &one.envelope).to_bytes();
            self.push_manifest(&self.place.by(sha256(&manifest)), &manifest).await?;
            entries.push(serde_json::json!({
                "mediaType": MANIFEST_MEDIA_TYPE,
                "artifactType": Referrer::ARTIFACT_TYPE,
                "digest": format!("sha256:{}", hex::encode(sha256(&manifest))),
                "size": manifest.len(),
            }));
        }
        let index = serde_json::json!({ "schemaVersion": 2, "mediaType": INDEX_MEDIA_TYPE, "manifests": entries });
        let index = Bytes::from(serde_json::to_vec(&index).expect("a value is JSON"));
        let place = self.place.at(referrers_tag(package.digest()));
        let pushed = self.client.push_manifest_raw(&place, index.0, HeaderValue::from_static(INDEX_MEDIA_TYPE));
        pushed.await.map(drop).map_err(|error| self.fault("refuses the provenance", error))
    }

    async fn pull_referrers(&self, package: &Package) -> Result<Vec<Provenance>, HostError> {
        #[derive(serde::Deserialize)]
        struct Index {
            manifests: Vec<Entry>,
        }
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Entry {
            #[serde(with = "sha256_text")]
            digest: B256,
            artifact_type: Option<String>,
        }
        let wrong = |why: String| HostError::package(&self.place, why);
        let place = self.place.at(referrers_tag(package.digest()));
        let Some(index) = self.pull_manifest(&place, &[INDEX_MEDIA_TYPE]).await? else { return Ok(Vec::new()) };
        let index: Index = serde_json::from_slice(&index)
            .map_err(|error| wrong(format!("the index of what refers to it is malformed: {error}")))?;
        let is_provenance = |entry: &&Entry| entry.artifact_type.as_deref() == Some(Referrer::ARTIFACT_TYPE);
        let mut found = Vec::new();
        for entry in index.manifests.iter().filter(is_provenance).take(REFERRERS_MAX) {
            let manifest = self.pull_manifest(&self.place.by(entry.digest), &[MANIFEST_MEDIA_TYPE]).await?;
            let manifest = manifest.ok_or_else(|| wrong("a provenance is named and not there".to_owned()))?;
            let computed = sha256(&manifest);
            if computed != entry.digest {
                return Err(HostError::BlobDigest { expected: entry.digest, found: computed });
            }
            let referrer = Referrer::parse(&manifest).map_err(wrong)?;
            let envelope = self.pull_blob(referrer.envelope().digest(), referrer.envelope().size()).await?;
            found.push(provenance::verify(&envelope, package.digest()).map_err(wrong)?);
        }
        Ok(found)
    }

    async fn push_blob(&self, blob: &Bytes) -> Result<(), HostError> {
        let digest = format!("sha256:{}", hex::encode(sha256(blob)));
        if self.client.blob_exists(&self.place.0, &digest).await.unwrap_or(false) {
            return Ok(());
        }
        let pushed = self.client.push_blob(&self.place.0, blob.0.clone(), &digest).await;
        pushed.map(drop).map_err(|error| self.fault("refuses a blob", error))
    }

    async fn push_manifest(&self, place: &Reference, manifest: &Bytes) -> Result<(), HostError> {
        let media_type = HeaderValue::from_static(MANIFEST_MEDIA_TYPE);
        let pushed = self.client.push_manifest_raw(place, manifest.0.clone(), media_type).await;
        pushed.map(drop).map_err(|error| self.fault("refuses the manifest", error))
    }

    /// A manifest's bytes; none if there is none.
    async fn pull_manifest(&self, place: &Reference, accepted: &[&str]) -> Result<Option<Bytes>, HostError> {
        use oci_client::errors::{OciDistributionError, OciErrorCode};
        match self.client.pull_manifest_raw(place, &self.auth, accepted).await {
            Ok((bytes, _)) if bytes.len() as u64 <= MANIFEST_BYTES_MAX => Ok(Some(Bytes(bytes))),
            Ok((bytes, _)) => Err(HostError::package(
                &self.place,
                format!("its manifest has {} bytes; at most {MANIFEST_BYTES_MAX}", bytes.len()),
            )),
            Err(OciDistributionError::ImageManifestNotFoundError(_)) => Ok(None),
            Err(OciDistributionError::RegistryError { envelope, .. })
                if envelope.errors.iter().any(|error| {
                    matches!(
                        error.code,
                        OciErrorCode::ManifestUnknown | OciErrorCode::NameUnknown | OciErrorCode::NotFound
                    )
                }) =>
            {
                Ok(None)
            }
            Err(error) => Err(self.fault("does not give the manifest", error)),
        }
    }

    async fn pull_blob(&self, digest: B256, bytes: u64) -> Result<Bytes, HostError> {
        let descriptor = OciDescriptor {
            digest: format!("sha256:{}", hex::encode(digest)),
            size: i64::try_from(bytes).unwrap_or(i64::MAX),
            ..OciDescriptor::default()
        };
        let mut blob = Bounded { bytes: Vec::new(), bytes_max: bytes as usize };
        let pulled = self.client.pull_blob(&self.place.0, &descriptor, &mut blob).await;
        pulled.map_err(|error| self.fault("does not give a blob", error))?;
        let found = sha256(&blob.bytes);
        if found != digest {
            return Err(HostError::BlobDigest { expected: digest, found });
        }
        Ok(blob.bytes.into())
    }

    fn fault(&self, what: &str, error: impl fmt::Display) -> HostError {
        HostError::Registry(format!("{} {what}: {error}", self.place.0.registry()))
    }
}

fn referrers_tag(digest: B256) -> String {
    format!("sha256-{}", hex::encode(digest))
}

/// Takes as many bytes as were announced and no more.
struct Bounded {
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl AsyncWrite for Bounded {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, more: &[u8]) -> Poll<std::io::Result<usize>> {
        if self.bytes.len() + more.len() > self.bytes_max {
            let why = format!("it is longer than the {} bytes that were announced", self.bytes_max);
            return Poll::Ready(Err(std::io::Error::other(why)));
        }
        self.bytes.extend_from_slice(more);
        Poll::Ready(Ok(more.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_an_address_with_a_name() {
        for good in [
            "oci://localhost:5000/tools:1.0",
            "oci://r.example/team/tools@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        ] {
            assert_eq!(good.parse::<RegistryRef>().unwrap().to_string(), good);
        }
        for bad in ["localhost:5000/tools", "oci://", "oci://UPPER/x y", "https://r.example/tools"] {
            assert!(bad.parse::<RegistryRef>().is_err_and(|error| error.to_string().contains("oci://host")), "{bad}");
        }
        assert!("oci://127.0.0.1:5000/tools".parse::<RegistryRef>().unwrap().is_local());
        assert!(!"oci://127.0.0.1.example/tools".parse::<RegistryRef>().unwrap().is_local());
    }
}
