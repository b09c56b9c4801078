//! Traces over JSON-RPC, against anvil: one transaction with many steps, one with many calls.
//!
//! Both nodes run as processes of their own on this machine, one after the other, and are asked the same.

use crate::{
    process::NodeProcess,
    table::{Section, progress},
};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::time::Instant;

/// Traces of each kind; the first tenth is not counted.
const TRACES: usize = 200;
/// A loop of 1,000 turns and 13,000 steps that keeps a word in memory and reads it.
const STEPS: &str = "6103e85b806000526000515060019003806003570000";
/// Calls itself 100 times; with input, it does nothing.
const CALLS: &str = "36601e5760645b60006000600160006000305af1506001900380600657005b00";

/// The section; without anvil it says so.
pub(crate) async fn run() -> Result<Vec<Section>> {
    let columns = ["transaction", "tracer", "node", "traces/s", "CPU µs each", "answer KiB", "CPU against anvil"];
    let mut table = Section::new("Traces over JSON-RPC", &columns);
    let Some(anvil) = crate::process::find_anvil() else {
        return Ok(vec![table.finding("SKIPPED traces: no anvil binary found")]);
    };
    progress("traces: anvil");
    let theirs = measure(NodeProcess::anvil(&anvil, None)?).await?;
    progress("traces: cryptlet");
    let ours = measure(NodeProcess::cryptlet(None)?).await?;
    for (theirs, ours) in theirs.iter().zip(&ours) {
        for (name, outcome) in [("anvil", theirs), ("cryptlet", ours)] {
            table.row(&[
                outcome.transaction.to_owned(),
                outcome.tracer.to_owned(),
                name.to_owned(),
                format!("{:.0}", 1.0 / outcome.wall_s),
                format!("{:.0}", outcome.cpu_s * 1e6),
                format!("{:.0}", outcome.answer_bytes as f64 / 1024.0),
                format!("{:.2}x", outcome.cpu_s / theirs.cpu_s),
            ]);
        }
    }
    Ok(vec![table.how(format!(
        "`debug_traceTransaction`, {TRACES} times in a row over one HTTP connection. Both nodes run the transaction again \
         for each trace. CPU is the node's processor time per trace."
    ))])
}

/// What one kind of trace cost one node, each.
struct Outcome {
    transaction: &'static str,
    tracer: &'static str,
    wall_s: f64,
    cpu_s: f64,
    answer_bytes: usize,
}

async fn measure(node: NodeProcess) -> Result<Vec<Outcome>> {
    let accounts = node.request("eth_accounts", &json!([])).await?;
    let from = accounts.get(0).context("a dev node has accounts")?;
    let mut outcomes = Vec::new();
    for (transaction, code) in [("13,000 steps", STEPS), ("100 calls", CALLS)] {
        let creation = json!([{ "from": from, "data": creation(code), "gas": "0x1e8480" }]);
        let contract = mined(&node, creation).await?["contractAddress"].take();
        let receipt = mined(&node, json!([{ "from": from, "to": contract, "gas": "0x1e8480" }])).await?;
        anyhow::ensure!(receipt["status"] == "0x1", "{transaction}: the transaction failed: {receipt}");
        for (tracer, options) in [("opcode logger", json!({})), ("callTracer", json!({ "tracer": "callTracer" }))] {
            let params = json!([receipt["transactionHash"], options]);
            let mut answer_bytes = 0;
            for _ in 0..TRACES / 10 {
                answer_bytes = node.request("debug_traceTransaction", &params).await?.to_string().len();
            }
            let (started, cpu_before) = (Instant::now(), node.cpu_seconds()?);
            for _ in 0..TRACES {
                node.request("debug_traceTransaction", &params).await?;
            }
            let count = TRACES as f64;
            let (wall_s, cpu_s) = (started.elapsed().as_secs_f64() / count, (node.cpu_seconds()? - cpu_before) / count);
            outcomes.push(Outcome { transaction, tracer, wall_s, cpu_s, answer_bytes });
        }
    }
    Ok(outcomes)
}

/// Sends a transaction and waits for its receipt.
async fn mined(node: &NodeProcess, transaction: Value) -> Result<Value> {
    let hash = node.request("eth_sendTransaction", &transaction).await?;
    for _ in 0..500 {
        let receipt = node.request("eth_getTransactionReceipt", &json!([hash])).await?;
        if !receipt.is_null() {
            return Ok(receipt);
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    anyhow::bail!("{} did not mine {hash} within 5 s", node.name())
}

/// Creation code of a contract with this code of at most 255 bytes.
fn creation(code: &str) -> String {
    format!("0x60{length:02x}600c60003960{length:02x}6000f3{code}", length = code.len() / 2)
}
