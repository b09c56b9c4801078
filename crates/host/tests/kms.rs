//! A vault in AWS KMS, against a small server that answers as Amazon's API reference says, with real keys: what is shown is our side and
//! the SDK's, not Amazon's. `scripts/test kms` runs it; it needs the feature `aws-kms`.
//!
//! No test harness: the SDK reads its credentials from the environment, which may be changed while there is one thread only.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use alloy_primitives::{Address, B256, hex};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use cryptlet_host::{HostError, KeyName, SigningKey, SystemEntropy, Vault, vault::kms};
use k256::ecdsa::{Signature, SigningKey as Key, signature::hazmat::PrehashSigner};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::Arc,
};

fn main() {
    // What a user's own settings say of Amazon must play no part.
    let settings = [
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    for (name, value) in settings {
        // SAFETY: there is one thread.
        unsafe { std::env::set_var(name, value) };
    }
    let tests: [(&str, fn()); 3] = [
        ("a_key_that_is_named_or_found_by_its_alias_signs_as_ethereum_wants_it", signs),
        ("it_may_be_asked_from_inside_a_runtime", inside_a_runtime),
        ("what_a_service_cannot_do_is_refused_with_what_to_do_instead", refusals),
    ];
    println!("\nrunning {} tests", tests.len());
    for (name, test) in tests {
        test();
        println!("test {name} ... ok");
    }
    println!("\ntest result: ok. {} passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n", tests.len());
}

/// Of a `SubjectPublicKeyInfo` of secp256k1, what comes before the point (RFC 5480).
const SPKI_HEAD: [u8; 23] = hex!("3056301006072a8648ce3d020106052b8104000a034200");

fn keys() -> [(&'static str, Key); 2] {
    [
        ("alias/cryptlet-host", Key::from_slice(&[7; 32]).unwrap()),
        ("alias/c/account/ann", Key::from_slice(&[9; 32]).unwrap()),
    ]
}

/// Answers until the process ends; gives its address.
fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || while answer(&stream).is_some() {});
        }
    });
    format!("http://{address}")
}

/// One request on a connection; none if there is no other.
fn answer(mut stream: &TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let (mut target, mut bytes, mut line) = (String::new(), 0, String::new());
    loop {
        line.clear();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.trim().split_once(':') {
            match name.to_ascii_lowercase().as_str() {
                "x-amz-target" => target = value.trim().to_owned(),
                "content-length" => bytes = value.trim().parse().ok()?,
                _ => {}
            }
        }
    }
    let mut body = vec![0; bytes];
    reader.read_exact(&mut body).ok()?;
    let asked: Value = serde_json::from_slice(&body).ok()?;
    let (status, told) = tell(&target, &asked);
    let told = told.to_string();
    let length = told.len();
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all((head + &told).as_bytes()).ok()
}

fn tell(target: &str, asked: &Value) -> (&'static str, Value) {
    let id = asked["KeyId"].as_str().unwrap_or_default();
    let Some((_, key)) = keys().into_iter().find(|(known, _)| *known == id) else {
        return ("400 Bad Request", json!({ "__type": "NotFoundException", "message": format!("{id} is not found") }));
    };
    match target {
        "TrentService.GetPublicKey" => {
            let der = [&SPKI_HEAD[..], key.verifying_key().to_encoded_point(false).as_bytes()].concat();
            (
                "200 OK",
                json!({
                    "KeyId": id, "PublicKey": BASE64.encode(der), "KeySpec": "ECC_SECG_P256K1", "KeyUsage": "SIGN_VERIFY",
                    "SigningAlgorithms": ["ECDSA_SHA_256"],
                }),
            )
        }
        "TrentService.Sign" => {
            assert_eq!(
                (&asked["MessageType"], &asked["SigningAlgorithm"]),
                (&json!("DIGEST"), &json!("ECDSA_SHA_256"))
            );
            let digest = BASE64.decode(asked["Message"].as_str().unwrap()).unwrap();
            let signed: Signature = key.sign_prehash(&digest).unwrap();
            let low = signed.normalize_s().unwrap_or(signed);
            // Amazon gives either of the two; here half of them are those that Ethereum does not take.
            let either = if digest[0] % 2 == 0 { low } else { Signature::from_scalars(low.r(), -low.s()).unwrap() };
            (
                "200 OK",
                json!({ "KeyId": id, "Signature": BASE64.encode(either.to_der()), "SigningAlgorithm": "ECDSA_SHA_256" }),
            )
        }
        other => ("400 Bad Request", json!({ "__type": "UnknownOperationException", "message": other })),
    }
}

fn open(keys: &str) -> Arc<dyn Vault> {
    kms::open(format!("aws-kms:region=eu-central-1;endpoint={};{keys}", serve()).parse().unwrap(), None).unwrap()
}

fn check(key: &dyn SigningKey, expected: &Key) {
    assert_eq!(key.address(), Address::from_public_key(expected.verifying_key()));
    for byte in 0..16 {
        let digest = B256::repeat_byte(byte);
        let signature = key.sign(digest).unwrap();
        assert_eq!(cryptlet_attestation::recover(digest, &signature), Ok(key.address()));
        assert!(matches!(signature.0[64], 27 | 28));
        let scalars = Signature::from_slice(&signature.0[..64]).unwrap();
        assert!(scalars.normalize_s().is_none(), "its s is the lower one");
    }
}

fn signs() {
    let vault = open("host-key=alias/cryptlet-host;alias-prefix=alias/c/");
    let [(_, host), (_, ann)] = keys();
    check(vault.signing_key(&KeyName::host()).unwrap().unwrap().as_ref(), &host);
    check(vault.signing_key(&KeyName::account("ann").unwrap()).unwrap().unwrap().as_ref(), &ann);
    assert!(vault.signing_key(&KeyName::account("bob").unwrap()).unwrap().is_none(), "there is no such alias");
}

fn inside_a_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async { ask_and_drop() });
}

fn ask_and_drop() {
    let vault = open("host-key=alias/cryptlet-host");
    let key = vault.signing_key(&KeyName::host()).unwrap().unwrap();
    assert!(key.sign(B256::repeat_byte(1)).is_ok());
    drop((key, vault));
}

fn refusals() {
    let vault = open("host-key=alias/nobody");
    let error = vault.signing_key(&KeyName::host()).unwrap_err().to_string();
    assert!(error.contains("no key alias/nobody") && error.contains("host-key"), "{error}");
    let error = vault.make_signing_key(&KeyName::host(), &SystemEntropy).unwrap_err();
    assert!(matches!(error, HostError::VaultCannot { .. }) && error.to_string().contains("ECC_SECG_P256K1"), "{error}");
    for error in [vault.keep("ca", b"x").unwrap_err(), vault.secret("ca").unwrap_err()] {
        assert!(
            matches!(&error, HostError::VaultCannot { .. }) && error.to_string().contains("--passphrase-file"),
            "{error}"
        );
    }
}
