//! From the bytes of a message to the bytes of its answer, whatever it came over (WebSockets excepted: jsonrpsee serves
//! those). Messages are calls, notifications or batches of both; the words and codes of refusals are geth's.

use super::error::{INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR, RESPONSE_TOO_LARGE, SERVER_ERROR};
use super::{fork::call_over, readiness::Readiness, send};
use crate::{fork::ForkCache, metrics::Metrics};
use alloy_primitives::Bytes;
use jsonrpsee::{
    core::server::{BoundedSubscriptions, MethodSink, Methods, SubscriptionState},
    server::{ConnectionId, IdProvider, MethodCallback, MethodResponse, MethodResponseNotifyTx},
    types::{
        ErrorObjectOwned, Id, Params, Request,
        error::{OVERSIZED_RESPONSE_CODE, TOO_MANY_SUBSCRIPTIONS_CODE},
    },
};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::{borrow::Cow, collections::HashSet, sync::Arc, time::Instant};

/// The method that hands in a signed transaction.
const SEND_RAW: &str = "eth_sendRawTransaction";
/// Bytes of an answer to it, or of the refusal, but for its id.
const SENT_ANSWER_BYTES_MAX: usize = 1_024;

/// How a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    /// One request, one answer.
    Http,
    /// Lasting, so that subscriptions are possible.
    WebSocket,
    /// A socket of this machine, for its owner.
    Ipc,
}

/// Which methods are offered over which transport. Over IPC all are.
#[derive(Clone, Debug)]
pub(super) struct Offered {
    pub(super) http: Arc<HashSet<&'static str>>,
    pub(super) websocket: Arc<HashSet<&'static str>>,
}

impl Offered {
    /// Is a method of this name offered over this transport, if there is one?
    pub(super) fn allows(&self, transport: Transport, method: &str) -> bool {
        match transport {
            Transport::Http => self.http.contains(method),
            Transport::WebSocket => self.websocket.contains(method),
            Transport::Ipc => true,
        }
    }
}

/// Bounds of one message.
#[derive(Clone, Copy, Debug)]
pub(super) struct MessageBounds {
    /// Requests in a batch.
    pub(super) batch_requests_max: usize,
    /// Bytes of one answer.
    pub(super) response_bytes_max: usize,
    /// Bytes of the answers of one batch.
    pub(super) batch_response_bytes_max: usize,
}

/// A connection that can take notifications.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: ConnectionId,
    pub(super) sink: MethodSink,
    pub(super) subscriptions: BoundedSubscriptions,
    pub(super) id_provider: Arc<dyn IdProvider>,
}

/// Answers messages.
#[derive(Clone, Debug)]
pub(super) struct Dispatcher {
    pub(super) methods: Methods,
    pub(super) offered: Offered,
    pub(super) bounds: MessageBounds,
    /// Where calls are counted.
    pub(super) metrics: Arc<Metrics>,
    /// The chain that was forked.
    pub(super) fork: Option<Arc<ForkCache>>,
    /// When the chain may be seen.
    pub(super) readiness: Readiness,
}

/// What a message is answered with.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) json: String,
    /// To be told whether the answer was sent: subscriptions begin then.
    pub(super) sent: Vec<MethodResponseNotifyTx>,
}

/// A call or a notification, as far as it is understood.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    jsonrpc: Option<Cow<'a, str>>,
    /// `null` is an id, too.
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
}

fn present<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl<'a> Message<'a> {
    /// Reads an entry of a batch.
    fn of_entry(entry: &'a RawValue) -> Result<Self, serde_json::Error> {
        // An array could be read as the fields of a message in their order.
        serde_json::from_str(if entry.get().starts_with('{') { entry.get() } else { "17" })
    }

    /// The transaction, if it is a call that hands in a raw one and nothing is wrong with it so far.
    fn raw_transaction(&self) -> Option<Bytes> {
        let is_call = self.jsonrpc.as_deref() == Some("2.0") && self.id.and_then(read_id).is_some();
        let params = self.params.filter(|_| is_call && self.method.as_deref() == Some(SEND_RAW))?;
        let (raw,) = serde_json::from_str(params.get()).ok()?;
        Some(raw)
    }
}

impl Dispatcher {
    /// Answers a message. `None`: there is nothing to say (notifications).
    pub(super) async fn handle(
        &self,
        message: &[u8],
        transport: Transport,
        session: Option<&Session>,
    ) -> Option<Answer> {
        let first = message.iter().find(|byte| !byte.is_ascii_whitespace());
        if first == Some(&b'[') {
            return send::in_batch(self.batch(message, transport, session)).await;
        }
        match serde_json::from_slice::<Message<'_>>(message) {
            Ok(message) => {
                let response = self.single(message, transport, session).await?;
                // A subscription answers through its own sink, so that nothing it tells can come before the answer.
                (!response.is_subscription()).then(|| response.into())
            }
            Err(error) => Some(refuse_message(message, &error).into()),
        }
    }

    async fn batch(&self, message: &[u8], transport: Transport, session: Option<&Session>) -> Option<Answer> {
        let entries = match serde_json::from_slice::<Vec<&RawValue>>(message) {
            Ok(entries) => entries,
            Err(error) => return Some(refusal(Id::Null, PARSE_ERROR, &error.to_string()).into()),
        };
        if entries.is_empty() {
            return Some(refusal(Id::Null, INVALID_REQUEST, "empty batch").into());
        }
        let message_bytes = message.len();
        let mut json = String::from("[");
        let mut sent = Vec::new();
        if entries.len() > self.bounds.batch_requests_max {
            let id = entries.iter().find_map(|entry| id_of(entry.get())).unwrap_or(Id::Null);
            append(&mut json, &refusal(id, INVALID_REQUEST, "batch too large"));
            return Some(Answer { json: json + "]", sent });
        }
        let messages = entries.into_iter().map(Message::of_entry).collect::<Vec<_>>();
        let raws = self.raw_transactions(&messages, transport);
        for (index, message) in messages.into_iter().enumerate() {
            if index == 0 || raws[index - 1].is_none() {
                let run: Vec<Bytes> = raws[index..].iter().map_while(Clone::clone).collect();
                // What is handed in is told of: then all answers fit, with their ids.
                let answers_bytes_max = message_bytes + run.len() * SENT_ANSWER_BYTES_MAX;
                if run.len() > 1 && json.len() + answers_bytes_max <= self.bounds.batch_response_bytes_max {
                    send::follow_each_other(run);
                }
            }
            let response = match message {
                Ok(message) if json.len() > self.bounds.batch_response_bytes_max => {
                    let Some(id) = message.id.map(read_id) else { continue };
                    Some(refusal(id.unwrap_or(Id::Null), RESPONSE_TOO_LARGE, "response too large"))
                }
                Ok(message) => self.single(message, transport, session).await,
                Err(_) => Some(refusal(Id::Null, INVALID_REQUEST, "invalid request")),
            };
            if let Some(response) = response {
                append(&mut json, &response);
                sent.extend(response.into_parts().1);
            }
        }
        (json.len() > 1).then(|| Answer { json: json + "]", sent })
    }

    /// The transactions of those messages that only hand in a raw one. Over a fork, a call may be made more than once.
    fn raw_transactions(
        &self,
        messages: &[Result<Message<'_>, serde_json::Error>],
        transport: Transport,
    ) -> Vec<Option<Bytes>> {
        let is_offered = self.fork.is_none() && self.offered.allows(transport, SEND_RAW);
        let of = |message: &Message<'_>| message.raw_transaction().filter(|_| is_offered);
        messages.iter().map(|message| message.as_ref().ok().and_then(of)).collect()
    }

    async fn single(
        &self,
        message: Message<'_>,
        transport: Transport,
        session: Option<&Session>,
    ) -> Option<MethodResponse> {
        let is_notification = message.id.is_none();
        let id = message.id.map_or(Some(Id::Null), read_id);
        let (Some("2.0"), Some(id), Some(method)) = (message.jsonrpc.as_deref(), id, message.method) else {
            return Some(refusal(message.id.and_then(read_id).unwrap_or(Id::Null), INVALID_REQUEST, "invalid request"));
        };
        let params = message.params.map(RawValue::get).filter(|params| *params != "null");
        let started = Instant::now();
        let known = self.methods.method_with_name(&method).filter(|_| self.offered.allows(transport, &method));
        if known.is_some() {
            self.readiness.wait_for(&method).await;
        }
        let response = match known {
            Some((name, callback)) => match &self.fork {
                None => self.call(callback, id, params, session).await,
                Some(fork) => {
                    let owned = params.and_then(|params| RawValue::from_string(params.to_owned()).ok());
                    let request = Request::owned(name.to_owned(), owned, id.clone().into_owned());
                    let call = || self.call(callback, id.clone(), params, session);
                    call_over(fork, &request, self.bounds.response_bytes_max, call).await
                }
            },
            None => refusal(id, METHOD_NOT_FOUND, &not_available(&method)),
        };
        let response = in_geths_words(response);
        let code = response.as_error_code().unwrap_or_default();
        self.metrics.request_answered(known.map(|(name, _)| name), code, started.elapsed());
        (!is_notification).then_some(response)
    }

    async fn call(
        &self,
        callback: &MethodCallback,
        id: Id<'_>,
        params: Option<&str>,
        session: Option<&Session>,
    ) -> MethodResponse {
        let (params, bytes_max) = (Params::new(params), self.bounds.response_bytes_max);
        let connection = session.map_or(ConnectionId(0), |session| session.id);
        match callback {
            MethodCallback::Sync(callback) => callback(id, params, bytes_max, Default::default()),
            MethodCallback::Async(callback) => {
                callback(id.into_owned(), params.into_owned(), connection, bytes_max, Default::default()).await
            }
            MethodCallback::Subscription(callback) => {
                let Some(session) = session else { return refusal(id, SERVER_ERROR, NO_NOTIFICATIONS) };
                let Some(subscription_permit) = session.subscriptions.acquire() else {
                    let words = format!("too many subscriptions: at most {} a connection", session.subscriptions.max());
                    return refusal(id, SERVER_ERROR, &words);
                };
                let state =
                    SubscriptionState { conn_id: session.id, id_provider: &*session.id_provider, subscription_permit };
                callback(id, params, session.sink.clone(), state, Default::default()).await
            }
            MethodCallback::Unsubscription(callback) => match session {
                Some(_) => callback(id, params, connection, bytes_max, Default::default()),
                None => refusal(id, SERVER_ERROR, NO_NOTIFICATIONS),
            },
        }
    }
}

/// geth's words (`ErrNotificationsUnsupported`), and what to do.
pub(super) const NO_NOTIFICATIONS: &str =
    "notifications not supported: subscriptions need a WebSocket connection (same port) or IPC";

/// geth's words (`methodNotFoundError`).
pub(super) fn not_available(method: &str) -> String {
    format!("the method {method} does not exist/is not available")
}

impl From<MethodResponse> for Answer {
    fn from(response: MethodResponse) -> Self {
        let (json, sent, _) = response.into_parts();
        Self { json: String::from(Box::<str>::from(json)), sent: sent.into_iter().collect() }
    }
}

fn append(json: &mut String, response: &MethodResponse) {
    if json.len() > 1 {
        json.push(',');
    }
    json.push_str(response.as_ref());
}

pub(super) fn refusal(id: Id<'_>, code: i32, words: &str) -> MethodResponse {
    MethodResponse::error(id, ErrorObjectOwned::owned(code, words, None::<()>))
}

/// jsonrpsee has codes of its own for the bounds that it checks; here they are those that HTTP and IPC answer with.
pub(super) fn in_geths_words(answer: MethodResponse) -> MethodResponse {
    let code = match answer.as_error_code() {
        Some(TOO_MANY_SUBSCRIPTIONS_CODE) => SERVER_ERROR,
        Some(OVERSIZED_RESPONSE_CODE) => RESPONSE_TOO_LARGE,
        _ => return answer,
    };
    let Some(id) = id_of(answer.as_ref()).map(Id::into_owned) else { return answer };
    let words = match code {
        SERVER_ERROR => "too many subscriptions on this connection",
        _ => "response too large",
    };
    refusal(id, code, words)
}

/// It is JSON, but no request; or it is not even JSON.
fn refuse_message(message: &[u8], error: &serde_json::Error) -> MethodResponse {
    match error.classify() {
        serde_json::error::Category::Data => {
            let id = std::str::from_utf8(message).ok().and_then(id_of).unwrap_or(Id::Null);
            refusal(id, INVALID_REQUEST, "invalid request")
        }
        _ => refusal(Id::Null, PARSE_ERROR, &format!("parse error: {error}")),
    }
}

fn id_of(message: &str) -> Option<Id<'_>> {
    #[derive(Deserialize)]
    struct OnlyId<'a> {
        #[serde(borrow)]
        id: &'a RawValue,
    }
    serde_json::from_str::<OnlyId<'_>>(message).ok().and_then(|only| read_id(only.id))
}

fn read_id(id: &RawValue) -> Option<Id<'_>> {
    // Nearly all are numbers; what else an id may be is tried one after the other.
    id.get().parse().map_or_else(|_| serde_json::from_str(id.get()).ok(), |number| Some(Id::Number(number)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonrpsee::RpcModule;
    use serde_json::{Value, json};

    fn dispatcher() -> Dispatcher {
        let mut module = RpcModule::new(());
        module.register_method("eth_one", |_, _, _| 1).expect("a new name");
        module.register_method("evm_two", |_, _, _| 2).expect("a new name");
        module.register_async_method("eth_long", |_, _, _| async { "x".repeat(100) }).expect("a new name");
        let http = Arc::new(HashSet::from(["eth_one", "eth_long"]));
        Dispatcher {
            methods: module.into(),
            offered: Offered { websocket: http.clone(), http },
            bounds: MessageBounds { batch_requests_max: 3, response_bytes_max: 1_000, batch_response_bytes_max: 150 },
            metrics: Arc::default(),
            fork: None,
            readiness: Readiness::open_from_the_start(),
        }
    }

    async fn answer(message: &str, transport: Transport) -> Option<Value> {
        let answer = dispatcher().handle(message.as_bytes(), transport, None).await?;
        Some(serde_json::from_str(&answer.json).expect("JSON"))
    }

    async fn http(message: &str) -> Value {
        answer(message, Transport::Http).await.expect("an answer")
    }

    #[tokio::test]
    async fn calls_are_answered_and_notifications_are_not() {
        let call = http(r#"{"jsonrpc":"2.0","id":7,"method":"eth_one"}"#).await;
        assert_eq!(call, json!({ "jsonrpc": "2.0", "id": 7, "result": 1 }));
        let call = http(r#"{"jsonrpc":"2.0","id":"a","method":"eth_one","params":null}"#).await;
        assert_eq!((&call["id"], &call["result"]), (&json!("a"), &json!(1)));
        assert_eq!(http(r#"{"jsonrpc":"2.0","id":null,"method":"eth_one"}"#).await["result"], 1);
        assert_eq!(answer(r#"{"jsonrpc":"2.0","method":"eth_one"}"#, Transport::Http).await, None);
        assert_eq!(answer(r#"[{"jsonrpc":"2.0","method":"eth_one"}]"#, Transport::Http).await, None);
    }

    #[tokio::test]
    async fn a_method_may_be_off_here_and_on_there() {
        let request = r#"{"jsonrpc":"2.0","id":1,"method":"evm_two","params":[]}"#;
        let refused = http(request).await;
        assert_eq!(refused["error"]["code"], -32601);
        assert_eq!(refused["error"]["message"], "the method evm_two does not exist/is not available");
        assert_eq!(answer(request, Transport::Ipc).await.expect("an answer")["result"], 2);
    }

    #[tokio::test]
    async fn what_is_no_request_is_refused() {
        let code = |answer: &Value| answer["error"]["code"].as_i64();
        for (message, expected) in [
            ("", -32700),
            ("{", -32700),
            ("[{", -32700),
            ("[1,2", -32700),
            ("17", -32600),
            ("[]", -32600),
            (r#"{"id":1}"#, -32600),
            (r#"{"id":1,"method":"eth_one"}"#, -32600),
            (r#"{"jsonrpc":"2.0","id":{},"method":"eth_one"}"#, -32600),
            (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, -32600),
        ] {
            let answer = http(message).await;
            assert_eq!(code(&answer), Some(expected), "{message}: {answer}");
        }
        assert_eq!(http("[1]").await[0]["error"]["code"], -32600);
        assert_eq!(http(r#"{"jsonrpc":"2.0","id":9,"method":7}"#).await["id"], 9);
    }

    #[tokio::test]
    async fn a_batch_has_bounds() {
        let call = r#"{"jsonrpc":"2.0","id":5,"method":"eth_long"}"#;
        let four = format!("[{}]", [call; 4].join(","));
        let refused = http(&four).await;
        assert_eq!(refused[0]["error"], json!({ "code": -32600, "message": "batch too large" }));
        assert_eq!((refused.as_array().map(Vec::len), &refused[0]["id"]), (Some(1), &json!(5)));
        let three = http(&format!("[{}]", [call; 3].join(","))).await;
        assert!(three[1]["result"].is_string());
        assert_eq!(three[2]["error"], json!({ "code": -32003, "message": "response too large" }));
    }

    #[tokio::test]
    async fn depth_costs_no_stack() {
        let deep = "[".repeat(200_000) + &"]".repeat(200_000);
        let answer = http(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"eth_one","params":{deep}}}"#)).await;
        assert_eq!(answer["result"], 1);
        assert!(http(&deep).await[0]["error"].is_object() || http(&deep).await["error"].is_object());
    }
}
