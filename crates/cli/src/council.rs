//! Asking something of whoever rules a system contract: one account, which does it, or the council, whose members vote on it.

use crate::{
    registry::{Administrators, CryptletPolicy, IAdministrators::Proposal},
    rpc::Chain,
};
use alloy::{
    primitives::{Address, Bytes, U256},
    rpc::types::TransactionReceipt,
    sol_types::SolEvent,
};
use anyhow::{Context, Result, ensure};
use cryptlet_primitives::system::ADMINISTRATORS;
use serde::Serialize;

/// Proposals of the council that are looked through, the newest.
const PROPOSALS_MAX: u64 = 256;

/// What may still come of a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum State {
    Open,
    Done,
    /// Its last block is over.
    Expired,
    /// The administrators have changed since.
    Void,
}

impl State {
    /// In the block `next`, under administrators of this generation.
    pub(crate) fn of(proposal: &Proposal, generation: u32, next: u64) -> Self {
        match proposal.isDone {
            true => Self::Done,
            false if proposal.generation != generation => Self::Void,
            false if proposal.untilBlock < next => Self::Expired,
            false => Self::Open,
        }
    }
}

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

impl Outcome {
    /// Of who needs nobody's vote.
    pub(crate) fn done(receipt: &TransactionReceipt) -> Self {
        Self { done: true, vote: None, block: receipt.block_number.unwrap_or_default() }
    }
}

/// Has the call made: by this account, if it rules the contract; else by the council, of which it then is a member.
pub(crate) async fn ask(chain: &Chain, what: &str, target: Address, data: Bytes) -> Result<Outcome> {
    ensure_sends_itself(chain)?;
    if target != ADMINISTRATORS {
        let admin = chain.call(target, &CryptletPolicy::adminCall {}).await?;
        if admin == chain.address() {
            let receipt = chain.transact_raw(what, target, data).await?;
            return Ok(Outcome::done(&receipt));
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
    ensure_sends_itself(chain)?;
    let member = chain.address();
    let is_member = chain.call(ADMINISTRATORS, &Administrators::isMemberCall { account: member }).await?;
    ensure!(is_member, "{member} is no administrator of this chain");
    Ok(member)
}

fn ensure_sends_itself(chain: &Chain) -> Result<()> {
    ensure!(chain.relayer().is_none(), "the administrator sends this itself: --sender-key is for registrations");
    Ok(())
}

/// How a proposal stands after the transaction with this receipt.
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

/// The newest of so many proposals, by number, the last one first.
pub(crate) fn newest(count: U256) -> impl Iterator<Item = U256> {
    (0..PROPOSALS_MAX).map_while(move |back| count.checked_sub(U256::from(back + 1)))
}

/// A proposal of this very call that can still be approved.
async fn open_proposal(chain: &Chain, target: Address, data: &Bytes) -> Result<Option<U256>> {
    let count = chain.call(ADMINISTRATORS, &Administrators::proposalCountCall {}).await?;
    let generation = chain.call(ADMINISTRATORS, &Administrators::generationCall {}).await?;
    let next = chain.anchor().await?.number + 1;
    for id in newest(count) {
        let item = chain.call(ADMINISTRATORS, &Administrators::proposalCall { id }).await?;
        if State::of(&item, generation, next) == State::Open && item.target == target && item.data == *data {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

fn events<E: SolEvent>(receipt: &TransactionReceipt) -> impl Iterator<Item = E> {
    receipt.logs().iter().filter_map(|log| E::decode_log(&log.inner).ok().map(|log| log.data))
}
