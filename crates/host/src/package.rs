//! Packages: what a cryptlet's author hands over. An OCI artifact, so that any OCI registry can hold it: a manifest that
//! names its blobs by SHA-256, and whose own SHA-256 is the package's identity.
//!
//! | blob | media type |
//! | --- | --- |
//! | config: the papers' Cryptlet schema | `application/vnd.cryptlet.config.v1+json` |
//! | code: a WebAssembly component | `application/wasm` |
//! | or: a program of its own | `application/vnd.cryptlet.program.v1` |
//! | header: `header.sol`, what a contract imports | `text/x-solidity` |
//! | interface: the ABI as JSON | `application/vnd.cryptlet.interface.v1+json` |

mod config;
mod manifest;
mod store;

pub use config::{CONFIG_SCHEMA, CryptletConfig};
pub use store::{PackageRef, PackageStore};

use crate::{error::HostError, files};
use alloy_primitives::{B256, Bytes};
use cryptlet_container::{GuestCode, Kind};
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
    code: Bytes,
    header: Bytes,
    interface: Bytes,
}

impl Package {
    /// Builds a package from a folder with `config.json`, the file of code that it names or one `.wasm` file, and, if there are any, `header.sol` and
    /// `interface.json`. The same files make the same digest everywhere.
    pub fn build(folder: &Path) -> Result<Self, HostError> {
        let read = |name: &str, bytes_max| files::read(&folder.join(name), bytes_max);
        let missing = |name: &str| HostError::package(folder.display(), format!("there is no {name} in this folder"));
        let config = read("config.json", CONFIG_BYTES_MAX)?.ok_or_else(|| missing("config.json"))?;
        let named = CryptletConfig::parse(&config).map_err(|why| HostError::package(folder.display(), why))?.code;
        let code_file = match named {
            Some(name) => folder.join(name),
            None => the_wasm_file(folder)?,
        };
        let code = files::read(&code_file, CODE_BYTES_MAX)?.ok_or_else(|| missing(&code_file.display().to_string()))?;
        let header = read("header.sol", HEADER_BYTES_MAX)?.unwrap_or_default();
        let interface = read("interface.json", INTERFACE_BYTES_MAX)?.unwrap_or_else(|| b"[]".to_vec());
        Self::new(config.into(), code.into(), header.into(), interface.into())
    }

    /// A package of these parts.
    pub fn new(config_json: Bytes, code: Bytes, header: Bytes, interface: Bytes) -> Result<Self, HostError> {
        let kind = CryptletConfig::parse(&config_json).map_or_else(|_| Kind::default(), |config| config.kind);
        let manifest = Manifest::of(kind, &config_json, &code, &header, &interface);
        let bytes = manifest.to_bytes();
        Self::from_blobs(bytes, [config_json, code, header, interface])
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
        let (code, header, interface) =
            (blob(MediaType::Code(config.kind))?, blob(MediaType::Header)?, blob(MediaType::Interface)?);
        if code.is_empty() {
            return Err(HostError::package(&name, "its code is empty"));
        }
        std::str::from_utf8(&header).map_err(|_| HostError::package(&name, "its header.sol is not UTF-8"))?;
        serde_json::from_slice::<Vec<serde::de::IgnoredAny>>(&interface)
            .map_err(|error| HostError::package(&name, format!("its interface is not an ABI in JSON: {error}")))?;
        Ok(Self { digest, manifest_bytes: manifest, manifest: parsed, config, config_json, code, header, interface })
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
            (Kind::Process, Some(spec)) => GuestCode::Process { program: self.code.clone(), spec: spec.clone() },
            // The schema has seen to it that a program says how it is started.
            (Kind::Wasm | Kind::Process, _) => GuestCode::Wasm(self.code.clone()),
        }
    }

    /// The code layer.
    pub fn code(&self) -> &Bytes {
        &self.code
    }

    /// `header.sol`; empty if it has none.
    pub fn header(&self) -> &Bytes {
        &self.header
    }

    /// The ABI, as JSON.
    pub fn interface(&self) -> &Bytes {
        &self.interface
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
    pub fn blobs(&self) -> [&Bytes; 4] {
        [&self.config_json, &self.code, &self.header, &self.interface]
    }

    fn layer_digest(&self, media: MediaType) -> B256 {
        self.manifest.blob(media).expect("checked when the package was put together").digest()
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
        let blobs = package.blobs().map(Clone::clone);
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
