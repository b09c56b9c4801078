//! Role `Compile`: one component in, machine code or a refusal out.

use super::ChildError;
use crate::{
    engine, guest,
    wire::{Channel, CompileTask, FromCompiler},
};
use std::num::NonZeroU32;

const TASK_BYTES_MAX: usize = 64;

pub(super) fn serve(mut channel: Channel) -> Result<(), ChildError> {
    let engine = engine::engine(NonZeroU32::MIN)?;
    let task: CompileTask = channel.receive(TASK_BYTES_MAX, None)?;
    let component = channel.receive_raw(task.bytes as usize, None)?;
    match guest::compile(&engine, &component) {
        Ok(artefact) => {
            channel.send(&FromCompiler::Compiled { bytes: artefact.len() as u64 })?;
            channel.send_raw(&artefact)?;
        }
        Err(refusal) => channel.send(&FromCompiler::Refused(refusal))?,
    }
    Ok(())
}
