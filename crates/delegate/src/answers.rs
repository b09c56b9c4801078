//! Where answers come from. Building, replaying and simulating differ here and nowhere else.

use crate::{
    answered::{Answered, RECORD_OVERHEAD_BYTES, log},
    context::{Abort, Anchor, Answers, BlockSpending, DelegateScope, SimulationGas},
    error::DelegateError,
    invoke::Call,
    memo::CheckedCalls,
    price::Price,
    registry_layout::RegistryCache,
    run::Suspension,
    transcript::{DryRunOutcome, Rehearsal, Transcript},
    verify::{canonical_hash, verify_in_scope},
};
use alloy_primitives::{B256, keccak256};
use cryptlet_attestation::{CryptletEntry, RecoveredRecord};
use cryptlet_primitives::{CryptletRequest, Invocation, InvocationMode, RegistrationId, invocation::CallKey};

/// A call that may be made and can be paid, and wants its answer.
pub(crate) struct Question<'a> {
    pub(crate) call: &'a Call,
    pub(crate) entry: &'a CryptletEntry,
    pub(crate) price: &'a Price,
    pub(crate) scope: &'a DelegateScope,
    /// Hash of the transaction.
    pub(crate) hash: B256,
}

impl Question<'_> {
    /// Consumes the next answer, or stops the run.
    pub(crate) fn next_answer(
        &self,
        answers: &mut Answers,
        registry: &mut RegistryCache,
        checked: &mut CheckedCalls,
    ) -> Result<Answered, Abort> {
        match answers {
            Answers::Build(transcript) => self.build(transcript, registry, checked),
            Answers::Replay(transcript) => self.replay(transcript, registry),
            Answers::Simulate(rehearsal, gas) => self.simulate(rehearsal, *gas, registry),
        }
    }

    /// A builder can ask for what is missing, or what no longer holds.
    fn build(
        &self,
        transcript: &mut Transcript,
        registry: &mut RegistryCache,
        checked: &mut CheckedCalls,
    ) -> Result<Answered, Abort> {
        let sequence = transcript.sequence();
        let position = (self.hash, sequence);
        if let Some(answered) = transcript.next().and_then(|record| checked.recall(position, self.call, record)) {
            let answered = answered.clone();
            transcript.advance();
            return Ok(answered);
        }
        let request = self.request(sequence, InvocationMode::Live, registry)?;
        let mut stale = None;
        if let Some(record) = transcript.next() {
            match self.check(sequence, &request, record, registry)? {
                Ok(answered) => {
                    checked.remember(position, self.call, record, &answered);
                    transcript.advance();
                    return Ok(answered);
                }
                Err(error) => stale = Some(error),
            }
        }
        let anchor =
            transcript.next().and_then(|record| self.kept_anchor(&request, record)).unwrap_or(self.scope.parent);
        transcript.drop_unconsumed();
        let request = CryptletRequest { anchorBlock: anchor.number, anchorHash: anchor.hash, ..request };
        let invocation = self.invocation(request, sequence, InvocationMode::Live);
        Err(Abort::Suspended(Box::new(Suspension { invocation, stale })))
    }

    /// A replayer has the block's records and nothing else.
    fn replay(&self, transcript: &mut Transcript, registry: &mut RegistryCache) -> Result<Answered, Abort> {
        let sequence = transcript.sequence();
        let request = self.request(sequence, InvocationMode::Live, registry)?;
        let Some(record) = transcript.next() else {
            let (cryptlet, key) = (self.call.cryptlet, request.key);
            return Err(DelegateError::MissingRecord { sequence, cryptlet, key }.into());
        };
        let answered = self.check(sequence, &request, record, registry)??;
        transcript.advance();
        Ok(answered)
    }

    /// A rehearsal takes answers to dry runs, and asks for what is missing.
    fn simulate(
        &self,
        rehearsal: &mut Rehearsal,
        gas: SimulationGas,
        registry: &mut RegistryCache,
    ) -> Result<Answered, Abort> {
        let sequence = rehearsal.sequence();
        let request = self.request(sequence, InvocationMode::DryRun, registry)?;
        let invocation = self.invocation(request, sequence, InvocationMode::DryRun);
        let Some(answer) = rehearsal.next().filter(|answer| answer.key == invocation.key()) else {
            rehearsal.drop_unconsumed();
            return Err(Abort::Suspended(Box::new(Suspension { invocation, stale: None })));
        };
        let (outcome, units) = (answer.outcome.clone(), answer.units);
        rehearsal.advance();
        let charge_maximum = gas == SimulationGas::Maximum;
        let record_bytes = RECORD_OVERHEAD_BYTES.saturating_add(u64::from(self.price.output_bytes_max));
        let spending = BlockSpending { record_bytes, units };
        // In simulations nobody has signed anything: the hashes of the result are zero.
        let log = matches!(outcome, DryRunOutcome::Returned(_))
            .then(|| log(self.call, invocation.request_hash(), B256::ZERO, RegistrationId::default()));
        Ok(Answered { outcome, units, spending, charge_maximum, log })
    }

    /// What is asked, anchored at the parent block.
    fn request(
        &self,
        sequence: u32,
        mode: InvocationMode,
        registry: &mut RegistryCache,
    ) -> Result<CryptletRequest, Abort> {
        let (call, scope) = (self.call, self.scope);
        let transaction_hash = match mode {
            InvocationMode::Live => self.hash,
            InvocationMode::DryRun => B256::ZERO,
        };
        let input_hash = keccak256(&call.input);
        let key = CallKey {
            domain: scope.domain,
            transaction_hash,
            sequence,
            caller: call.caller,
            is_static: call.is_static,
            cryptlet: call.cryptlet,
            code_digest: self.entry.code_digest,
            input_hash,
        };
        Ok(CryptletRequest {
            key: key.hash(mode).0,
            cryptletId: call.cryptlet.0,
            caller: call.caller,
            codeDigest: self.entry.code_digest.0,
            inputHash: input_hash,
            anchorBlock: scope.parent.number,
            anchorHash: scope.parent.hash,
            policyVersion: registry.policy(scope)?.version,
        })
    }

    fn invocation(&self, request: CryptletRequest, sequence: u32, mode: InvocationMode) -> Invocation {
        Invocation {
            request,
            input: self.call.input.clone(),
            sequence,
            is_static: self.call.is_static,
            units_max: self.price.units_max,
            output_bytes_max: self.price.output_bytes_max,
            mode,
        }
    }

    /// Does the record answer this very request, and does it hold in this block? The outer error is this node's fault, the
    /// inner one the record's.
    fn check(
        &self,
        sequence: u32,
        request: &CryptletRequest,
        record: &RecoveredRecord,
        registry: &mut RegistryCache,
    ) -> Result<Result<Answered, DelegateError>, DelegateError> {
        if let Some((field, expected, found)) = difference(request, &record.record().request) {
            return Ok(Err(DelegateError::RecordMismatch { sequence, field, expected, found }));
        }
        Ok(match verify_in_scope(self.scope, registry, record)? {
            Ok(()) => Ok(Answered::by_record(self.call, record)),
            Err(fault) => Err(DelegateError::InvalidRecord { sequence, fault }),
        })
    }

    /// A call that is asked again keeps the anchor it had, so that its time to live runs on.
    fn kept_anchor(&self, request: &CryptletRequest, stale: &RecoveredRecord) -> Option<Anchor> {
        let stale = stale.record().request;
        let is_canonical = canonical_hash(self.scope, stale.anchorBlock).ok()? == Some(stale.anchorHash);
        let is_same = stale.key == request.key;
        (is_same && is_canonical).then_some(Anchor { number: stale.anchorBlock, hash: stale.anchorHash })
    }
}

/// The first field that tells two requests apart, besides those that [`verify_in_scope`] judges (anchor and policy version).
fn difference(expected: &CryptletRequest, found: &CryptletRequest) -> Option<(&'static str, B256, B256)> {
    let fields = [
        ("cryptletId", expected.cryptletId, found.cryptletId),
        ("caller", expected.caller.into_word(), found.caller.into_word()),
        ("codeDigest", expected.codeDigest, found.codeDigest),
        ("inputHash", expected.inputHash, found.inputHash),
        ("key", expected.key, found.key),
    ];
    fields.into_iter().find(|(_, expected, found)| expected != found)
}
