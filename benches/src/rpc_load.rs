//! Reads over JSON-RPC, against anvil: what wallets, pages and indexers ask a node all day.
//!
//! Both nodes run as processes of their own on this machine, one after the other, with the same contract and the same logs,
//! and get the same bytes over the same number of kept-alive connections.

use crate::{
    process::NodeProcess,
    table::{Section, progress},
};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const CONNECTIONS: usize = 8;
const REQUESTS_PER_CONNECTION: usize = 4_000;
/// Not counted: caches fill, allocators settle.
const WARM_UP_PER_CONNECTION: usize = 500;
/// Blocks with one log each.
const LOGS: usize = 20;
/// Stores 42 in slot 0. The contract it leaves returns slot 0 when called without data, and logs when called with some.
const CREATION: &str = "0x602a5f556014600e5f3960145ff336600d576000545f5260205ff35b602a5f5fa100";

/// What one kind of request cost one node.
struct Outcome {
    cpu_us: f64,
    rate: f64,
    p50: Duration,
    p99: Duration,
}

/// The section; without anvil it has our figures only.
pub(crate) async fn run() -> Result<Vec<Section>> {
    let columns = ["request", "node", "CPU µs each", "requests/s", "p50 µs", "p99 µs", "CPU against anvil"];
    let mut table = Section::new("Reads over JSON-RPC", &columns);
    let mut theirs = None;
    match crate::process::find_anvil() {
        Some(anvil) => theirs = Some(measure(NodeProcess::anvil(&anvil, &[])?).await?),
        None => table = table.finding("SKIPPED the comparison: no anvil binary found"),
    }
    let ours = measure(NodeProcess::cryptlet(&[])?).await?;
    for (index, (request, ours)) in ours.iter().enumerate() {
        let theirs = theirs.as_ref().map(|theirs| &theirs[index].1);
        let against = theirs.map_or("-".to_owned(), |theirs| format!("{:.2}x", ours.cpu_us / theirs.cpu_us));
        let rows = theirs.map(|theirs| ("anvil", theirs, "1.00x".to_owned()));
        for (node, outcome, against) in rows.into_iter().chain([("cryptlet", ours, against)]) {
            table.row(&[
                (*request).to_owned(),
                node.to_owned(),
                format!("{:.1}", outcome.cpu_us),
                format!("{:.0}", outcome.rate),
                outcome.p50.as_micros().to_string(),
                outcome.p99.as_micros().to_string(),
                against,
            ]);
        }
    }
    let requests = CONNECTIONS * REQUESTS_PER_CONNECTION;
    Ok(vec![table.how(format!(
        "{requests} requests of each kind over {CONNECTIONS} kept-alive HTTP connections, one at a time on each, after a \
         warm-up. CPU is the node's processor time per request; rates and times depend on the client, which shares the \
         machine. The call reads one storage slot; the logs are {LOGS}, one in each of as many blocks."
    ))])
}

async fn measure(node: NodeProcess) -> Result<Vec<(&'static str, Outcome)>> {
    let contract = prepare(&node).await?;
    let account = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266";
    let logs = json!([{ "address": contract, "fromBlock": "0x0", "toBlock": "latest" }]);
    let found = node.request("eth_getLogs", &logs).await?;
    ensure!(found.as_array().is_some_and(|logs| logs.len() == LOGS), "{}: not {LOGS} logs: {found}", node.name());
    let word = node.request("eth_call", &json!([{ "to": contract }, "latest"])).await?;
    ensure!(word.as_str().is_some_and(|word| word.ends_with("2a")), "{}: not 42: {word}", node.name());
    let kinds = [
        ("eth_getBalance", "eth_getBalance", json!([account, "latest"])),
        ("eth_call, one SLOAD", "eth_call", json!([{ "to": contract }, "latest"])),
        ("eth_getLogs, 20 logs", "eth_getLogs", logs),
    ];
    let mut outcomes = Vec::new();
    for (name, method, params) in kinds {
        progress(&format!("rpc: {}, {name}", node.name()));
        outcomes.push((name, load(&node, method, &params).await?));
    }
    Ok(outcomes)
}

/// Deploys the contract and makes its logs.
async fn prepare(node: &NodeProcess) -> Result<String> {
    let accounts = node.request("eth_accounts", &json!([])).await?;
    let send = async |transaction: Value| {
        let hash = node.request("eth_sendTransaction", &json!([transaction])).await?;
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let receipt = node.request("eth_getTransactionReceipt", &json!([hash])).await?;
            if !receipt.is_null() {
                ensure!(receipt["status"] == "0x1", "{}: {receipt}", node.name());
                return anyhow::Ok(receipt);
            }
            ensure!(Instant::now() < deadline, "{}: {hash} was not mined", node.name());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let receipt = send(json!({ "from": accounts[0], "data": CREATION })).await?;
    let contract = receipt["contractAddress"].as_str().context("a contract")?.to_owned();
    for _ in 0..LOGS {
        send(json!({ "from": accounts[0], "to": contract, "data": "0x01" })).await?;
    }
    Ok(contract)
}

async fn load(node: &NodeProcess, method: &str, params: &Value) -> Result<Outcome> {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    let address = node.address().to_owned();
    let length = body.len();
    let request = format!(
        "POST / HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    run_clients(&address, &request, WARM_UP_PER_CONNECTION).await?;
    let (cpu_before, started) = (node.cpu_seconds()?, Instant::now());
    let mut times = run_clients(&address, &request, REQUESTS_PER_CONNECTION).await?;
    let (cpu_s, wall_s) = (node.cpu_seconds()? - cpu_before, started.elapsed().as_secs_f64());
    times.sort_unstable();
    let count = times.len() as f64;
    let at = |per_mille: usize| times[(times.len() - 1) * per_mille / 1_000];
    Ok(Outcome { cpu_us: cpu_s * 1e6 / count, rate: count / wall_s, p50: at(500), p99: at(990) })
}

async fn run_clients(address: &str, request: &str, requests: usize) -> Result<Vec<Duration>> {
    let clients = (0..CONNECTIONS).map(|_| {
        let (address, request) = (address.to_owned(), request.to_owned());
        tokio::spawn(async move { client(&address, request.as_bytes(), requests).await })
    });
    let mut times = Vec::with_capacity(CONNECTIONS * requests);
    for client in clients.collect::<Vec<_>>() {
        times.extend(client.await??);
    }
    Ok(times)
}

async fn client(address: &str, request: &[u8], requests: usize) -> Result<Vec<Duration>> {
    let mut socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let mut buffer = Vec::new();
    let mut times = Vec::with_capacity(requests);
    for _ in 0..requests {
        let started = Instant::now();
        socket.write_all(request).await?;
        read_answer(&mut socket, &mut buffer).await?;
        times.push(started.elapsed());
    }
    Ok(times)
}

/// Reads one answer, which must be a result.
async fn read_answer(socket: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<()> {
    buffer.clear();
    loop {
        ensure!(socket.read_buf(buffer).await? > 0, "the node closed the connection");
        let Some(head) = buffer.windows(4).position(|end| end == b"\r\n\r\n") else { continue };
        let text = std::str::from_utf8(&buffer[..head])?.to_ascii_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.context("an answer without a length")?.trim().parse()?;
        if buffer.len() >= head + 4 + length {
            let body = &buffer[head + 4..];
            ensure!(body.windows(9).any(|word| word == b"\"result\":"), "{}", String::from_utf8_lossy(body));
            return Ok(());
        }
    }
}
