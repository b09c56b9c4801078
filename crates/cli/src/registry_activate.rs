//! `cryptlet registry activate`: lets instances count that wait for it. Where the council rules, that is one vote of it.

use crate::{
    args::ActivateArgs,
    registry::{Administrators, CryptletRegistry, instance_status},
    registry_view::resolve,
    rpc::Chain,
};
use alloy::{
    primitives::{Address, Bytes, U256},
    sol_types::SolCall,
};
use anyhow::{Context, Result, bail, ensure};
use cryptlet_attestation::InstanceStatus;
use cryptlet_primitives::{
    CryptletId, RegistrationId,
    abi::ICryptletRegistry::activateInstanceCall,
    system::{ADMINISTRATORS, CRYPTLET_REGISTRY},
};
use serde::Serialize;

/// Proposals of the council that are looked through for the same, the newest.
const PROPOSALS_MAX: u64 = 256;
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

#[derive(Clone, Copy, Debug, Serialize)]
struct Vote {
    proposal: u64,
    approvals: u32,
    needed: u32,
}

pub(crate) async fn run(args: &ActivateArgs) -> Result<()> {
    let access = &args.entry.access;
    let chain = Chain::of_author(&access.rpc_url, &args.author)?;
    ensure!(chain.relayer().is_none(), "the administrator sends this itself: --sender-key is for registrations");
    let mut activations = Vec::new();
    for id in waiting(&chain, &args.entry.id).await? {
        let vote = activate(&chain, id).await?;
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

/// Does it, or votes for it.
async fn activate(chain: &Chain, id: RegistrationId) -> Result<Option<Vote>> {
    let call = activateInstanceCall { registrationId: id.0 };
    let admin = chain.call(CRYPTLET_REGISTRY, &CryptletRegistry::adminCall {}).await?;
    if admin == chain.address() {
        chain.transact(CRYPTLET_REGISTRY, &call).await?;
        return Ok(None);
    }
    if admin != ADMINISTRATORS {
        bail!("the registry's administrator is {admin}, and this is {}", chain.address());
    }
    vote(chain, call.abi_encode().into()).await.map(Some)
}

/// Approves the open proposal of the same call; proposes it if there is none.
async fn vote(chain: &Chain, data: Bytes) -> Result<Vote> {
    let member = chain.address();
    let is_member = chain.call(ADMINISTRATORS, &Administrators::isMemberCall { account: member }).await?;
    ensure!(is_member, "{member} is no administrator of this chain");
    let proposal = match open_proposal(chain, &data).await? {
        Some(id) => {
            let asked = Administrators::hasApprovedCall { id, member };
            ensure!(!chain.call(ADMINISTRATORS, &asked).await?, "{member} has approved proposal {id} already");
            chain.transact(ADMINISTRATORS, &Administrators::approveCall { id }).await?;
            id
        }
        None => {
            let call = Administrators::proposeCall { target: CRYPTLET_REGISTRY, data: data.clone() };
            chain.transact(ADMINISTRATORS, &call).await?;
            match open_proposal(chain, &data).await? {
                Some(id) => id,
                // One of one decides at once.
                None => chain.call(ADMINISTRATORS, &Administrators::proposalCountCall {}).await? - U256::ONE,
            }
        }
    };
    let item = chain.call(ADMINISTRATORS, &Administrators::proposalCall { id: proposal }).await?;
    let needed = chain.call(ADMINISTRATORS, &Administrators::thresholdCall {}).await?;
    let proposal = u64::try_from(proposal).context("there are more proposals than anybody counts")?;
    Ok(Vote { proposal, approvals: item.approvals, needed })
}

/// A proposal of this very call that can still be approved.
async fn open_proposal(chain: &Chain, data: &Bytes) -> Result<Option<U256>> {
    let count = chain.call(ADMINISTRATORS, &Administrators::proposalCountCall {}).await?;
    let generation = chain.call(ADMINISTRATORS, &Administrators::generationCall {}).await?;
    let (head, mut id) = (chain.anchor().await?.number, count);
    while id > U256::ZERO && count - id < U256::from(PROPOSALS_MAX) {
        id -= U256::ONE;
        let item = chain.call(ADMINISTRATORS, &Administrators::proposalCall { id }).await?;
        let is_open = !item.isDone && item.generation == generation && item.untilBlock > head;
        if is_open && Address::eq(&item.target, &CRYPTLET_REGISTRY) && item.data == *data {
            return Ok(Some(id));
        }
    }
    Ok(None)
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
