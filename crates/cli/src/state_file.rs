//! `--state`, `--load-state`, `--dump-state`: a state from a file and into a file, as anvil has it.

use crate::args::StateArgs;
use anyhow::{Context, Result, ensure};
use cryptlet_node::{
    NodeHandle,
    state_file::{Dump, LoadedState},
};
use std::{
    ffi::OsString,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::task::{JoinHandle, spawn_blocking};

/// Name of the file if a folder is given.
const FILE_IN_FOLDER: &str = "state.json";

/// Where the state comes from and where it goes.
pub(crate) struct StateFiles {
    load: Option<PathBuf>,
    dump: Option<PathBuf>,
    interval: Option<Duration>,
}

/// Dumps every so often until it is dropped.
pub(crate) struct Dumping(Option<JoinHandle<()>>);

impl Drop for Dumping {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

impl StateFiles {
    pub(crate) fn of(args: &StateArgs) -> Result<Self> {
        let both = args.state.as_deref().map(in_folder);
        let dump = args.dump_state.as_deref().map(in_folder).or_else(|| both.clone());
        ensure!(
            args.state_interval.is_none() || dump.is_some(),
            "--state-interval says when to dump the state; --state FILE or --dump-state FILE says where to"
        );
        Ok(Self {
            // A file that is not there yet is made by the first dump.
            load: args.load_state.as_deref().map(in_folder).or_else(|| both.filter(|file| file.exists())),
            dump,
            interval: args.state_interval.map(Duration::from_secs),
        })
    }

    /// Loads the state, if there is one to load.
    pub(crate) async fn load(&self, node: &NodeHandle) -> Result<()> {
        let Some(file) = self.load.clone() else { return Ok(()) };
        let read = move || {
            let bytes = std::fs::read(&file).with_context(|| format!("{} cannot be read", file.display()))?;
            LoadedState::read(&bytes).with_context(|| format!("{}", file.display()))
        };
        spawn_blocking(read).await??.load(node).await.context("the state could not be loaded")
    }

    /// Dumps the state every so often, if that was asked for.
    pub(crate) fn keep_dumping(&self, node: &NodeHandle) -> Dumping {
        let (Some(file), Some(interval)) = (self.dump.clone(), self.interval) else { return Dumping(None) };
        let node = node.clone();
        let dumping = async move {
            loop {
                tokio::time::sleep(interval).await;
                let (node, file) = (node.clone(), file.clone());
                match spawn_blocking(move || write(&node, &file)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::error!(error = format!("{error:#}"), "the state could not be dumped"),
                    Err(error) => tracing::error!(%error, "the state could not be dumped"),
                }
            }
        };
        Dumping(Some(tokio::spawn(dumping)))
    }

    /// Dumps the state, if that was asked for.
    pub(crate) async fn dump(&self, node: &NodeHandle) -> Result<()> {
        let Some(file) = self.dump.clone() else { return Ok(()) };
        let node = node.clone();
        spawn_blocking(move || write(&node, &file)).await?
    }
}

/// A file is there under its name only when it is whole.
fn write(node: &NodeHandle, file: &Path) -> Result<()> {
    let cannot = || format!("{} cannot be written", file.display());
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).with_context(cannot)?;
    }
    let mut unfinished = OsString::from(file);
    unfinished.push(".partial");
    let mut out = BufWriter::new(std::fs::File::create(&unfinished).with_context(cannot)?);
    Dump::of(node.chain())?.write(&mut out).with_context(cannot)?;
    out.flush().with_context(cannot)?;
    out.get_ref().sync_all().with_context(cannot)?;
    std::fs::rename(&unfinished, file).with_context(cannot)
}

fn in_folder(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(FILE_IN_FOLDER) } else { path.to_owned() }
}
