//! `cryptlet registry suspend|resume|revoke|operator|factory`: what publishers and administrators decide about what is registered.

use crate::{
    args::{EntryArgs, OperatorArgs, RevokeEntryArgs},
    council::Outcome,
    policy::{self, Asked},
    registry::CryptletRegistry,
    registry_view::resolve,
    rpc::Chain,
};
use alloy::{primitives::Bytes, sol_types::SolCall};
use anyhow::{Result, ensure};
use cryptlet_primitives::{CryptletId, system::CRYPTLET_REGISTRY};

pub(crate) async fn suspend(args: &EntryArgs) -> Result<()> {
    let (chain, id) = cryptlet(args).await?;
    by_publisher_or_administrators(&chain, args, id, &CryptletRegistry::suspendCryptletCall { cryptletId: id.0 }).await
}

pub(crate) async fn resume(args: &EntryArgs) -> Result<()> {
    let (chain, id) = cryptlet(args).await?;
    by_publisher_or_administrators(&chain, args, id, &CryptletRegistry::resumeCryptletCall { cryptletId: id.0 }).await
}

/// A cryptlet, for good; or one instance, if it was its id that was given.
pub(crate) async fn revoke(args: &RevokeEntryArgs) -> Result<()> {
    let entry = &args.entry;
    let chain = Chain::of_author(&entry.entry.access.rpc_url, &entry.author)?;
    let reason = args.reason.clone();
    match resolve(&chain, &entry.entry.id).await? {
        (id, Some(instance)) => {
            let call = CryptletRegistry::revokeInstanceCall { registrationId: instance.0, reason };
            by_publisher_or_administrators(&chain, entry, id, &call).await
        }
        (id, None) => {
            let call = CryptletRegistry::revokeCryptletCall { cryptletId: id.0, reason };
            by_publisher_or_administrators(&chain, entry, id, &call).await
        }
    }
}

pub(crate) async fn operator(args: &OperatorArgs) -> Result<()> {
    let chain = Chain::of_author(&args.access.rpc_url, &args.author)?;
    let call = CryptletRegistry::setHostOperatorCall { operator: args.operator, isApproved: args.value.is_approved() };
    policy::ask(&chain, args.access.output, CRYPTLET_REGISTRY, call.abi_encode().into()).await
}

pub(crate) async fn factory(args: &EntryArgs) -> Result<()> {
    let (chain, id) = cryptlet(args).await?;
    let call = CryptletRegistry::setFactoryCall { cryptletId: id.0 };
    policy::ask(&chain, args.entry.access.output, CRYPTLET_REGISTRY, call.abi_encode().into()).await
}

async fn cryptlet(args: &EntryArgs) -> Result<(Chain, CryptletId)> {
    let chain = Chain::of_author(&args.entry.access.rpc_url, &args.author)?;
    let (id, instance) = resolve(&chain, &args.entry.id).await?;
    ensure!(instance.is_none(), "{} is an instance; this is about the whole cryptlet, {id}", args.entry.id);
    Ok((chain, id))
}

/// The publisher does it; for anybody else it is for the administrators.
async fn by_publisher_or_administrators<C: SolCall>(
    chain: &Chain,
    args: &EntryArgs,
    id: CryptletId,
    call: &C,
) -> Result<()> {
    let (output, data): (_, Bytes) = (args.entry.access.output, call.abi_encode().into());
    let entry = chain.call(CRYPTLET_REGISTRY, &CryptletRegistry::cryptletCall { cryptletId: id.0 }).await?;
    if entry.publisher != chain.address() {
        return policy::ask(chain, output, CRYPTLET_REGISTRY, data).await;
    }
    ensure!(chain.relayer().is_none(), "the publisher sends this itself: --sender-key is for registrations");
    let receipt = chain.transact(CRYPTLET_REGISTRY, call).await?;
    policy::tell(output, &Asked::of(chain, CRYPTLET_REGISTRY, &data, Outcome::done(&receipt)));
    Ok(())
}
