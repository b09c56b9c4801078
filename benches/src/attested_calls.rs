//! Attested calls per second, end to end in blocks, against what they must cost.

use crate::{
    bytecode::{self, Ending},
    process::self_cpu_seconds,
    stats::{grouped, median, median_s, us},
    table::{Section, progress},
    testbed::{Call, Cryptlet, Testbed},
};
use alloy::{
    primitives::{Address, B256, Bytes, U256, keccak256},
    sol,
    sol_types::SolCall,
};
use anyhow::{Result, anyhow, ensure};
use cryptlet_attestation::RecoveredRecord;
use cryptlet_container::{CallTerms, Configured, Container, InstanceTerms, ProcessProvider, Silent};
use cryptlet_host::Anchor;
use cryptlet_primitives::{
    CodeDigest, CryptletRequest, FabricDomain, Invocation, InvocationMode, Record, abi::ICryptoDelegate::invokeCall,
    system::CRYPTO_DELEGATE,
};
use futures::{StreamExt, TryStreamExt, stream};
use std::{
    hint::black_box,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

sol! {
    function movingAverage(uint256[] calldata closes, uint32 window) external returns (uint256[] memory averages);
}

/// The block that bare calls and their keys are anchored at.
pub(crate) const ANCHOR: Anchor = Anchor { block: 1, hash: B256::ZERO };
const CALLS: u64 = 4_000;
const ROUNDS: usize = 3;
const BARE_CALLS: u64 = 2_000;
const IN_FLIGHT: usize = 256;
const BLOCK_INTERVAL_MS: u64 = 50;
/// What a bare call is made under.
pub(crate) const TERMS: CallTerms = CallTerms { observed_at_s: 1_700_000_000, not_before: 1, expires: 200 };

/// The section.
pub(crate) async fn run() -> Result<Vec<Section>> {
    progress("calls: starting node, host and workers");
    let mut testbed = Testbed::start(CALLS as usize).await?;
    let cryptlet = testbed.register("equity-tools").await?;
    let repeater = testbed.deploy(bytecode::creation(&bytecode::repeater())).await?;

    let cores = thread::available_parallelism()?.get();
    progress("calls: bare cost");
    let bare = Bare::measure(&testbed, &cryptlet, cores).await?;
    progress("calls: through the host");
    let (through_host_s, through_host_cpu_s) = through_host(&testbed, &cryptlet).await?;

    let columns = ["what", "calls/s", "wall µs per call", "against the bare cost"];
    let mut section = Section::new("Attested calls end to end", &columns).how(format!(
        "A node (RocksDB) and a host in one process, the example `equity-tools` (`movingAverage` of three closes) in one \
         sandboxed worker process per core, gRPC over a pipe between node and host. {} transactions of one call each, then {} of \
         four calls in a row, each from an account of its own, submitted at once, a block every {BLOCK_INTERVAL_MS} ms; clocked \
         from the first submission until the last is in a block. Wall time, median of {ROUNDS} rounds. **The bare cost** of a call is \
         measured in the same run: container call and signature ({cores} threads, no host, no node), plus recovering the \
         record's signer.",
        grouped(CALLS as i64),
        CALLS / 4
    ));
    let floor_s = bare.per_call_s(cores);
    let mut row = |what: &str, per_call_s: f64| {
        let rate = grouped((1.0 / per_call_s).round() as i64);
        section.row(&[what.to_owned(), rate, us(per_call_s), format!("{:.2}x", per_call_s / floor_s)]);
    };
    row("bare cost: container call, signature, recovery", floor_s);
    row(
        &format!("through the host (gRPC, answers on disk before they are sent), {IN_FLIGHT} in flight"),
        through_host_s,
    );
    testbed.node.set_automine(false).await?;
    testbed.node.set_block_interval_ms(Some(BLOCK_INTERVAL_MS)).await?;
    let mut cpu = String::new();
    for calls in [1, 4] {
        progress(&format!("calls: in blocks, {calls} per transaction"));
        let measured = in_blocks(&mut testbed, &cryptlet, repeater, calls).await?;
        let plural = if calls == 1 { "call" } else { "calls" };
        row(&format!("in blocks, {calls} {plural} per transaction"), measured.wall_s);
        cpu += &format!(
            " With {calls} {plural} per transaction: {} µs of processor time in node and host per call, of which the miner's thread \
             {} µs.",
            us(measured.process_cpu_s),
            us(measured.miner_cpu_s)
        );
    }
    testbed.node.stop().await;
    Ok(vec![section.finding(format!(
        "Of the bare cost {} µs are container call and signature on {cores} threads ({} µs when nothing else runs), {} µs \
         recovery on one thread. Through the host a call takes {} µs of processor time in this process (client, gRPC, dispatch, log of answers).{cpu} \
         Cryptlets and the signing of their results run in processes of their own, which are not in these figures.",
        us(bare.parallel_s),
        us(bare.alone_s),
        us(bare.recover_s),
        us(through_host_cpu_s)
    ))])
}

/// What a call costs without host and node.
pub(crate) struct Bare {
    /// Median of calls one after the other.
    alone_s: f64,
    /// Wall time per call with one thread per core.
    parallel_s: f64,
    recover_s: f64,
}

impl Bare {
    async fn measure(testbed: &Testbed, cryptlet: &Cryptlet, cores: usize) -> Result<Self> {
        let (provider, component) = (testbed.provider.clone(), cryptlet.package.code().clone());
        let domain = testbed.node.spec().domain();
        tokio::task::spawn_blocking(move || Self::of_component(provider.as_ref(), component, domain, cores)).await?
    }

    /// Of a container of its own. Blocks.
    pub(crate) fn of_component(
        provider: &ProcessProvider,
        component: Bytes,
        domain: FabricDomain,
        cores: usize,
    ) -> Result<Self> {
        let measured = Configured::new(component.into()).measure(provider)?;
        let terms = InstanceTerms {
            domain,
            cryptlet: cryptlet_primitives::CryptletId(B256::repeat_byte(1)),
            code: measured.code(),
            container: cryptlet_primitives::ContainerKind::Wasm,
            manifest_digest: B256::ZERO,
            key_epoch: 1,
            anchor_block: ANCHOR.block,
            anchor_hash: ANCHOR.hash,
            not_after_block: 1_000,
        };
        let container = measured.start(provider, &terms, Arc::new(Silent))?;
        Self::of(&container, &domain, cores)
    }

    fn of(container: &Container, domain: &FabricDomain, cores: usize) -> Result<Self> {
        let invocation =
            |key: u64| invocation(container.keys().cryptletId, CodeDigest(container.keys().codeDigest), input(), key);
        let first = invocation(0);
        let answer = container.call(&first, &TERMS)?;
        let record = Record::answered(&first, answer);
        let recover_s = median_s(501, || drop(black_box(RecoveredRecord::recover(record.clone(), domain))));
        let mut next = 0;
        let alone_s = median_s(BARE_CALLS as usize / 2, || {
            next += 1;
            drop(black_box(container.call(&invocation(next), &TERMS)));
        });
        let rounds = (0..ROUNDS).map(|_| {
            let since = Instant::now();
            let share = BARE_CALLS / cores as u64;
            let worked = thread::scope(|scope| {
                let work =
                    |first: u64| (0..share).try_for_each(|n| container.call(&invocation(first + n), &TERMS).map(drop));
                let threads: Vec<_> = (0..cores as u64).map(|index| scope.spawn(move || work(index * share))).collect();
                threads
                    .into_iter()
                    .try_for_each(|thread| thread.join().map_err(|_| anyhow!("a thread panicked"))?.map_err(Into::into))
            });
            worked.map(|()| since.elapsed().as_secs_f64() / (share * cores as u64) as f64)
        });
        let parallel_s = median(rounds.collect::<Result<_>>()?);
        Ok(Self { alone_s, parallel_s, recover_s })
    }

    /// Wall time per call if nothing else were to be done, with all cores at work.
    pub(crate) fn per_call_s(&self, cores: usize) -> f64 {
        self.parallel_s + self.recover_s / cores as f64
    }
}

/// Wall seconds and processor seconds of this process per call, many in flight, each with a key of its own.
async fn through_host(testbed: &Testbed, cryptlet: &Cryptlet) -> Result<(f64, f64)> {
    let created = &cryptlet.started.created;
    let (mut wall, mut cpu) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS as u64 {
        let keys = (0..BARE_CALLS).map(|index| round << 32 | index);
        let calls: Vec<_> =
            keys.map(|key| invocation(created.cryptletId, CodeDigest(created.codeDigest), input(), key)).collect();
        let (since, in_process) = (Instant::now(), self_cpu_seconds()?);
        let answers = stream::iter(calls).map(|call| testbed.client.invoke(call)).buffer_unordered(IN_FLIGHT);
        let answers: Vec<_> =
            answers.try_collect().await.map_err(|fault| anyhow!("the host did not answer: {fault:?}"))?;
        wall.push(since.elapsed().as_secs_f64() / answers.len() as f64);
        cpu.push((self_cpu_seconds()? - in_process) / answers.len() as f64);
    }
    Ok((median(wall), median(cpu)))
}

struct InBlocks {
    wall_s: f64,
    process_cpu_s: f64,
    miner_cpu_s: f64,
}

async fn in_blocks(testbed: &mut Testbed, cryptlet: &Cryptlet, repeater: Address, calls: u64) -> Result<InBlocks> {
    let call = repeated_call(cryptlet, repeater, calls, Ending::Stop);
    let miner = testbed.miner.clone();
    let (mut wall, mut process_cpu, mut miner_cpu) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let raw = testbed.sign_all(std::iter::repeat_n(call.clone(), (CALLS / calls) as usize))?;
        let (since, cpu, in_miner) = (Instant::now(), self_cpu_seconds()?, miner.seconds()?);
        let hashes = testbed.run_all(raw).await?;
        let count = (hashes.len() as u64 * calls) as f64;
        wall.push(since.elapsed().as_secs_f64() / count);
        process_cpu.push((self_cpu_seconds()? - cpu) / count);
        miner_cpu.push((miner.seconds()? - in_miner) / count);
        ensure!(testbed.have_succeeded(&hashes)?, "a transaction with {calls} calls failed");
        tokio::time::sleep(Duration::from_millis(2 * BLOCK_INTERVAL_MS)).await;
    }
    Ok(InBlocks { wall_s: median(wall), process_cpu_s: median(process_cpu), miner_cpu_s: median(miner_cpu) })
}

/// A transaction that calls the cryptlet so many times.
pub(crate) fn repeated_call(cryptlet: &Cryptlet, repeater: Address, calls: u64, ending: Ending) -> Call {
    let data = invokeCall { cryptlet: cryptlet.id.0, input: input() }.abi_encode();
    let config = cryptlet.package.config();
    let declared = config.units_max.unwrap_or_default() + 16 * u64::from(config.output_bytes_max.unwrap_or_default());
    let gas_limit = 100_000 + declared + 40_000 * calls;
    Call { to: repeater, data: bytecode::repeat(calls, CRYPTO_DELEGATE, &data, ending), gas_limit, value: U256::ZERO }
}

/// Three closes, whose moving average is asked for.
pub(crate) fn input() -> Bytes {
    let closes = [101u64, 103, 102].map(|close| U256::from(close) * U256::from(10u64.pow(18))).to_vec();
    movingAverageCall { closes, window: 2 }.abi_encode().into()
}

/// A call of this cryptlet, as the node would ask for it.
pub(crate) fn invocation(cryptlet: B256, code: CodeDigest, input: Bytes, key: u64) -> Invocation {
    let request = CryptletRequest {
        key: keccak256(key.to_be_bytes()),
        cryptletId: cryptlet,
        caller: Address::ZERO,
        codeDigest: code.0,
        inputHash: keccak256(&input),
        anchorBlock: 1,
        anchorHash: B256::ZERO,
        policyVersion: 1,
    };
    let (units_max, output_bytes_max) = (100_000, 16 * 1024);
    Invocation {
        request,
        input,
        sequence: 0,
        is_static: false,
        units_max,
        output_bytes_max,
        mode: InvocationMode::Live,
    }
}
