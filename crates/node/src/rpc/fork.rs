//! JSON-RPC on a forked chain: a call that wants a row of the other chain is made again when the row is there, and what
//! only the other chain knows is asked there.

use super::error::{BEFORE_FORK, SERVER_ERROR};
use crate::fork::{self, ForkCache, ForkFault, ROUNDS_MAX};
use jsonrpsee::{
    MethodResponse, ResponsePayload,
    types::{ErrorObjectOwned, Request},
};

/// Methods that ask for something by its hash: what is not here may be there.
const BY_HASH: [&str; 10] = [
    "eth_getBlockAccessList",
    "eth_getBlockByHash",
    "eth_getBlockReceipts",
    "eth_getBlockTransactionCountByHash",
    "eth_getRawTransactionByHash",
    "eth_getTransactionByBlockHashAndIndex",
    "eth_getTransactionByHash",
    "eth_getTransactionReceipt",
    "eth_getUncleByBlockHashAndIndex",
    "eth_getUncleCountByBlockHash",
];

/// Methods that ask about a block by its number. Nothing else is ever passed on: what changes a chain changes this one.
const BY_NUMBER: [&str; 24] = [
    "debug_traceBlockByNumber",
    "debug_traceCall",
    "eth_call",
    "eth_createAccessList",
    "eth_estimateGas",
    "eth_getAccount",
    "eth_getBalance",
    "eth_getBlockAccessList",
    "eth_getBlockByNumber",
    "eth_getBlockReceipts",
    "eth_getBlockTransactionCountByNumber",
    "eth_getCode",
    "eth_getHeaderByNumber",
    "eth_getProof",
    "eth_getRawTransactionByBlockNumberAndIndex",
    "eth_getStorageAt",
    "eth_getTransactionByBlockNumberAndIndex",
    "eth_getTransactionCount",
    "eth_getUncleByBlockNumberAndIndex",
    "eth_getUncleCountByBlockNumber",
    "trace_block",
    "trace_call",
    "trace_replayBlockTransactions",
    "ots_getBlockDetails",
];

/// Has a call answered on a forked chain: made again as long as it wants rows, or passed on.
pub(super) async fn call_over<F>(
    fork: &ForkCache,
    request: &Request<'_>,
    response_bytes_max: usize,
    call: impl Fn() -> F,
) -> MethodResponse
where
    F: Future<Output = MethodResponse>,
{
    for _ in 0..ROUNDS_MAX {
        let answer = call().await;
        match next(request, &answer) {
            Next::Answer => return answer,
            Next::Forward => return forward(fork, request, response_bytes_max).await,
            Next::FetchAndTryAgain => {
                if let Err(fault) = fork.fetch_wanted().await {
                    return refuse(request, &fault);
                }
            }
        }
    }
    refuse(request, &ForkFault(format!("the call needs more than {ROUNDS_MAX} rows of it")))
}

enum Next {
    Answer,
    FetchAndTryAgain,
    Forward,
}

fn next(request: &Request<'_>, answer: &MethodResponse) -> Next {
    match answer.as_error_code() {
        None if BY_HASH.contains(&request.method_name()) && is_null(answer) => Next::Forward,
        None => Next::Answer,
        Some(BEFORE_FORK) if BY_NUMBER.contains(&request.method_name()) => Next::Forward,
        Some(_) if fork::is_miss(answer.as_json().get()) => Next::FetchAndTryAgain,
        Some(_) => Next::Answer,
    }
}

fn is_null(answer: &MethodResponse) -> bool {
    answer.as_json().get().contains("\"result\":null")
}

async fn forward(fork: &ForkCache, request: &Request<'_>, response_bytes_max: usize) -> MethodResponse {
    let params = request.params.as_ref().map(|params| params.clone().into_owned());
    let id = request.id.clone();
    match fork.source().forward(request.method_name().to_owned(), params).await {
        Ok(Ok(result)) => MethodResponse::response(id, ResponsePayload::success(result), response_bytes_max),
        Ok(Err((code, message, data))) => MethodResponse::error(id, ErrorObjectOwned::owned(code, message, data)),
        Err(fault) => refuse(request, &fault),
    }
}

fn refuse(request: &Request<'_>, fault: &ForkFault) -> MethodResponse {
    let error = ErrorObjectOwned::owned(SERVER_ERROR, fault.to_string(), None::<()>);
    MethodResponse::error(request.id.clone(), error)
}
