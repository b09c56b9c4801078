//! `cryptlet node`: opens the chain, reaches the fabric, starts the node and its JSON-RPC, and on a dev chain makes it worth
//! calling before it says that it is ready.

use crate::{
    account::Author,
    args::{NodeArgs, Order, Simulation},
    data::DataFolder,
    dev::{self, Accounts, Deployments, Ready},
    fabric::{FabricAccess, LateFabric},
    fork::Fork,
    genesis_file,
    import::import_files,
    logs,
    metrics::MetricsServer,
    progress::Progress,
    rpc::Chain,
    signals::StopSignals,
    state_file::StateFiles,
};
use alloy::{genesis::Genesis, signers::local::PrivateKeySigner};
use anyhow::{Context, Result, bail};
use cryptlet_node::{
    ChainSpec, Fabric, NoFabric, Node, NodeConfig, NodeHandle,
    build::Cadence,
    chain_spec::EthereumHardfork,
    fork::ForkCache,
    miner::MinerConfig,
    pool::PoolOrder,
    rpc::{RpcConfig, RpcServer},
    service::{SimulationLimits, SimulationPolicies, SimulationPolicy},
    store::{ChainStore, StoreError, StoreOptions},
};
use std::{process::ExitCode, sync::Arc, thread::JoinHandle};

pub(crate) fn run(args: NodeArgs) -> Result<ExitCode> {
    logs::start(args.output);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(args))
}

async fn serve(args: NodeArgs) -> Result<ExitCode> {
    if !args.dev && args.genesis.is_none() && args.datadir.is_none() {
        bail!(
            "which chain? Use --dev for a development chain, or --genesis FILE, or --datadir DIR of an existing chain"
        );
    }
    let state_files = StateFiles::of(&args.state)?;
    let progress = Progress::start(args.output, "opening the chain");
    let data = DataFolder::open(args.datadir.as_deref())?;
    let opening = begin_opening(&args, &data);
    let accounts = args.dev.then(|| Accounts::derive(&args)).transpose()?;
    let (spec, chain, mut fork) = open_chain(&args, accounts.as_ref(), &data, opening).await?;
    if !args.import.is_empty() {
        progress.step("importing blocks");
        chain.initialize(spec.genesis(), &spec.genesis_block())?;
        let (spec, chain, files, output) = (spec.clone(), chain.clone(), args.import.clone(), args.output);
        tokio::task::spawn_blocking(move || import_files(&spec, &chain, &files, output)).await??;
    }

    let late = wants_fabric(&args, &spec, fork.as_ref()).then(LateFabric::default);
    let seam: Arc<dyn Fabric> = match &late {
        Some(late) => Arc::new(late.clone()),
        None => Arc::new(NoFabric),
    };
    let again = fork.as_mut().and_then(|fork| fork.again.take());
    let config = NodeConfig { fork: fork.map(|fork| Arc::new(ForkCache::new(fork.source))), ..node_config(&args) };
    let node = Node::start(config, spec.clone(), chain, seam)?;
    if let Some(timestamp) =
        args.timestamp.filter(|_| args.dev && node.head().number == spec.genesis().number.unwrap_or_default())
    {
        node.time().set_now(timestamp);
    }
    if args.auto_impersonate {
        node.insecure_impersonate_everybody();
    }
    let rpc =
        RpcConfig { datadir: Some(data.path().to_owned()), ..rpc_config(&args, accounts.as_ref(), late.as_ref())? };
    // A host takes longer to start than a node: whoever calls meanwhile is let in when the chain is ready.
    let server = RpcServer::start_closed(node.clone(), rpc).await?;
    let metrics = match args.metrics {
        Some(listen) => Some(MetricsServer::start(node.clone(), listen).await?),
        None => None,
    };

    let fabric = match late {
        Some(late) => {
            progress.step("reaching the fabric");
            let fabric = FabricAccess::open(&args, spec.domain(), &data.path().join("host")).await?;
            late.is_reached(&fabric);
            Some(fabric)
        }
        None => None,
    };
    let deployments = match (&accounts, &fabric) {
        (Some(accounts), Some(fabric)) if spec.limits().is_some() => {
            let author = Author::local(accounts.operator.clone());
            let chain = Chain::inside(server.inside(), author);
            let examples = !args.no_examples;
            dev::bootstrap(&chain, fabric, accounts, data.path(), examples, &progress)
                .await
                .context("the dev chain could not be prepared")?
        }
        _ => Deployments::default(),
    };
    if let Some(block) = again {
        block.happen_again(&node).await.context("--fork-transaction-hash")?;
    }
    state_files.load(&node).await?;
    node.reset_comes_back_here();
    begin_mining(&args, &node).await?;
    let dumping = state_files.keep_dumping(&node);
    let mut stop = StopSignals::listen()?;
    server.open();
    progress.done();
    let mut ready = Ready::new(&server, spec.chain_id(), spec.genesis_hash(), accounts.as_ref(), deployments);
    ready.metrics = metrics.as_ref().map(MetricsServer::url);
    dev::print(&ready, &args);
    if let Some(file) = &args.config_out {
        let json = serde_json::to_string_pretty(&ready)?;
        std::fs::write(file, json).with_context(|| format!("{} cannot be written", file.display()))?;
    }

    stop.received().await;
    drop((metrics, dumping));
    server.stop().await;
    state_files.dump(&node).await?;
    node.stop().await;
    drop(fabric);
    data.close()?;
    Ok(ExitCode::SUCCESS)
}

/// Is there a fabric for the contracts of this chain?
fn wants_fabric(args: &NodeArgs, spec: &ChainSpec, fork: Option<&Fork>) -> bool {
    // Whoever forks a chain wants it as it is: nothing is registered or deployed on it unless a host is named.
    let has_one = args.fabric.crypto_delegate_path.is_some() || (args.dev && !args.no_fabric && fork.is_none());
    // Without a delegate nothing on the chain could call it.
    has_one && (spec.limits().is_some() || !args.dev)
}

/// Opens the database, which mostly waits for the disk, while keys and rules are worked out.
fn begin_opening(args: &NodeArgs, data: &DataFolder) -> JoinHandle<Result<ChainStore, StoreError>> {
    let folder = data.path().join("chain");
    let options = StoreOptions {
        sync: args.waits_for_disk(),
        accept_lost_blocks: args.accept_lost_blocks,
        ..StoreOptions::default()
    };
    std::thread::spawn(move || ChainStore::open(&folder, &options))
}

/// The chain in the data folder and its rules; a new folder gets the genesis that the flags ask for.
async fn open_chain(
    args: &NodeArgs,
    accounts: Option<&Accounts>,
    data: &DataFolder,
    opening: JoinHandle<Result<ChainStore, StoreError>>,
) -> Result<(Arc<ChainSpec>, ChainStore, Option<Fork>)> {
    let opened = || opening.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    let given = match (accounts, &args.genesis) {
        (Some(accounts), _) if args.fork.fork_url.is_some() => {
            let chain = opened()?;
            let (genesis, fork) = continue_fork(args, dev::genesis(args, accounts)?, &chain).await?;
            return Ok((Arc::new(ChainSpec::from_genesis(genesis)?), chain, fork));
        }
        (Some(accounts), _) => Some(dev::genesis(args, accounts)?),
        (None, Some(file)) => Some(genesis_file::read(file)?),
        (None, None) => None,
    };
    let given = given.map(ChainSpec::from_genesis).transpose()?;
    let chain = opened()?;
    let spec = match given {
        Some(spec) => spec,
        None => ChainSpec::from_genesis(chain.genesis().with_context(|| {
            format!("{} holds no chain yet: name its genesis with --genesis FILE", data.path().join("chain").display())
        })?)?,
    };
    Ok((Arc::new(spec), chain, None))
}

/// The genesis of a dev chain that continues another; a chain that is stored knows where.
async fn continue_fork(args: &NodeArgs, mut genesis: Genesis, chain: &ChainStore) -> Result<(Genesis, Option<Fork>)> {
    let stored = if chain.is_initialized() { Some(chain.genesis()?) } else { None };
    let fork = Fork::open(&args.fork, stored.as_ref()).await?;
    match (&fork, stored) {
        (Some(_), Some(stored)) => genesis = stored,
        (Some(fork), None) => {
            genesis.config.chain_id = args.chain_id.unwrap_or(fork.point.chain_id);
            fork.continue_from(&mut genesis).await?;
        }
        (None, _) => {}
    }
    Ok((genesis, fork))
}

fn node_config(args: &NodeArgs) -> NodeConfig {
    let default = match args.simulation {
        Simulation::Registered => None,
        Simulation::Deny => Some(SimulationPolicy::Deny),
    };
    NodeConfig {
        // Whatever the flags say, a dev chain is prepared with a block per transaction.
        miner: MinerConfig {
            cadence: Cadence {
                automine: args.dev || !args.no_mining,
                interval_ms: None,
                parked_block_interval_ms: args.parked_block_interval_ms,
            },
            attempt_timeout_ms: args.call_timeout_ms,
            patience_ms: args.host_patience_ms,
            states_kept: (args.history_state > 0).then_some(args.history_state),
            ..MinerConfig::default()
        },
        order: match args.order {
            Order::Fees => PoolOrder::Fees,
            Order::Fifo => PoolOrder::Arrival,
        },
        simulation: SimulationLimits {
            policies: SimulationPolicies { default, ..SimulationPolicies::default() },
            gas_max: args.rpc.gas_cap(),
            timeout_ms: args.rpc.evm_timeout_ms(),
            ..SimulationLimits::default()
        },
        ..NodeConfig::default()
    }
}

fn rpc_config(args: &NodeArgs, accounts: Option<&Accounts>, fabric: Option<&LateFabric>) -> Result<RpcConfig> {
    let listen = args.rpc.listen();
    let defaults = match accounts {
        Some(accounts) => {
            let extensions = fabric.map(LateFabric::extensions).transpose()?.unwrap_or_default();
            RpcConfig { extensions, ..RpcConfig::insecure_dev(listen, accounts.funded.clone()) }
        }
        None => RpcConfig::public(listen),
    };
    let mut config = args.rpc.configure(defaults, args.datadir.as_deref())?;
    config.blocks_per_epoch = args.slots_in_an_epoch;
    if args.disable_min_priority_fee {
        config.default_tip = 0;
    }
    if let Some(price) = args.gas_price.filter(|_| args.hardfork < EthereumHardfork::London) {
        config.default_tip = price;
    }
    for key in &args.insecure_unlock {
        config
            .insecure_accounts
            .push(PrivateKeySigner::from_bytes(key).context("--insecure-unlock is not a private key")?);
    }
    Ok(config)
}

/// Goes over to the way of mining that the flags ask for.
async fn begin_mining(args: &NodeArgs, node: &NodeHandle) -> Result<()> {
    if let Some(interval_ms) = args.block_time_ms {
        node.set_automine(args.mixed_mining).await?;
        node.set_block_interval_ms(Some(interval_ms)).await?;
    } else if args.no_mining {
        node.set_automine(false).await?;
    }
    Ok(())
}
