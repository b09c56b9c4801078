//! What each kind of container costs behind each wall, without a host: starting one, calling it, and the memory of an idle one.
//! And what it costs to check who signed, and where.

use crate::{
    attested_calls::{TERMS, invocation},
    process::tree_kib,
    stats::{at, grouped, median, median_s, us},
    table::{Section, progress},
    testbed::tree,
};
use alloy::{
    primitives::{B256, Bytes, U256},
    sol,
    sol_types::{SolCall, SolValue},
};
use anyhow::{Context, Result, anyhow, ensure};
use cryptlet_attestation::{
    RecoveredRecord, appraise,
    evidence::{PROVIDER_SGX, PROVIDER_TDX, encode_collateral},
};
use cryptlet_container::{
    ArtefactCache, Configured, Container, GuestCode, InsecureInProcess, InstanceTerms, IsolationProvider,
    ProcessConfig, ProcessProvider, Silent, VmProvider, WorkerCommand,
};
use cryptlet_host::Package;
use cryptlet_primitives::{
    CodeDigest, ContainerKind, CryptletId, FabricDomain, Invocation, Record, ResultStatus, abi::QuoteEvidence,
};
use std::{
    hint::black_box,
    num::NonZeroUsize,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

const DOMAIN: FabricDomain = FabricDomain { chain_id: 31_337, genesis_hash: B256::repeat_byte(0x11) };
const CALLS: usize = 2_000;
const STARTS: usize = 5;
const WORKERS: NonZeroUsize = NonZeroUsize::new(2).expect("two");
/// `CALLDATACOPY`, `RETURN`: a contract that gives back what it is given.
const ECHO: [u8; 7] = [0x36, 0x5f, 0x5f, 0x37, 0x36, 0x5f, 0xf3];
/// 1 July 2025: the recorded quotes were in force.
const WHEN_RECORDED_S: u64 = 1_751_328_000;
/// Bytes of the recorded TDX quote; its file is longer.
const TDX_QUOTE_BYTES: usize = 4_936;

sol! {
    function largest(uint256[] numbers) returns (uint256, uint256);
    function median(uint256[] numbers) returns (uint256);
}

/// What runs where.
struct Case {
    name: &'static str,
    wall: Wall,
    container: ContainerKind,
    code: GuestCode,
    input: Bytes,
    /// Enough that their memory can be told from the noise.
    idle: usize,
}

#[derive(Clone, Copy)]
enum Wall {
    None,
    Process,
    Vm,
}

/// The sections.
pub(crate) async fn run() -> Result<Vec<Section>> {
    let sections = tokio::task::spawn_blocking(|| anyhow::Ok(vec![containers()?, verification()?]));
    sections.await?
}

fn containers() -> Result<Section> {
    let columns = [
        "kind, isolation",
        "provider ready, ms",
        "cold start, ms",
        "warm start, ms",
        "p50, µs",
        "p99, µs",
        "calls/s, 1 thread",
        "calls/s, 2 threads",
        "idle instance, KiB",
    ];
    let mut section = Section::new("Containers and walls", &columns);
    let mut reference: Option<f64> = None;
    let mut prices = Vec::new();
    for case in cases()? {
        progress(&format!("containers: {}", case.name));
        let figures = match case.measure() {
            Ok(figures) => figures,
            // The machine may have no virtual machines, or no Java.
            Err(error) => {
                section = section.finding(format!("SKIPPED {}: {error:#}", case.name));
                continue;
            }
        };
        let against = *reference.get_or_insert(figures.p50_s);
        prices.push(format!("{} {:.2}x", case.name, figures.p50_s / against));
        section.row(&[
            case.name.to_owned(),
            format!("{:.0}", figures.ready_s * 1e3),
            format!("{:.1}", figures.cold_s * 1e3),
            format!("{:.2}", figures.warm_s * 1e3),
            us(figures.p50_s),
            us(figures.p99_s),
            grouped(figures.rates[0] as i64),
            grouped(figures.rates[1] as i64),
            grouped(figures.idle_kib as i64),
        ]);
    }
    Ok(section
        .how(format!(
            "Signed calls of a container, no host and no network: `hello-c` (wasm), a contract that returns its input (evm), `hello-java` \
             (process). {} calls for latency and for each rate, {WORKERS} workers. Cold: checked, compiled or tried, and given keys; warm: \
             the same code again. An idle instance is what {} instances of it add to the proportional memory (PSS) of this process and all \
             its children, each.",
            grouped(CALLS as i64),
            "many"
        ))
        .finding(format!("The price of each wall, p50 against the first row: {}.", prices.join(", "))))
}

fn cases() -> Result<Vec<Case>> {
    let numbers: Vec<U256> = [7, 9, 8, 9].map(U256::from).into();
    let package = |name: &str| anyhow::Ok(Package::build(&tree().join("examples").join(name))?.guest_code());
    let wasm = package("hello-c")?;
    let largest: Bytes = largestCall { numbers: numbers.clone() }.abi_encode().into();
    let evm = GuestCode::Evm { code: ECHO.into(), is_creation: false };
    let of_wasm = |name, wall| Case {
        name,
        wall,
        container: ContainerKind::Wasm,
        code: wasm.clone(),
        input: largest.clone(),
        idle: 256,
    };
    Ok(vec![
        of_wasm("wasm, none", Wall::None),
        of_wasm("wasm, process", Wall::Process),
        of_wasm("wasm, vm", Wall::Vm),
        Case {
            name: "evm, process",
            wall: Wall::Process,
            container: ContainerKind::Evm,
            code: evm,
            input: largest.clone(),
            idle: 256,
        },
        Case {
            name: "process (Java 17), process",
            wall: Wall::Process,
            container: ContainerKind::Process,
            code: package("hello-java")?,
            input: medianCall { numbers }.abi_encode().into(),
            idle: 8,
        },
    ])
}

struct Figures {
    ready_s: f64,
    cold_s: f64,
    warm_s: f64,
    p50_s: f64,
    p99_s: f64,
    /// On one thread and on two.
    rates: [f64; 2],
    idle_kib: f64,
}

impl Case {
    fn measure(&self) -> Result<Figures> {
        let folder = tempfile::tempdir()?;
        let (ready_s, provider) = timed(|| self.wall.provider(folder.path()))?;
        let provider = provider.as_ref();
        let (cold_s, container) = timed(|| self.start(provider))?;
        let warm = (0..STARTS).map(|_| Ok(timed(|| self.start(provider))?.0)).collect::<Result<_>>()?;

        let mut seconds = Vec::with_capacity(CALLS);
        for _ in 0..CALLS {
            seconds.push(timed(|| self.call(&container))?.0);
        }
        let rates = [self.rate(&container, 1)?, self.rate(&container, 2)?];
        let before = tree_kib()?;
        let idle = (0..self.idle).map(|_| self.start(provider)).collect::<Result<Vec<_>>>()?;
        let idle_kib = (tree_kib()? - before).max(0.0) / idle.len() as f64;
        Ok(Figures {
            ready_s,
            cold_s,
            warm_s: median(warm),
            p50_s: at(&mut seconds, 0.5),
            p99_s: at(&mut seconds, 0.99),
            rates,
            idle_kib,
        })
    }

    fn start(&self, provider: &dyn IsolationProvider) -> Result<Container> {
        let measured = Configured::new(self.code.clone()).measure(provider)?;
        let terms = InstanceTerms {
            domain: DOMAIN,
            cryptlet: CryptletId(B256::repeat_byte(1)),
            code: measured.code(),
            container: self.container,
            manifest_digest: B256::ZERO,
            key_epoch: 1,
            anchor_block: 1,
            anchor_hash: B256::ZERO,
            not_after_block: 1_000,
        };
        Ok(measured.start(provider, &terms, Arc::new(Silent))?)
    }

    fn call(&self, container: &Container) -> Result<()> {
        let answer = container.call(&another_call(container, &self.input), &TERMS)?;
        ensure!(answer.result.status == ResultStatus::Ok as u8, "{} failed: {:?}", self.name, answer.output);
        black_box(answer);
        Ok(())
    }

    /// Calls a second on so many threads.
    fn rate(&self, container: &Container, threads: usize) -> Result<f64> {
        let since = Instant::now();
        let share = CALLS / threads;
        thread::scope(|scope| {
            let work = || (0..share).try_for_each(|_| self.call(container));
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow!("a thread panicked"))?)
        })?;
        Ok((share * threads) as f64 / since.elapsed().as_secs_f64())
    }
}

impl Wall {
    fn provider(self, cache: &Path) -> Result<Arc<dyn IsolationProvider>> {
        let program = std::env::current_exe()?.with_file_name("cryptlet");
        let mut config = ProcessConfig::new(WorkerCommand { program, arguments: vec!["worker".into()] });
        config.pool.workers = WORKERS;
        config.signers = WORKERS;
        config.cache = Some(ArtefactCache::open(cache, [7; 32])?);
        Ok(match self {
            Self::None => Arc::new(InsecureInProcess::insecure_new()?),
            Self::Process => Arc::new(ProcessProvider::start(config)?),
            Self::Vm => Arc::new(VmProvider::start(config)?),
        })
    }
}

fn verification() -> Result<Section> {
    let mut section = Section::new("Verification", &["what", "µs"])
        .how("One thread, median. A record is checked once per node; evidence when an instance is registered, in the block (ADR 0014).");
    let folder = tempfile::tempdir()?;
    let case = cases()?.into_iter().nth(1).context("no case")?;
    let container = case.start(case.wall.provider(folder.path())?.as_ref())?;
    let invocation = another_call(&container, &case.input);
    let record = Record::answered(&invocation, container.call(&invocation, &TERMS)?);
    let record_s = median_s(501, || drop(black_box(RecoveredRecord::recover(record.clone(), &DOMAIN))));
    section.row(&["a record: typed-data hashes, recovery of the signer".into(), us(record_s)]);
    for (what, provider, name) in
        [("an SGX quote", PROVIDER_SGX, "sgx_quote"), ("a TDX quote", PROVIDER_TDX, "tdx_quote")]
    {
        let (evidence, collateral) = recorded(provider, name)?;
        // The recorded SGX platform was out of date even then: what is measured is all that comes before that verdict.
        let verify = || black_box(appraise(&evidence, &collateral, &DOMAIN, WHEN_RECORDED_S));
        section.row(&[format!("{what} with its collateral"), us(median_s(51, || drop(verify())))]);
    }
    Ok(section)
}

/// A quote of real hardware, and what it is verified with.
fn recorded(provider: u16, name: &str) -> Result<(Vec<u8>, Vec<u8>)> {
    let folder = tree().join("tests/vectors/quotes");
    let read = |name: &str| std::fs::read(folder.join(name)).with_context(|| format!("tests/vectors/quotes/{name}"));
    let mut quote = read(name)?;
    if provider == PROVIDER_TDX {
        quote.truncate(TDX_QUOTE_BYTES);
    }
    let collateral = encode_collateral(serde_json::from_slice(&read(&format!("{name}_collateral.json"))?)?);
    Ok((QuoteEvidence { provider, quote: quote.into() }.abi_encode(), collateral))
}

/// A call that this container has not had yet.
fn another_call(container: &Container, input: &Bytes) -> Invocation {
    static NEXT_KEY: AtomicU64 = AtomicU64::new(0);
    let keys = container.keys();
    let key = NEXT_KEY.fetch_add(1, Ordering::Relaxed);
    invocation(keys.cryptletId, CodeDigest(keys.codeDigest), input.clone(), key)
}

fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(f64, T)> {
    let since = Instant::now();
    let outcome = work()?;
    Ok((since.elapsed().as_secs_f64(), outcome))
}
