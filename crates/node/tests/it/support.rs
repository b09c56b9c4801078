//! A chain whose cryptlet is one signing key: registered through the real registry, answering through the real seam.

use alloy::consensus::{SignableTransaction, TxEip1559};
use alloy::eips::Encodable2718;
use alloy::network::TxSignerSync;
use alloy::signers::{SignerSync, local::PrivateKeySigner};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex, keccak256};
use alloy_sol_types::{SolCall, SolStruct, SolValue, sol};
use cryptlet_attestation::signature::{
    authorization_digest, dry_run_result_digest, keys_digest, result_digest, software_statement_digest, utility_digest,
};
use cryptlet_node::{
    ChainEvent, ChainSpec, Fabric, Node, NodeConfig, NodeHandle,
    build::Cadence,
    chain_spec::{EthereumHardfork, dev_accounts, dev_genesis_at, dev_operator},
    store::ChainStore,
    types::Receipt,
};
use cryptlet_primitives::{
    ContainerKind, CryptletId, CryptletResult, FabricAnswer, FabricDomain, FabricFault, FabricLimits, FabricVersion,
    InstanceAuthorization, InstanceKeys, Invocation, InvocationMode, Signature65, UnavailableReason,
    abi::{
        Authorization, CreatedInstance, ICryptletRegistry, SoftwareEvidence, SoftwareStatement, UtilityRegistration,
    },
    system::CRYPTLET_REGISTRY,
};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

sol! {
    interface Registry {
        function initialize(bytes32 genesisHash) external;
        function revokeInstance(bytes32 registrationId, string reason) external;
    }

    interface Traffic {
        event Refused(bytes reason);
        function once(bytes32 cryptlet, bytes input) external;
        function chained(bytes32 cryptlet, uint256 count, bytes input) external;
        function nested(bytes32 cryptlet, uint256 depth, bytes input) external;
        function inRevertedFrame(bytes32 cryptlet, bytes input) external;
        function andRevert(bytes32 cryptlet, bytes input) external;
        function andBurn(bytes32 cryptlet, bytes input) external;
        function guarded(bytes32 cryptlet, bytes input) external;
        function statically(bytes32 cryptlet, bytes input) external;
        function byKind(bytes32 cryptlet, uint256 kind, uint256 depth, bytes input) external;
        function ask(bytes32 cryptlet, bytes input) external returns (bytes);
    }
}

const TRAFFIC_CODE: &str = include_str!("../fixtures/Traffic.hex");
pub(crate) const CODE_DIGEST: B256 = B256::repeat_byte(0xc0);
pub(crate) const UNITS_MAX: u64 = 50_000;
pub(crate) const OUTPUT_BYTES_MAX: u32 = 256;
/// Last block in which what registrars sign here holds.
const DEADLINE_BLOCK: u64 = 1_000_000;
const MEASUREMENT: B256 = B256::repeat_byte(0x3e);

/// How the host behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    Honest,
    WrongSignature,
    WrongKey,
    OtherRequest,
    TooLongOutput,
    TooManyUnits,
    Garbage,
    OutputDoesNotMatch,
    ClaimsUnavailable,
    Expired,
    DryRunSignature,
    Never,
    Slow { ms: u64 },
    Down,
}

/// An instance of the test's cryptlet, in process. Its key is registered; it answers every call of its cryptlet.
pub(crate) struct SigningFabric {
    pub(crate) signer: PrivateKeySigner,
    pub(crate) domain: FabricDomain,
    pub(crate) keys: InstanceKeys,
    pub(crate) behaviour: Mutex<Behaviour>,
    pub(crate) asked: AtomicU64,
}

impl SigningFabric {
    pub(crate) fn new(spec: &ChainSpec) -> Arc<Self> {
        let signer: PrivateKeySigner = B256::repeat_byte(0x51).to_string().parse().expect("a key");
        let keys = InstanceKeys {
            cryptletId: cryptlet().0,
            codeDigest: CODE_DIGEST,
            manifestDigest: B256::repeat_byte(0x3a),
            signer: signer.address(),
            hpkeKey: B256::repeat_byte(0x4b),
            keyEpoch: 1,
            anchorBlock: 0,
            anchorHash: spec.genesis_hash(),
            notAfterBlock: 1_000_000,
            container: ContainerKind::Wasm as u8,
            version: FabricVersion::CURRENT.0,
        };
        let (behaviour, asked) = (Mutex::new(Behaviour::Honest), AtomicU64::new(0));
        Arc::new(Self { signer, domain: spec.domain(), keys, behaviour, asked })
    }

    pub(crate) fn behave(&self, behaviour: Behaviour) {
        *self.behaviour.lock() = behaviour;
    }

    /// What the cryptlet computes: a hash of its input, and fails on inputs that begin with "fail".
    pub(crate) fn result(&self, invocation: &Invocation) -> (CryptletResult, Bytes) {
        let failed = invocation.input.starts_with(b"fail");
        let output: Bytes = if failed {
            b"no such luck".into()
        } else {
            [keccak256(&invocation.input).as_slice(), &invocation.input[..invocation.input.len().min(32)]]
                .concat()
                .into()
        };
        let result = CryptletResult {
            requestHash: invocation.request_hash(),
            registrationId: self.keys.registration_id().0,
            keyEpoch: self.keys.keyEpoch,
            status: u8::from(failed),
            outputHash: keccak256(&output),
            units: 1_000 + invocation.input.len() as u64,
            observedAt: 1_700_000_000,
            notBefore: invocation.request.anchorBlock,
            expires: invocation.request.anchorBlock + 250,
        };
        (result, output)
    }

    pub(crate) fn sign(&self, result: &CryptletResult, mode: InvocationMode) -> Signature65 {
        let digest = match mode {
            InvocationMode::Live => result_digest(result, &self.domain),
            InvocationMode::DryRun => dry_run_result_digest(result, &self.domain),
        };
        sign(&self.signer, digest)
    }

    pub(crate) fn answer(&self, invocation: &Invocation) -> FabricAnswer {
        let (mut result, mut output) = self.result(invocation);
        let behaviour = *self.behaviour.lock();
        match behaviour {
            Behaviour::OtherRequest => result.requestHash = keccak256("another request"),
            Behaviour::TooManyUnits => result.units = invocation.units_max + 1,
            Behaviour::TooLongOutput => output = vec![7; invocation.output_bytes_max as usize + 1].into(),
            Behaviour::ClaimsUnavailable => result.status = 2,
            Behaviour::Expired => result.expires = result.notBefore,
            _ => {}
        }
        result.outputHash = keccak256(&output);
        let mode = if behaviour == Behaviour::DryRunSignature { InvocationMode::DryRun } else { invocation.mode };
        let mut signature = self.sign(&result, mode);
        match behaviour {
            Behaviour::WrongSignature => signature.0[10] ^= 1,
            Behaviour::WrongKey => signature = sign(&dev_accounts()[0], result_digest(&result, &self.domain)),
            Behaviour::OutputDoesNotMatch => output = b"something else".into(),
            Behaviour::Garbage => {
                result = CryptletResult { status: 77, requestHash: keccak256("x"), ..result };
                signature = Signature65::default();
            }
            _ => {}
        }
        FabricAnswer { result, output, signature }
    }

    /// The transactions' calls that register the cryptlet and this instance.
    pub(crate) fn registration_calls(&self) -> Vec<Bytes> {
        let registration = UtilityRegistration {
            name: "traffic".to_owned(),
            codeDigest: CODE_DIGEST,
            manifestDigest: self.keys.manifestDigest,
            headerDigest: B256::repeat_byte(1),
            configDigest: B256::repeat_byte(2),
            identityKey: self.signer.address(),
            isolation: 0,
            minimumInstances: 1,
            maximumInstances: 3,
            unitsMax: UNITS_MAX,
            outputBytesMax: OUTPUT_BYTES_MAX,
            simulationPolicy: 0,
            simulationStub: Bytes::new(),
        };
        let (operator, domain) = (dev_operator(), &self.domain);
        let signed = utility_digest(&registration.signed_by(operator.address(), DEADLINE_BLOCK), domain);
        let identity_signature = sign(&self.signer, signed).0.to_vec().into();
        let authorization = authorization(&operator, signed);
        vec![
            Registry::initializeCall { genesisHash: self.domain.genesis_hash }.abi_encode().into(),
            ICryptletRegistry::registerUtilityCall {
                registration,
                authorization,
                identitySignature: identity_signature,
            }
            .abi_encode()
            .into(),
            ICryptletRegistry::registerInstanceCall {
                created: self.created(),
                authorization: self.authorized(B256::ZERO, 0),
            }
            .abi_encode()
            .into(),
        ]
    }

    /// The operator's word for this instance, as the renewal of `previous`, if it is one.
    pub(crate) fn authorized(&self, previous: B256, grace_blocks: u32) -> Authorization {
        let asked = InstanceAuthorization {
            registrationId: self.keys.registration_id().0,
            previous,
            graceBlocks: grace_blocks,
            deadlineBlock: DEADLINE_BLOCK,
        };
        authorization(&dev_operator(), authorization_digest(&asked, &self.domain))
    }

    pub(crate) fn created(&self) -> CreatedInstance {
        let host = dev_operator();
        let statement = SoftwareStatement {
            provider: 1,
            isolation: 0,
            measurement: MEASUREMENT,
            reportData: self.keys.registration_id().0,
            host: host.address(),
            issuedAt: 0,
            expires: u64::from(u32::MAX),
        };
        let signature = sign(&host, software_statement_digest(&statement, &self.domain));
        let evidence = SoftwareEvidence {
            provider: statement.provider,
            isolation: statement.isolation,
            measurement: statement.measurement,
            reportData: statement.reportData,
            host: statement.host,
            issuedAt: statement.issuedAt,
            expires: statement.expires,
            signature: signature.0.to_vec().into(),
        };
        let keys_signature = sign(&self.signer, keys_digest(&self.keys, &self.domain));
        CreatedInstance::new(&self.keys, keys_signature, evidence.abi_encode().into(), Bytes::new())
    }
}

impl Fabric for SigningFabric {
    fn invoke(&self, invocation: Invocation) -> BoxFuture<'static, Result<FabricAnswer, FabricFault>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let behaviour = *self.behaviour.lock();
        let answer = self.answer(&invocation);
        Box::pin(async move {
            match behaviour {
                Behaviour::Never => std::future::pending().await,
                Behaviour::Down => Err(FabricFault::new(UnavailableReason::HostUnreachable, "connection refused")),
                Behaviour::Slow { ms } => {
                    tokio::time::sleep(Duration::from_millis(ms)).await;
                    Ok(answer)
                }
                _ => Ok(answer),
            }
        })
    }
}

fn authorization(registrar: &PrivateKeySigner, digest: B256) -> Authorization {
    let signature = sign(registrar, digest).0.to_vec().into();
    Authorization { registrar: registrar.address(), deadlineBlock: DEADLINE_BLOCK, signature }
}

fn sign(key: &PrivateKeySigner, digest: B256) -> Signature65 {
    key.sign_hash_sync(&digest).expect("a key signs any hash").into()
}

/// The utility cryptlet that the operator publishes.
pub(crate) fn cryptlet() -> CryptletId {
    CryptletId::utility(dev_operator().address(), "traffic")
}

/// A node with the cryptlet registered and `Traffic` deployed.
pub(crate) struct Chain {
    pub(crate) node: NodeHandle,
    pub(crate) fabric: Arc<SigningFabric>,
    pub(crate) spec: Arc<ChainSpec>,
    pub(crate) traffic: Address,
    nonces: Mutex<std::collections::HashMap<Address, u64>>,
    gas_limit: u64,
}

pub(crate) fn fast_config() -> NodeConfig {
    let mut config = NodeConfig::default();
    config.miner.cadence = Cadence { parked_block_interval_ms: 25, ..Cadence::default() };
    config.miner.backoff.base_ms = 10;
    config.miner.backoff.max_ms = 50;
    config.miner.attempt_timeout_ms = 400;
    config.miner.patience_ms = 1_000;
    config.simulation.answer_timeout_ms = 500;
    config
}

/// Limits with a short wait, so that tests of absent hosts end soon.
pub(crate) fn fast_limits() -> FabricLimits {
    FabricLimits { unavailable_after_blocks: 6, ..FabricLimits::default() }
}

impl Chain {
    pub(crate) async fn start(limits: FabricLimits, config: NodeConfig) -> Self {
        Self::start_under(EthereumHardfork::Prague, limits, config).await
    }

    /// The same under the rules of another fork.
    pub(crate) async fn start_under(fork: EthereumHardfork, limits: FabricLimits, config: NodeConfig) -> Self {
        let spec = Arc::new(ChainSpec::from_genesis(dev_genesis_at(&limits, fork)).expect("a valid genesis"));
        // EIP-8037: what is stored for the first time costs about a hundred thousand.
        let gas_limit = if fork >= EthereumHardfork::Amsterdam { 15_000_000 } else { 3_000_000 };
        let fabric = SigningFabric::new(&spec);
        let node = Node::start(config, spec.clone(), ChainStore::in_memory(), fabric.clone()).expect("it starts");
        let nonces = Mutex::new(Default::default());
        let mut chain = Self { node, fabric, spec, traffic: Address::ZERO, nonces, gas_limit };
        let operator = dev_operator();
        for call in chain.fabric.registration_calls() {
            let hash = chain.send(&operator, TxKind::Call(CRYPTLET_REGISTRY), call).await;
            assert!(chain.receipt(hash).await.status(), "the registry refused");
        }
        let code = hex::decode(TRAFFIC_CODE.trim()).expect("hex");
        let hash = chain.send(&operator, TxKind::Create, code.into()).await;
        assert!(chain.receipt(hash).await.status(), "the traffic contract was not deployed");
        chain.traffic = operator.address().create(3);
        chain
    }

    /// Signs and submits a transaction with the next nonce of this key.
    pub(crate) async fn send(&self, key: &PrivateKeySigner, to: TxKind, input: Bytes) -> B256 {
        self.send_with_gas(key, to, input, self.gas_limit).await
    }

    pub(crate) async fn send_with_gas(&self, key: &PrivateKeySigner, to: TxKind, input: Bytes, gas: u64) -> B256 {
        let raw = self.signed(key, to, input, gas);
        self.node.submit(raw).await.expect("the pool takes it")
    }

    pub(crate) fn signed(&self, key: &PrivateKeySigner, to: TxKind, input: Bytes, gas_limit: u64) -> Bytes {
        let nonce = {
            let mut nonces = self.nonces.lock();
            let nonce = nonces.entry(key.address()).or_default();
            *nonce += 1;
            *nonce - 1
        };
        sign_transaction(key, self.spec.chain_id(), nonce, to, input, gas_limit)
    }

    pub(crate) async fn call_traffic(&self, key: &PrivateKeySigner, call: impl SolCall) -> B256 {
        self.send(key, TxKind::Call(self.traffic), call.abi_encode().into()).await
    }

    /// Waits for the transaction's receipt; fails the test if it does not come.
    pub(crate) async fn receipt(&self, hash: B256) -> Receipt {
        let mut head = self.node.watch_head();
        let found = async {
            loop {
                head.borrow_and_update();
                if let Some(receipt) = self.receipt_now(hash) {
                    return receipt;
                }
                head.changed().await.expect("the node runs");
            }
        };
        tokio::time::timeout(Duration::from_secs(60), found).await.expect("the transaction gets a receipt")
    }

    pub(crate) fn receipt_now(&self, hash: B256) -> Option<Receipt> {
        let location = self.node.chain().transaction_location(hash).expect("the store works")?;
        let receipts = self.node.chain().receipts(location.block_number).expect("the store works")?;
        receipts.into_iter().nth(location.index as usize)
    }

    /// How often the transaction stands in the chain.
    pub(crate) fn occurrences(&self, hash: B256) -> usize {
        let head = self.node.head().number;
        let blocks = self.node.chain().blocks(1..=head).map(|block| block.expect("the store works").block);
        blocks.flat_map(|block| block.body.transactions).filter(|tx| *tx.tx_hash() == hash).count()
    }

    /// Waits until this event has been seen.
    pub(crate) async fn wait_for(&self, mut wanted: impl FnMut(&ChainEvent) -> bool) {
        let mut events = self.node.subscribe();
        let seen = async { while !wanted(&events.recv().await.expect("the node runs")) {} };
        tokio::time::timeout(Duration::from_secs(30), seen).await.expect("the event comes");
    }
}

pub(crate) fn sign_transaction(
    key: &PrivateKeySigner,
    chain_id: u64,
    nonce: u64,
    to: TxKind,
    input: Bytes,
    gas_limit: u64,
) -> Bytes {
    let mut tx = TxEip1559 {
        chain_id,
        nonce,
        gas_limit,
        max_fee_per_gas: 100_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to,
        value: U256::ZERO,
        access_list: Default::default(),
        input,
    };
    let signature = key.sign_transaction_sync(&mut tx).expect("a key signs");
    alloy::consensus::TxEnvelope::from(tx.into_signed(signature)).encoded_2718().into()
}

/// The struct hash of a request, for tests that forge.
pub(crate) fn request_hash(request: &cryptlet_primitives::CryptletRequest) -> B256 {
    request.eip712_hash_struct()
}
