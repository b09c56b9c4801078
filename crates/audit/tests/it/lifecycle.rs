//! The life of registrations on a real chain, through the real contracts, and what an auditor finds of it in the exported file.

use super::support::{Behaviour, Chain, Registry, SigningFabric, Traffic, cryptlet, fast_config, fast_limits};
use super::{audit, json_of};
use alloy::signers::local::PrivateKeySigner;
use alloy_primitives::{Address, B256, Bytes, TxKind};
use alloy_sol_types::{SolCall, sol};
use cryptlet_node::{
    chain_file::export,
    chain_spec::{dev_accounts, dev_operator},
};
use cryptlet_primitives::{
    InstanceKeys, ResultStatus,
    abi::ICryptletRegistry,
    system::{CRYPTLET_POLICY, CRYPTLET_REGISTRY},
};
use parking_lot::Mutex;
use serde_json::Value;
use std::{path::PathBuf, sync::atomic::AtomicU64};

sol! {
    interface Policy {
        function revokeMeasurement(uint16 provider, bytes32 measurement, string reason) external;
        function revokeEndorser(address endorser, string reason) external;
        function setMeasurementListed(uint16 provider, bytes32 measurement, bool isListed) external;
        function setEndorserListed(address endorser, bool isListed) external;
        function setActivationAutomatic(bool isAutomatic) external;
        function setAcceptedVersions(uint8 container, uint32 minimum, uint32 maximum) external;
    }
}

const MEASUREMENT: B256 = B256::repeat_byte(0x3e);
const GRACE_BLOCKS: u32 = 4;

/// An instance of the same cryptlet with other keys, or the same for longer.
fn instance(chain: &Chain, key: u8, change: impl FnOnce(&mut InstanceKeys)) -> SigningFabric {
    let signer: PrivateKeySigner = B256::repeat_byte(key).to_string().parse().expect("a key");
    let mut keys = InstanceKeys { signer: signer.address(), ..chain.fabric.keys };
    change(&mut keys);
    let (behaviour, asked) = (Mutex::new(Behaviour::Honest), AtomicU64::new(0));
    SigningFabric { signer, domain: chain.fabric.domain, keys, behaviour, asked }
}

/// As the administrator and publisher.
async fn operate(chain: &Chain, to: Address, call: impl SolCall) {
    let hash = chain.send(&dev_operator(), TxKind::Call(to), call.abi_encode().into()).await;
    assert!(chain.receipt(hash).await.status(), "the contract refused");
}

/// Calls the cryptlet in a transaction, and says how the call ended and in which block.
async fn call(chain: &Chain, input: &str) -> (ResultStatus, u64) {
    let (key, input) = (&dev_accounts()[1], Bytes::from(input.as_bytes().to_vec()));
    let hash = chain.call_traffic(key, Traffic::onceCall { cryptlet: cryptlet().0, input }).await;
    chain.receipt(hash).await;
    let location = chain.node.chain().transaction_location(hash).expect("works").expect("included");
    let requests = chain.node.chain().requests(location.block_number).expect("works").expect("requests");
    let data = &requests.iter().find(|request| request[0] == 0xCD).expect("records")[1..];
    let records = cryptlet_primitives::BlockRecords::from_request_data(data, usize::MAX).expect("records");
    let records = records.of_transaction(location.index);
    (records[0].status().expect("a status"), location.block_number)
}

async fn mine_until(chain: &Chain, number: u64) {
    while chain.node.head().number < number {
        let hash = chain.send(&dev_accounts()[2], TxKind::Call(Address::repeat_byte(9)), Bytes::new()).await;
        chain.receipt(hash).await;
    }
}

/// The chain's file, once the node has stopped.
async fn export_all(chain: &Chain, folder: &tempfile::TempDir) -> PathBuf {
    chain.node.stop().await;
    let path = folder.path().join("chain.cryptlet");
    let file = std::fs::File::create(&path).expect("a file");
    export(chain.node.chain(), 1..=u64::MAX, std::io::BufWriter::new(file), &mut |_| {}).expect("it exports");
    path
}

fn find(answer: &Value, id: B256) -> Value {
    let all = answer["registrations"].as_array().expect("a list");
    all.iter().find(|item| item["registrationId"] == id.to_string()).unwrap_or_else(|| panic!("{answer}")).clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_rotate_with_grace_and_a_host_that_keeps_the_old_ones_is_refused_after_it() {
    let chain = Chain::start(fast_limits(), fast_config()).await;
    assert_eq!(call(&chain, "before").await.0, ResultStatus::Ok);
    let fresh = instance(&chain, 0x52, |keys| keys.keyEpoch = 2);
    operate(
        &chain,
        CRYPTLET_REGISTRY,
        ICryptletRegistry::rotateKeysCall {
            created: fresh.created(),
            graceBlocks: GRACE_BLOCKS,
            authorization: fresh.authorized(B256::ZERO, GRACE_BLOCKS),
        },
    )
    .await;
    let until = chain.node.head().number + u64::from(GRACE_BLOCKS);
    // The host goes on with its old keys.
    let (status, block) = call(&chain, "within").await;
    assert!(block > until - u64::from(GRACE_BLOCKS) && block <= until, "block {block}, grace until {until}");
    assert_eq!(status, ResultStatus::Ok);
    mine_until(&chain, until).await;
    assert_eq!(call(&chain, "after").await.0, ResultStatus::Unavailable);

    let folder = tempfile::tempdir().expect("a folder");
    let file = export_all(&chain, &folder).await;
    // What an auditor replays are the same rules: every record of the grace holds.
    let output = audit(&[&"audit", &file, &"--json", &"--at", &"1800000000"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let answer = json_of(&output);
    let old = find(&answer, chain.fabric.keys.registration_id().0);
    assert_eq!((&old["then"]["standing"], &old["now"]["standing"]), (&"holds".into(), &"over".into()), "{old}");
    assert!(old["now"]["reason"].as_str().expect("text").contains("rotated out by epoch 2"), "{old}");
    assert_eq!((&old["records"], &answer["unavailable"]), (&2.into(), &1.into()));
    let new = find(&answer, fresh.keys.registration_id().0);
    assert_eq!((&new["then"]["standing"], &new["now"]["standing"]), (&"holds".into(), &"holds".into()), "{new}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_policy_revokes_stops_calls_at_once_and_an_auditor_says_valid_then_bad_now() {
    let chain = Chain::start(fast_limits(), fast_config()).await;
    assert_eq!(call(&chain, "before").await.0, ResultStatus::Ok);
    operate(
        &chain,
        CRYPTLET_POLICY,
        Policy::revokeMeasurementCall {
            provider: 1,
            measurement: MEASUREMENT,
            reason: "a bug in the allocator".to_owned(),
        },
    )
    .await;
    assert_eq!(call(&chain, "revoked").await.0, ResultStatus::Unavailable);
    operate(
        &chain,
        CRYPTLET_POLICY,
        Policy::setMeasurementListedCall { provider: 1, measurement: MEASUREMENT, isListed: true },
    )
    .await;
    assert_eq!(call(&chain, "listed again").await.0, ResultStatus::Ok);
    // Whoever vouched for it is found in the registry.
    let endorser = json_endorser(&chain).await;
    operate(&chain, CRYPTLET_POLICY, Policy::revokeEndorserCall { endorser, reason: "its key was stolen".to_owned() })
        .await;
    assert_eq!(call(&chain, "no endorser").await.0, ResultStatus::Unavailable);

    let folder = tempfile::tempdir().expect("a folder");
    let file = export_all(&chain, &folder).await;
    let output = audit(&[&"audit", &file, &"--json", &"--at", &"1800000000"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let answer = json_of(&output);
    let item = find(&answer, chain.fabric.keys.registration_id().0);
    assert_eq!((&item["then"]["standing"], &item["now"]["standing"]), (&"holds".into(), &"bad".into()), "{item}");
    assert!(item["now"]["reason"].as_str().expect("text").contains("its key was stolen"), "{item}");
    assert_eq!((&answer["badThen"], &answer["badNow"], &answer["recordsOfBadNow"]), (&0.into(), &1.into(), &2.into()));
    let table = String::from_utf8(audit(&[&"audit", &file, &"--at", &"1800000000"]).stdout).expect("text");
    assert!(table.contains("BAD") && table.contains("1 were valid then and are bad now"), "{table}");
}

/// The endorser of the test's evidence signs every software statement of these tests.
async fn json_endorser(chain: &Chain) -> Address {
    use alloy_sol_types::SolValue;
    let evidence = chain.fabric.created().evidence;
    cryptlet_primitives::abi::SoftwareEvidence::abi_decode(&evidence).expect("evidence").host
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registration_is_renewed_with_the_same_keys_and_revoked_with_its_renewal() {
    let chain = Chain::start(fast_limits(), fast_config()).await;
    let first = chain.fabric.keys.registration_id().0;
    let renewed = instance(&chain, 0x51, |keys| keys.notAfterBlock += 1_000);
    let second = renewed.keys.registration_id().0;
    let authorization = renewed.authorized(first, 0);
    let call_ = ICryptletRegistry::renewInstanceCall { previous: first, created: renewed.created(), authorization };
    operate(&chain, CRYPTLET_REGISTRY, call_).await;
    // What is signed under the old registration still counts.
    assert_eq!(call(&chain, "renewed").await.0, ResultStatus::Ok);
    let reason = "key leaked".to_owned();
    operate(&chain, CRYPTLET_REGISTRY, Registry::revokeInstanceCall { registrationId: second, reason }).await;
    let hash = chain
        .call_traffic(
            &dev_accounts()[1],
            Traffic::onceCall { cryptlet: cryptlet().0, input: Bytes::from_static(b"revoked") },
        )
        .await;
    assert!(!chain.receipt(hash).await.status(), "the cryptlet has no instance any more");

    let folder = tempfile::tempdir().expect("a folder");
    let file = export_all(&chain, &folder).await;
    let output = audit(&[&"audit", &file, &"--json", &"--at", &"1800000000"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let answer = json_of(&output);
    for id in [first, second] {
        let item = find(&answer, id);
        assert_eq!(item["now"]["standing"], "bad", "{item}");
        assert!(item["now"]["reason"].as_str().expect("text").contains("key leaked"), "{item}");
    }
    // Evidence itself grows old: the same chain, a hundred years on, and as it was on its own day.
    let later = json_of(&audit(&[&"audit", &file, &"--json", &"--at", &"5000000000"]));
    assert_eq!(later["badThen"], 0, "{later}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_is_pending_to_an_auditor_and_what_runs_in_a_refused_version_is_bad_now() {
    let chain = Chain::start(fast_limits(), fast_config()).await;
    operate(&chain, CRYPTLET_POLICY, Policy::setActivationAutomaticCall { isAutomatic: false }).await;
    let [activated, waiting] = [0x52, 0x53].map(|key| instance(&chain, key, |keys| keys.container = 2));
    for fresh in [&activated, &waiting] {
        let authorization = fresh.authorized(B256::ZERO, 0);
        let register = ICryptletRegistry::registerInstanceCall { created: fresh.created(), authorization };
        operate(&chain, CRYPTLET_REGISTRY, register).await;
    }
    let id = activated.keys.registration_id().0;
    operate(&chain, CRYPTLET_REGISTRY, ICryptletRegistry::activateInstanceCall { registrationId: id }).await;
    let activated_block = chain.node.head().number + 1;
    // No wasm of this version counts from the next block on; processes do.
    let refuse = Policy::setAcceptedVersionsCall { container: 1, minimum: 99_000_000, maximum: 0 };
    operate(&chain, CRYPTLET_POLICY, refuse).await;
    assert_eq!(call(&chain, "refused").await.0, ResultStatus::Unavailable);

    let folder = tempfile::tempdir().expect("a folder");
    let file = export_all(&chain, &folder).await;
    let output = audit(&[&"audit", &file, &"--json", &"--at", &"1800000000"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let answer = json_of(&output);
    let standing = |id: B256| find(&answer, id)["now"]["standing"].clone();
    assert_eq!(standing(id), "holds");
    assert_eq!(find(&answer, id)["activatedBlock"], activated_block);
    let waits = find(&answer, waiting.keys.registration_id().0);
    assert_eq!((&waits["now"]["standing"], &waits["activatedBlock"]), (&"pending".into(), &Value::Null), "{waits}");
    let refused = find(&answer, chain.fabric.keys.registration_id().0);
    assert_eq!((&refused["then"]["standing"], &refused["now"]["standing"]), (&"holds".into(), &"bad".into()));
    assert!(refused["now"]["reason"].as_str().expect("text").contains("accepts 99.0.0 and later"), "{refused}");
    assert_eq!(refused["registrar"], dev_operator().address().to_string().to_lowercase());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evidence_that_has_expired_since_is_bad_now_with_the_reason() {
    let chain = Chain::start(fast_limits(), fast_config()).await;
    assert_eq!(call(&chain, "one").await.0, ResultStatus::Ok);
    let folder = tempfile::tempdir().expect("a folder");
    let file = export_all(&chain, &folder).await;
    let sound = audit(&[&"audit", &file, &"--json", &"--at", &"1800000000"]);
    assert_eq!(sound.status.code(), Some(0), "{sound:?}");
    let output = audit(&[&"audit", &file, &"--json", &"--at", &"5000000000"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let item = find(&json_of(&output), chain.fabric.keys.registration_id().0);
    assert!(item["now"]["reason"].as_str().expect("text").starts_with("evidence expired at 4294967295"), "{item}");
    // A chain that was tampered with is refused before anything is said of it.
    let mut bytes = std::fs::read(&file).expect("the file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let damaged = folder.path().join("damaged.cryptlet");
    std::fs::write(&damaged, bytes).expect("the folder is writable");
    assert_eq!(audit(&[&"audit", &damaged, &"--json"]).status.code(), Some(1));
}
