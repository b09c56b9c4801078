//! What administrators have proposed, and voting on it by number.

use super::{Asked, tell, words};
use crate::{
    answer::answer,
    args::{ProposalArgs, ProposalsArgs},
    council::{self, State},
    registry::{Administrators, IAdministrators::Proposal},
    rpc::Chain,
};
use alloy::{
    primitives::{Address, B256, U256},
    sol_types::SolEvent,
};
use anyhow::{Result, ensure};
use cryptlet_primitives::system::ADMINISTRATORS;
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    proposal: u64,
    asked: String,
    by: Option<Address>,
    state: State,
    approved_by: Vec<Address>,
    approvals: u32,
    needed: u32,
    missing: u32,
    /// Last block in which it can be approved.
    until_block: u64,
    target: Address,
    data: alloy::primitives::Bytes,
}

/// Who did what, as the council's events have it.
#[derive(Debug, Default)]
pub(super) struct Acts {
    proposers: BTreeMap<U256, Address>,
    approvers: BTreeMap<U256, Vec<Address>>,
    /// Everybody who ever acted or was added; some may be members no longer.
    pub(super) seen: Vec<Address>,
}

impl Acts {
    pub(super) async fn of(chain: &Chain) -> Result<Self> {
        let topics: Vec<B256> = vec![
            Administrators::Proposed::SIGNATURE_HASH,
            Administrators::Approved::SIGNATURE_HASH,
            Administrators::ApprovalWithdrawn::SIGNATURE_HASH,
            Administrators::MembersChanged::SIGNATURE_HASH,
        ];
        let mut acts = Self::default();
        for log in chain.logs(ADMINISTRATORS, topics).await? {
            if let Ok(event) = Administrators::Proposed::decode_log(&log) {
                acts.proposers.insert(event.id, event.by);
            } else if let Ok(event) = Administrators::Approved::decode_log(&log) {
                acts.approvers.entry(event.id).or_default().push(event.by);
                acts.seen.push(event.by);
            } else if let Ok(event) = Administrators::ApprovalWithdrawn::decode_log(&log) {
                acts.approvers.entry(event.id).or_default().retain(|member| *member != event.by);
            } else if let Ok(event) = Administrators::MembersChanged::decode_log(&log) {
                acts.seen.extend(&event.added);
            }
        }
        Ok(acts)
    }
}

pub(super) async fn list(chain: &Chain, args: &ProposalsArgs) -> Result<()> {
    let acts = Acts::of(chain).await?;
    let count = chain.call(ADMINISTRATORS, &Administrators::proposalCountCall {}).await?;
    let needed = chain.call(ADMINISTRATORS, &Administrators::thresholdCall {}).await?;
    let generation = chain.call(ADMINISTRATORS, &Administrators::generationCall {}).await?;
    let next = chain.anchor().await?.number + 1;
    let mut listed = Vec::new();
    for id in council::newest(count) {
        let item = chain.call(ADMINISTRATORS, &Administrators::proposalCall { id }).await?;
        let state = State::of(&item, generation, next);
        if state != State::Open && !args.all {
            continue;
        }
        let missing = if state == State::Open { needed.saturating_sub(item.approvals) } else { 0 };
        listed.push(Listed {
            proposal: council::number(id)?,
            asked: words::of_call(item.target, &item.data),
            by: acts.proposers.get(&id).copied(),
            state,
            approved_by: acts.approvers.get(&id).cloned().unwrap_or_default(),
            approvals: item.approvals,
            needed,
            missing,
            until_block: item.untilBlock,
            target: item.target,
            data: item.data,
        });
    }
    answer(args.access.output, &listed, || match listed.as_slice() {
        [] => format!("no proposal {}\n", if args.all { "was ever made" } else { "is open" }),
        listed => listed.iter().map(Listed::sentences).collect(),
    });
    Ok(())
}

pub(super) async fn approve(chain: &Chain, args: &ProposalArgs) -> Result<()> {
    let (id, item) = known(chain, args.id).await?;
    council::member(chain).await?;
    let outcome = council::approve(chain, id).await?;
    tell(args.access.output, &Asked::of(chain, item.target, &item.data, outcome));
    Ok(())
}

pub(super) async fn withdraw(chain: &Chain, args: &ProposalArgs) -> Result<()> {
    let (id, item) = known(chain, args.id).await?;
    council::member(chain).await?;
    let receipt = chain.transact(ADMINISTRATORS, &Administrators::withdrawApprovalCall { id }).await?;
    let outcome = council::outcome(chain, id, &receipt).await?;
    tell(args.access.output, &Asked::of(chain, item.target, &item.data, outcome));
    Ok(())
}

async fn known(chain: &Chain, id: u64) -> Result<(U256, Proposal)> {
    let count = chain.call(ADMINISTRATORS, &Administrators::proposalCountCall {}).await?;
    let id = U256::from(id);
    ensure!(id < count, "there is no proposal {id}: {count} were ever made, counted from 0");
    Ok((id, chain.call(ADMINISTRATORS, &Administrators::proposalCall { id }).await?))
}

impl Listed {
    fn sentences(&self) -> String {
        let by = self.by.map_or_else(|| "somebody".to_owned(), |by| by.to_string());
        let names: Vec<String> = self.approved_by.iter().map(Address::to_string).collect();
        let approved = if names.is_empty() { "nobody".to_owned() } else { names.join(" and ") };
        let standing = match self.state {
            State::Open => {
                let (approvals, needed) = (self.approvals, self.needed);
                format!("{approvals} of {needed} approvals, {} missing; until block {}", self.missing, self.until_block)
            }
            State::Done => "done".to_owned(),
            State::Expired => format!("out of time since block {}", self.until_block),
            State::Void => "void: the administrators have changed since".to_owned(),
        };
        format!(
            "proposal {}: {}\n  proposed by {by}, approved by {approved}\n  {standing}\n",
            self.proposal, self.asked
        )
    }
}
