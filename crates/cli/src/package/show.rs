//! What the commands print.
#![expect(clippy::print_stdout, reason = "these are the answers of the commands")]

use crate::args::OutputArgs;
use cryptlet_host::package::{Inspection, SourceState};

/// A package was put somewhere.
pub(super) fn kept(output: OutputArgs, done: &str, view: &Inspection, place: &str) {
    if output.json {
        let answer = serde_json::json!({
            "name": view.name, "digest": view.digest, "ociDigest": view.oci_digest, "codeDigest": view.code_digest,
            "kind": view.kind, "deterministic": view.deterministic, "source": view.source,
            "publishers": view.publishers, "place": place,
        });
        println!("{answer}");
        return;
    }
    println!("{done} {}\n  digest {}\n  in     {place}", view.name, view.oci_digest);
    println!("  signed {}", signers(view));
}

/// A package, whole.
pub(super) fn everything(output: OutputArgs, view: &Inspection) {
    if output.json {
        println!("{}", serde_json::to_string(view).expect("what was read as JSON is JSON"));
        return;
    }
    println!("{}", view.name);
    println!("  digest         {}", view.oci_digest);
    println!("  code digest    {} (what the registry on the chain has)", view.code_digest);
    let claim = if view.deterministic {
        "deterministic"
    } else {
        "not deterministic: its answers are recorded, not recomputed"
    };
    println!("  kind           {}, {claim}", view.kind);
    println!("  signed by      {}", signers(view));
    println!("  source         {}", source(&view.source));
    println!("\nblobs");
    for blob in &view.blobs {
        println!("  {:<18} {} {} bytes, {}", blob.what, blob.digest, blob.bytes, blob.media_type);
    }
    println!("\nruns under");
    view.profile.iter().for_each(|line| println!("  {line}"));
    println!("\nconfig.json\n{}", indented(&view.config));
    if !view.header.is_empty() {
        println!("\nheader.sol\n{}", view.header.trim_end().replace('\n', "\n  ").replacen("", "  ", 1));
    }
    println!("\ninterface\n{}", indented(&view.interface));
    if let Some(bill) = &view.sbom {
        println!("\nbill of materials\n{}", indented(bill));
    }
    for statement in &view.provenance {
        println!("\nprovenance\n{}", indented(statement));
    }
}

fn signers(view: &Inspection) -> String {
    if view.publishers.is_empty() {
        return "nobody".to_owned();
    }
    view.publishers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn source(state: &SourceState) -> String {
    match state {
        SourceState::Included { sha256 } => format!("in the package, SHA-256 {sha256}"),
        SourceState::Published { uri, sha256 } => format!("at {uri}, SHA-256 {sha256}"),
        SourceState::Closed => "closed source".to_owned(),
    }
}

fn indented(value: &serde_json::Value) -> String {
    let text = serde_json::to_string_pretty(value).expect("a value is JSON");
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}
