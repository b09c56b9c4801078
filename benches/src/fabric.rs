//! What a host costs: starting instances, calls through it against the call of a bare container, and memory of idle instances.

use crate::{
    attested_calls::{ANCHOR, Bare, input, invocation},
    process::tree_kib,
    stats::{at, grouped, median, us},
    table::{Section, progress},
    testbed::tree,
};
use alloy::primitives::{Address, B256};
use anyhow::{Context, Result, anyhow};
use cryptlet_container::{ArtefactCache, ProcessConfig, ProcessProvider, WorkerCommand};
use cryptlet_host::{
    ChainFacts, ClientOptions, FabricClient, FileVault, Host, HostConfig, HostParts, Package, RegionLauncher,
    Registered, SystemClock, SystemEntropy,
};
use cryptlet_primitives::{CodeDigest, FabricDomain};
use futures::{StreamExt, TryStreamExt, stream};
use std::{num::NonZeroUsize, path::Path, sync::Arc, time::Instant};

const CALLS_ALONE: u64 = 1_000;
const CALLS_TOGETHER: u64 = 4_000;
const IN_FLIGHT: usize = 64;
const IDLE_INSTANCES: usize = 128;
const DOMAIN: FabricDomain = FabricDomain { chain_id: 31337, genesis_hash: B256::repeat_byte(0x11) };
const PUBLISHER: Address = Address::repeat_byte(0xAB);

/// The section.
pub(crate) async fn run() -> Result<Vec<Section>> {
    let columns = ["what", "1 worker", "2 workers"];
    let mut section = Section::new("A host", &columns).how(format!(
        "A host and its client in one process, gRPC over a pipe; the example `equity-tools` (`movingAverage` of three closes) in a \
         `wasm` container with isolation `process`: one or two sandboxed workers, as many signers, one or two client threads. Latency over \
         {} calls one after the other, rate over {} with {IN_FLIGHT} in flight, every call with a key of its own and its answer on disk \
         before it is sent. **The floor** is the bare container's call with its signature, plus recovering the signer. Memory is \
         what {IDLE_INSTANCES} more instances add to the proportional memory (PSS) of host, workers and signers, each.",
        grouped(CALLS_ALONE as i64),
        grouped(CALLS_TOGETHER as i64)
    ));
    let mut columns = Vec::new();
    for workers in [1, 2] {
        progress(&format!("fabric: wasm in processes, {workers} workers"));
        columns.push(Figures::measure(NonZeroUsize::new(workers).context("no workers")?).await?);
    }
    let mut row = |what: &str, figure: &dyn Fn(&Figures) -> String| {
        let cells: Vec<String> = std::iter::once(what.to_owned()).chain(columns.iter().map(figure)).collect();
        section.row(&cells);
    };
    row("cold start (compiled first), ms", &|figures| format!("{:.1}", figures.cold_s * 1e3));
    row("warm start (compiled before), ms", &|figures| format!("{:.1}", figures.warm_s * 1e3));
    row("floor of a call, µs", &|figures| us(figures.floor_s));
    row("latency p50, µs", &|figures| us(figures.p50_s));
    row("latency p99, µs", &|figures| us(figures.p99_s));
    row("calls/s", &|figures| grouped(figures.rate as i64));
    row("calls/s against the floor's", &|figures| format!("{:.2}", figures.rate * figures.floor_s));
    row("memory of an idle instance, KiB", &|figures| grouped(figures.idle_kib as i64));
    Ok(vec![section])
}

struct Figures {
    cold_s: f64,
    warm_s: f64,
    /// Wall time of a bare call, with all workers at work.
    floor_s: f64,
    p50_s: f64,
    p99_s: f64,
    rate: f64,
    idle_kib: f64,
}

impl Figures {
    async fn measure(workers: NonZeroUsize) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (host, provider) = start(folder.path(), workers)?;
        let package = Package::build(&tree().join("examples/equity-tools"))?;
        let digest = host.publish(&package)?;
        let facts = ChainFacts { domain: DOMAIN, anchor: ANCHOR };
        let instance = || {
            let since = Instant::now();
            let started = host.register(&digest.into(), PUBLISHER, facts)?;
            let seconds = since.elapsed().as_secs_f64();
            host.confirm_registration(started.registration_id)?;
            anyhow::Ok((started, seconds))
        };
        let (started, cold_s) = instance()?;
        let warm_s = median((0..5).map(|_| instance().map(|(_, seconds)| seconds)).collect::<Result<_>>()?);

        let component = package.code().clone();
        let bare_provider = Arc::clone(&provider);
        let bare = tokio::task::spawn_blocking(move || {
            Bare::of_component(bare_provider.as_ref(), component, DOMAIN, workers.get())
        });
        let floor_s = bare.await??.per_call_s(workers.get());

        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers.get()).enable_all().build()?;
        let (client_host, of) = (host.clone(), started);
        let called = runtime.spawn(async move { calls(&client_host, &of).await }).await;
        // Before any error is passed on: a runtime must not be dropped in another one.
        runtime.shutdown_background();
        let (p50_s, p99_s, rate) = called??;

        let before = tree_kib()?;
        for _ in 0..IDLE_INSTANCES {
            instance()?;
        }
        let idle_kib = (tree_kib()? - before).max(0.0) / IDLE_INSTANCES as f64;
        Ok(Self { cold_s, warm_s, floor_s, p50_s, p99_s, rate, idle_kib })
    }
}

async fn calls(host: &Host, started: &Registered) -> Result<(f64, f64, f64)> {
    let client = FabricClient::in_process(host, ClientOptions::default());
    let call = |key| invocation(started.created.cryptletId, CodeDigest(started.created.codeDigest), input(), key);
    let mut seconds = Vec::with_capacity(CALLS_ALONE as usize);
    for key in 0..CALLS_ALONE {
        let since = Instant::now();
        client.invoke(call(key)).await.map_err(|fault| anyhow!("{fault}"))?;
        seconds.push(since.elapsed().as_secs_f64());
    }
    let since = Instant::now();
    let together = stream::iter((0..CALLS_TOGETHER).map(|key| client.invoke(call(1 << 32 | key))));
    let answers: Vec<_> =
        together.buffer_unordered(IN_FLIGHT).try_collect().await.map_err(|fault| anyhow!("{fault}"))?;
    Ok((at(&mut seconds, 0.5), at(&mut seconds, 0.99), answers.len() as f64 / since.elapsed().as_secs_f64()))
}

fn start(folder: &Path, workers: NonZeroUsize) -> Result<(Host, Arc<ProcessProvider>)> {
    let program = std::env::current_exe()?.with_file_name("cryptlet");
    let mut config = ProcessConfig::new(WorkerCommand { program, arguments: vec!["worker".into()] });
    config.pool.workers = workers;
    config.signers = workers;
    config.cache = Some(ArtefactCache::open(folder.join("compiled"), [7; 32])?);
    let provider = Arc::new(ProcessProvider::start(config)?);
    let parts = HostParts {
        launcher: Arc::new(RegionLauncher::over(provider.clone())),
        vault: Arc::new(FileVault::open_insecure_dev(folder, &SystemEntropy)?),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
    };
    Ok((Host::start(HostConfig::new(folder), parts)?, provider))
}
