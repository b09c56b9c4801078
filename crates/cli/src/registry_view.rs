//! `cryptlet registry`: what the chain's registry and policy say, as a table, in full, or in sentences.
//!
//! Whether an instance counts is not decided here: the verifier that the delegate uses is asked, about the head and the block after it.

use crate::{
    answer::answer,
    args::{OutputArgs, RegistryArgs, RegistryCommand},
    logs,
    registry::CryptletRegistry,
    registry_activate,
    registry_facts::{Facts, facts, policy},
    registry_rule,
    rpc::Chain,
};
use alloy::primitives::{Address, B256, U256};
use anyhow::{Result, bail};
use cryptlet_attestation::{
    CryptletEntry, CryptletStatus, InstanceEntry, InstanceStatus, PolicyEntry, RecordFault, record::verify_instance,
};
use cryptlet_primitives::{
    CryptletId, RegistrationId,
    names::{CONTAINERS, PROVIDERS, name_of},
    system::CRYPTLET_REGISTRY,
};
use serde::Serialize;
use serde_json::Value;
use std::process::ExitCode;

/// Cryptlets that are listed.
const CRYPTLETS_MAX: u64 = 10_000;

pub(crate) fn run(args: RegistryArgs) -> Result<ExitCode> {
    let access = match &args.command {
        RegistryCommand::List(access) => access,
        RegistryCommand::Show(entry) | RegistryCommand::Explain(entry) => &entry.access,
        RegistryCommand::Activate(args)
        | RegistryCommand::Suspend(args)
        | RegistryCommand::Resume(args)
        | RegistryCommand::Factory(args) => &args.entry.access,
        RegistryCommand::Revoke(args) => &args.entry.entry.access,
        RegistryCommand::Operator(args) => &args.access,
    };
    logs::start(access.output);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let chain = Chain::reader(&access.rpc_url)?;
        match &args.command {
            RegistryCommand::Activate(args) => registry_activate::run(args).await,
            RegistryCommand::Suspend(args) => registry_rule::suspend(args).await,
            RegistryCommand::Resume(args) => registry_rule::resume(args).await,
            RegistryCommand::Revoke(args) => registry_rule::revoke(args).await,
            RegistryCommand::Operator(args) => registry_rule::operator(args).await,
            RegistryCommand::Factory(args) => registry_rule::factory(args).await,
            RegistryCommand::List(_) => list(&chain, access.output).await,
            RegistryCommand::Show(entry) => show(&chain, access.output, &entry.id).await,
            RegistryCommand::Explain(entry) => explain(&chain, access.output, &entry.id).await,
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

/// A line of the list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    cryptlet_id: CryptletId,
    name: String,
    kind: &'static str,
    status: CryptletStatus,
    publisher: Address,
    key_epoch: u64,
    /// Instances whose results count in the next block.
    instances: usize,
    /// Instances that wait to be activated.
    pending: usize,
    callable: bool,
}

async fn list(chain: &Chain, output: OutputArgs) -> Result<()> {
    let call = CryptletRegistry::cryptletIdsCall { first: U256::ZERO, countMax: U256::from(CRYPTLETS_MAX) };
    let ids = chain.call(CRYPTLET_REGISTRY, &call).await?;
    let (policy, next) = (policy(chain).await?, chain.anchor().await?.number + 1);
    let mut lines = Vec::new();
    for id in ids.into_iter().map(CryptletId) {
        let facts = facts(chain, id).await?;
        let explanation = Explanation::of(&facts, &policy, next);
        lines.push(Line {
            cryptlet_id: id,
            kind: if facts.cryptlet.bound_contract.is_some() { "contract" } else { "utility" },
            status: facts.cryptlet.status,
            publisher: facts.publisher,
            key_epoch: facts.cryptlet.key_epoch,
            instances: explanation.instances.iter().filter(|instance| instance.counts).count(),
            pending: explanation.instances.iter().filter(|instance| instance.status == InstanceStatus::Pending).count(),
            callable: explanation.callable,
            name: facts.name,
        });
    }
    answer(output, &lines, || {
        let line = |line: &Line| {
            let callable = if line.callable { "callable" } else { "not callable" };
            let (status, name): (String, String) =
                (format!("{:?}", line.status).to_lowercase(), line.name.chars().take(28).collect());
            let Line { cryptlet_id, kind, instances, pending, .. } = line;
            format!("{cryptlet_id} {name:<28} {kind:<8} {status:<9} {instances:>9} {pending:>7}  {callable}\n")
        };
        let head = format!("{:<66} {:<28} {:<8} {:<9} instances pending\n", "cryptlet", "name", "kind", "status");
        head + &lines.iter().map(line).collect::<String>()
    });
    Ok(())
}

async fn show(chain: &Chain, output: OutputArgs, id: &str) -> Result<()> {
    let id = resolve(chain, id).await?.0;
    let view: Value = chain.raw("cryptlet_getCryptlet", [id.to_string()]).await?;
    answer(output, &view, || {
        let mut text = String::new();
        lines_of(&view, 0, &mut text);
        text
    });
    Ok(())
}

/// A value of JSON as indented lines.
fn lines_of(value: &Value, depth: usize, text: &mut String) {
    use std::fmt::Write as _;
    let Value::Object(fields) = value else { return };
    let indent = "  ".repeat(depth);
    for (name, field) in fields {
        // Writing into a text cannot fail.
        let _ = match field {
            Value::Array(list) if list.iter().any(Value::is_object) => {
                let _ = writeln!(text, "{indent}{name}");
                list.iter().for_each(|item| {
                    lines_of(item, depth + 1, text);
                    text.push('\n');
                });
                Ok(())
            }
            Value::String(word) => writeln!(text, "{indent}{name:<20} {word}"),
            other => writeln!(text, "{indent}{name:<20} {other}"),
        };
    }
}

async fn explain(chain: &Chain, output: OutputArgs, id: &str) -> Result<()> {
    let (id, only) = resolve(chain, id).await?;
    let (facts, policy) = (facts(chain, id).await?, policy(chain).await?);
    let mut explanation = Explanation::of(&facts, &policy, chain.anchor().await?.number + 1);
    if let Some(only) = only {
        explanation.instances.retain(|instance| instance.registration_id == only);
    }
    answer(output, &explanation, || explanation.sentences());
    Ok(())
}

/// A cryptlet by its name, its id, or the id of one of its registrations.
pub(crate) async fn resolve(chain: &Chain, text: &str) -> Result<(CryptletId, Option<RegistrationId>)> {
    if let Ok(id) = text.parse::<B256>() {
        let instance = chain.call(CRYPTLET_REGISTRY, &CryptletRegistry::instanceCall { registrationId: id }).await?;
        if instance.status != 0 {
            return Ok((CryptletId(instance.cryptletId), Some(RegistrationId(id))));
        }
        let cryptlet = chain.call(CRYPTLET_REGISTRY, &CryptletRegistry::cryptletCall { cryptletId: id }).await?;
        if cryptlet.status == 0 {
            bail!("neither a cryptlet nor an instance is registered as {id}");
        }
        return Ok((CryptletId(id), None));
    }
    let view: crate::registry::CryptletView = chain.raw("cryptlet_getCryptlet", [text]).await?;
    Ok((view.cryptlet_id, None))
}

/// Why a cryptlet can be called in the next block, or why not.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Explanation {
    cryptlet_id: CryptletId,
    name: String,
    /// The block that a call sent now would be in at the earliest.
    block_number: u64,
    callable: bool,
    /// What speaks against a call at all, whatever the instances say.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    bound_contract: Option<Address>,
    instances: Vec<ExplainedInstance>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ExplainedInstance {
    registration_id: RegistrationId,
    signer: Address,
    status: InstanceStatus,
    container: &'static str,
    /// Version of the fabric that runs it.
    version: String,
    provider: &'static str,
    key_epoch: u64,
    not_after_block: u64,
    /// Unix seconds until which its evidence's collateral holds.
    evidence_expires: u64,
    counts: bool,
    /// The verifier's reason if it does not count; else until when it does.
    reason: String,
    /// The setting that refuses it, if a setting does.
    #[serde(skip_serializing_if = "Option::is_none")]
    setting: Option<&'static str>,
}

impl Explanation {
    fn of(facts: &Facts, policy: &PolicyEntry, block_number: u64) -> Self {
        let cryptlet = &facts.cryptlet;
        let explain = |(entry, evidence_expires): &(InstanceEntry, u64)| {
            let verdict = verify_instance(entry, cryptlet, policy, block_number);
            ExplainedInstance {
                registration_id: entry.id,
                signer: entry.signer,
                status: entry.status,
                container: name_of(&CONTAINERS, entry.container.into()),
                version: entry.version.to_string(),
                provider: name_of(&PROVIDERS, entry.provider),
                key_epoch: entry.key_epoch,
                not_after_block: entry.not_after_block,
                evidence_expires: *evidence_expires,
                counts: verdict.is_ok(),
                setting: verdict.as_ref().err().and_then(setting),
                reason: match verdict {
                    Ok(()) => why_it_counts(entry, cryptlet),
                    Err(fault) => fault.to_string(),
                },
            }
        };
        let instances: Vec<_> = facts.instances.iter().map(explain).collect();
        let reason = match cryptlet.status {
            CryptletStatus::Active if !instances.iter().any(|instance| instance.counts) => {
                Some("none of its instances counts".to_owned())
            }
            CryptletStatus::Active => None,
            CryptletStatus::Suspended => {
                Some("it is suspended; `cryptlet registry resume` allows calls again".to_owned())
            }
            CryptletStatus::Revoked => Some("it is revoked, which is final".to_owned()),
            CryptletStatus::Unknown => Some("it is not registered".to_owned()),
        };
        Self {
            cryptlet_id: cryptlet.id,
            name: facts.name.clone(),
            block_number,
            callable: reason.is_none(),
            reason,
            bound_contract: cryptlet.bound_contract,
            instances,
        }
    }

    fn sentences(&self) -> String {
        let mut text = match &self.reason {
            None => format!("{} can be called in block {}", self.name, self.block_number),
            Some(reason) => format!("{} cannot be called in block {}: {reason}", self.name, self.block_number),
        };
        if let Some(contract) = self.bound_contract {
            text += &format!(", by its contract {contract} only");
        }
        text += ".\n";
        for instance in &self.instances {
            let verb = if instance.counts { "counts" } else { "does not count" };
            let ExplainedInstance { registration_id, provider, container, version, key_epoch, reason, .. } = instance;
            text += &format!(
                "Instance {registration_id} ({provider}, {container} {version}, key epoch {key_epoch}) {verb}: {reason}"
            );
            if let Some(setting) = instance.setting {
                text += &format!(" (setting: {setting})");
            }
            text += ".\n";
        }
        text
    }
}

fn why_it_counts(entry: &InstanceEntry, cryptlet: &CryptletEntry) -> String {
    let last = entry.not_after_block;
    if entry.key_epoch != cryptlet.key_epoch {
        let until = cryptlet.previous_epoch_until.min(last);
        return format!("its keys were rotated out by epoch {}, with grace until block {until}", cryptlet.key_epoch);
    }
    match entry.status {
        InstanceStatus::Renewed => format!("it was renewed, and under this registration holds until block {last}"),
        _ => format!("its keys hold until block {last}"),
    }
}

/// The setting of the policy that a refusal comes from.
fn setting(fault: &RecordFault) -> Option<&'static str> {
    match fault {
        RecordFault::ProviderNotAccepted { .. } => Some("CryptletPolicy.acceptedProviders"),
        RecordFault::IsolationTooWeak { .. } => Some("CryptletPolicy.minimumIsolation or the cryptlet's own isolation"),
        RecordFault::MeasurementNotAccepted { .. } => Some("CryptletPolicy.measurementListing"),
        RecordFault::EndorserNotAccepted { .. } => Some("CryptletPolicy.endorserListing"),
        RecordFault::VersionNotAccepted { .. } => Some("CryptletPolicy.acceptedVersions"),
        RecordFault::InstancePending(_) => Some("CryptletPolicy.isActivationAutomatic; `cryptlet registry activate`"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cryptlet_attestation::{AcceptedVersions, Listing, SimulationPolicy};
    use cryptlet_primitives::{CodeDigest, FabricVersion};

    fn facts() -> Facts {
        let id = CryptletId(B256::repeat_byte(1));
        let cryptlet = CryptletEntry {
            id,
            status: CryptletStatus::Active,
            code_digest: CodeDigest(B256::repeat_byte(2)),
            bound_contract: None,
            units_max: 1,
            output_bytes_max: 1,
            key_epoch: 2,
            previous_epoch: 1,
            previous_epoch_until: 20,
            isolation: 1,
            active_instances: 1,
            simulation: SimulationPolicy::Live,
        };
        let instance = InstanceEntry {
            id: RegistrationId(B256::repeat_byte(3)),
            status: InstanceStatus::Active,
            cryptlet: id,
            code_digest: cryptlet.code_digest,
            signer: Address::repeat_byte(4),
            key_epoch: 2,
            not_after_block: 100,
            provider: 1,
            isolation: 1,
            measurement: B256::ZERO,
            endorser: Some(Address::repeat_byte(5)),
            measurement_listing: Listing::None,
            endorser_listing: Listing::None,
            container: 1,
            version: FabricVersion(1_002),
            accepted_versions: AcceptedVersions::default(),
        };
        Facts { name: "tools".into(), publisher: Address::ZERO, cryptlet, instances: vec![(instance, 9)] }
    }

    fn policy() -> PolicyEntry {
        PolicyEntry { version: 1, accepted_providers: 0b10, ..PolicyEntry::default() }
    }

    #[test]
    fn a_cryptlet_that_can_be_called_says_until_when() {
        let explanation = Explanation::of(&facts(), &policy(), 10);
        assert!(explanation.callable);
        let text = explanation.sentences();
        assert!(text.starts_with("tools can be called in block 10.\n"), "{text}");
        assert!(text.contains("counts: its keys hold until block 100"), "{text}");
    }

    #[test]
    fn a_grace_is_told_with_its_end() {
        let mut facts = facts();
        facts.instances[0].0.key_epoch = 1;
        let text = Explanation::of(&facts, &policy(), 20).sentences();
        assert!(text.contains("rotated out by epoch 2, with grace until block 20"), "{text}");
        let explanation = Explanation::of(&facts, &policy(), 21);
        assert!(!explanation.callable);
        assert!(explanation.sentences().contains("none of its instances counts"), "{}", explanation.sentences());
    }

    #[test]
    fn the_setting_that_refuses_is_named() {
        let mut facts = facts();
        facts.instances[0].0.measurement_listing = Listing::Revoked;
        let explanation = Explanation::of(&facts, &policy(), 10);
        assert!(explanation.sentences().contains("setting: CryptletPolicy.measurementListing"), "{explanation:?}");
        let strict = PolicyEntry { accepted_providers: 0b100, ..policy() };
        let explanation = Explanation::of(&self::facts(), &strict, 10);
        assert_eq!(explanation.instances[0].setting, Some("CryptletPolicy.acceptedProviders"));
    }

    #[test]
    fn what_waits_and_what_runs_in_a_version_that_is_not_accepted_say_so() {
        let mut facts = facts();
        facts.instances[0].0.status = InstanceStatus::Pending;
        let text = Explanation::of(&facts, &policy(), 10).sentences();
        assert!(text.contains("does not count: instance 0x0303") && text.contains("waits to be activated"), "{text}");
        assert!(text.contains("`cryptlet registry activate`"), "{text}");
        facts.instances[0].0.status = InstanceStatus::Active;
        facts.instances[0].0.accepted_versions.minimum = FabricVersion(2_000_000);
        let text = Explanation::of(&facts, &policy(), 10).sentences();
        assert!(text.contains("(software, wasm 0.1.2, key epoch 2)"), "{text}");
        assert!(
            text.contains(
                "runs in version 0.1.2 of the fabric; of this kind of container the policy accepts 2.0.0 and later"
            ),
            "{text}"
        );
        assert!(text.contains("setting: CryptletPolicy.acceptedVersions"), "{text}");
    }

    #[test]
    fn a_suspended_or_revoked_cryptlet_is_not_callable_whatever_its_instances_say() {
        for (status, word) in [(CryptletStatus::Suspended, "suspended"), (CryptletStatus::Revoked, "final")] {
            let mut facts = facts();
            facts.cryptlet.status = status;
            let explanation = Explanation::of(&facts, &policy(), 10);
            assert!(!explanation.callable && explanation.sentences().contains(word), "{explanation:?}");
        }
    }
}
