//! The state as one document, out and in.

use super::{Dialect, Group, Registered};
use crate::{
    rpc::{Rpc, RpcError},
    state_file::{Dump, LoadedState, StateFileError},
};
use alloy_primitives::Bytes;
use flate2::{Compression, write::GzEncoder};
use std::io::{self, Write};

pub(super) fn register(group: &mut Group) -> Registered {
    if !matches!(group.dialect, Dialect::Anvil | Dialect::Hardhat) {
        return Ok(());
    }
    group.offer("dumpState", |params, rpc| async move {
        // anvil: whether to put past states along. The chain has them; a document does not.
        let _: Option<bool> = params.sequence().optional_next()?;
        Ok(rpc.search(Rpc::dump_state).await?)
    })?;
    group.offer("loadState", |params, rpc| async move {
        let packed: Bytes = params.one()?;
        let state = rpc.search(move |_| Ok(LoadedState::read(&packed)?)).await?;
        state.load(&rpc.node).await.map_err(RpcError::from)?;
        Ok(true)
    })
}

impl Rpc {
    fn dump_state(&self) -> Result<Bytes, RpcError> {
        // In hexadecimal it takes twice the room.
        let bytes_max = self.limits.response_bytes_max as usize / 2;
        let mut packed = GzEncoder::new(Bounded { bytes: Vec::new(), bytes_max }, Compression::fast());
        let written = Dump::of(self.node.chain())?.write(&mut packed).map_err(io::Error::from);
        match written.and_then(|()| packed.finish()) {
            Ok(packed) => Ok(packed.bytes.into()),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Err(RpcError::LimitExceeded(format!(
                "the state takes more than {bytes_max} bytes; start the node with --dump-state FILE"
            ))),
            Err(error) => Err(RpcError::internal(error)),
        }
    }
}

/// Takes so many bytes and no more.
struct Bounded {
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.bytes_max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl From<StateFileError> for RpcError {
    fn from(error: StateFileError) -> Self {
        match error {
            StateFileError::Document(_) | StateFileError::TooLong { .. } => Self::invalid(error.to_string()),
            StateFileError::Node(error) => error.into(),
            StateFileError::Store(error) => error.into(),
        }
    }
}
