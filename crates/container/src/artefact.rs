//! Compiled components, and their cache on disk.
//!
//! Loading machine code is as good as running it, so a file of the cache is used only if it carries the right keyed hash:
//! `keccak256(key ‖ "cryptlet/artefact/v1" ‖ name ‖ length ‖ bytes)`. (Keccak is a sponge: a key in front makes it a MAC.)

use crate::{engine::EngineProfile, fault::ContainerFault, program::ProgramSpec};
use alloy_primitives::{B256, Bytes, hex, keccak256};
use std::{
    fmt, fs,
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Write},
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

const MAC_BYTES: usize = 32;

/// Code in the form in which it is run here: machine code of a component, for this machine and this engine profile; or a
/// program as it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Artefact {
    /// Names the code and everything it was made ready for.
    pub name: B256,
    /// The code. Cheap to clone.
    pub bytes: Bytes,
    /// What it is.
    pub form: Form,
}

/// What an artefact is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// Machine code of a component.
    Wasm,
    /// Machine code of a component, for the virtual machine.
    WasmForVm,
    /// A program, and how it is started.
    Process(ProgramSpec),
    /// A snapshot of a contract.
    Evm,
}

impl Artefact {
    /// Machine code of a component.
    pub(crate) fn wasm(name: B256, bytes: Bytes) -> Self {
        Self { name, bytes, form: Form::Wasm }
    }
}

impl fmt::Debug for Artefact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Artefact").field("name", &self.name).field("bytes", &self.bytes.len()).finish()
    }
}

/// Name of the artefact of a component on this machine. The engine's own word on compatibility (target, processor features,
/// flags) is part of it; it need not be the same on other machines.
pub(crate) fn name_of(engine: &wasmtime::Engine, component: &[u8]) -> B256 {
    let mut compatibility = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut compatibility);
    let (component, profile) = (keccak256(component), EngineProfile::current().digest());
    let compatibility = compatibility.finish().to_be_bytes();
    let words: [&[u8]; 4] =
        [component.as_slice(), profile.as_slice(), &compatibility, std::env::consts::ARCH.as_bytes()];
    keccak256(words.concat())
}

/// A folder of artefacts.
pub struct ArtefactCache {
    folder: PathBuf,
    key: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for ArtefactCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArtefactCache").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl ArtefactCache {
    /// Opens the folder, or makes it. Whoever knows the key can have code run here: it belongs in the host's vault.
    pub fn open(folder: impl Into<PathBuf>, key: [u8; 32]) -> Result<Self, ContainerFault> {
        let folder = folder.into();
        fs::create_dir_all(&folder).map_err(|source| cache_fault(&folder, source))?;
        Ok(Self { folder, key: Zeroizing::new(key) })
    }

    /// The code of that name; none if there is no file, or it was not written by a holder of the key.
    pub(crate) fn load(&self, name: B256) -> Result<Option<Bytes>, ContainerFault> {
        let path = self.path_of(name);
        let file = match fs::read(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(cache_fault(&path, error)),
        };
        let Some((mac, bytes)) = file.split_at_checked(MAC_BYTES) else { return Ok(None) };
        let is_ours = is_equal(mac, self.mac(name, bytes).as_slice());
        Ok(is_ours.then(|| Bytes::copy_from_slice(bytes)))
    }

    /// Keeps an artefact. A reader sees the whole file or none.
    pub(crate) fn store(&self, artefact: &Artefact) -> Result<(), ContainerFault> {
        let path = self.path_of(artefact.name);
        let draft = path.with_extension(format!("{}.draft", std::process::id()));
        let write = || {
            let mut file = fs::File::create(&draft)?;
            file.write_all(self.mac(artefact.name, &artefact.bytes).as_slice())?;
            file.write_all(&artefact.bytes)?;
            file.sync_data()?;
            fs::rename(&draft, &path)
        };
        write().map_err(|source| cache_fault(&path, source))
    }

    fn path_of(&self, name: B256) -> PathBuf {
        self.folder.join(format!("{}.artefact", hex::encode(name)))
    }

    fn mac(&self, name: B256, bytes: &[u8]) -> B256 {
        let mut hasher = alloy_primitives::Keccak256::new();
        hasher.update(*self.key);
        hasher.update(b"cryptlet/artefact/v1");
        hasher.update(name);
        hasher.update((bytes.len() as u64).to_be_bytes());
        hasher.update(bytes);
        hasher.finalize()
    }
}

/// Compares in a time that does not tell where the difference is.
fn is_equal(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

fn cache_fault(path: &Path, source: io::Error) -> ContainerFault {
    ContainerFault::Cache { path: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artefact() -> Artefact {
        Artefact::wasm(B256::repeat_byte(1), Bytes::from_static(b"code"))
    }

    #[test]
    fn what_was_stored_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let cache = ArtefactCache::open(folder.path(), [7; 32]).unwrap();
        assert_eq!(cache.load(artefact().name).unwrap(), None);
        cache.store(&artefact()).unwrap();
        assert_eq!(cache.load(artefact().name).unwrap(), Some(artefact().bytes));
    }

    #[test]
    fn a_file_that_was_touched_or_renamed_or_written_by_another_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let cache = ArtefactCache::open(folder.path(), [7; 32]).unwrap();
        cache.store(&artefact()).unwrap();
        let path = cache.path_of(artefact().name);
        let good = fs::read(&path).unwrap();
        for position in 0..good.len() {
            let mut bad = good.clone();
            bad[position] ^= 1;
            fs::write(&path, bad).unwrap();
            assert_eq!(cache.load(artefact().name).unwrap(), None, "byte {position}");
        }
        for length in [0, 1, MAC_BYTES, good.len() - 1] {
            fs::write(&path, &good[..length]).unwrap();
            assert_eq!(cache.load(artefact().name).unwrap(), None, "length {length}");
        }
        fs::write(&path, &good).unwrap();
        fs::copy(&path, cache.path_of(B256::repeat_byte(2))).unwrap();
        assert_eq!(cache.load(B256::repeat_byte(2)).unwrap(), None);
        let other = ArtefactCache::open(folder.path(), [8; 32]).unwrap();
        assert_eq!(other.load(artefact().name).unwrap(), None);
    }
}
