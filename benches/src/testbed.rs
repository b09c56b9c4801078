//! A real node and a real host in this process: chain in RocksDB, cryptlets in sandboxed worker processes, a pipe with gRPC
//! between node and host, as `cryptlet node --dev` wires them.

use crate::process::{ThreadClock, threads_named};
use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEnvelope},
    eips::eip2718::Encodable2718,
    genesis::GenesisAccount,
    primitives::{Address, B256, Bytes, TxKind, U256, keccak256, utils::parse_ether},
    signers::{SignerSync, local::PrivateKeySigner},
    sol,
    sol_types::SolCall,
};
use anyhow::{Context, Result, ensure};
use cryptlet_attestation::signature::{authorization_digest, utility_digest};
use cryptlet_container::{ProcessConfig, ProcessProvider, WorkerCommand};
use cryptlet_host::{
    Anchor, ChainFacts, ClientOptions, FabricClient, FileVault, Host, HostConfig, HostParts, Package, PackageRef,
    RegionLauncher, Registered, SystemClock, SystemEntropy,
};
use cryptlet_node::{
    ChainSpec, Fabric, Node, NodeConfig, NodeHandle,
    chain_spec::{DEV_CHAIN_ID, dev_genesis, dev_operator},
    store::{ChainStore, StoreOptions},
};
use cryptlet_primitives::{
    CryptletId, FabricAnswer, FabricFault, FabricLimits, InstanceAuthorization, Invocation,
    abi::{Authorization, ICryptletRegistry, UtilityRegistration},
    system::CRYPTLET_REGISTRY,
};
use futures::future::{BoxFuture, try_join_all};
use std::{
    collections::{BTreeMap, btree_map::Entry},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

sol! {
    interface CryptletRegistry {
        function initialize(bytes32 genesisHash_) external;
    }
}

/// Last block in which what registrars sign here holds: none is so late.
const DEADLINE_BLOCK: u64 = u64::MAX;
const PATIENCE: Duration = Duration::from_secs(120);
const POLL_INTERVAL: Duration = Duration::from_millis(2);
const FEE_WEI_MAX: u128 = 2_000_000_000_000;
/// Name of the thread on which the node builds blocks.
const MINER: &str = "miner";
/// So late that no call of a benchmark is given up.
const UNAVAILABLE_AFTER_BLOCKS: u32 = 250;

/// The node, the host, and accounts to send from.
pub(crate) struct Testbed {
    pub(crate) node: NodeHandle,
    pub(crate) client: FabricClient,
    pub(crate) provider: Arc<ProcessProvider>,
    pub(crate) miner: ThreadClock,
    operator: Account,
    senders: Vec<Account>,
    /// Its workers end with it.
    _host: Host,
    folder: tempfile::TempDir,
}

/// A key and its next nonce.
struct Account {
    key: PrivateKeySigner,
    nonce: u64,
}

/// A call to send.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) to: Address,
    pub(crate) data: Bytes,
    pub(crate) gas_limit: u64,
    pub(crate) value: U256,
}

/// What became of a transaction.
pub(crate) struct Outcome {
    pub(crate) gas_used: u64,
    pub(crate) succeeded: bool,
}

/// A cryptlet that was registered.
pub(crate) struct Cryptlet {
    pub(crate) id: CryptletId,
    pub(crate) package: Package,
    pub(crate) started: Registered,
}

impl Testbed {
    /// With this many funded senders.
    pub(crate) async fn start(senders: usize) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("cryptlet-benches-").tempdir()?;
        let senders: Vec<_> = (0..senders).map(sender).collect::<Result<_>>()?;
        let spec = Arc::new(ChainSpec::from_genesis(genesis(&senders)?)?);

        let (host, provider) = start_host(&folder.path().join("host")).await?;
        let client = FabricClient::in_process(&host, ClientOptions::default());
        let chain = ChainStore::open(&folder.path().join("chain"), &StoreOptions::default())?;
        let before = threads_named(MINER)?;
        let node = Node::start(NodeConfig::default(), spec, chain, Arc::new(Seam(client.clone())))?;

        // A thread takes its name a moment after it was started.
        let deadline = Instant::now() + PATIENCE;
        let miner = loop {
            match ThreadClock::of_new_thread(MINER, &before) {
                Err(_) if Instant::now() < deadline => tokio::time::sleep(POLL_INTERVAL).await,
                found => break found?,
            }
        };
        let operator = Account { key: dev_operator(), nonce: 0 };
        let mut testbed = Self { node, client, provider, miner, operator, senders, _host: host, folder };
        let genesis_hash = testbed.node.spec().genesis_hash();
        testbed.transact_registry(&CryptletRegistry::initializeCall { genesisHash_: genesis_hash }).await?;
        Ok(testbed)
    }

    /// Where temporary files may go.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// How many senders there are.
    pub(crate) fn senders(&self) -> usize {
        self.senders.len()
    }

    /// Publishes, starts and registers an example of the tree.
    pub(crate) async fn register(&mut self, example: &str) -> Result<Cryptlet> {
        let package = Package::build(&tree().join("examples").join(example))?;
        let digest = self.client.publish(&package).await?;
        let (spec, head) = (self.node.spec().clone(), self.node.head());
        let facts = ChainFacts { domain: spec.domain(), anchor: Anchor { block: head.number, hash: head.hash } };
        let publisher = self.operator.key.address();
        let started = self.client.register(&PackageRef::Digest(digest), publisher, facts).await?;
        let created = &started.created;
        let registration = UtilityRegistration {
            name: started.name.clone(),
            codeDigest: created.codeDigest,
            manifestDigest: created.manifestDigest,
            headerDigest: started.header_digest,
            configDigest: started.config_digest,
            identityKey: publisher,
            isolation: started.isolation,
            minimumInstances: 1,
            maximumInstances: 1,
            unitsMax: package.config().units_max.context("the example names its unitsMax")?,
            outputBytesMax: package.config().output_bytes_max.context("the example names its outputBytesMax")?,
            simulationPolicy: 0,
            simulationStub: Bytes::new(),
        };
        // The publisher's key is the cryptlet's identity key, too: it signs the same twice.
        let digest = utility_digest(&registration.signed_by(publisher, DEADLINE_BLOCK), &spec.domain());
        let authorization = self.operator.authorize(digest)?;
        let identity_signature = authorization.signature.clone();
        let call = ICryptletRegistry::registerUtilityCall {
            registration,
            authorization,
            identitySignature: identity_signature,
        };
        self.transact_registry(&call).await?;
        let asked = InstanceAuthorization {
            registrationId: started.registration_id.0,
            previous: B256::ZERO,
            graceBlocks: 0,
            deadlineBlock: DEADLINE_BLOCK,
        };
        let authorization = self.operator.authorize(authorization_digest(&asked, &spec.domain()))?;
        let call = ICryptletRegistry::registerInstanceCall { created: started.created.clone(), authorization };
        self.transact_registry(&call).await?;
        self.client.confirm_registration(started.registration_id).await?;
        Ok(Cryptlet { id: CryptletId(created.cryptletId), package, started })
    }

    /// Deploys a contract.
    pub(crate) async fn deploy(&mut self, initcode: Bytes) -> Result<Address> {
        let address = self.operator.key.address().create(self.operator.nonce);
        let raw = self.operator.sign(TxKind::Create, initcode, 10_000_000, U256::ZERO)?;
        let outcome = self.settle(self.node.submit(raw).await?).await?;
        ensure!(outcome.succeeded, "a deployment failed");
        Ok(address)
    }

    /// Sends a call from the operator and waits for its block.
    pub(crate) async fn transact(&mut self, call: Call) -> Result<Outcome> {
        let raw = self.operator.sign(TxKind::Call(call.to), call.data, call.gas_limit, call.value)?;
        self.settle(self.node.submit(raw).await?).await
    }

    /// Signs one call per sender, in order.
    pub(crate) fn sign_all(&mut self, calls: impl Iterator<Item = Call>) -> Result<Vec<Bytes>> {
        let pairs = self.senders.iter_mut().zip(calls);
        pairs.map(|(sender, call)| sender.sign(TxKind::Call(call.to), call.data, call.gas_limit, call.value)).collect()
    }

    /// Submits transactions, all at once, and waits until all are in blocks.
    pub(crate) async fn run_all(&self, raw: Vec<Bytes>) -> Result<Vec<B256>> {
        let hashes = try_join_all(raw.into_iter().map(|raw| self.node.submit(raw))).await?;
        let mut head = self.node.watch_head();
        let all = async {
            while self.node.pool_status().pending > 0 {
                head.changed().await?;
            }
            anyhow::Ok(())
        };
        let mined = tokio::time::timeout(PATIENCE, all).await;
        mined.with_context(|| format!("not all transactions were mined within {PATIENCE:?}"))??;
        Ok(hashes)
    }

    /// Did all these transactions, which are in blocks, succeed?
    pub(crate) fn have_succeeded(&self, hashes: &[B256]) -> Result<bool> {
        let mut receipts = BTreeMap::new();
        for hash in hashes {
            let location = self.node.chain().transaction_location(*hash)?.context("the transaction is in a block")?;
            let of_block = match receipts.entry(location.block_number) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => {
                    entry.insert(self.node.chain().receipts(location.block_number)?.context("a block has receipts")?)
                }
            };
            if !of_block[location.index as usize].status() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What became of a transaction, once it is in a block.
    pub(crate) async fn settle(&self, hash: B256) -> Result<Outcome> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(location) = self.node.chain().transaction_location(hash)? {
                let receipts = self.node.chain().receipts(location.block_number)?.context("a block has receipts")?;
                let index = location.index as usize;
                let before = index.checked_sub(1).map_or(0, |previous| receipts[previous].cumulative_gas_used());
                let receipt = &receipts[index];
                return Ok(Outcome { gas_used: receipt.cumulative_gas_used() - before, succeeded: receipt.status() });
            }
            ensure!(Instant::now() < deadline, "transaction {hash} was not mined within {PATIENCE:?}");
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    async fn transact_registry<C: SolCall>(&mut self, call: &C) -> Result<()> {
        let (to, data) = (CRYPTLET_REGISTRY, call.abi_encode().into());
        let outcome = self.transact(Call { to, data, gas_limit: 5_000_000, value: U256::ZERO }).await?;
        ensure!(outcome.succeeded, "{} failed", C::SIGNATURE);
        Ok(())
    }
}

impl Account {
    /// Its word as a registrar.
    fn authorize(&self, digest: B256) -> Result<Authorization> {
        let signature = Bytes::copy_from_slice(&self.key.sign_hash_sync(&digest)?.as_bytes());
        Ok(Authorization { registrar: self.key.address(), deadlineBlock: DEADLINE_BLOCK, signature })
    }

    fn sign(&mut self, to: TxKind, input: Bytes, gas_limit: u64, value: U256) -> Result<Bytes> {
        let transaction = TxEip1559 {
            chain_id: DEV_CHAIN_ID,
            nonce: self.nonce,
            gas_limit,
            max_fee_per_gas: FEE_WEI_MAX,
            max_priority_fee_per_gas: 0,
            to,
            value,
            input,
            ..Default::default()
        };
        let signature = self.key.sign_hash_sync(&transaction.signature_hash())?;
        self.nonce += 1;
        Ok(TxEnvelope::from(transaction.into_signed(signature)).encoded_2718().into())
    }
}

/// The node's seam, in front of a client.
struct Seam(FabricClient);

impl Fabric for Seam {
    fn invoke(&self, invocation: Invocation) -> BoxFuture<'static, Result<FabricAnswer, FabricFault>> {
        let client = self.0.clone();
        Box::pin(async move { client.invoke(invocation).await })
    }
}

async fn start_host(folder: &Path) -> Result<(Host, Arc<ProcessProvider>)> {
    let program = std::env::current_exe()?.with_file_name("cryptlet");
    ensure!(
        program.is_file(),
        "{} is missing: build it with `cargo build --release -p cryptlet-cli`",
        program.display()
    );
    let folder = folder.to_owned();
    // Starting processes blocks.
    tokio::task::spawn_blocking(move || {
        let command = WorkerCommand { program, arguments: vec!["worker".into()] };
        let provider = Arc::new(ProcessProvider::start(ProcessConfig::new(command))?);
        std::fs::create_dir_all(&folder)?;
        let entropy = Arc::new(SystemEntropy);
        let parts = HostParts {
            launcher: Arc::new(RegionLauncher::over(provider.clone())),
            vault: Arc::new(FileVault::open_insecure_dev(&folder, entropy.as_ref())?),
            clock: Arc::new(SystemClock),
            entropy,
        };
        Ok((Host::start(HostConfig::new(&folder), parts)?, provider))
    })
    .await?
}

fn genesis(senders: &[Account]) -> Result<alloy::genesis::Genesis> {
    let limits = FabricLimits { unavailable_after_blocks: UNAVAILABLE_AFTER_BLOCKS, ..FabricLimits::default() };
    let mut genesis = dev_genesis(&limits);
    let balance = parse_ether("1000000")?;
    let accounts = senders.iter().map(|sender| &sender.key).map(PrivateKeySigner::address);
    let accounts = accounts.chain([dev_operator().address()]);
    genesis.alloc.extend(accounts.map(|account| (account, GenesisAccount::default().with_balance(balance))));
    Ok(genesis)
}

fn sender(index: usize) -> Result<Account> {
    let key = PrivateKeySigner::from_bytes(&keccak256(format!("sender {index} of a benchmark")))?;
    Ok(Account { key, nonce: 0 })
}

/// Root of the source tree.
pub(crate) fn tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Creation code of a contract of the tree, from its committed artefact.
pub(crate) fn creation_code(contract: &str) -> Result<Bytes> {
    let file = tree().join("contracts/artifacts").join(contract).with_extension("json");
    let json = std::fs::read(&file).with_context(|| format!("{} cannot be read", file.display()))?;
    let artifact: serde_json::Value = serde_json::from_slice(&json)?;
    let code = artifact.get("bytecode").and_then(serde_json::Value::as_str).context("an artefact has bytecode")?;
    Ok(code.parse()?)
}
