//! `cryptlet policy`: what evidence and which versions a chain accepts, and changing that, alone or with others.

mod change;
mod proposals;
mod show;
pub(crate) mod words;

use crate::{
    answer::answer,
    args::{AdministratorsArgs, AuthorArgs, OutputArgs, PolicyAccess, PolicyAction, PolicyArgs},
    council::{self, Outcome, Vote},
    logs,
    registry::{Administrators, CryptletPolicy},
    rpc::Chain,
};
use alloy::{
    primitives::{Address, Bytes},
    sol_types::SolCall,
};
use anyhow::{Result, ensure};
use cryptlet_primitives::system::{ADMINISTRATORS, CRYPTLET_POLICY, CRYPTLET_REGISTRY};
use serde::Serialize;
use std::process::ExitCode;

pub(crate) fn run(args: &PolicyArgs) -> Result<ExitCode> {
    let access = match &args.action {
        PolicyAction::Show(args) => &args.access,
        PolicyAction::Set(args) => &args.access,
        PolicyAction::Revoke(args) => &args.access,
        PolicyAction::Administrators(args) => &args.access,
        PolicyAction::Proposals(args) => &args.access,
        PolicyAction::Approve(args) | PolicyAction::Withdraw(args) => &args.access,
        PolicyAction::HandOver(args) => &args.access,
        PolicyAction::Accept(args) => &args.access,
    };
    logs::start(access.output);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(act(&args.action, access))?;
    Ok(ExitCode::SUCCESS)
}

async fn act(action: &PolicyAction, access: &PolicyAccess) -> Result<()> {
    let sender = |author: &AuthorArgs| Chain::of_author(&access.rpc_url, author);
    match action {
        PolicyAction::Show(args) => show::run(&Chain::reader(&access.rpc_url)?, args).await,
        PolicyAction::Proposals(args) => proposals::list(&Chain::reader(&access.rpc_url)?, args).await,
        PolicyAction::Approve(args) => proposals::approve(&sender(&args.author)?, args).await,
        PolicyAction::Withdraw(args) => proposals::withdraw(&sender(&args.author)?, args).await,
        PolicyAction::Set(args) => {
            let data = change::setting(&args.words)?;
            ask(&sender(&args.author)?, access.output, CRYPTLET_POLICY, data).await
        }
        PolicyAction::Revoke(args) => {
            let data = change::revocation(&args.words, &args.reason)?;
            ask(&sender(&args.author)?, access.output, CRYPTLET_POLICY, data).await
        }
        PolicyAction::Administrators(args) => {
            let data = members(args)?;
            ask(&sender(&args.author)?, access.output, ADMINISTRATORS, data).await
        }
        PolicyAction::HandOver(args) => {
            let chain = sender(&args.author)?;
            let data: Bytes = CryptletPolicy::proposeAdminCall { successor: args.successor }.abi_encode().into();
            let mut asked = Vec::new();
            for target in [CRYPTLET_POLICY, CRYPTLET_REGISTRY] {
                let outcome = council::ask(&chain, "proposeAdmin", target, data.clone()).await?;
                asked.push(Asked::of(&chain, target, &data, outcome));
            }
            tell_both(access.output, &asked);
            Ok(())
        }
        PolicyAction::Accept(args) => accept(&sender(&args.author)?, access.output).await,
    }
}

fn members(args: &AdministratorsArgs) -> Result<Bytes> {
    let both = args.add.iter().find(|address| args.remove.contains(address));
    ensure!(both.is_none(), "{} cannot be added and removed at once", both.copied().unwrap_or_default());
    ensure!(args.threshold > 0, "--threshold must be at least 1: somebody has to approve");
    let call = Administrators::changeMembersCall {
        added: args.add.clone(),
        removed: args.remove.clone(),
        newThreshold: args.threshold,
    };
    Ok(call.abi_encode().into())
}

/// Takes over what was handed over to this account.
async fn accept(chain: &Chain, output: OutputArgs) -> Result<()> {
    let mut accepted = Vec::new();
    for target in [CRYPTLET_POLICY, CRYPTLET_REGISTRY] {
        if chain.call(target, &CryptletPolicy::pendingAdminCall {}).await? != chain.address() {
            continue;
        }
        let data: Bytes = CryptletPolicy::acceptAdminCall {}.abi_encode().into();
        let receipt = chain.transact_raw("acceptAdmin()", target, data.clone()).await?;
        let outcome = Outcome::done(&receipt);
        accepted.push(Asked::of(chain, target, &data, outcome));
    }
    ensure!(!accepted.is_empty(), "neither registry nor policy was handed over to {}", chain.address());
    tell_both(output, &accepted);
    Ok(())
}

/// Asks the administrators for something, and says how far it got.
pub(crate) async fn ask(chain: &Chain, output: OutputArgs, target: Address, data: Bytes) -> Result<()> {
    let outcome = council::ask(chain, &words::of_call(target, &data), target, data.clone()).await?;
    tell(output, &Asked::of(chain, target, &data, outcome));
    Ok(())
}

/// What was asked of the administrators, and how far it got.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Asked {
    asked: String,
    by: Address,
    /// Holds from the next block on.
    done: bool,
    block_number: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    vote: Option<Vote>,
    /// Approvals that are still needed.
    missing: u32,
}

impl Asked {
    pub(crate) fn of(chain: &Chain, target: Address, data: &Bytes, outcome: Outcome) -> Self {
        let missing = match outcome.vote {
            Some(vote) if !outcome.done => vote.needed.saturating_sub(vote.approvals),
            _ => 0,
        };
        let Outcome { done, vote, block } = outcome;
        Self { asked: words::of_call(target, data), by: chain.address(), done, block_number: block, vote, missing }
    }

    fn sentences(&self) -> String {
        let Self { asked, by, block_number, missing, .. } = self;
        let mut text = format!("asked: {asked}\nby:    {by}\n");
        if let Some(Vote { proposal, approvals, needed }) = self.vote {
            text += &format!("vote:  proposal {proposal} has {approvals} of {needed} approvals");
            text += &match missing {
                _ if self.done => String::new(),
                1 => format!("; 1 is missing: `cryptlet policy approve {proposal}` by another administrator"),
                missing => format!("; {missing} are missing: `cryptlet policy approve {proposal}` by others"),
            };
            text.push('\n');
        }
        if self.done {
            text += &format!("done:  in block {block_number}; it holds from the next block on\n");
        }
        text
    }
}

pub(crate) fn tell(output: OutputArgs, asked: &Asked) {
    answer(output, asked, || asked.sentences());
}

/// The same for what concerns policy and registry.
fn tell_both(output: OutputArgs, asked: &[Asked]) {
    answer(output, asked, || asked.iter().map(Asked::sentences).collect());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(done: bool, approvals: u32, needed: u32) -> Asked {
        Asked {
            asked: "accept evidence of provider sgx".into(),
            by: Address::repeat_byte(0xaa),
            done,
            block_number: 7,
            vote: Some(Vote { proposal: 3, approvals, needed }),
            missing: needed.saturating_sub(approvals),
        }
    }

    #[test]
    fn a_step_says_what_was_asked_by_whom_and_how_many_are_missing() {
        let text = asked(false, 1, 2).sentences();
        assert!(text.contains("asked: accept evidence of provider sgx\nby:    0xaAaAaA"), "{text}");
        assert!(text.contains("proposal 3 has 1 of 2 approvals; 1 is missing: `cryptlet policy approve 3`"), "{text}");
        assert!(!text.contains("done"), "{text}");
        assert!(asked(false, 1, 3).sentences().contains("2 are missing"));
        let text = asked(true, 2, 2).sentences();
        assert!(text.contains("2 of 2 approvals\ndone:  in block 7"), "{text}");
    }
}
