//! The cases of ethereum/execution-apis `tests/eth_simulateV1`, as far as their answers do not depend on what hive's
//! chains hold. Chains of the same heights and times are made here, with empty blocks.

use crate::support::{Served, number, serve_node};
use alloy::genesis::Genesis;
use cryptlet_node::{
    ChainSpec, NoFabric, Node, NodeConfig, chain_spec::SystemContracts, service::SimulationLimits, store::ChainStore,
};
use serde_json::{Value, json};
use std::{collections::HashMap, fmt, sync::Arc};

const CASES: &str = include_str!("../../../../tests/vectors/simulate-v1.io");

/// Of execution-apis `tests/genesis.json` (commit 10f58fbface95676780ee7328091a494e9584a6e), but merged from the start,
/// without old system contracts, and with what transactions have left on hive's chains where a case sees it: slot 0 of
/// 0x7dcd… and of 0xeda8…, that 0xeda8… has delegated to 0x7dcd…, and an account 0x0 that is not empty.
const GENESIS: &str = include_str!("../../../../tests/vectors/simulate-v1-genesis.json");

/// Seconds between two blocks.
const INTERVAL_S: u64 = 10;

/// What is known to differ: the case, the field (`*`: whatever differs), and why. Each line must be needed.
const KNOWN: &[(&str, &str, &str)] = &[
    (
        "ethSimulate-check-invalid-nonce",
        "error.code",
        "newer cases have -38012 with the same words (basefee-too-low-with-validation-38012)",
    ),
    ("ethSimulate-empty-with-block-num-set-firstblock", "*", "block 1 of hive's chain is one of proof of work"),
    (
        "ethSimulate-overflow-nonce",
        "*",
        "geth lets a nonce that is not checked wrap around to 0; EIP-2681 has none above 2^64-2",
    ),
    (
        "ethSimulate-move-two-non-precompiles-accounts-to-same",
        "error.message",
        "either account can be named: geth's order of overrides is random, this node's is that of the addresses",
    ),
];

struct Chain {
    name: &'static str,
    height: u64,
    gas_limit: u64,
    /// Of the first block: after this many empty ones the base fee is that of hive's chain.
    base_fee: u128,
    /// Gas of one request.
    gas_max: u64,
    /// Under the rules of Amsterdam?
    is_amsterdam: bool,
}

const CHAINS: [Chain; 4] = [
    Chain {
        name: "45",
        height: 45,
        gas_limit: 75_398_208,
        base_fee: 37_348_184_778,
        gas_max: 50_000_000,
        is_amsterdam: false,
    },
    Chain {
        name: "45 uncapped",
        height: 45,
        gas_limit: 75_398_208,
        base_fee: 37_348_184_778,
        gas_max: u64::MAX,
        is_amsterdam: false,
    },
    Chain {
        name: "54",
        height: 54,
        gas_limit: 200_000_000,
        base_fee: 37_094_811_733,
        gas_max: 50_000_000,
        is_amsterdam: false,
    },
    // No case of these asks for the base fee.
    Chain {
        name: "60",
        height: 60,
        gas_limit: 200_000_000,
        base_fee: 1_000_000_000,
        gas_max: 50_000_000,
        is_amsterdam: true,
    },
];

impl Chain {
    async fn serve(&self) -> Served {
        let mut genesis: Genesis = serde_json::from_str(GENESIS).unwrap();
        genesis.gas_limit = self.gas_limit;
        genesis.base_fee_per_gas = Some(self.base_fee);
        if self.is_amsterdam {
            (genesis.config.osaka_time, genesis.config.amsterdam_time) = (Some(0), Some(0));
            genesis.alloc.extend(SystemContracts::of_amsterdam().accounts);
        }
        let spec = Arc::new(ChainSpec::from_genesis(genesis).unwrap());
        let simulation = SimulationLimits { gas_max: self.gas_max, ..Default::default() };
        let config = NodeConfig { simulation, ..Default::default() };
        let node = Node::start(config, spec, ChainStore::in_memory(), Arc::new(NoFabric)).unwrap();
        let served = serve_node(node, |_| ()).await;
        for height in 1..=self.height {
            served.call("evm_setNextBlockTimestamp", json!([height * INTERVAL_S])).await;
            served.call("evm_mine", json!([])).await;
        }
        let head = served.call("eth_getBlockByNumber", json!(["latest", false])).await;
        let found = ["number", "timestamp", "gasLimit"].map(|field| number(&head[field]));
        assert_eq!(found, [self.height, self.height * INTERVAL_S, self.gas_limit], "chain {}", self.name);
        served
    }
}

#[derive(Default)]
struct Case {
    name: &'static str,
    chain: &'static str,
    request: &'static str,
    answer: &'static str,
}

fn cases() -> Vec<Case> {
    let (mut cases, mut case) = (Vec::new(), Case::default());
    for line in CASES.lines() {
        match line.split_once(' ') {
            Some(("//", text)) => case.name = text.split_once(' ').unwrap().0,
            Some(("@", text)) => case.chain = text,
            Some((">>", text)) => case.request = text,
            Some(("<<", text)) => {
                case.answer = text;
                cases.push(std::mem::take(&mut case));
            }
            _ => {}
        }
    }
    cases
}

struct Difference {
    case: &'static str,
    field: String,
    expected: Value,
    found: Value,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}\n  expected {}\n  got      {}", self.case, self.field, self.expected, self.found)
    }
}

impl Difference {
    fn is_known_as(&self, (case, field, _): &(&str, &str, &str)) -> bool {
        self.case == *case && (*field == "*" || self.field == *field)
    }
}

/// Compares whatever the reduced answer has.
fn compare(case: &'static str, field: &str, expected: &Value, found: &Value, differences: &mut Vec<Difference>) {
    match (expected, found) {
        // Left out.
        (Value::Null, _) => {}
        (Value::Object(fields), Value::Object(_)) => {
            for (name, expected) in fields {
                let field = if field.is_empty() { name.clone() } else { format!("{field}.{name}") };
                compare(case, &field, expected, &found[name], differences);
            }
        }
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
            for (index, (expected, found)) in expected.iter().zip(found).enumerate() {
                compare(case, &format!("{field}[{index}]"), expected, found, differences);
            }
        }
        (Value::Array(expected), Value::Array(found)) => {
            let [expected, found] = [expected, found].map(|values| json!(values.len()));
            differences.push(Difference { case, field: format!("{field}.length"), expected, found });
        }
        _ if expected == found => {}
        _ => differences.push(Difference {
            case,
            field: field.to_owned(),
            expected: expected.clone(),
            found: found.clone(),
        }),
    }
}

/// Puts the digits of a block's hash wherever the answer names the block: of the simulated one, or else of the chain's.
async fn with_hashes(served: &Served, expected: &str, answer: &Value) -> Value {
    let simulated = answer["result"].as_array().into_iter().flatten();
    let mut hashes: HashMap<String, Value> = HashMap::new();
    for block in simulated {
        hashes.insert(block["number"].as_str().unwrap().to_owned(), block["hash"].clone());
    }
    let mut filled = expected.to_owned();
    while let Some((before, after)) = filled.split_once("{hash ") {
        let (height, after) = after.split_once('}').unwrap();
        let hash = match hashes.get(height) {
            Some(hash) => hash.clone(),
            None => served.call("eth_getBlockByNumber", json!([height, false])).await["hash"].take(),
        };
        filled = format!("{before}{}{after}", hash.as_str().unwrap().strip_prefix("0x").unwrap());
    }
    serde_json::from_str(&filled).unwrap()
}

#[tokio::test]
async fn simulations_are_as_in_the_execution_apis() {
    let cases = cases();
    let (mut differences, mut checked) = (Vec::new(), 0);
    for chain in &CHAINS {
        let served = chain.serve().await;
        for case in cases.iter().filter(|case| case.chain == chain.name) {
            let answer = served.post(case.request).await;
            let expected = with_hashes(&served, case.answer, &answer).await;
            if expected.get("result").is_some() && answer.get("error").is_some() {
                let (field, found) = ("error".to_owned(), answer["error"].clone());
                differences.push(Difference { case: case.name, field, expected: Value::Null, found });
            } else {
                compare(case.name, "", &expected, &answer, &mut differences);
            }
            checked += 1;
        }
        served.stop().await;
    }
    let unneeded: Vec<_> = KNOWN.iter().filter(|known| !differences.iter().any(|one| one.is_known_as(known))).collect();
    differences.retain(|difference| !KNOWN.iter().any(|known| difference.is_known_as(known)));
    let told: String = differences.iter().map(ToString::to_string).collect();
    assert!(differences.is_empty(), "{} differences:\n{told}", differences.len());
    assert!(unneeded.is_empty(), "known to differ, but do not: {unneeded:?}");
    assert_eq!((checked, cases.len()), (100, 100));
}
