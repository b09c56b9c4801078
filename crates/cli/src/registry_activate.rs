//! `cryptlet registry activate`: lets instances count that wait for it. Where the council rules, that is one vote of it.

use crate::{
    args::EntryArgs,
    council::{self, Vote},
    registry::{CryptletRegistry, instance_status},
    registry_view::resolve,
    rpc::Chain,
};
use alloy::sol_types::SolCall;
use anyhow::{Result, ensure};
use cryptlet_attestation::InstanceStatus;
use cryptlet_primitives::{
    CryptletId, RegistrationId, abi::ICryptletRegistry::activateInstanceCall, system::CRYPTLET_REGISTRY,
};
use serde::Serialize;

/// Instances of one cryptlet that are looked at, the newest.
const INSTANCES_MAX: usize = 256;

/// What came of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Activation {
    registration_id: RegistrationId,
    /// Counts from the next block on.
    active: bool,
    /// The council's proposal, where it rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    vote: Option<Vote>,
}

pub(crate) async fn run(args: &EntryArgs) -> Result<()> {
    let access = &args.entry.access;
    let chain = Chain::of_author(&access.rpc_url, &args.author)?;
    let mut activations = Vec::new();
    for id in waiting(&chain, &args.entry.id).await? {
        let data = activateInstanceCall { registrationId: id.0 }.abi_encode().into();
        let vote = council::ask(&chain, "activateInstance", CRYPTLET_REGISTRY, data).await?.vote;
        let active = instance_status(&chain, id).await? == InstanceStatus::Active;
        activations.push(Activation { registration_id: id, active, vote });
    }
    print(access.output.json, &activations);
    Ok(())
}

/// The instance with this id, or all of a cryptlet that wait.
async fn waiting(chain: &Chain, name_or_id: &str) -> Result<Vec<RegistrationId>> {
    let (CryptletId(cryptlet), only) = resolve(chain, name_or_id).await?;
    if let Some(only) = only {
        let status = instance_status(chain, only).await?;
        ensure!(status == InstanceStatus::Pending, "instance {only} does not wait to be activated: it is {status:?}");
        return Ok(vec![only]);
    }
    let ids = chain.call(CRYPTLET_REGISTRY, &CryptletRegistry::instancesOfCall { cryptletId: cryptlet }).await?;
    let mut waiting = Vec::new();
    for id in ids.into_iter().rev().take(INSTANCES_MAX).map(RegistrationId) {
        if instance_status(chain, id).await? == InstanceStatus::Pending {
            waiting.push(id);
        }
    }
    ensure!(!waiting.is_empty(), "no instance of {name_or_id} waits to be activated");
    Ok(waiting)
}

#[expect(clippy::print_stdout, reason = "this is the answer of the command")]
fn print(json: bool, activations: &[Activation]) {
    if json {
        println!("{}", serde_json::to_string(activations).expect("numbers and hashes are JSON"));
        return;
    }
    for Activation { registration_id, active, vote } in activations {
        match vote {
            _ if *active => println!("instance {registration_id} counts from the next block on"),
            Some(Vote { proposal, approvals, needed }) => {
                println!("instance {registration_id}: proposal {proposal} has {approvals} of {needed} approvals");
            }
            None => println!("instance {registration_id} is not active"),
        }
    }
}
