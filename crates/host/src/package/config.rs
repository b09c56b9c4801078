//! `config.json`: the papers' Cryptlet schema, which is in the tree as `schema/cryptlet.schema.json`. `name` and `publicKey` are
//! required; `config` holds what extends it.

use crate::error::HostError;
use alloy_primitives::B256;
use cryptlet_container::{Kind, ProgramSpec, Runtime};
use jsonschema::Validator;
use serde::Deserialize;
use serde_json::Value;
use std::sync::LazyLock;

/// The schema every configuration must fit.
pub const CONFIG_SCHEMA: &str = include_str!("../../schema/cryptlet.schema.json");

/// The schema, as a value to look descriptions up in, and ready to validate.
static SCHEMA: LazyLock<(Value, Validator)> = LazyLock::new(|| {
    let schema = serde_json::from_str(CONFIG_SCHEMA).expect("the schema in the tree is JSON");
    let validator = jsonschema::validator_for(&schema).expect("the schema in the tree is one");
    (schema, validator)
});

/// What the fabric reads of a cryptlet's configuration. Other members are the author's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CryptletConfig {
    /// Name of the cryptlet: lower-case letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// The cryptlet's public key in hex; empty until it has one.
    pub public_key: String,
    /// What it does.
    pub description: String,
    /// The papers' `isolation`: must it run in a sandbox of its own? Policy may ask for more.
    pub isolation: bool,
    /// Compute units one call may use, if the author says.
    pub units_max: Option<u64>,
    /// Bytes of output of one call, if the author says.
    pub output_bytes_max: Option<u32>,
    /// The kind of container.
    pub kind: Kind,
    /// Does its author say that a call is a function of its inputs?
    pub is_deterministic: bool,
    /// Name of the file of code in the package's folder, if the author says.
    pub code: Option<String>,
    /// How a program is started; for kind `process`.
    pub process: Option<ProgramSpec>,
    /// Is a contract's code creation code? For kind `evm`.
    pub is_creation: bool,
    /// Where the source is published, if it is not in the package.
    pub source: Option<SourceRef>,
}

/// Source that is published elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SourceRef {
    /// Where.
    pub uri: String,
    /// SHA-256 of what is there.
    #[serde(with = "super::manifest::sha256_text")]
    pub sha256: B256,
}

/// The document, once it fits the schema.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    name: String,
    public_key: String,
    #[serde(default)]
    config: Extension,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Extension {
    description: String,
    isolation: bool,
    units_max: Option<u64>,
    output_bytes_max: Option<u32>,
    kind: Kind,
    deterministic: Option<bool>,
    code: Option<String>,
    process: Option<Process>,
    evm: Option<Evm>,
    source: Option<SourceRef>,
}

#[derive(Deserialize)]
struct Evm {
    form: Form,
}

#[derive(PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Form {
    Creation,
    Deployed,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Process {
    runtime: Runtime,
    arguments: Option<Vec<String>>,
    memory_bytes_max: Option<u64>,
    call_ms_max: Option<u64>,
    start_ms_max: Option<u64>,
    units_per_call: Option<u64>,
    processes_max: Option<u16>,
}

impl CryptletConfig {
    /// Reads a configuration; the error says what is wrong and what would be right.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(json).map_err(|error| format!("its config is not JSON: {error}"))?;
        if let Some(objection) = objections(&value).into_iter().next() {
            return Err(objection);
        }
        let document = serde_json::from_value(value).map_err(|error| format!("its config does not fit: {error}"))?;
        let Document { name, public_key, config } = document;
        Ok(Self {
            name,
            public_key,
            description: config.description,
            isolation: config.isolation,
            units_max: config.units_max,
            output_bytes_max: config.output_bytes_max,
            kind: config.kind,
            is_deterministic: config.deterministic.unwrap_or(config.kind.is_deterministic()),
            code: config.code,
            process: config.process.map(Process::spec),
            is_creation: config.evm.is_none_or(|evm| evm.form == Form::Creation),
            source: config.source,
        })
    }

    /// Everything that is wrong with a configuration, each with what would be right.
    pub fn objections(json: &[u8]) -> Vec<String> {
        match serde_json::from_slice(json) {
            Ok(value) => objections(&value),
            Err(error) => vec![format!("its config is not JSON: {error}")],
        }
    }

    /// The configuration of a Contract Cryptlet, which its constructor may leave out in part or whole.
    pub(crate) fn complete(json: &str, name: &str) -> Result<Vec<u8>, HostError> {
        let text = if json.trim().is_empty() { "{}" } else { json };
        let wrong = |why: String| HostError::package("given inline", why);
        let mut value: Value =
            serde_json::from_str(text).map_err(|error| wrong(format!("its config is not JSON: {error}")))?;
        let object = value.as_object_mut().ok_or_else(|| wrong("its config is not a JSON object".to_owned()))?;
        object.entry("name").or_insert_with(|| name.into());
        object.entry("publicKey").or_insert_with(|| "".into());
        Ok(serde_json::to_vec(&value).expect("JSON that was read can be written"))
    }
}

impl Process {
    fn spec(self) -> ProgramSpec {
        let default = ProgramSpec::new(self.runtime);
        ProgramSpec {
            runtime: self.runtime,
            arguments: self.arguments.unwrap_or_default(),
            memory_bytes_max: self.memory_bytes_max.unwrap_or(default.memory_bytes_max),
            call_ms_max: self.call_ms_max.unwrap_or(default.call_ms_max),
            start_ms_max: self.start_ms_max.unwrap_or(default.start_ms_max),
            units_per_call: self.units_per_call.unwrap_or(default.units_per_call),
            processes_max: self.processes_max.unwrap_or(default.processes_max),
        }
    }
}

fn objections(value: &Value) -> Vec<String> {
    let (schema, validator) = &*SCHEMA;
    let describe = |error: jsonschema::ValidationError<'_>| {
        let member = error.instance_path().as_str().trim_start_matches('/').replace('/', ".");
        let place = if member.is_empty() { "its config".to_owned() } else { format!("its config's \"{member}\"") };
        let expected = description(schema, error.schema_path().as_str());
        format!("{place}: {error}; expected: {expected}")
    };
    validator.iter_errors(value).map(describe).collect()
}

/// What the schema says of the member whose keyword this path leads to: the nearest description above.
fn description<'a>(schema: &'a Value, path: &str) -> &'a str {
    let mut path = path;
    loop {
        if let Some(text) = schema.pointer(path).and_then(|part| part.get("description")).and_then(Value::as_str) {
            return text;
        }
        let Some((above, _)) = path.rsplit_once('/') else { return "what the schema says" };
        path = above;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_of_the_papers_is_read() {
        let json = br#"{"name":"stock-client","publicKey":"0xe7f9","config":{"description":"prices","isolation":true,"feed":"x"}}"#;
        let config = CryptletConfig::parse(json).unwrap();
        assert_eq!((config.name.as_str(), config.isolation), ("stock-client", true));
        assert_eq!((config.description.as_str(), config.units_max), ("prices", None));
    }

    #[test]
    fn a_program_says_how_it_is_started() {
        let json = br#"{"name":"a","publicKey":"","config":{"kind":"process","deterministic":false,"code":"a.jar",
            "process":{"runtime":"java","arguments":["-Xmx64m"],"callMsMax":500}}}"#;
        let config = CryptletConfig::parse(json).unwrap();
        assert_eq!((config.kind, config.is_deterministic), (Kind::Process, false));
        let spec = config.process.unwrap();
        assert_eq!((spec.runtime, spec.call_ms_max, spec.units_per_call), (Runtime::Java, 500, 1_000));
        assert_eq!(spec.arguments, ["-Xmx64m"]);
    }

    #[test]
    fn every_objection_is_given_at_once() {
        let all = CryptletConfig::objections(br#"{"name":"A","config":{"isolation":1}}"#);
        assert_eq!(all.len(), 3, "{all:?}");
    }

    #[test]
    fn a_wrong_one_is_refused_and_the_member_named() {
        for (json, expected) in [
            ("[]", "object"),
            ("{", "JSON"),
            (r#"{"publicKey":""}"#, "name"),
            (r#"{"name":"a"}"#, "publicKey"),
            (r#"{"name":"A b","publicKey":""}"#, "lower-case"),
            (r#"{"name":"","publicKey":""}"#, "lower-case"),
            (r#"{"name":"a","publicKey":"key"}"#, "hex"),
            (r#"{"name":"a","publicKey":"","config":1}"#, "config"),
            (r#"{"name":"a","publicKey":"","config":{"isolation":"yes"}}"#, "isolation"),
            (r#"{"name":"a","publicKey":"","config":{"unitsMax":-1}}"#, "unitsMax"),
            (r#"{"name":"a","publicKey":"","config":{"outputBytesMax":4294967296}}"#, "outputBytesMax"),
            (r#"{"name":"a","publicKey":"","config":{"kind":"jvm"}}"#, "\"process\""),
            (r#"{"name":"a","publicKey":"","config":{"kind":"process","deterministic":false}}"#, "process"),
            (
                r#"{"name":"a","publicKey":"","config":{"kind":"process","process":{"runtime":"java"}}}"#,
                "deterministic",
            ),
            (
                r#"{"name":"a","publicKey":"","config":{"kind":"process","deterministic":true,"process":{"runtime":"java"}}}"#,
                "clocks",
            ),
            (
                r#"{"name":"a","publicKey":"","config":{"kind":"process","deterministic":false,"process":{"runtime":"perl"}}}"#,
                "config.process.runtime",
            ),
            (r#"{"name":"a","publicKey":"","config":{"process":{"runtime":"java"}}}"#, "only with"),
            (r#"{"name":"a","publicKey":"","config":{"code":"../x"}}"#, "without folders"),
        ] {
            let why = CryptletConfig::parse(json.as_bytes()).unwrap_err();
            assert!(why.contains(expected), "{json}: {why}");
        }
    }
}
