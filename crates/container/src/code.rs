//! What a guest is: its code, and the kind of container that runs it.

use crate::{engine::EngineProfile, evm, program::ProgramSpec};
use alloy_primitives::{Bytes, keccak256};
use alloy_sol_types::SolValue;
use cryptlet_primitives::{CodeDigest, ContainerKind};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A kind of container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A WebAssembly component of the world in `wit/`.
    #[default]
    Wasm,
    /// A program of its own: a native executable, or one for the JVM, .NET, Node.js or Python.
    Process,
    /// A contract's code, run off the chain.
    Evm,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Wasm, Self::Process, Self::Evm];

    /// Its name, as configurations write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wasm => "wasm",
            Self::Process => "process",
            Self::Evm => "evm",
        }
    }

    /// Is a call a function of its inputs, on every machine? A program of its own sees clocks, threads and addresses, so
    /// nothing of the sort is claimed for it.
    pub const fn is_deterministic(self) -> bool {
        match self {
            Self::Wasm | Self::Evm => true,
            Self::Process => false,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| format!("{text:?} is no kind of container; there are \"wasm\", \"process\" and \"evm\""))
    }
}

/// Code, and everything that decides how it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuestCode {
    /// A component, in binary form.
    Wasm(Bytes),
    /// A program: its one file, and how it is started.
    Process {
        /// An executable, a jar, a script or an assembly.
        program: Bytes,
        /// How it is started.
        spec: ProgramSpec,
    },
    /// A contract.
    Evm {
        /// Its code, in binary form.
        code: Bytes,
        /// Is it creation code, whose constructor runs first? Else it is deployed code.
        is_creation: bool,
    },
}

impl From<Kind> for ContainerKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Wasm => Self::Wasm,
            Kind::Process => Self::Process,
            Kind::Evm => Self::Evm,
        }
    }
}

impl GuestCode {
    /// The kind of container it needs.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Wasm(_) => Kind::Wasm,
            Self::Process { .. } => Kind::Process,
            Self::Evm { .. } => Kind::Evm,
        }
    }

    /// The code itself.
    pub const fn bytes(&self) -> &Bytes {
        match self {
            Self::Wasm(bytes) | Self::Process { program: bytes, .. } | Self::Evm { code: bytes, .. } => bytes,
        }
    }

    /// Identity of the code as it will run. For a component see [`crate::engine::code_digest`]; for the
    /// others `keccak256(abi.encode(keccak256("cryptlet/code/KIND/v1"), keccak256(code), keccak256(profile)))`.
    pub fn digest(&self) -> CodeDigest {
        match self {
            Self::Wasm(component) => crate::engine::code_digest(component),
            Self::Process { .. } | Self::Evm { .. } => {
                let domain = keccak256(format!("cryptlet/code/{}/v1", self.kind()));
                let words = (domain, keccak256(self.bytes()), keccak256(self.profile()));
                CodeDigest(keccak256(words.abi_encode()))
            }
        }
    }

    /// What runs it, exactly, as text: what its digest binds beside the code.
    pub fn profile(&self) -> String {
        match self {
            Self::Wasm(_) => EngineProfile::current().to_string(),
            Self::Process { spec, .. } => spec.profile(),
            Self::Evm { is_creation, .. } => evm::profile(*is_creation),
        }
    }
}

/// Bytes alone are a component.
impl From<Bytes> for GuestCode {
    fn from(component: Bytes) -> Self {
        Self::Wasm(component)
    }
}

/// Bytes alone are a component.
impl From<Vec<u8>> for GuestCode {
    fn from(component: Vec<u8>) -> Self {
        Self::Wasm(component.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::Runtime;

    #[test]
    fn the_same_bytes_are_other_code_as_another_kind_or_started_otherwise() {
        let bytes = Bytes::from_static(b"code");
        let process = |change: fn(&mut ProgramSpec)| {
            let mut spec = ProgramSpec::new(Runtime::Java);
            change(&mut spec);
            GuestCode::Process { program: bytes.clone(), spec }.digest()
        };
        let digests = [
            GuestCode::Wasm(bytes.clone()).digest(),
            process(|_| ()),
            process(|spec| spec.runtime = Runtime::Node),
            process(|spec| spec.arguments.push("-Xss1m".into())),
            process(|spec| spec.memory_bytes_max += 1),
            process(|spec| spec.units_per_call += 1),
            GuestCode::Evm { code: bytes.clone(), is_creation: true }.digest(),
            GuestCode::Evm { code: bytes.clone(), is_creation: false }.digest(),
        ];
        let distinct: std::collections::BTreeSet<_> = digests.iter().collect();
        assert_eq!(distinct.len(), digests.len());
    }

    #[test]
    fn kinds_are_written_as_they_are_read() {
        for kind in Kind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        assert!("jvm".parse::<Kind>().is_err_and(|error| error.contains("\"process\"")));
    }
}
