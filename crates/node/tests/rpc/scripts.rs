//! Tracers that clients write in JavaScript, as geth takes them.

use crate::{
    support::{account, dev, serve},
    traces::{counter, three_counts, word},
};
use serde_json::json;

/// geth's `opcount`.
const OPCOUNT: &str = "{ count: 0, step: function(log, db) { this.count++ }, fault: function(log, db) {}, \
    result: function(ctx, db) { return this.count } }";

/// Notes every opcode with the top of the stack, and what there is to be told of the whole.
const EVERYTHING: &str = r#"{
    ops: [], gas: 0, config: null,
    setup: function(config) { this.config = JSON.parse(config) },
    step: function(log, db) {
        var top = log.stack.length() > 0 ? log.stack.peek(0).toString(16) : null;
        this.ops.push([log.op.toString(), log.getPC(), log.getDepth(), top]);
        this.gas += log.getCost();
    },
    fault: function(log, db) { this.ops.push(["fault", log.getError()]) },
    result: function(ctx, db) {
        return {
            ops: this.ops, config: this.config, type: ctx.type, from: toHex(ctx.from), to: toHex(ctx.to),
            output: toHex(ctx.output), gasUsed: ctx.gasUsed, block: ctx.block, index: ctx.txIndex,
            slot: toHex(db.getState(ctx.to, toWord("0x00"))), nonce: db.getNonce(ctx.from),
            exists: db.exists(ctx.to), code: toHex(db.getCode(ctx.to)).length,
            sum: bigInt("340282366920938463463374607431768211456").add(1).toString(),
            contract: toHex(toContract(ctx.from, 7)), precompile: isPrecompiled(toAddress("0x01")),
        };
    }
}"#;

/// Notes calls within calls.
const CALLS: &str = r#"{
    seen: [],
    enter: function(frame) { this.seen.push([frame.getType(), toHex(frame.getTo()), frame.getValue() === undefined]) },
    exit: function(result) { this.seen.push([toHex(result.getOutput()), result.getError() === undefined]) },
    fault: function() {},
    result: function() { return this.seen }
}"#;

#[tokio::test]
async fn a_script_counts_opcodes() {
    let served = dev().await;
    let counter = counter(&served).await;
    let hashes = three_counts(&served, &counter).await;
    let options = json!({ "tracer": OPCOUNT });
    assert_eq!(served.call("debug_traceTransaction", json!([hashes[1], options])).await, 12);
    let block = served.call("debug_traceBlockByNumber", json!(["latest", options])).await;
    let counts: Vec<_> = block.as_array().unwrap().iter().map(|trace| trace["result"].clone()).collect();
    assert_eq!(counts, [12, 12, 12], "each transaction begins with a tracer of its own");
    let call = json!({ "to": counter });
    assert_eq!(served.call("debug_traceCall", json!([call, "latest", options])).await, 12);
}

#[tokio::test]
async fn a_script_sees_steps_context_and_state() {
    let served = dev().await;
    let counter = counter(&served).await;
    let hashes = three_counts(&served, &counter).await;
    let options = json!({ "tracer": EVERYTHING, "tracerConfig": { "depth": 3 } });
    let told = served.call("debug_traceTransaction", json!([hashes[1], options])).await;
    assert_eq!(told["ops"][0], json!(["PUSH1", 0, 1, null]));
    assert_eq!(told["ops"][1], json!(["SLOAD", 2, 1, "0"]));
    assert_eq!(told["ops"][2], json!(["DUP1", 3, 1, "1"]));
    assert_eq!((&told["type"], &told["to"], &told["index"]), (&json!("CALL"), &counter, &json!(1)));
    assert_eq!(told["output"], word(1));
    assert_eq!(told["slot"], word(2), "the state after the transaction");
    assert_eq!(told["config"], json!({ "depth": 3 }));
    assert_eq!((&told["exists"], &told["code"], &told["precompile"]), (&json!(true), &json!(38), &json!(true)));
    assert_eq!(told["sum"], "340282366920938463463374607431768211457");
    let sender: alloy_primitives::Address = serde_json::from_value(told["from"].clone()).unwrap();
    assert_eq!(told["contract"], json!(sender.create(7)));
}

#[tokio::test]
async fn a_script_sees_calls_and_faults() {
    let served = dev().await;
    let counter = counter(&served).await;
    // Calls the address in its input and returns what it returned.
    let code = "0x6015600c60003960156000f3602060006000600060006000355af15060206000f3";
    let caller = served.send(json!({ "from": account(0), "data": code })).await["contractAddress"].take();
    let input = format!("0x{:0>64}", &counter.as_str().unwrap()[2..]);
    let call = json!({ "to": caller, "data": input });
    let seen = served.call("debug_traceCall", json!([call, "latest", { "tracer": CALLS }])).await;
    assert_eq!(seen, json!([["CALL", counter, false], [word(0), true]]));
    // PUSH1 0, PUSH1 0, REVERT.
    let reverting = json!({ "data": "0x60006000fd" });
    let told = served.call("debug_traceCall", json!([reverting, "latest", { "tracer": EVERYTHING_OF_A_CALL }])).await;
    assert_eq!(told.as_array().unwrap().last().unwrap()[0], "fault");
}

/// The same without a look at the state: there is no contract.
const EVERYTHING_OF_A_CALL: &str = r#"{
    ops: [],
    step: function(log) { this.ops.push([log.op.toString()]) },
    fault: function(log) { this.ops.push(["fault", log.getError()]) },
    result: function() { return this.ops }
}"#;

#[tokio::test]
async fn a_script_that_is_wrong_is_told_why() {
    let served = dev().await;
    let counter = counter(&served).await;
    let trace = |tracer: &str| json!([{ "to": counter }, "latest", { "tracer": tracer }]);
    let error = served.error("debug_traceCall", trace("{ result: function() { return 1 } }")).await;
    assert_eq!(error, (-32000, "trace object must expose a function fault()".to_owned()));
    assert_eq!(served.error("debug_traceCall", trace("{ this is no script")).await.0, -32000);
    let throws = "{ fault: function() {}, result: function() { return nothing.there } }";
    assert_eq!(served.error("debug_traceCall", trace(throws)).await.0, -32000);
}

#[tokio::test]
async fn a_script_that_does_not_end_is_stopped_and_the_node_goes_on() {
    let served = dev().await;
    let endless = json!({ "data": "0x5b600056", "gas": "0x2faf080" });
    let slow = "{ step: function() { for (var i = 0; i < 1000; i++) {} }, fault: function() {}, result: function() { return 1 } }";
    let options = json!({ "tracer": slow, "timeout": "50ms" });
    let error = served.error("debug_traceCall", json!([endless, "latest", options])).await;
    assert_eq!(error, (-32000, "execution timeout".to_owned()));
    // A loop without end in one step, a recursion without end, and an answer that is too deep.
    let deep = "var a = {}; for (var i = 0; i < 150000; i++) { a = { a: a } } return a";
    for body in ["while (true) {}", "var f = function() { f() }; f()", deep] {
        let tracer = format!("{{ fault: function() {{}}, result: function() {{ {body} }} }}");
        let call = json!([{ "data": "0x00" }, "latest", { "tracer": tracer }]);
        assert_eq!(served.error("debug_traceCall", call).await.0, -32000, "{body}");
    }
    let long = format!("{{ fault: function() {{}}, result: function() {{ return '{}' }} }}", "x".repeat(64 * 1024));
    let call = json!([{ "data": "0x00" }, "latest", { "tracer": long }]);
    assert_eq!(served.error("debug_traceCall", call).await.0, -32005);
    let receipt = served.send(json!({ "from": account(0), "to": account(1), "value": "0x1" })).await;
    assert_eq!(receipt["status"], "0x1");
}

#[tokio::test]
async fn what_a_script_answers_is_shown_as_json_shows_it() {
    let served = dev().await;
    let cases = [
        ("return undefined", json!(null)),
        ("return { a: undefined, b: [undefined, function() {}], c: null }", json!({ "b": [null, null], "c": null })),
        ("return { toJSON: function() { return 'seven' } }", json!("seven")),
        ("return [bigInt('0x10').toString(), toHex([1, 255])]", json!(["16", "0x01ff"])),
        ("return this.config // and nothing else", json!("{}")),
    ];
    for (body, expected) in cases {
        let tracer = format!(
            "{{ setup: function(config) {{ this.config = config }}, fault: function() {{}}, \
             result: function() {{ {body}\n }} }} // the end"
        );
        let call = json!([{ "data": "0x00" }, "latest", { "tracer": tracer }]);
        assert_eq!(served.call("debug_traceCall", call).await, expected, "{body}");
    }
    // More than a function may do in one loop, gathered step by step.
    let many = "{ seen: [], step: function() { this.seen.push(1) }, fault: function() {}, \
        result: function() { var all = []; for (var i = 0; i < 150000; i++) { all.push(i) } all = all.concat(all); return all } }";
    let call = json!([{ "data": "0x00" }, "latest", { "tracer": many }]);
    let all = served.call("debug_traceCall", call).await;
    assert_eq!((all.as_array().unwrap().len(), &all[299_999]), (300_000, &json!(149_999)));
}

#[tokio::test]
async fn scripts_are_offered_where_the_operator_says_so() {
    let served = serve(|config| config.insecure_scripts = false).await;
    let call = |tracer: &str| json!([{ "data": "0x00" }, "latest", { "tracer": tracer }]);
    let (code, message) = served.error("debug_traceCall", call(OPCOUNT)).await;
    assert!(code == -32000 && message.contains("--rpc.insecure-scripts"), "{code} {message}");
    assert_eq!(served.call("debug_traceCall", call("callTracer")).await["type"], "CREATE");
}
