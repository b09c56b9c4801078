//! Logs of a call as they come, and transfers of ether as if they were logs of a token (ERC-7528).

use alloy_primitives::{Address, B256, Log, LogData, U256};
use revm::{
    Inspector,
    context_interface::ContextTr,
    interpreter::{CallInputs, CallOutcome, CreateInputs, CreateOutcome},
};
use revm_inspectors::transfer::{TRANSFER_EVENT_TOPIC, TRANSFER_LOG_EMITTER};

/// Collects logs with their indices in the block. What a frame that fails has logged is dropped, but its indices are
/// used up, as in geth.
#[derive(Debug, Default)]
pub(super) struct CallLogs {
    with_transfers: bool,
    next_index: u64,
    /// Logs of the frames that run, the innermost last. The lowest is what succeeded.
    frames: Vec<Vec<(u64, Log)>>,
}

impl CallLogs {
    /// Of a new block.
    pub(super) fn new(with_transfers: bool) -> Self {
        Self { with_transfers, ..Self::default() }
    }

    /// Index of the next log, to [`restart`](Self::restart) from.
    pub(super) fn next_index(&self) -> u64 {
        self.next_index
    }

    /// Forgets what was logged; the next log has this index.
    pub(super) fn restart(&mut self, next_index: u64) {
        self.next_index = next_index;
        self.frames.clear();
    }

    /// What the call has logged.
    pub(super) fn take(&mut self) -> Vec<(u64, Log)> {
        std::mem::take(&mut self.frames).into_iter().flatten().collect()
    }

    fn add(&mut self, log: Log) {
        let index = self.next_index;
        self.next_index += 1;
        match self.frames.last_mut() {
            Some(frame) => frame.push((index, log)),
            None => self.frames.push(vec![(index, log)]),
        }
    }

    fn transfer(&mut self, from: Address, to: Address, value: U256) {
        if self.with_transfers && !value.is_zero() {
            let topics = vec![TRANSFER_EVENT_TOPIC, from.into_word(), to.into_word()];
            let data = B256::from(value).to_vec().into();
            self.add(Log { address: TRANSFER_LOG_EMITTER, data: LogData::new_unchecked(topics, data) });
        }
    }

    fn leave(&mut self, succeeded: bool) {
        let Some(frame) = self.frames.pop() else { return };
        if succeeded {
            match self.frames.last_mut() {
                Some(outer) => outer.extend(frame),
                None => self.frames.push(frame),
            }
        }
    }
}

impl<CTX: ContextTr> Inspector<CTX> for CallLogs {
    fn log(&mut self, _: &mut CTX, log: Log) {
        self.add(log);
    }

    fn call(&mut self, _: &mut CTX, inputs: &mut CallInputs) -> Option<CallOutcome> {
        self.frames.push(Vec::new());
        if let Some(value) = inputs.transfer_value() {
            self.transfer(inputs.transfer_from(), inputs.transfer_to(), value);
        }
        None
    }

    fn call_end(&mut self, _: &mut CTX, _: &CallInputs, outcome: &mut CallOutcome) {
        self.leave(outcome.result.result.is_ok());
    }

    fn create(&mut self, context: &mut CTX, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        use revm::context_interface::JournalTr;
        self.frames.push(Vec::new());
        if self.with_transfers
            && !inputs.value().is_zero()
            && let Ok(creator) = context.journal_mut().load_account(inputs.caller())
        {
            let created = inputs.created_address(creator.data.info.nonce);
            self.transfer(inputs.caller(), created, inputs.value());
        }
        None
    }

    fn create_end(&mut self, _: &mut CTX, _: &CreateInputs, outcome: &mut CreateOutcome) {
        self.leave(outcome.result.result.is_ok());
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        self.transfer(contract, target, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(logs: &mut CallLogs) -> Vec<u64> {
        logs.take().into_iter().map(|(index, _)| index).collect()
    }

    #[test]
    fn what_a_failed_frame_logged_is_dropped_and_its_indices_are_not_used_again() {
        let mut logs = CallLogs::new(true);
        logs.frames.push(Vec::new());
        logs.transfer(Address::ZERO, Address::with_last_byte(1), U256::from(7));
        logs.frames.push(Vec::new());
        logs.add(Log::empty());
        logs.leave(false);
        logs.frames.push(Vec::new());
        logs.add(Log::empty());
        logs.leave(true);
        logs.leave(true);
        assert_eq!(told(&mut logs), [0, 2]);
        assert_eq!(logs.next_index(), 3);
    }

    #[test]
    fn transfers_are_told_only_if_asked_for_and_only_of_something() {
        let mut logs = CallLogs::new(false);
        logs.transfer(Address::ZERO, Address::ZERO, U256::ONE);
        assert!(told(&mut logs).is_empty());
        let mut logs = CallLogs::new(true);
        logs.transfer(Address::ZERO, Address::ZERO, U256::ZERO);
        assert!(told(&mut logs).is_empty());
    }
}
