//! The miner's loop: wait for something, feed it to the machine, perform what the machine says.

use super::{
    BLOCKS_PER_COMMAND_MAX, DevEdit, MinerCommand, MinerConfig, MinerError, announce::Announcer, dispatch::dispatch,
    halt::Halt, seal,
};
use crate::{
    build::{Cadence, Effect, Input, Machine, MachineConfig, Moment, SealKind},
    pool::PooledEntry,
    service::{ChainEvent, ChainMark, Head, Shared},
};
use alloy_primitives::{Address, B256, map::HashMap};
use cryptlet_primitives::InvocationKey;
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::{runtime::Handle, sync::mpsc, task::AbortHandle};

/// The task. It owns the machine; nobody else moves the head of the chain.
pub(crate) struct Miner {
    shared: Arc<Shared>,
    machine: Machine,
    commands: mpsc::Receiver<MinerCommand>,
    /// Where calls to the fabric run.
    runtime: Handle,
    in_flight: HashMap<InvocationKey, AbortHandle>,
    announcer: Announcer,
    /// Blocks cannot be made, and when to try again.
    halt: Halt,
}

/// Rest after the chain that was forked could not be reached.
const FORK_REST: Duration = Duration::from_secs(5);

/// Longest sleep, so that a clock that was set does not keep the miner asleep.
const SLEEP_MAX_MS: u64 = 60_000;

/// How often old states are forgotten, if they are.
const FORGET_EVERY_BLOCKS: u64 = 16;

impl Miner {
    pub(crate) fn start(
        shared: Arc<Shared>,
        commands: mpsc::Receiver<MinerCommand>,
        runtime: Handle,
    ) -> std::io::Result<Self> {
        let MinerConfig { cadence, backoff, in_flight_max, patience_ms, .. } = shared.config.miner;
        // A chain without a delegate parks nothing.
        let unavailable_after_blocks = shared.spec.limits().map_or(1, |limits| limits.unavailable_after_blocks);
        let domain = shared.spec.domain();
        let config = MachineConfig { domain, unavailable_after_blocks, patience_ms, backoff, in_flight_max, cadence };
        let machine = Machine::new(config, shared.clock.monotonic_ms());
        let announcer = Announcer::start(shared.clone())?;
        let in_flight = HashMap::default();
        Ok(Self { shared, machine, commands, runtime, in_flight, announcer, halt: Halt::default() })
    }

    /// Runs until it is told to stop, or everyone who could tell it anything is gone.
    pub(crate) async fn run(mut self) {
        self.feed(Input::Arrived);
        loop {
            let sleep = Duration::from_millis(self.sleep_ms());
            tokio::select! {
                command = self.commands.recv() => match command {
                    None => break,
                    Some(MinerCommand::Stop { reply }) => {
                        let _ = reply.send(());
                        break;
                    }
                    Some(command) => self.obey(command),
                },
                () = self.shared.arrivals.notified() => self.feed(Input::Arrived),
                () = tokio::time::sleep(sleep) => {
                    let again = self.halt.is_over(self.shared.clock.monotonic_ms());
                    self.feed(if again { Input::Arrived } else { Input::Tick });
                }
            }
        }
        self.in_flight.values().for_each(AbortHandle::abort);
        self.announcer.stop();
        if let Err(error) = self.shared.chain.flush() {
            tracing::error!(%error, "the last blocks may not be on disk");
        }
    }

    fn obey(&mut self, command: MinerCommand) {
        // A caller that went away does not need the reply.
        match command {
            MinerCommand::Mine { blocks, interval_seconds, reply } => {
                let _ = reply.send(self.mine(blocks, interval_seconds));
            }
            MinerCommand::SetAutomine { on, reply } => {
                let cadence = Cadence { automine: on, ..self.machine.cadence() };
                self.feed(Input::SetCadence(cadence));
                let _ = reply.send(());
            }
            MinerCommand::SetInterval { interval_ms, reply } => {
                let interval_ms = interval_ms.filter(|interval_ms| *interval_ms > 0);
                let cadence = Cadence { interval_ms, ..self.machine.cadence() };
                self.feed(Input::SetCadence(cadence));
                let _ = reply.send(());
            }
            MinerCommand::Cadence { reply } => {
                let _ = reply.send(self.machine.cadence());
            }
            MinerCommand::Rewind { number, reply } => {
                let _ = reply.send(self.rewind(number));
            }
            MinerCommand::Mark { reply } => {
                let _ = reply.send(self.mark());
            }
            MinerCommand::Restore { mark, reply } => {
                let _ = reply.send(self.restore(*mark));
            }
            MinerCommand::Edit { edit, reply } => {
                let _ = reply.send(self.edit(*edit));
            }
            MinerCommand::Reorg { above, blocks, reply } => {
                let _ = reply.send(self.reorg(above, blocks));
            }
            MinerCommand::Drop { hash, reply } => {
                let _ = reply.send(self.take_out(vec![hash]) > 0);
            }
            MinerCommand::DropAll { of, reply } => {
                let content = self.shared.pool.content();
                let all = content.pending.into_iter().chain(content.queued);
                let wanted = all.filter(|(sender, _)| of.is_none_or(|of| of == *sender));
                let hashes = wanted.flat_map(|(_, entries)| entries.into_values().map(|entry| entry.hash())).collect();
                let _ = reply.send(self.take_out(hashes));
            }
            MinerCommand::Parked { hash, reply } => {
                let _ = reply.send(self.machine.parked(hash));
            }
            MinerCommand::Gone { transactions } => self.feed(Input::Gone { transactions }),
            MinerCommand::Answered { key, outcome } => {
                self.in_flight.remove(&key);
                self.feed(Input::Answered { key, outcome });
            }
            MinerCommand::Stop { reply } => drop(reply.send(())),
        }
    }

    /// Feeds the machine, and performs what it wants until it wants nothing more, or until somebody has a command for us:
    /// nobody must wait until the pool is empty.
    fn feed(&mut self, input: Input) {
        let mut effects: VecDeque<Effect> = self.handle(input).into();
        while let Some(effect) = effects.pop_front() {
            let Effect::Seal(kind) = effect else {
                self.perform(effect);
                continue;
            };
            match self.seal(kind) {
                Ok((_, follow_up)) => effects.extend(follow_up),
                Err(error) => {
                    self.fetch_what_is_missing(&error);
                    effects.extend(self.handle(Input::NothingToSeal));
                }
            }
            if !self.commands.is_empty() {
                effects.drain(..).collect::<Vec<_>>().into_iter().for_each(|effect| self.perform(effect));
            }
        }
    }

    /// A block that could not be made for want of a row of the chain that was forked is made when the row is there.
    fn fetch_what_is_missing(&self, error: &MinerError) {
        let fork = self.shared.config.fork.clone().filter(|_| error.is_miss());
        let Some(fork) = fork else { return };
        let shared = self.shared.clone();
        self.runtime.spawn(async move {
            if let Err(fault) = fork.fetch_wanted().await {
                tracing::error!(%fault, "no block can be made; the next attempt is in {FORK_REST:?}");
                tokio::time::sleep(FORK_REST).await;
            }
            shared.arrivals.notify_one();
        });
    }

    /// Performs an effect. A block that is to be made is put off, to be made when the loop comes around.
    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Dispatch { transaction, invocation, attempt } => {
                let (key, timeout_ms) = (invocation.key(), self.shared.config.miner.attempt_timeout_ms);
                tracing::debug!(%transaction, %key, attempt, cryptlet = %invocation.cryptlet(), "asking the fabric");
                self.in_flight.insert(key, dispatch(&self.runtime, self.shared.clone(), *invocation, timeout_ms));
            }
            Effect::Cancel { key } => {
                if let Some(task) = self.in_flight.remove(&key) {
                    task.abort();
                }
            }
            Effect::Resume { transaction } => self.shared.pool.set_parked(transaction, false),
            Effect::Seal(_) => {
                self.machine.put_seal_off();
                self.shared.arrivals.notify_one();
            }
        }
    }

    /// Makes a block and reports it to the machine. Returns its hash, and what to do next.
    fn seal(&mut self, kind: SealKind) -> Result<(Option<B256>, Vec<Effect>), MinerError> {
        let report = self.try_to_seal(kind);
        // A row of a forked chain that is still to be fetched is nobody's trouble.
        if !report.as_ref().is_err_and(MinerError::is_miss) {
            self.halt.tried(report.as_ref().err(), self.shared.clock.monotonic_ms());
        }
        Ok(self.report(report?))
    }

    /// Tells the machine what came of a block.
    fn report(&mut self, report: seal::SealReport) -> (Option<B256>, Vec<Effect>) {
        let mut effects = report.effects;
        if !report.gone.is_empty() {
            effects.extend(self.handle(Input::Gone { transactions: report.gone }));
        }
        let hash = report.block.as_ref().map(|block| block.hash);
        effects.extend(match report.block {
            Some(block) => {
                self.forget_states(block.number);
                self.handle(Input::Sealed { number: block.number, included: block.included })
            }
            None => self.handle(Input::NothingToSeal),
        });
        (hash, effects)
    }

    fn try_to_seal(&mut self, kind: SealKind) -> Result<seal::SealReport, MinerError> {
        if self.announcer.fault().is_some() {
            // What was written is told of before more is written.
            self.announcer.finish()?;
        }
        seal::seal(&self.shared, &mut self.machine, &mut self.announcer, kind)
    }

    /// Forgets states that are older than this node keeps them, a few blocks' at a time.
    fn forget_states(&self, head: u64) {
        let Some(kept) = self.shared.config.miner.states_kept else { return };
        if !head.is_multiple_of(FORGET_EVERY_BLOCKS) {
            return;
        }
        if let Err(error) = self.shared.tip.prune_some_states_below(head.saturating_sub(kept)) {
            tracing::warn!(%error, "old states could not be forgotten");
        }
    }

    fn mine(&mut self, blocks: u64, interval_seconds: Option<u64>) -> Result<Vec<B256>, MinerError> {
        if blocks > BLOCKS_PER_COMMAND_MAX {
            return Err(MinerError::TooManyBlocks(blocks));
        }
        let mut hashes = Vec::new();
        for made in 0..blocks {
            if let Some(interval) = interval_seconds.filter(|_| made > 0) {
                let head = self.shared.tip.head()?.timestamp;
                // An interval of zero seconds still moves time by one.
                let _ = self.shared.time.set_next(head.saturating_add(interval.max(1)), head);
            }
            let (hash, effects) = self.seal(SealKind::All)?;
            hashes.extend(hash);
            effects.into_iter().for_each(|effect| self.perform(effect));
        }
        self.shared.arrivals.notify_one();
        // The caller may look at once.
        self.announcer.finish()?;
        Ok(hashes)
    }

    fn rewind(&mut self, number: u64) -> Result<Head, MinerError> {
        self.announcer.finish()?;
        let removed = self.shared.blocks_above(number)?;
        let head = seal::head_of(&self.shared.tip.rewind_to(number)?);
        // Anchors may point to blocks that are gone: everything that was learnt is learnt again.
        let transactions = self.machine.forget_all();
        transactions.iter().for_each(|transaction| self.shared.pool.set_parked(*transaction, false));
        self.in_flight.drain().for_each(|(_, task)| task.abort());
        let nonces = self.shared.nonces_of(self.shared.pool.senders())?;
        for entry in self.shared.pool.on_rewind(&nonces) {
            let reason = "its nonce is taken on the chain that was rewound to".to_owned();
            self.shared.tell(ChainEvent::Dropped { transaction: entry.hash(), reason });
        }
        self.shared.metrics.rewound();
        self.shared.head_is(head);
        self.shared.tell_rewound(head, removed);
        self.shared.arrivals.notify_one();
        Ok(head)
    }

    fn mark(&mut self) -> Result<ChainMark, MinerError> {
        self.announcer.finish()?;
        let head = seal::head_of(&self.shared.chain.head()?);
        Ok(ChainMark { head, edits: self.shared.chain.pending_edits(), time: self.shared.time.mark() })
    }

    fn restore(&mut self, mark: ChainMark) -> Result<bool, MinerError> {
        if self.shared.chain.block_hash(mark.head.number)? != Some(mark.head.hash) {
            return Ok(false);
        }
        self.rewind(mark.head.number)?;
        if let Some(edits) = mark.edits {
            self.shared.chain.set_pending_edits((*edits).clone())?;
            self.tell_pool_of_nonces(edits.edits.accounts.keys().copied().collect())?;
        }
        self.shared.time.restore(mark.time);
        Ok(true)
    }

    fn edit(&mut self, edit: DevEdit) -> Result<(), MinerError> {
        if edit.must_be_recorded() && !self.shared.spec.takes_dev_edits() {
            return Err(MinerError::DevEditsNotTaken);
        }
        // What is set lies on the head that everybody sees.
        self.announcer.finish()?;
        let chain = &self.shared.chain;
        let nonces: Vec<Address> = match &edit {
            DevEdit::Nonce(address, _) => vec![*address],
            DevEdit::Accounts(accounts) => accounts.keys().copied().collect(),
            _ => Vec::new(),
        };
        let edits = edit.into_edits(&chain.latest_state()?, chain.head()?.inner())?;
        chain.add_pending_edits(edits)?;
        self.tell_pool_of_nonces(nonces)?;
        // What could not be paid for, or did not fit, may now.
        self.shared.arrivals.notify_one();
        Ok(())
    }

    fn tell_pool_of_nonces(&self, accounts: Vec<Address>) -> Result<(), MinerError> {
        for entry in self.shared.pool.on_rewind(&self.shared.nonces_of(accounts)?) {
            let reason = "its sender's nonce was set beyond it".to_owned();
            self.shared.tell(ChainEvent::Dropped { transaction: entry.hash(), reason });
        }
        Ok(())
    }

    fn reorg(&mut self, above: u64, blocks: Vec<Vec<PooledEntry>>) -> Result<Head, MinerError> {
        self.announcer.finish()?;
        let head = self.shared.chain.head()?;
        let replaced = self.shared.chain.block_hash(above + 1)?.unwrap_or_else(|| head.hash());
        self.rewind(above)?;
        for transactions in blocks {
            let report =
                seal::seal_exactly(&self.shared, &mut self.machine, &mut self.announcer, transactions, replaced)?;
            let (_, effects) = self.report(report);
            effects.into_iter().for_each(|effect| self.perform(effect));
        }
        self.announcer.finish()?;
        self.shared.arrivals.notify_one();
        Ok(seal::head_of(&self.shared.chain.head()?))
    }

    /// Takes transactions out of the pool; returns how many were there.
    fn take_out(&mut self, hashes: Vec<B256>) -> usize {
        let gone: Vec<_> = hashes.into_iter().filter(|hash| self.shared.pool.remove(*hash).is_some()).collect();
        for transaction in &gone {
            let reason = "it was taken out on request".to_owned();
            self.shared.tell(ChainEvent::Dropped { transaction: *transaction, reason });
        }
        let count = gone.len();
        if count > 0 {
            self.feed(Input::Gone { transactions: gone });
        }
        count
    }

    fn handle(&mut self, input: Input) -> Vec<Effect> {
        let now_ms = self.shared.clock.monotonic_ms();
        self.machine.handle(input, Moment { now_ms, jitter_per_mille: self.shared.jitter.next_per_mille() })
    }

    fn sleep_ms(&self) -> u64 {
        let now_ms = self.shared.clock.monotonic_ms();
        let wake_at_ms = self.machine.wake_at_ms().into_iter().chain(self.halt.wake_at_ms()).min();
        wake_at_ms.map_or(SLEEP_MAX_MS, |at| at.saturating_sub(now_ms).min(SLEEP_MAX_MS))
    }
}
