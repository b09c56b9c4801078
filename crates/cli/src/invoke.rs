//! `cryptlet invoke`: calls a cryptlet as a contract would, as a dry run, and prints the typed answer.

use crate::{args::InvokeArgs, logs, registry::CryptletView, rpc::Chain};
use alloy::{
    primitives::{B256, Bytes},
    sol_types::{SolCall, SolError, SolValue},
};
use alloy_dyn_abi::{DynSolType, DynSolValue, FunctionExt, JsonAbiExt, Specifier};
use alloy_json_abi::{Function, Param};
use anyhow::{Context, Result, bail};
use cryptlet_primitives::{RefusalCode, UnavailableReason, abi::ICryptoDelegate, system::CRYPTO_DELEGATE};
use std::process::ExitCode;

pub(crate) fn run(args: InvokeArgs) -> Result<ExitCode> {
    logs::start(args.output);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(invoke(args))
}

async fn invoke(args: InvokeArgs) -> Result<ExitCode> {
    let function = parse_function(&args.signature)?;
    let input = encode(&function, &args.arguments)?;
    let chain = Chain::reader(&args.rpc_url)?;
    let view: CryptletView = chain.raw("cryptlet_getCryptlet", [&args.cryptlet]).await?;
    let call = ICryptoDelegate::invokeCall { cryptlet: view.cryptlet_id.0, input: input.into() };
    let answer: Result<Bytes, _> = chain.call_raw(args.from, CRYPTO_DELEGATE, call.abi_encode()).await;
    let output = match answer {
        Ok(answer) => {
            ICryptoDelegate::invokeCall::abi_decode_returns(&answer).context("the delegate answered in another form")?
        }
        Err(failure) => {
            let Some(data) = failure.revert_data else { return Err(failure.error) };
            bail!("{}", describe_refusal(&args.cryptlet, &data));
        }
    };
    let values = function
        .abi_decode_output(&output)
        .with_context(|| format!("the answer {output} is not what {} returns", args.signature))?;
    print(&args, view.cryptlet_id.0, &output, &values);
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::print_stdout, reason = "this is the answer of the command")]
fn print(args: &InvokeArgs, cryptlet: B256, output: &Bytes, values: &[DynSolValue]) {
    if args.output.json {
        let result: Vec<_> = values.iter().map(to_json).collect();
        println!("{}", serde_json::json!({ "cryptletId": cryptlet, "output": output, "result": result }));
    } else {
        for value in values {
            println!("{}", to_text(value));
        }
    }
}

fn parse_function(signature: &str) -> Result<Function> {
    let hint = "it should look like 'volatility(uint256[],uint32)(uint256)'";
    let (call, returns) = match signature.find(")(") {
        Some(middle) => (&signature[..=middle], Some(&signature[middle + 1..])),
        None => (signature, None),
    };
    let text = returns.map_or_else(|| call.to_owned(), |returns| format!("{call} returns {returns}"));
    Function::parse(&text).with_context(|| format!("{signature:?} is not a function; {hint}"))
}

fn encode(function: &Function, arguments: &[String]) -> Result<Vec<u8>> {
    if function.inputs.len() != arguments.len() {
        bail!("{} takes {} arguments; {} were given", function.signature(), function.inputs.len(), arguments.len());
    }
    let coerce = |(parameter, text): (&Param, &String)| -> Result<DynSolValue> {
        let kind: DynSolType = parameter.resolve()?;
        kind.coerce_str(text).with_context(|| format!("{text:?} is not a {kind}"))
    };
    let values = function.inputs.iter().zip(arguments).map(coerce).collect::<Result<Vec<_>>>()?;
    Ok(function.abi_encode_input(&values)?)
}

/// `CryptletError(code, data)` in words.
fn describe_refusal(cryptlet: &str, data: &[u8]) -> String {
    let Ok(error) = ICryptoDelegate::CryptletError::abi_decode(data) else {
        return format!("the call reverted with {}", Bytes::copy_from_slice(data));
    };
    match RefusalCode::try_from(error.code) {
        Ok(RefusalCode::CryptletFailed) => format!("{cryptlet} failed: {}", describe_failure(&error.data)),
        Ok(RefusalCode::Unavailable) => {
            let reason = error.data.last().and_then(|number| UnavailableReason::try_from(*number).ok());
            format!("{cryptlet} is unavailable: {reason:?}")
        }
        Ok(RefusalCode::NotBoundContract) => {
            format!("{cryptlet} is a Contract Cryptlet: only its contract may call it (use --from with that address)")
        }
        Ok(code) => format!("the delegate refused the call: {code:?} {}", error.data),
        Err(code) => format!("the delegate refused the call with code {code}, which this version does not know"),
    }
}

/// Revert data of a cryptlet: `Error(string)` is text, everything else hex.
fn describe_failure(data: &Bytes) -> String {
    let text = data.get(4..).and_then(|body| String::abi_decode(body).ok());
    text.unwrap_or_else(|| data.to_string())
}

fn to_json(value: &DynSolValue) -> serde_json::Value {
    match value {
        DynSolValue::Bool(flag) => (*flag).into(),
        DynSolValue::Array(values) | DynSolValue::FixedArray(values) | DynSolValue::Tuple(values) => {
            values.iter().map(to_json).collect()
        }
        other => to_text(other).into(),
    }
}

fn to_text(value: &DynSolValue) -> String {
    let list = |values: &[DynSolValue]| values.iter().map(to_text).collect::<Vec<_>>().join(", ");
    match value {
        DynSolValue::Bool(flag) => flag.to_string(),
        DynSolValue::Int(number, _) => number.to_string(),
        DynSolValue::Uint(number, _) => number.to_string(),
        DynSolValue::FixedBytes(word, size) => Bytes::copy_from_slice(&word[..*size]).to_string(),
        DynSolValue::Address(address) => address.to_string(),
        DynSolValue::Function(function) => Bytes::copy_from_slice(function.as_slice()).to_string(),
        DynSolValue::Bytes(bytes) => Bytes::copy_from_slice(bytes).to_string(),
        DynSolValue::String(text) => text.clone(),
        DynSolValue::Array(values) | DynSolValue::FixedArray(values) => format!("[{}]", list(values)),
        DynSolValue::Tuple(values) => format!("({})", list(values)),
        #[allow(unreachable_patterns, reason = "a feature of alloy adds a variant")]
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::primitives::U256;

    #[test]
    fn a_function_is_written_as_cast_has_it() {
        let function = parse_function("volatility(uint256[],uint32)(uint256)").unwrap();
        assert_eq!((function.inputs.len(), function.outputs.len()), (2, 1));
        assert!(parse_function("f(uint256)").unwrap().outputs.is_empty());
        assert!(parse_function("volatility").unwrap_err().to_string().contains("should look like"));
    }

    #[test]
    fn arguments_are_checked_against_their_types() {
        let function = parse_function("f(uint8)(bool)").unwrap();
        assert!(encode(&function, &["255".into()]).is_ok());
        assert!(encode(&function, &["256".into()]).unwrap_err().to_string().contains("uint8"));
        assert!(encode(&function, &[]).unwrap_err().to_string().contains("takes 1 arguments; 0 were given"));
    }

    #[test]
    fn values_print_as_json_with_numbers_as_text() {
        let value = DynSolValue::Array(vec![DynSolValue::Uint(U256::MAX, 256), DynSolValue::Bool(true)]);
        assert_eq!(to_json(&value), serde_json::json!([U256::MAX.to_string(), true]));
        assert_eq!(to_text(&DynSolValue::Array(vec![])), "[]");
    }
}
