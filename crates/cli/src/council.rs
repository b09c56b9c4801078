//! Asking something of whoever rules a system contract: one account, which does it, or the council, whose members vote on it.

use crate::{
    registry::{Administrators, CryptletPolicy},
    rpc::Chain,
};
use alloy::{
    primitives::{Address, Bytes, U256},
    rpc::types::TransactionReceipt,
    sol_types::SolEvent,
};
use anyhow::{Context, Result, bail, ensure};
use cryptlet_primitives::system::ADMINISTRATORS;
use serde::Serialize;

/// Proposals of the council that are looked through, the newest.
pub(crate) const PROPOSALS_MAX: u64 = 256;

/// How a proposal stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Vote {
    pub(crate) proposal: u64,
    pub(crate) approvals: u32,
    pub(crate) needed: u32,
}

/// What came of asking.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    /// It is so from the next block on.
    pub(crate) done: bool,
    /// The proposal, where the council rules.
    pub(crate) vote: Option<Vote>,
    /// Block of the transaction.
    pub(crate) block: u64,
}

/// Has the call made: by this account, if it rules the contract; else by the council, of which it then is a member.
pub(crate) async fn ask(chain: &Chain, what: &str, target: Address, data: Bytes) -> Result<Outcome> {
    ensure!(chain.relayer().is_none(), "the administrator sends this itself: --sender-key is for registrations");
    if target != ADMINISTRATORS {
        let admin = chain.call(target, &CryptletPolicy::adminCall {}).await?;
        if admin == chain.address() {
            let receipt = chain.transact_raw(what, target, data).await?;
            return Ok(Outcome { done: true, vote: None, block: receipt.block_number.unwrap_or_default() });
        }
        ensure!(admin == ADMINISTRATORS, "the administrator of {target} is {admin}, and this is {}", chain.address());
    }
    let member = member(chain).await?;
    match open_proposal(chain, target, &data).await? {
        Some(id) => {
            let asked = Administrators::hasApprovedCall { id, member };
            ensure!(!chain.call(ADMINISTRATORS, &asked).await?, "{member} has approved proposal {id} already");
            approve(chain, id).await
        }
        None => {
            let receipt = chain.transact(ADMINISTRATORS, &Administrators::proposeCall { target, data }).await?;
            let id = events::<Administrators::Proposed>(&receipt).next().map(|proposed| proposed.id);
            outcome(chain, id.context("the council recorded no proposal")?, &receipt).await
        }
    }
}

/// Approves a proposal, whatever it asks for.
pub(crate) async fn approve(chain: &Chain, id: U256) -> Result<Outcome> {
    let receipt = chain.transact(ADMINISTRATORS, &Administrators::approveCall { id }).await?;
    outcome(chain, id, &receipt).await
}

/// This account, which must be a member.
pub(crate) async fn member(chain: &Chain) -> Result<Address> {
    ensure!(chain.relayer().is_none(), "the administrator sends this itself: --sender-key is for registrations");
    let member = chain.address();
    let is_member = chain.call(ADMINISTRATORS, &Administrators::isMemberCall { account: member }).await?;
    if !is_member {
        bail!("{member} is no administrator of this chain");
    }
    Ok(member)
}

/// Some block of the chain after the proposal's last change.
pub(crate) async fn outcome(chain: &Chain, id: U256, receipt: &TransactionReceipt) -> Result<Outcome> {
    let item = chain.call(ADMINISTRATORS, &Administrators::proposalCall { id }).await?;
    let needed = chain.call(ADMINISTRATORS, &Administrators::thresholdCall {}).await?;
    let vote = Vote { proposal: number(id)?, approvals: item.approvals, needed };
    Ok(Outcome { done: item.isDone, vote: Some(vote), block: receipt.block_number.unwrap_or_default() })
}

/// A proposal's number.
pub(crate) fn number(id: U256) -> Result<u64> {
    u64::try_from(id).context("there are more proposals than anybody counts")
}

/// A proposal of this very call that can still be approved.
async fn open_proposal(chain: &Chain, target: Address, data: &Bytes) -> Result<Option<U256>> {
    let count = chain.call(ADMINISTRATORS, &Administrators::proposalCountCall {}).await?;
    let generation = chain.call(ADMINISTRATORS, &Administrators::generationCall {}).await?;
    let (head, mut id) = (chain.anchor().await?.number, count);
    while id > U256::ZERO && count - id < U256::from(PROPOSALS_MAX) {
        id -= U256::ONE;
        let item = chain.call(ADMINISTRATORS, &Administrators::proposalCall { id }).await?;
        let is_open = !item.isDone && item.generation == generation && item.untilBlock > head;
        if is_open && item.target == target && item.data == *data {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

fn events<E: SolEvent>(receipt: &TransactionReceipt) -> impl Iterator<Item = E> {
    receipt.logs().iter().filter_map(|log| E::decode_log(&log.inner).ok().map(|log| log.data))
}
