//! Several hosts behind one fabric: which of them a call goes to, and where it goes next.
//!
//! Every call has a host of its own by its key (rendezvous hashing), so that whoever asks again, or another node, asks where the
//! answer is kept. If that host cannot be reached, takes no calls or does not run the cryptlet, the next one in the call's
//! order is asked within the same time. A host that failed is asked last until a look at its health finds it well again.

use super::{ClientOptions, FabricClient};
use crate::Entropy;
use alloy_primitives::{Address, B256, keccak256};
use cryptlet_primitives::{FabricAnswer, FabricFault, Invocation, UnavailableReason};
use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// Shortest pause between two looks at a host that failed.
const PROBE_PAUSE_MIN: Duration = Duration::from_millis(100);

/// The hosts of a fabric.
#[derive(Debug)]
pub(super) struct Pool {
    members: Vec<Member>,
    probe_pause_max: Duration,
    entropy: Arc<dyn Entropy>,
}

#[derive(Debug)]
struct Member {
    /// Of this host alone.
    client: FabricClient,
    host_key: Address,
    /// It failed, and has not been found well since.
    is_suspect: AtomicBool,
}

impl Pool {
    pub(super) fn new(clients: Vec<(Address, FabricClient)>, options: &ClientOptions) -> Self {
        let member = |(host_key, client)| Member { client, host_key, is_suspect: AtomicBool::new(false) };
        Self {
            members: clients.into_iter().map(member).collect(),
            probe_pause_max: options.reconnect_pause_max,
            entropy: Arc::clone(&options.entropy),
        }
    }

    /// A client of each host alone.
    pub(super) fn clients(&self) -> impl Iterator<Item = &FabricClient> {
        self.members.iter().map(|member| &member.client)
    }

    /// Calls a cryptlet at the first host of the call's order that answers within the time.
    pub(super) async fn invoke(
        self: &Arc<Self>,
        invocation: &Invocation,
        timeout: Duration,
    ) -> Result<FabricAnswer, FabricFault> {
        let started = Instant::now();
        let mut first_fault: Option<FabricFault> = None;
        for index in self.order(invocation.request.key) {
            let Some(left) = timeout.checked_sub(started.elapsed()).filter(|left| !left.is_zero()) else { break };
            let fault = match self.members[index].client.invoke_here(invocation, left).await {
                Ok(answer) => return Ok(answer),
                Err(fault) => fault,
            };
            match fault.reason {
                UnavailableReason::HostUnreachable
                | UnavailableReason::Overloaded
                | UnavailableReason::DeadlineExceeded => self.suspect(index),
                UnavailableReason::NoInstance => {}
                // Another host would say the same, or must not be asked.
                _ => return Err(fault),
            }
            // That a host does not run the cryptlet says less than that the one which does cannot be reached.
            match &first_fault {
                Some(earlier) if earlier.reason != UnavailableReason::NoInstance => {}
                _ => first_fault = Some(fault),
            }
        }
        Err(first_fault.unwrap_or_else(|| {
            FabricFault::new(UnavailableReason::DeadlineExceeded, "no host of the fabric answered in time")
        }))
    }

    fn order(&self, key: B256) -> Vec<usize> {
        let hosts: Vec<(Address, bool)> =
            self.members.iter().map(|member| (member.host_key, member.is_suspect.load(Ordering::Relaxed))).collect();
        order(key, &hosts)
    }

    /// Asks a host last from now on, and begins to look after it.
    fn suspect(self: &Arc<Self>, index: usize) {
        if !self.members[index].is_suspect.swap(true, Ordering::Relaxed) {
            tokio::spawn(probe(Arc::downgrade(self), index));
        }
    }
}

/// Looks at a host until it is well again, or nobody is left who would ask it.
async fn probe(pool: Weak<Pool>, index: usize) {
    let mut pause = PROBE_PAUSE_MIN;
    loop {
        {
            let Some(pool) = pool.upgrade() else { return };
            let mut random = [0];
            pool.entropy.fill(&mut random);
            // Half to whole of the pause, so that many nodes do not come at once.
            let jittered = pause / 2 + (pause / 2).mul_f64(f64::from(random[0]) / 255.0);
            pause = (pause * 2).min(pool.probe_pause_max.max(PROBE_PAUSE_MIN));
            drop(pool);
            tokio::time::sleep(jittered).await;
        }
        let Some(pool) = pool.upgrade() else { return };
        let member = &pool.members[index];
        if member.client.health().await.is_ok_and(|health| health.is_serving) {
            member.is_suspect.store(false, Ordering::Relaxed);
            return;
        }
    }
}

/// The order in which hosts are asked for a call: by what key and host hash to, those that failed last.
fn order(key: B256, hosts: &[(Address, bool)]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..hosts.len()).collect();
    order.sort_by_key(|index| {
        let (host_key, is_suspect) = hosts[*index];
        (is_suspect, keccak256([key.as_slice(), host_key.as_slice()].concat()))
    });
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(count: u8) -> Vec<(Address, bool)> {
        (0..count).map(|number| (Address::repeat_byte(number + 1), false)).collect()
    }

    #[test]
    fn a_call_has_one_order_and_calls_are_spread_over_all_hosts() {
        let hosts = hosts(3);
        let mut first = [0; 3];
        for number in 0..3000u32 {
            let key = keccak256(number.to_be_bytes());
            assert_eq!(order(key, &hosts), order(key, &hosts));
            first[order(key, &hosts)[0]] += 1;
        }
        assert!(first.iter().all(|count| (850..1150).contains(count)), "{first:?}");
    }

    #[test]
    fn a_host_that_failed_is_asked_last_and_moves_no_call_of_the_others() {
        let mut hosts = hosts(3);
        for number in 0..100u32 {
            let key = keccak256(number.to_be_bytes());
            hosts[1].1 = false;
            let before: Vec<usize> = order(key, &hosts).into_iter().filter(|index| *index != 1).collect();
            hosts[1].1 = true;
            let after = order(key, &hosts);
            assert_eq!(after, [before, vec![1]].concat());
        }
    }
}
