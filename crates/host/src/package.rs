//! Packages: what a cryptlet's author hands over. An OCI artifact, so that any OCI registry can hold it: a manifest that
//! names its blobs by SHA-256, and whose own SHA-256 is the package's identity.
//!
//! | blob | media type |
//! | --- | --- |
//! | config: the papers' Cryptlet schema | `application/vnd.cryptlet.config.v1+json` |
//! | code: a WebAssembly component | `application/wasm` |
//! | or: a contract | `application/vnd.cryptlet.evm.v1` |
//! | or: a program of its own | `application/vnd.cryptlet.program.v1` |
//! | header: `header.sol`, what a contract imports | `text/x-solidity` |
//! | interface: the ABI as JSON | `application/vnd.cryptlet.interface.v1+json` |
//! | bill of materials (packages built from a folder) | `application/vnd.cyclonedx+json` |
//! | source, if it is published here | `application/vnd.cryptlet.source.v1+tar` |
//!
//! Provenance lies beside the package, as an OCI referrer: [`provenance`].

mod config;
mod inspect;
mod manifest;
pub mod provenance;
mod registry;
mod sbom;
mod source;
mod store;

pub use config::{CONFIG_SCHEMA, CryptletConfig};
pub use inspect::{Inspection, SourceState};
pub use provenance::Provenance;
pub use registry::{Registry, RegistryRef};
pub use store::{PackageRef, PackageStore};

use crate::{error::HostError, files};
use alloy_primitives::{B256, Bytes};
use cryptlet_container::{
    GuestCode, Kind,
    check::{Report, Severity},
};
use manifest::{Manifest, MediaType};
use sha2::{Digest, Sha256};
use std::path::Path;

/// Longest code layer, in bytes.
pub const CODE_BYTES_MAX: u64 = 64 << 20;
/// Longest `header.sol`, in bytes.
pub const HEADER_BYTES_MAX: u64 = 256 << 10;
/// Longest interface, in bytes.
pub const INTERFACE_BYTES_MAX: u64 = 1 << 20;
/// Longest `config.json`, in bytes.
pub const CONFIG_BYTES_MAX: u64 = 64 << 10;
/// Longest bill of materials, in bytes.
pub const SBOM_BYTES_MAX: u64 = 1 << 20;
/// Longest archive of source, in bytes.
pub const SOURCE_BYTES_MAX: u64 = 8 << 20;
/// Longest provenance, in bytes.
pub const PROVENANCE_BYTES_MAX: u64 = 64 << 10;
/// Longest manifest, in bytes.
pub const MANIFEST_BYTES_MAX: u64 = 64 << 10;

/// A package, whole and checked: every digest in it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    digest: B256,
    manifest_bytes: Bytes,
    manifest: Manifest,
    config: CryptletConfig,
    config_json: Bytes,
    /// Every other blob, in the manifest's order.
    layers: Vec<(MediaType, Bytes)>,
}

impl Package {
    /// Builds a package from a folder with `config.json`, the file of code that it names or one `.wasm` file, and, if there are
    /// any, `header.sol`, `interface.json` and `sbom.json`. The same files make the same digest everywhere.
    pub fn build(folder: &Path) -> Result<Self, HostError> {
        Self::build_with(folder, None)
    }

    /// As [`build`](Self::build), with the source in it: everything in this other folder, as one archive.
    pub fn build_with(folder: &Path, source: Option<&Path>) -> Result<Self, HostError> {
        let read = |name: &str, bytes_max| files::read(&folder.join(name), bytes_max);
        let missing = |name: &str| HostError::package(folder.display(), format!("there is no {name} in this folder"));
        let wrong = |why: String| HostError::package(folder.display(), why);
        let config_json = read("config.json", CONFIG_BYTES_MAX)?.ok_or_else(|| missing("config.json"))?;
        let config = CryptletConfig::parse(&config_json).map_err(wrong)?;
        let code_file = match &config.code {
            Some(name) => folder.join(name),
            None => the_wasm_file(folder)?,
        };
        let code = files::read(&code_file, CODE_BYTES_MAX)?.ok_or_else(|| missing(&code_file.display().to_string()))?;
        let code = if config.kind == Kind::Evm { from_hex(code).map_err(wrong)? } else { code };
        let code = Bytes::from(code);
        let header = read("header.sol", HEADER_BYTES_MAX)?.unwrap_or_default();
        let interface = read("interface.json", INTERFACE_BYTES_MAX)?.unwrap_or_else(|| b"[]".to_vec());
        let bill = match read("sbom.json", SBOM_BYTES_MAX)? {
            Some(bill) => bill.into(),
            None => sbom::generate(&config, &code),
        };
        let mut layers = vec![
            (MediaType::Code(config.kind), code),
            (MediaType::Header, header.into()),
            (MediaType::Interface, interface.into()),
            (MediaType::Sbom, bill),
        ];
        if let Some(source) = source {
            layers.push((MediaType::Source, source::archive(source)?));
        }
        Self::of_layers(config_json.into(), layers)
    }

    /// A package of these parts.
    pub fn new(config_json: Bytes, code: Bytes, header: Bytes, interface: Bytes) -> Result<Self, HostError> {
        let kind = CryptletConfig::parse(&config_json).map_or_else(|_| Kind::default(), |config| config.kind);
        let layers =
            vec![(MediaType::Code(kind), code), (MediaType::Header, header), (MediaType::Interface, interface)];
        Self::of_layers(config_json, layers)
    }

    fn of_layers(config_json: Bytes, layers: Vec<(MediaType, Bytes)>) -> Result<Self, HostError> {
        let manifest = Manifest::of(&config_json, &layers).to_bytes();
        Self::from_blobs(manifest, layers.into_iter().map(|(_, bytes)| bytes).chain([config_json]))
    }

    /// A package around code that a contract carried in its constructor. Its configuration need not name it.
    pub fn inline(code: Bytes, config_json: &str) -> Result<Self, HostError> {
        let name = format!("inline-{}", alloy_primitives::hex::encode(&sha256(&code)[..6]));
        let config = CryptletConfig::complete(config_json, &name)?;
        Self::new(config.into(), code, Bytes::new(), Bytes::from_static(b"[]"))
    }

    /// Puts a package together again from its manifest and its blobs, in any order; checks everything.
    pub fn from_blobs(manifest: Bytes, blobs: impl IntoIterator<Item = Bytes>) -> Result<Self, HostError> {
        let digest = sha256(&manifest);
        let name = format!("sha256:{}", alloy_primitives::hex::encode(digest));
        let parsed = Manifest::parse(&manifest).map_err(|why| HostError::package(&name, why))?;
        let blobs: Vec<(B256, Bytes)> = blobs.into_iter().map(|blob| (sha256(&blob), blob)).collect();
        let blob = |media: MediaType| {
            let layer = parsed.blob(media).map_err(|why| HostError::package(&name, why))?;
            match blobs.iter().find(|(digest, _)| *digest == layer.digest()) {
                Some((_, bytes)) if bytes.len() as u64 == layer.size() => Ok(bytes.clone()),
                Some((_, bytes)) => Err(HostError::package(
                    &name,
                    format!("its {media} has {} bytes; the manifest says {}", bytes.len(), layer.size()),
                )),
                None => Err(HostError::package(&name, format!("its {media} (sha256:{}) is missing", layer.hex()))),
            }
        };
        let config_json = blob(MediaType::Config)?;
        let config = CryptletConfig::parse(&config_json).map_err(|why| HostError::package(&name, why))?;
        if config.kind != parsed.kind() {
            let (says, is) = (config.kind, parsed.kind());
            return Err(HostError::package(
                &name,
                format!("its config says kind {says}; its code layer is of kind {is}"),
            ));
        }
        let mut layers = Vec::new();
        for media in parsed.media().into_iter().filter(|media| *media != MediaType::Config) {
            let bytes = blob(media)?;
            if let Some(why) = objection(media, &bytes) {
                return Err(HostError::package(&name, why));
            }
            layers.push((media, bytes));
        }
        Ok(Self { digest, manifest_bytes: manifest, manifest: parsed, config, config_json, layers })
    }

    /// SHA-256 of the manifest: the package's identity.
    pub fn digest(&self) -> B256 {
        self.digest
    }

    /// The name its author gave it.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// Its configuration.
    pub fn config(&self) -> &CryptletConfig {
        &self.config
    }

    /// Its configuration, as the author wrote it.
    pub fn config_json(&self) -> &Bytes {
        &self.config_json
    }

    /// The code with everything that decides how it runs, as a container takes it.
    pub fn guest_code(&self) -> GuestCode {
        match (self.config.kind, &self.config.process) {
            (Kind::Process, Some(spec)) => GuestCode::Process { program: self.code().clone(), spec: spec.clone() },
            (Kind::Evm, _) => GuestCode::Evm { code: self.code().clone(), is_creation: self.config.is_creation },
            // The schema has seen to it that a program says how it is started.
            (Kind::Wasm | Kind::Process, _) => GuestCode::Wasm(self.code().clone()),
        }
    }

    /// What its author is told of it before anyone runs it.
    pub fn check(&self) -> Report {
        Report::of(&self.guest_code(), self.config.is_deterministic)
    }

    /// Refuses what [`check`](Self::check) finds refusable.
    pub(crate) fn accept(&self) -> Result<(), HostError> {
        let report = self.check();
        match report.findings.iter().find(|finding| finding.severity == Severity::Refusal) {
            Some(finding) => Err(HostError::package(self.name(), finding.to_string())),
            None => Ok(()),
        }
    }

    /// The code layer.
    pub fn code(&self) -> &Bytes {
        self.needed(MediaType::Code(self.config.kind))
    }

    /// `header.sol`; empty if it has none.
    pub fn header(&self) -> &Bytes {
        self.needed(MediaType::Header)
    }

    /// The ABI, as JSON.
    pub fn interface(&self) -> &Bytes {
        self.needed(MediaType::Interface)
    }

    /// The bill of materials, if it has one.
    pub fn sbom(&self) -> Option<&Bytes> {
        self.layer(MediaType::Sbom)
    }

    /// The source as an archive (POSIX tar), if it is published with the package.
    pub fn source(&self) -> Option<&Bytes> {
        self.layer(MediaType::Source)
    }

    /// SHA-256 of the source: of the archive in the package, or of one that is published elsewhere.
    pub fn source_digest(&self) -> Option<B256> {
        self.source().map(|bytes| sha256(bytes)).or_else(|| self.config.source.as_ref().map(|source| source.sha256))
    }

    /// SHA-256 of the code layer. What registers is the [`CodeDigest`](cryptlet_primitives::CodeDigest), which also binds
    /// the engine.
    pub fn code_layer_digest(&self) -> B256 {
        self.layer_digest(MediaType::Code(self.config.kind))
    }

    /// SHA-256 of `header.sol`.
    pub fn header_digest(&self) -> B256 {
        self.layer_digest(MediaType::Header)
    }

    /// SHA-256 of the configuration.
    pub fn config_digest(&self) -> B256 {
        self.layer_digest(MediaType::Config)
    }

    /// The manifest's bytes.
    pub fn manifest(&self) -> &Bytes {
        &self.manifest_bytes
    }

    /// Every blob the manifest names.
    pub fn blobs(&self) -> Vec<&Bytes> {
        std::iter::once(&self.config_json).chain(self.layers.iter().map(|(_, bytes)| bytes)).collect()
    }

    fn layer(&self, media: MediaType) -> Option<&Bytes> {
        self.layers.iter().find(|(found, _)| *found == media).map(|(_, bytes)| bytes)
    }

    fn needed(&self, media: MediaType) -> &Bytes {
        self.layer(media).expect("checked when the package was put together")
    }

    fn layer_digest(&self, media: MediaType) -> B256 {
        self.manifest.blob(media).expect("checked when the package was put together").digest()
    }
}

/// Contracts are handed around as hex text, as compilers write them; a package holds the bytes.
fn from_hex(file: Vec<u8>) -> Result<Vec<u8>, String> {
    let Ok(text) = std::str::from_utf8(&file) else { return Ok(file) };
    let text = text.trim();
    if text.contains("__$") {
        return Err("its code has places for libraries (`__$…$__`); link it first".to_owned());
    }
    alloy_primitives::hex::decode(text).map_err(|error| format!("its code is text and not hex: {error}"))
}

/// What is wrong with the contents of a layer, if anything is.
fn objection(media: MediaType, bytes: &Bytes) -> Option<String> {
    match media {
        MediaType::Code(_) => bytes.is_empty().then(|| "its code is empty".to_owned()),
        MediaType::Header => std::str::from_utf8(bytes).err().map(|_| "its header.sol is not UTF-8".to_owned()),
        MediaType::Interface => serde_json::from_slice::<Vec<serde::de::IgnoredAny>>(bytes)
            .err()
            .map(|error| format!("its interface is not an ABI in JSON: {error}")),
        MediaType::Sbom => sbom::objection(bytes),
        MediaType::Config | MediaType::Source => None,
    }
}

fn the_wasm_file(folder: &Path) -> Result<std::path::PathBuf, HostError> {
    let entries = std::fs::read_dir(folder).map_err(|error| HostError::io("read", folder, error))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| HostError::io("read", folder, error))?.path();
        if path.extension().is_some_and(|extension| extension == "wasm") {
            found.push(path);
        }
    }
    match <[_; 1]>::try_from(found) {
        Ok([file]) => Ok(file),
        Err(found) => Err(HostError::package(
            folder.display(),
            format!("there are {} .wasm files in this folder; a package has one component", found.len()),
        )),
    }
}

fn sha256(bytes: &[u8]) -> B256 {
    B256::from_slice(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), r#"{"name":"equity-tools","publicKey":""}"#).unwrap();
        std::fs::write(folder.path().join("equity.wasm"), b"\0asm").unwrap();
        std::fs::write(folder.path().join("header.sol"), "interface EquityTools {}").unwrap();
        folder
    }

    #[test]
    fn the_same_folder_makes_the_same_digest_and_another_byte_makes_another() {
        let folder = folder();
        let package = Package::build(folder.path()).unwrap();
        assert_eq!(Package::build(folder.path()).unwrap(), package);
        assert_eq!(package.name(), "equity-tools");
        for (file, contents) in [
            ("equity.wasm", "\0asM"),
            ("header.sol", "interface EquityTool {}"),
            ("interface.json", "[{}]"),
            ("config.json", r#"{"name":"equity-tools","publicKey":"0x00"}"#),
        ] {
            let before = Package::build(folder.path()).unwrap().digest();
            std::fs::write(folder.path().join(file), contents).unwrap();
            let after = Package::build(folder.path());
            assert!(after.is_err() || after.unwrap().digest() != before, "{file}");
        }
    }

    #[test]
    fn a_folder_that_is_no_package_says_what_is_missing() {
        let cases: [(&str, Option<&str>, &str); 4] = [
            ("config.json", None, "config.json"),
            ("equity.wasm", None, ".wasm"),
            ("another.wasm", Some("x"), "2 .wasm"),
            ("interface.json", Some("{"), "interface"),
        ];
        for (file, contents, expected) in cases {
            let folder = folder();
            let path = folder.path().join(file);
            match contents {
                Some(contents) => std::fs::write(path, contents).unwrap(),
                None => std::fs::remove_file(path).unwrap(),
            }
            let error = Package::build(folder.path()).unwrap_err().to_string();
            assert!(error.contains(expected), "{file}: {error}");
        }
    }

    #[test]
    fn blobs_that_do_not_belong_are_refused() {
        let package = Package::build(folder().path()).unwrap();
        let blobs: Vec<Bytes> = package.blobs().into_iter().cloned().collect();
        assert_eq!(Package::from_blobs(package.manifest().clone(), blobs.clone()).unwrap(), package);
        for missing in 0..blobs.len() {
            let mut blobs = blobs.clone();
            blobs[missing] = Bytes::from_static(b"something else");
            assert!(Package::from_blobs(package.manifest().clone(), blobs).is_err());
        }
    }

    #[test]
    fn inline_code_needs_no_configuration() {
        let code = Bytes::from_static(b"\0asm");
        let package = Package::inline(code.clone(), "").unwrap();
        assert_eq!(Package::inline(code.clone(), "").unwrap().digest(), package.digest());
        assert!(package.name().starts_with("inline-"));
        let named = Package::inline(code.clone(), r#"{"name":"swap","config":{"isolation":true}}"#).unwrap();
        assert_eq!((named.name(), named.config().isolation), ("swap", true));
        assert!(Package::inline(code, "not json").is_err());
    }
}
