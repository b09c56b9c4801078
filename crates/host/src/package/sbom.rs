//! The bill of materials of a package: CycloneDX 1.5 in JSON. It says what the code itself says of its making; an author who
//! knows more puts `sbom.json` beside it. The same code makes the same bytes: no times, no random serial number.

use super::{SBOM_BYTES_MAX, config::CryptletConfig, sha256};
use alloy_primitives::{Bytes, hex};
use cryptlet_container::{Kind, check};
use serde_json::{Value, json};

/// Makes a bill of materials from the code.
pub(super) fn generate(config: &CryptletConfig, code: &Bytes) -> Bytes {
    let mut components = Vec::new();
    match (config.kind, &config.process) {
        (Kind::Process, Some(spec)) => components.push(json!({
            "type": "platform",
            "name": spec.runtime.name(),
            "description": "what the program is run by; the host's machine has it",
        })),
        _ => {
            for (field, name, version) in check::producers(code) {
                components.push(json!({
                    "type": if field == "language" { "platform" } else { "application" },
                    "name": name,
                    "version": version,
                    "description": format!("the code names it as its {field}"),
                }));
            }
        }
    }
    let document = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": config.name,
                "name": config.name,
                "description": config.description,
                "hashes": [{ "alg": "SHA-256", "content": hex::encode(sha256(code)) }],
            },
        },
        "components": components,
    });
    serde_json::to_vec_pretty(&document).expect("a value is JSON").into()
}

/// What is wrong with a bill of materials, if anything is.
pub(super) fn objection(bytes: &[u8]) -> Option<String> {
    let document: Value = match serde_json::from_slice(bytes) {
        Ok(document) => document,
        Err(error) => return Some(format!("its sbom.json is not JSON: {error}")),
    };
    let is_cyclone = document["bomFormat"] == "CycloneDX" && document["specVersion"].is_string();
    let is_spdx = document["spdxVersion"].as_str().is_some_and(|version| version.starts_with("SPDX-"));
    let fits = (is_cyclone || is_spdx) && bytes.len() as u64 <= SBOM_BYTES_MAX;
    (!fits).then(|| {
        format!("its sbom.json must be CycloneDX (\"bomFormat\", \"specVersion\") or SPDX (\"spdxVersion\"), at most {SBOM_BYTES_MAX} bytes")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bill_names_the_code_by_its_digest_and_the_tools_it_names() {
        let config = CryptletConfig { name: "tools".into(), ..CryptletConfig::default() };
        let code = Bytes::from_static(include_bytes!("../../../../examples/equity-tools/cryptlet.wasm"));
        let bill = generate(&config, &code);
        assert_eq!(bill, generate(&config, &code));
        assert_eq!(objection(&bill), None);
        let bill: Value = serde_json::from_slice(&bill).unwrap();
        assert_eq!(bill["metadata"]["component"]["hashes"][0]["content"], hex::encode(sha256(&code)));
        let names: Vec<_> = bill["components"].as_array().unwrap().iter().map(|part| &part["name"]).collect();
        assert!(names.iter().any(|name| *name == "wit-component"), "{names:?}");
    }

    #[test]
    fn what_is_no_bill_is_refused() {
        for bad in ["", "[]", "{}", r#"{"bomFormat":"CycloneDX"}"#, r#"{"bomFormat":"X","specVersion":"1.5"}"#] {
            assert!(objection(bad.as_bytes()).is_some_and(|why| why.contains("sbom.json")), "{bad}");
        }
        assert_eq!(objection(br#"{"spdxVersion":"SPDX-2.3"}"#), None);
    }
}
