//! What is printed: lines for people, or one JSON document.

use cryptlet_node::{chain_file::ChainFileError, execute::BlockFault};
use serde::Serialize;
use serde_json::{Value, json};
use std::{
    io::{self, Write},
    process::ExitCode,
};

/// Prints a finding as JSON, or these lines.
pub(crate) fn print(is_json: bool, finding: &impl Serialize, lines: &[(&str, String)]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if is_json {
        serde_json::to_writer_pretty(&mut out, finding)?;
        writeln!(out)?;
        return Ok(());
    }
    let width = lines.iter().map(|(label, _)| label.len()).max().unwrap_or_default();
    for (label, value) in lines {
        writeln!(out, "{label:width$}  {value}")?;
    }
    Ok(())
}

/// Prints why a chain is refused. That is a finding, not a failure of this program; the exit status is 1 all the same.
pub(crate) fn refuse(is_json: bool, error: &ChainFileError) -> anyhow::Result<ExitCode> {
    if is_json {
        let mut finding = json!({ "valid": false, "error": error.to_string() });
        if let ChainFileError::Block(BlockFault { number, transaction, .. }) = error {
            finding["block"] = json!(number);
            if let Some((index, hash)) = transaction {
                finding["transactionIndex"] = json!(index);
                finding["transactionHash"] = hash.map_or(Value::Null, |hash| json!(hash));
            }
        }
        print(true, &finding, &[])?;
    } else {
        writeln!(io::stderr(), "error: {error}")?;
    }
    Ok(ExitCode::FAILURE)
}
