//! The verdicts: then, and today.

use super::{
    authority::require_signatures,
    history::{History, Registration},
};
use alloy_primitives::{Address, B256, Bytes, hex};
use cryptlet_attestation::{
    AppraisalTerms, EvidenceFault, ToleratedTcb, appraise_under,
    evidence::{PROVIDER_SGX, PROVIDER_TDX, require_binding},
};
use cryptlet_node::chain_file::ReplayReport;
use cryptlet_primitives::{
    FabricDomain, FabricVersion, RegistrationId,
    abi::Claims,
    names::{PROVIDERS, name_of},
};
use serde::Serialize;
use std::fmt;

/// What counts as today.
#[derive(Debug)]
pub(super) struct Today {
    /// Unix seconds.
    pub(super) now_s: u64,
    /// Collateral of Intel platforms, as evidence takes it; none: what was recorded.
    pub(super) collateral: Vec<Bytes>,
}

/// How a registration stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Standing {
    /// It would be accepted.
    Holds,
    /// Its time is over; nothing speaks against it.
    Over,
    /// It waits to be activated, and has never counted.
    Pending,
    /// It would be refused.
    Bad,
}

/// A verdict with its reason.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Verdict {
    pub(super) standing: Standing,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) reason: String,
}

/// One registration, judged twice.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Audited {
    registration_id: B256,
    cryptlet_id: B256,
    name: String,
    signer: Address,
    key_epoch: u64,
    block_number: u64,
    timestamp: u64,
    not_after_block: u64,
    /// `None` if the evidence never held.
    provider: Option<u16>,
    isolation: Option<u8>,
    measurement: Option<B256>,
    /// Whoever vouched; zero if the hardware's maker did.
    endorser: Option<Address>,
    /// What it runs in: 0 the host, 1 wasm, 2 process, 3 evm.
    container: u8,
    /// Version of the fabric that runs it.
    version: String,
    /// Who answers for it; none if its contract registered it by calling.
    registrar: Option<Address>,
    /// From this block on it may count; none if nobody has activated it.
    activated_block: Option<u64>,
    /// Records that it signed, each of which held in its block.
    records: u64,
    then: Verdict,
    now: Verdict,
}

/// What the command answers.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Audit {
    #[serde(flatten)]
    replay: ReplayReport,
    /// Unix seconds of "now".
    now: u64,
    registrations: Vec<Audited>,
    /// Registrations that should never have been accepted.
    pub(super) bad_then: usize,
    /// Registrations that were valid then, and are bad now.
    pub(super) bad_now: usize,
    /// Records signed by those.
    records_of_bad_now: u64,
    /// Records that nobody signed, because no host answered.
    unavailable: u64,
}

impl Audit {
    pub(super) fn of(history: &History, domain: &FabricDomain, replay: ReplayReport, today: &Today) -> Self {
        let head = replay.head_number;
        let registrations: Vec<_> =
            history.registrations.iter().map(|item| judge(item, history, domain, head, today)).collect();
        let bad = |verdict: fn(&Audited) -> &Verdict| {
            registrations.iter().filter(move |item| verdict(item).standing == Standing::Bad)
        };
        let bad_then = bad(|item| &item.then).count();
        let is_bad_now = |item: &&Audited| item.then.standing != Standing::Bad && item.now.standing == Standing::Bad;
        let bad_now = registrations.iter().filter(is_bad_now).count();
        let records_of_bad_now = registrations.iter().filter(is_bad_now).map(|item| item.records).sum();
        let unavailable = history.unavailable;
        Self { replay, now: today.now_s, bad_then, bad_now, records_of_bad_now, unavailable, registrations }
    }
}

fn judge(item: &Registration, history: &History, domain: &FabricDomain, head: u64, today: &Today) -> Audited {
    let created = &item.created;
    let recorded = appraise(item, &created.collateral, domain, item.timestamp, item.tolerated_tcb)
        .and_then(|claims| require_signatures(item, history, domain).map(|()| claims));
    let then = match &recorded {
        Ok(_) => Verdict { standing: Standing::Holds, reason: String::new() },
        Err(reason) => Verdict { standing: Standing::Bad, reason: reason.clone() },
    };
    let claims = recorded.ok();
    let now = match &claims {
        None => then.clone(),
        Some(claims) => judge_now(item, claims, history, domain, head, today),
    };
    Audited {
        registration_id: item.id,
        cryptlet_id: created.cryptletId,
        name: history.cryptlets.get(&created.cryptletId).map(|life| life.name.clone()).unwrap_or_default(),
        signer: created.signer,
        key_epoch: created.keyEpoch,
        block_number: item.block,
        timestamp: item.timestamp,
        not_after_block: created.notAfterBlock,
        provider: claims.as_ref().map(|claims| claims.provider),
        isolation: claims.as_ref().map(|claims| claims.isolation),
        measurement: claims.as_ref().map(|claims| claims.measurement),
        endorser: claims.as_ref().map(|claims| claims.endorser),
        container: created.container,
        version: FabricVersion(created.version).to_string(),
        registrar: item.authority.as_ref().map(|authority| authority.authorization.registrar),
        activated_block: item.activated_block,
        records: item.records,
        then,
        now,
    }
}

/// The evidence, as of some time, about these keys.
fn appraise(
    item: &Registration,
    collateral: &[u8],
    domain: &FabricDomain,
    now_s: u64,
    tolerated_tcb: ToleratedTcb,
) -> Result<Claims, String> {
    let terms = AppraisalTerms { domain, now_s, tolerated_tcb };
    let checked = |fault: EvidenceFault| fault.to_string();
    let claims = appraise_under(&item.created.evidence, collateral, &terms).map_err(checked)?;
    require_binding(&claims, RegistrationId(item.id)).map_err(checked)?;
    Ok(claims)
}

/// What a registry and a policy as they are at the head, and a verifier with today's clock and collateral, would say.
fn judge_now(
    item: &Registration,
    claims: &Claims,
    history: &History,
    domain: &FabricDomain,
    head: u64,
    today: &Today,
) -> Verdict {
    let bad = |reason: String| Verdict { standing: Standing::Bad, reason };
    if let Some(ending) = item.ended.as_ref().filter(|ending| ending.is_judgement) {
        return bad(ending.reason.clone());
    }
    let cryptlet = history.cryptlets.get(&item.created.cryptletId);
    if let Some(reason) = cryptlet.and_then(|life| life.revoked.clone()) {
        return bad(reason);
    }
    let refused = history
        .refused_providers
        .get(&claims.provider)
        .or_else(|| history.refused_measurements.get(&(claims.provider, claims.measurement)))
        .or_else(|| history.refused_endorsers.get(&claims.endorser));
    if let Some(reason) = refused {
        return bad(reason.clone());
    }
    let created = &item.created;
    let accepted = history.accepted_versions.get(&created.container).copied().unwrap_or_default();
    if !accepted.accepts(FabricVersion(created.version)) {
        let version = FabricVersion(created.version);
        return bad(format!("it runs in version {version} of the fabric; the policy accepts {accepted}"));
    }
    if item.activated_block.is_none() && item.ended.is_none() && created.notAfterBlock > head {
        let reason = "nobody has activated it".to_owned();
        return Verdict { standing: Standing::Pending, reason };
    }
    if let Some(reason) = why_over(item, history, head) {
        return Verdict { standing: Standing::Over, reason };
    }
    match appraise_today(item, claims.provider, history, domain, today) {
        Ok(()) => Verdict { standing: Standing::Holds, reason: String::new() },
        Err(reason) => bad(reason),
    }
}

fn why_over(item: &Registration, history: &History, head: u64) -> Option<String> {
    if let Some(ending) = &item.ended {
        return Some(ending.reason.clone());
    }
    let created = &item.created;
    if created.notAfterBlock <= head {
        return Some(format!("its keys held until block {}", created.notAfterBlock));
    }
    let life = history.cryptlets.get(&created.cryptletId)?;
    let is_in_grace = life.grace.is_some_and(|(epoch, until)| epoch == created.keyEpoch && until > head);
    let is_rotated = created.keyEpoch < life.key_epoch && !is_in_grace;
    is_rotated.then(|| format!("its keys of epoch {} were rotated out by epoch {}", created.keyEpoch, life.key_epoch))
}

/// With today's collateral if there is some for it, else with what was recorded.
fn appraise_today(
    item: &Registration,
    provider: u16,
    history: &History,
    domain: &FabricDomain,
    today: &Today,
) -> Result<(), String> {
    let takes_collateral = matches!(provider, PROVIDER_SGX | PROVIDER_TDX);
    let fresh = today.collateral.iter().filter(|_| takes_collateral).map(|bytes| (bytes, "with the collateral given"));
    let recorded = std::iter::once((&item.created.collateral, "with the collateral that was recorded"));
    let mut reasons = Vec::new();
    for (collateral, which) in fresh.chain(recorded) {
        match appraise(item, collateral, domain, today.now_s, history.tolerated_tcb) {
            Ok(_) => return Ok(()),
            Err(reason) if takes_collateral => reasons.push(format!("{which}: {reason}")),
            Err(reason) => reasons.push(reason),
        }
    }
    Err(reasons.join("; "))
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<14} {:<22} {:>7} {:<9} {:>7}  {:<6} now",
            "registration", "cryptlet", "block", "provider", "records", "then"
        )?;
        for item in &self.registrations {
            let id = hex::encode_prefixed(&item.registration_id[..5]);
            let name: String = item.name.chars().take(22).collect();
            let provider = item.provider.map_or("unknown", |number| name_of(&PROVIDERS, number));
            let (then, now) = (word(&item.then), word(&item.now));
            writeln!(
                f,
                "{id}…  {name:<22} {:>7} {provider:<9} {:>7}  {then:<6} {now}",
                item.block_number, item.records
            )?;
            let reason = if item.then.reason.is_empty() { &item.now.reason } else { &item.then.reason };
            if !reason.is_empty() {
                writeln!(f, "    {reason}")?;
            }
        }
        writeln!(
            f,
            "chain {} up to block {}: {} records, all of which held in their blocks; {} that nobody signed",
            self.replay.chain_id, self.replay.head_number, self.replay.records, self.unavailable
        )?;
        write!(
            f,
            "{} registrations: {} were never valid, {} were valid then and are bad now (they signed {} records)",
            self.registrations.len(),
            self.bad_then,
            self.bad_now,
            self.records_of_bad_now
        )
    }
}

const fn word(verdict: &Verdict) -> &'static str {
    match verdict.standing {
        Standing::Holds => "holds",
        Standing::Over => "over",
        Standing::Pending => "pending",
        Standing::Bad => "BAD",
    }
}
