//! Role `Compile`: one component or contract in; machine code, a snapshot or a refusal out.

use super::ChildError;
use crate::{
    component, engine, evm,
    wire::{Channel, CompileTask, FromCompiler, SourceKind},
};
use std::num::NonZeroU32;

const TASK_BYTES_MAX: usize = 64;

pub(super) fn serve(mut channel: Channel) -> Result<(), ChildError> {
    let task: CompileTask = channel.receive(TASK_BYTES_MAX, None)?;
    let code = channel.receive_raw(task.bytes as usize, None)?;
    let outcome = match task.source {
        SourceKind::Component => component::compile(&engine::engine(NonZeroU32::MIN)?, &code),
        SourceKind::ComponentForVm => component::compile(&engine::engine_for_vm()?, &code),
        SourceKind::Contract { is_creation } => evm::prepare(&code, is_creation),
    };
    match outcome {
        Ok(artefact) => {
            channel.send(&FromCompiler::Compiled { bytes: artefact.len() as u64 })?;
            channel.send_raw(&artefact)?;
        }
        Err(refusal) => channel.send(&FromCompiler::Refused(refusal))?,
    }
    Ok(())
}
