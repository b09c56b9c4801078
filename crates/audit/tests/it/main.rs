//! The binary, as an auditor runs it: a chain file in, a verdict out, and nothing else in reach.

#[allow(dead_code)] // the node's own tests use the rest
#[path = "../../../node/tests/it/support.rs"]
mod support;

mod lifecycle;

use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use alloy_sol_types::SolCall;
use cryptlet_node::{chain_file::export, chain_spec::dev_accounts};
use cryptlet_primitives::FabricLimits;
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};
use support::{Chain, Traffic, cryptlet, fast_config};

const AUDIT: &str = env!("CARGO_BIN_EXE_cryptlet-audit");

/// A chain with calls of every shape, and its records as a node would give them.
struct Sample {
    folder: tempfile::TempDir,
    head: B256,
    state_root: B256,
    genesis: String,
    records: Value,
}

impl Sample {
    async fn make(transactions: u64) -> Self {
        let chain = Chain::start(FabricLimits::default(), fast_config()).await;
        let keys = dev_accounts();
        let mut hashes = Vec::new();
        for n in 0..transactions {
            let key = &keys[n as usize % 3];
            let (cryptlet, input) = (cryptlet().0, Bytes::from(format!("call {n}").into_bytes()));
            let call = match n % 6 {
                0 => Traffic::onceCall { cryptlet, input }.abi_encode(),
                1 => Traffic::chainedCall { cryptlet, count: U256::from(3), input }.abi_encode(),
                2 => Traffic::nestedCall { cryptlet, depth: U256::from(2), input }.abi_encode(),
                3 => Traffic::inRevertedFrameCall { cryptlet, input }.abi_encode(),
                4 => Traffic::andRevertCall { cryptlet, input }.abi_encode(),
                _ => Traffic::staticallyCall { cryptlet, input }.abi_encode(),
            };
            let to = if n % 5 == 4 { Address::repeat_byte(7) } else { chain.traffic };
            hashes.push(chain.send(key, TxKind::Call(to), call.into()).await);
        }
        for hash in &hashes {
            chain.receipt(*hash).await;
        }
        chain.node.stop().await;
        let store = chain.node.chain();
        let folder = tempfile::tempdir().expect("a folder");
        let file = std::fs::File::create(folder.path().join("chain.cryptlet")).expect("a file");
        export(store, 1..=u64::MAX, std::io::BufWriter::new(file), &mut |_| {}).expect("it exports");
        let location = store.transaction_location(hashes[1]).expect("works").expect("included");
        let requests = store.requests(location.block_number).expect("works").expect("requests");
        let data = &requests.iter().find(|request| request[0] == 0xCD).expect("records")[1..];
        let records = cryptlet_primitives::BlockRecords::from_request_data(data, usize::MAX).expect("records");
        let head = store.head().expect("a head");
        Self {
            folder,
            head: head.hash(),
            state_root: head.state_root,
            genesis: serde_json::to_string(chain.spec.genesis()).expect("JSON"),
            records: json!({ "transactionHash": hashes[1], "records": records.of_transaction(location.index) }),
        }
    }

    fn chain(&self) -> PathBuf {
        self.folder.path().join("chain.cryptlet")
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).expect("the folder is writable");
        path
    }
}

fn audit(arguments: &[&dyn AsRef<std::ffi::OsStr>]) -> Output {
    Command::new(AUDIT).args(arguments.iter().map(|argument| argument.as_ref())).output().expect("the binary runs")
}

fn json_of(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no JSON: {output:?}"))
}

/// Runs the binary in a network namespace of its own that has not even a loopback.
fn audit_without_network(chain: &Path) -> Option<Output> {
    let unshare = |program: &str, arguments: &[&str]| {
        Command::new("unshare").args(["--net", "--map-root-user", program]).args(arguments).output().ok()
    };
    let interfaces = unshare("cat", &["/proc/net/dev"]).filter(|output| output.status.success())?;
    assert!(!String::from_utf8_lossy(&interfaces.stdout).contains("eth"), "the namespace is not empty");
    unshare(AUDIT, &["replay", &chain.to_string_lossy(), "--json"])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_blocks_replay_without_host_crates_in_an_empty_network_namespace() {
    let sample = Sample::make(1_000).await;
    let Some(output) = audit_without_network(&sample.chain()) else {
        eprintln!("SKIPPED: `unshare --net` is not permitted here");
        return;
    };
    assert!(output.status.success(), "{output:?}");
    let report = json_of(&output);
    assert_eq!(report["headHash"], json!(sample.head));
    assert_eq!(report["stateRoot"], json!(sample.state_root));
    assert!(report["records"].as_u64() > Some(1_000), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chains_and_records_are_verified_and_changed_ones_are_not() {
    let sample = Sample::make(12).await;
    let chain = sample.chain();
    let output = audit(&[&"verify", &chain, &"--json", &"--list"]);
    assert!(output.status.success(), "{output:?}");
    let verdict = json_of(&output);
    assert_eq!(verdict["list"].as_array().map(Vec::len), verdict["records"].as_u64().map(|count| count as usize));

    let records = sample.write("records.json", sample.records.to_string());
    let genesis = sample.write("genesis.json", &sample.genesis);
    for arguments in [
        vec![&"verify" as &dyn AsRef<std::ffi::OsStr>, &"--record", &records, &"--genesis", &genesis],
        vec![&"verify", &chain, &"--record", &records],
    ] {
        let output = audit(&arguments);
        assert!(output.status.success(), "{output:?}");
    }

    let mut changed = sample.records.clone();
    changed["records"][0]["output"] = json!("0x1234");
    let changed = sample.write("changed.json", changed.to_string());
    let output = audit(&[&"verify", &"--record", &changed, &"--genesis", &genesis]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("record 0 does not hold"), "{output:?}");
    assert!(!audit(&[&"verify", &chain, &"--record", &changed]).status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_in_which_a_byte_of_a_signature_is_flipped_is_refused_by_name() {
    let sample = Sample::make(6).await;
    let mut bytes = std::fs::read(sample.chain()).expect("the file");
    let signature = sample.records["records"][2]["signature"].as_str().expect("a signature");
    let signature: Bytes = signature.parse().expect("hex");
    let position = bytes.windows(65).position(|window| window == &signature[..]).expect("it is in the file");
    bytes[position + 40] ^= 1;
    let output = audit(&[&"replay", &sample.write("flipped.cryptlet", &bytes), &"--json"]);
    assert!(!output.status.success());
    let error = json_of(&output)["error"].as_str().expect("an error").to_owned();
    let hash = sample.records["transactionHash"].as_str().expect("a hash");
    assert!(error.starts_with("block ") && error.contains(hash) && error.contains("cryptlet record 2"), "{error}");
}
