//! One call from arrival to answer: check, deduplicate, wait for a place, run, keep, answer.
//!
//! A live call runs apart from whoever asked. If the asker hangs up or its deadline passes, the call goes on and its answer
//! is kept: asking again brings that answer, not another.

use crate::{
    admission::{Admission, Full},
    answers::AnswerLog,
    config::HostConfig,
    error::HostError,
    launch::Validity,
    metrics::Metrics,
    registration::Registrar,
};
use alloy_primitives::{Address, B256, keccak256};
use cryptlet_primitives::{FabricAnswer, FabricFault, Invocation, InvocationKey, InvocationMode, UnavailableReason};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};
use tokio::sync::watch;

type Reply = Result<FabricAnswer, FabricFault>;

/// Runs calls. Cheap to clone: every clone is the same dispatcher.
#[derive(Clone, Debug)]
pub(crate) struct Dispatcher(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registrar: Arc<Registrar>,
    answers: AnswerLog,
    flights: Mutex<HashMap<InvocationKey, Flight>>,
    /// By the contract that calls.
    places: Arc<Admission<Address>>,
    is_draining: AtomicBool,
    answers_given: AtomicU64,
    faults_given: AtomicU64,
    metrics: Metrics,
}

/// A live call under way, which others may wait for.
#[derive(Clone, Debug)]
struct Flight {
    request_hash: B256,
    landed: watch::Receiver<Option<Reply>>,
}

/// Numbers for operators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Calls that run.
    pub running: usize,
    /// Calls that wait.
    pub waiting: usize,
    /// Live calls whose answer is kept.
    pub answers_kept: usize,
    /// Answers given since the start.
    pub answers_given: u64,
    /// Faults given since the start.
    pub faults_given: u64,
    /// Are new calls refused?
    pub is_draining: bool,
}

impl Dispatcher {
    pub(crate) fn new(registrar: Arc<Registrar>, answers: AnswerLog) -> Self {
        let config = &registrar.config;
        let places = Admission::new(config.calls_max, config.queue_max, config.queue_per_contract_max);
        Self(Arc::new(Inner {
            registrar,
            answers,
            flights: Mutex::default(),
            places,
            is_draining: AtomicBool::new(false),
            answers_given: AtomicU64::new(0),
            faults_given: AtomicU64::new(0),
            metrics: Metrics::default(),
        }))
    }

    /// Answers a call.
    pub(crate) async fn invoke(&self, invocation: Invocation) -> Reply {
        let arrived = Instant::now();
        let reply = self.reply(invocation).await;
        self.0.metrics.call_ended(&reply, arrived.elapsed());
        let counter = if reply.is_ok() { &self.0.answers_given } else { &self.0.faults_given };
        counter.fetch_add(1, Ordering::Relaxed);
        reply
    }

    pub(crate) fn load(&self) -> Load {
        let inner = &self.0;
        Load {
            running: inner.places.running(),
            waiting: inner.places.waiting(),
            answers_kept: inner.answers.len(),
            answers_given: inner.answers_given.load(Ordering::Relaxed),
            faults_given: inner.faults_given.load(Ordering::Relaxed),
            is_draining: inner.is_draining.load(Ordering::Relaxed),
        }
    }

    /// From now on new calls are refused, or taken again. Calls under way end, and answers that are kept are given.
    pub(crate) fn drain(&self, is_draining: bool) {
        self.0.is_draining.store(is_draining, Ordering::SeqCst);
    }

    /// Ends when no call runs or waits.
    pub(crate) async fn idle(&self) {
        self.0.places.idle().await;
    }

    /// The page for Prometheus.
    pub(crate) fn metrics(&self) -> String {
        self.0.metrics.render(self.load(), self.0.registrar.roster.instances())
    }

    async fn reply(&self, invocation: Invocation) -> Reply {
        self.0.check(&invocation)?;
        let reply = match invocation.mode {
            InvocationMode::DryRun => {
                self.0.check_open()?;
                tokio::time::timeout(self.0.config().call_timeout, self.clone().run(invocation)).await
            }
            InvocationMode::Live => tokio::time::timeout(self.0.config().call_timeout, self.live(invocation)).await,
        };
        reply.unwrap_or_else(|_| {
            let timeout_ms = self.0.config().call_timeout.as_millis();
            let detail = format!("the call was not answered within {timeout_ms} ms, this host's limit; it goes on");
            Err(FabricFault::new(UnavailableReason::DeadlineExceeded, detail))
        })
    }

    /// Asks the log first, then joins the call if it is under way, then makes it.
    async fn live(&self, invocation: Invocation) -> Reply {
        let (key, request_hash) = (invocation.key(), invocation.request_hash());
        loop {
            if let Some(answer) = self.0.kept(&invocation)? {
                return Ok(answer);
            }
            let mut flight = self.board(&invocation, key, request_hash)?;
            let landed = flight.landed.wait_for(Option::is_some).await.map(|reply| reply.clone());
            let reply = landed.ok().flatten().unwrap_or_else(|| {
                Err(FabricFault::new(UnavailableReason::HostUnreachable, "the call broke off inside the host"))
            });
            // Under another anchor the key is the same; then the outcome is settled now, and the log is asked again.
            if flight.request_hash == request_hash {
                return reply;
            }
        }
    }

    /// The flight for this key: the one under way, or a new one.
    fn board(&self, invocation: &Invocation, key: InvocationKey, request_hash: B256) -> Result<Flight, FabricFault> {
        let mut flights = self.0.flights.lock();
        if let Some(flight) = flights.get(&key) {
            return Ok(flight.clone());
        }
        self.0.check_open()?;
        let (land, landed) = watch::channel(None);
        let flight = Flight { request_hash, landed };
        flights.insert(key, flight.clone());
        let (dispatcher, invocation) = (self.clone(), invocation.clone());
        tokio::spawn(async move {
            let _leaving = Leaving { inner: Arc::clone(&dispatcher.0), key };
            let reply = dispatcher.run(invocation).await;
            land.send_replace(Some(reply));
        });
        Ok(flight)
    }

    /// Waits for a place and runs, off the async threads.
    async fn run(self, invocation: Invocation) -> Reply {
        let _place = self.0.places.enter(invocation.request.caller).await.map_err(overloaded)?;
        let inner = Arc::clone(&self.0);
        let ran = tokio::task::spawn_blocking(move || inner.run(&invocation)).await;
        ran.unwrap_or_else(|_| {
            Err(FabricFault::new(UnavailableReason::HostUnreachable, "the call broke off inside the host"))
        })
    }
}

impl Inner {
    fn config(&self) -> &HostConfig {
        &self.registrar.config
    }

    /// Refuses what contradicts itself or is beyond this host's bounds, before anything is spent on it.
    fn check(&self, invocation: &Invocation) -> Result<(), FabricFault> {
        let config = self.config();
        let refuse = |detail: String| Err(FabricFault::new(UnavailableReason::Refused, detail));
        if invocation.input.len() > config.input_bytes_max {
            return refuse(format!(
                "the input has {} bytes; this host takes at most {}",
                invocation.input.len(),
                config.input_bytes_max
            ));
        }
        if invocation.units_max > config.units_max {
            return refuse(format!(
                "the call may use {} compute units; this host runs calls of at most {}",
                invocation.units_max, config.units_max
            ));
        }
        if invocation.output_bytes_max > config.output_bytes_max {
            return refuse(format!(
                "the call may return {} bytes; this host returns at most {}",
                invocation.output_bytes_max, config.output_bytes_max
            ));
        }
        if keccak256(&invocation.input) != invocation.request.inputHash {
            return refuse("the input does not have the hash that the request names".to_owned());
        }
        Ok(())
    }

    /// Takes this host new calls? The fault of one that does not is one after which a client goes to another host.
    fn check_open(&self) -> Result<(), FabricFault> {
        if !self.is_draining.load(Ordering::SeqCst) {
            return Ok(());
        }
        Err(FabricFault::new(UnavailableReason::Overloaded, "this host is being drained and takes no new calls"))
    }

    /// The answer this request was given before, if it is still of use.
    fn kept(&self, invocation: &Invocation) -> Kept {
        let (key, request_hash) = (invocation.key(), invocation.request_hash());
        let Some(signer) = self.answers.signer(key, request_hash) else { return Ok(None) };
        let roster = &self.registrar.roster;
        let (cryptlet, code) = (invocation.cryptlet(), invocation.request.codeDigest.into());
        // Signed by an instance of before a restart, and a newer one is registered: the same outcome is signed anew.
        if !roster.answers(cryptlet, signer) && roster.route(cryptlet, code, InvocationMode::DryRun).is_ok() {
            return Ok(None);
        }
        self.answers.find(key, request_hash).map_err(log_fault)
    }

    /// Runs a call to its end. Blocks.
    fn run(&self, invocation: &Invocation) -> Reply {
        if invocation.mode == InvocationMode::DryRun {
            return self.call(invocation, self.registrar.clock.unix_seconds());
        }
        if let Some(answer) = self.kept(invocation)? {
            return Ok(answer);
        }
        let settled = self.answers.outcome(invocation.key());
        let observed_at = settled.map_or_else(|| self.registrar.clock.unix_seconds(), |outcome| outcome.observed_at);
        let answer = self.call(invocation, observed_at)?;
        if let Some(outcome) = settled
            && !outcome.agrees_with(&answer)
        {
            let detail = format!(
                "call {} was answered before: {}; running it again gives something else, and the first answer is final",
                invocation.request.key,
                outcome.describe()
            );
            return Err(FabricFault::new(UnavailableReason::Refused, detail));
        }
        self.answers.keep(invocation, &answer).map_err(log_fault)?;
        Ok(answer)
    }

    fn call(&self, invocation: &Invocation, observed_at: u64) -> Reply {
        let (cryptlet, code) = (invocation.cryptlet(), invocation.request.codeDigest.into());
        let running = self.registrar.roster.route(cryptlet, code, invocation.mode)?;
        let (anchor, keys_end) = (invocation.request.anchorBlock, running.registered.created.notAfterBlock);
        if anchor >= keys_end {
            let detail =
                format!("the keys of cryptlet {cryptlet} counted until block {keys_end}; it must be registered anew");
            return Err(FabricFault::new(UnavailableReason::NoInstance, detail));
        }
        let expires = anchor.saturating_add(self.config().result_lifetime_blocks).min(keys_end);
        let validity = Validity { not_before: anchor, expires };
        running.instance.call(invocation, observed_at, validity)
    }
}

type Kept = Result<Option<FabricAnswer>, FabricFault>;

fn log_fault(error: HostError) -> FabricFault {
    FabricFault::new(UnavailableReason::HostUnreachable, format!("the host cannot use its answer log: {error}"))
}

/// Takes a flight off the board when it is over, also if it breaks off.
struct Leaving {
    inner: Arc<Inner>,
    key: InvocationKey,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.inner.flights.lock().remove(&self.key);
    }
}

fn overloaded(full: Full) -> FabricFault {
    let detail = match full {
        Full::Total(most) => format!("this host has {most} calls waiting, its most; try again later"),
        Full::Caller(most) => {
            format!("this contract has {most} calls waiting, the most one may have here; try again later")
        }
    };
    FabricFault::new(UnavailableReason::Overloaded, detail)
}
