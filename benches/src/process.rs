//! Nodes as processes of their own: started, asked over JSON-RPC, weighed, and stopped when dropped.

use alloy::{
    primitives::{Address, Bytes, U64},
    rpc::client::{ClientBuilder, RpcClient},
};
use anyhow::{Context, Result, bail};
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A running node.
pub(crate) struct NodeProcess {
    name: &'static str,
    child: Child,
    url: String,
    client: RpcClient,
}

impl NodeProcess {
    /// Our own dev node with these flags, its chain in a temporary folder.
    pub(crate) fn cryptlet(flags: &[&str]) -> Result<Self> {
        let binary = std::env::current_exe()?.with_file_name("cryptlet");
        let mut command = Command::new(&binary);
        command.args(["node", "--dev", "--no-examples", "--port", "0", "--quiet", "--json"]).args(flags);
        Self::start("cryptlet", command, |line| {
            let ready: serde_json::Value = serde_json::from_str(line).ok()?;
            Some(ready.get("http")?.as_str()?.to_owned())
        })
        .with_context(|| format!("starting {}", binary.display()))
    }

    /// Foundry's dev node with these flags.
    pub(crate) fn anvil(binary: &Path, flags: &[&str]) -> Result<Self> {
        let mut command = Command::new(binary);
        command.args(["--port", "0"]).args(flags);
        Self::start("anvil", command, |line| Some(format!("http://{}", line.strip_prefix("Listening on ")?.trim())))
            .with_context(|| format!("starting {}", binary.display()))
    }

    fn start(name: &'static str, mut command: Command, ready: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("its output is piped")?).lines();
        let url = loop {
            match lines.next().transpose()? {
                Some(line) => {
                    if let Some(url) = ready(&line) {
                        break url;
                    }
                }
                None => bail!("{name} ended before it was ready"),
            }
        };
        // Nobody reads on: drain, so that the node never waits for us.
        std::thread::spawn(move || lines.for_each(drop));
        let client = ClientBuilder::default().http(url.parse()?);
        Ok(Self { name, child, url, client })
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Host and port of its JSON-RPC.
    pub(crate) fn address(&self) -> &str {
        self.url.trim_start_matches("http://").trim_end_matches('/')
    }

    /// The result of a request.
    pub(crate) async fn request(&self, method: &'static str, params: &serde_json::Value) -> Result<serde_json::Value> {
        self.client.request(method, params).await.with_context(|| format!("{}: {method}", self.name))
    }

    /// Sends signed transactions in one JSON-RPC batch and waits for their hashes.
    pub(crate) async fn send_batch(&self, transactions: &[Bytes]) -> Result<()> {
        let mut batch = self.client.new_batch();
        let calls = transactions
            .iter()
            .map(|raw| batch.add_call::<_, alloy::primitives::B256>("eth_sendRawTransaction", &(raw,)))
            .collect::<Result<Vec<_>, _>>()?;
        batch.send().await?;
        for call in calls {
            call.await?;
        }
        Ok(())
    }

    pub(crate) async fn nonce(&self, account: Address) -> Result<u64> {
        let nonce: U64 = self.client.request("eth_getTransactionCount", (account, "latest")).await?;
        Ok(nonce.to())
    }

    /// Processor time of the process so far, in seconds.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        cpu_seconds(&self.child.id().to_string())
    }

    /// Resident memory, in MiB.
    pub(crate) fn resident_mib(&self) -> Result<f64> {
        resident_mib(self.child.id())
    }
}

/// Resident memory of a process, in MiB.
pub(crate) fn resident_mib(process: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    Ok(field(&status, "VmRSS:").context("/proc/PID/status has no VmRSS")? / 1024.0)
}

/// Proportional memory (PSS: what is shared counts in parts) of this process and all that it started, in KiB.
pub(crate) fn tree_kib() -> Result<f64> {
    let own = std::process::id();
    let mut parents = BTreeMap::new();
    for entry in std::fs::read_dir("/proc")? {
        let Ok(id) = entry?.file_name().to_string_lossy().parse::<u32>() else { continue };
        // A process may end while it is looked at.
        let Ok(status) = std::fs::read_to_string(format!("/proc/{id}/status")) else { continue };
        parents.insert(id, field(&status, "PPid:").unwrap_or_default() as u32);
    }
    let is_ours = |id: u32| std::iter::successors(Some(id), |id| parents.get(id).copied()).any(|id| id == own);
    let ours = parents.keys().filter(|id| is_ours(**id));
    let rollups = ours.filter_map(|id| std::fs::read_to_string(format!("/proc/{id}/smaps_rollup")).ok());
    rollups.map(|rollup| field(&rollup, "Pss:").context("/proc/PID/smaps_rollup has no Pss")).sum()
}

/// The number after this name in a file of `/proc`.
fn field(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// From starting a node until it answers `eth_chainId`, and until it answers a question about its chain.
pub(crate) struct FirstAnswers {
    pub(crate) any: Duration,
    pub(crate) of_the_chain: Duration,
}

/// Starts a node and asks every millisecond until it answers; then ends it.
pub(crate) async fn first_answers(binary: &Path, flags: &[&str]) -> Result<FirstAnswers> {
    const PATIENCE: Duration = Duration::from_secs(30);
    // Nobody else is likely to take the port in the meantime.
    let port = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
    let mut command = Command::new(binary);
    command.args(flags).args(["--port", &port.to_string()]);
    let started = Instant::now();
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let url = format!("http://127.0.0.1:{port}");
    let client = ClientBuilder::default().http(url.parse()?);
    let node = NodeProcess { name: "a node", child, url, client };
    while node.client.request::<_, U64>("eth_chainId", ()).await.is_err() {
        anyhow::ensure!(started.elapsed() < PATIENCE, "{} does not answer", binary.display());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let any = started.elapsed();
    node.client.request::<_, U64>("eth_blockNumber", ()).await?;
    Ok(FirstAnswers { any, of_the_chain: started.elapsed() })
}

/// Processor time of this process so far, all threads, in seconds.
pub(crate) fn self_cpu_seconds() -> Result<f64> {
    cpu_seconds("self")
}

fn cpu_seconds(process: &str) -> Result<f64> {
    const TICKS_PER_SECOND: f64 = 100.0; // USER_HZ, part of the kernel's ABI
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).context("/proc/PID/stat");
    Ok((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
}

/// The processor time of one thread of this process.
#[derive(Clone)]
pub(crate) struct ThreadClock(PathBuf);

impl ThreadClock {
    /// The oldest thread of this name that is none of `before`. (Threads inherit the name of whoever starts them.)
    pub(crate) fn of_new_thread(name: &str, before: &[u32]) -> Result<Self> {
        let mut threads = threads_named(name)?;
        threads.retain(|id| !before.contains(id));
        let id = threads.into_iter().min().with_context(|| format!("no new thread is named {name}"))?;
        Ok(Self(format!("/proc/self/task/{id}/schedstat").into()))
    }

    /// Seconds on a processor so far.
    pub(crate) fn seconds(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(&self.0)?;
        let nanoseconds: f64 = stat.split_whitespace().next().context("/proc/PID/task/TID/schedstat")?.parse()?;
        Ok(nanoseconds / 1e9)
    }
}

/// Threads of this process with this name.
pub(crate) fn threads_named(name: &str) -> Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc/self/task")? {
        let path = entry?.path();
        // A thread may end while we look.
        if std::fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim() == name) {
            found.push(path.file_name().and_then(|id| id.to_str()?.parse().ok()).context("a thread's number")?);
        }
    }
    Ok(found)
}

/// `anvil` of the tree's pinned tools, or else of the PATH.
pub(crate) fn find_anvil() -> Option<PathBuf> {
    let pinned =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../contracts/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil");
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::iter::once(pinned)
        .chain(std::env::split_paths(&path).map(|folder| folder.join("anvil")))
        .find(|file| file.is_file())
}
