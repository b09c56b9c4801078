//! The seam to the fabric. The node names no host: whoever starts it hands in one of these.

use cryptlet_primitives::{FabricAnswer, FabricFault, Invocation, UnavailableReason};
use futures::future::BoxFuture;

/// Whoever answers the calls of contracts to cryptlets.
///
/// * Nothing an implementation returns is trusted: the node checks the signature against the registry.
/// * The first answer to a live invocation is final. Asking again with the same [`Invocation::key`] gives it again, so that
///   a builder cannot shop for outcomes.
/// * The future is dropped when the node no longer needs the answer; the node sets the deadline.
pub trait Fabric: Send + Sync + 'static {
    /// Asks for one answer. [`Invocation::mode`] says whether it may have effects.
    fn invoke(&self, invocation: Invocation) -> BoxFuture<'static, Result<FabricAnswer, FabricFault>>;
}

/// No fabric: a node that follows a chain, or serves one, without a host in reach. Every call faults at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFabric;

impl Fabric for NoFabric {
    fn invoke(&self, _invocation: Invocation) -> BoxFuture<'static, Result<FabricAnswer, FabricFault>> {
        let fault = FabricFault::new(UnavailableReason::HostUnreachable, "this node has no cryptlet host");
        Box::pin(std::future::ready(Err(fault)))
    }
}
