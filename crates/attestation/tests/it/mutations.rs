//! Everything that is signed, damaged in every way that bytes can be: none of it passes for something else. `make test` takes a
//! sample; `CRYPTLET_MUTATIONS=1000000` is the long run. The same number gives the same damage, so a finding can be repeated.

use super::{evidence, quotes, registrars, support::*, tpm};
use alloy_primitives::{B256, Bytes};
use alloy_rlp::{Decodable, Encodable};
use alloy_sol_types::{SolStruct, SolType, SolValue};
use cryptlet_attestation::{
    appraise, recover,
    signature::{authorization_digest, keys_digest, utility_digest},
};
use cryptlet_primitives::{InstanceAuthorization, InstanceKeys, Record, Signature65, typed_data::UtilityRegistration};
use std::thread;

const SAMPLE: u64 = 24_000;

/// What whoever verifies these bytes takes them to mean; `None` if they are refused.
type Meaning = dyn Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync;

/// Something that is signed, as it is stored or sent.
struct Subject {
    name: &'static str,
    bytes: Vec<u8>,
    meaning: Box<Meaning>,
}

/// What became of the damaged ones.
#[derive(Default)]
struct Tally {
    refused: u64,
    /// Damaged where nothing is meant: padding of the ABI, spaces of JSON, a root certificate that is not read.
    same: u64,
    accepted: Vec<u64>,
}

#[test]
fn nothing_damaged_passes_for_something_else() {
    let count = std::env::var("CRYPTLET_MUTATIONS").map_or(SAMPLE, |count| count.parse().unwrap());
    let subjects = subjects();
    let each = count.div_ceil(subjects.len() as u64);
    println!(
        "| what is signed | bytes | damaged | refused | means the same | means something else |\n|---|---|---|---|---|---|"
    );
    for subject in &subjects {
        let honest = (subject.meaning)(&subject.bytes).unwrap_or_else(|| panic!("{} itself is refused", subject.name));
        let tally = try_all(subject, &honest, each);
        println!(
            "| {} | {} | {each} | {} | {} | {} |",
            subject.name,
            subject.bytes.len(),
            tally.refused,
            tally.same,
            tally.accepted.len()
        );
        assert!(tally.accepted.is_empty(), "{}: damage {:?} was accepted", subject.name, tally.accepted);
        assert!(tally.refused > tally.same, "{}: hardly anything of it is signed", subject.name);
    }
}

fn try_all(subject: &Subject, honest: &[u8], count: u64) -> Tally {
    let threads = thread::available_parallelism().map_or(1, usize::from) as u64;
    let part = |first: u64| {
        let mut tally = Tally::default();
        for number in (first..count).step_by(threads as usize) {
            let damaged = damage(&subject.bytes, number);
            match (subject.meaning)(&damaged) {
                None => tally.refused += 1,
                Some(meaning) if meaning == honest => tally.same += 1,
                Some(_) => tally.accepted.push(number),
            }
        }
        tally
    };
    let tallies: Vec<_> = thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|first| scope.spawn(move || part(first))).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    tallies.into_iter().fold(Tally::default(), |mut all, one| {
        all.refused += one.refused;
        all.same += one.same;
        all.accepted.extend(one.accepted);
        all
    })
}

/// The bytes with damage of this number: never the same bytes.
fn damage(bytes: &[u8], number: u64) -> Vec<u8> {
    let mut state = number;
    let mut random = |below: usize| {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((word ^ (word >> 31)) % below.max(1) as u64) as usize
    };
    let mut damaged = bytes.to_vec();
    let at = random(bytes.len());
    match random(8) {
        // Most is done by a bit, or a byte, at every place.
        0..=2 => damaged[at] ^= 1 << random(8),
        3 | 4 => damaged[at] = damaged[at].wrapping_add(1 + random(255) as u8),
        5 => {
            let other = random(bytes.len());
            damaged.swap(at, other);
        }
        6 => {
            let end = (at + 1 + random(40)).min(bytes.len());
            match random(3) {
                0 => drop(damaged.drain(at..end)),
                1 => damaged[at..end].fill(random(256) as u8),
                _ => damaged.truncate(at),
            }
        }
        _ => damaged.insert(at, random(256) as u8),
    }
    if damaged == bytes {
        damaged[at] ^= 0x80;
    }
    damaged
}

fn subjects() -> Vec<Subject> {
    let subject = |name, bytes, meaning| Subject { name, bytes, meaning };
    let sgx = quotes::SGX_QUOTE.clone();
    let (tdx, tdx_collateral) = (quotes::TDX_QUOTE.evidence(), quotes::TDX_QUOTE.collateral.abi_encode());
    let (tpm_evidence, tpm_endorsement) = tpm::encoded();
    vec![
        subject("record", encoded_record(), Box::new(meaning_of_record)),
        subject(
            "keys of an instance",
            signed(&registrars::keys(), keys_digest(&registrars::keys(), &DOMAIN)),
            Box::new(meaning_of_keys),
        ),
        subject(
            "authorization",
            signed(&registrars::authorization(), authorization_digest(&registrars::authorization(), &DOMAIN)),
            Box::new(|bytes| {
                let (value, signature) = split::<InstanceAuthorization>(bytes)?;
                is_ours(authorization_digest(&value, &DOMAIN), &signature).then(|| value.abi_encode())
            }),
        ),
        subject(
            "utility",
            signed(&registrars::utility(), utility_digest(&registrars::utility(), &DOMAIN)),
            Box::new(|bytes| {
                let (value, signature) = split::<UtilityRegistration>(bytes)?;
                is_ours(utility_digest(&value, &DOMAIN), &signature).then(|| value.abi_encode())
            }),
        ),
        subject("software evidence", evidence::evidence(|_| ()), Box::new(|bytes| claims(bytes, &[], evidence::NOW))),
        {
            let endorsement = tpm_endorsement.clone();
            subject("TPM evidence", tpm_evidence.clone(), Box::new(move |bytes| claims(bytes, &endorsement, tpm::NOW)))
        },
        subject("TPM endorsement", tpm_endorsement, Box::new(move |bytes| claims(&tpm_evidence, bytes, tpm::NOW))),
        {
            let collateral = sgx.collateral.abi_encode();
            subject("SGX quote", sgx.evidence(), Box::new(move |bytes| quotes::tolerated_claims(bytes, &collateral)))
        },
        {
            let collateral = tdx_collateral.clone();
            subject("TDX quote", tdx.clone(), Box::new(move |bytes| claims(bytes, &collateral, quotes::JULY_2025)))
        },
        subject("TDX collateral", tdx_collateral, Box::new(move |bytes| claims(&tdx, bytes, quotes::JULY_2025))),
    ]
}

/// A structure and our signature, one behind the other.
fn signed<T: SolValue>(value: &T, digest: B256) -> Vec<u8> {
    [value.abi_encode().as_slice(), sign(&key(), digest).0.as_slice()].concat()
}

fn split<T: SolStruct + SolType<RustType = T>>(bytes: &[u8]) -> Option<(T, Signature65)> {
    let (value, signature) = bytes.split_last_chunk::<65>()?;
    Some((<T as SolType>::abi_decode(value).ok()?, Signature65((*signature).into())))
}

fn is_ours(digest: B256, signature: &Signature65) -> bool {
    recover(digest, signature) == Ok(address_of(&key()))
}

fn encoded_record() -> Vec<u8> {
    let mut bytes = Vec::new();
    record(Bytes::from_static(b"an output")).encode(&mut bytes);
    bytes
}

fn meaning_of_record(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut rest = bytes;
    let record = Record::decode(&mut rest).ok().filter(|_| rest.is_empty())?;
    let meaning = format!("{:?}", (&record.request, &record.result, &record.output));
    verify(record).ok().map(|()| meaning.into_bytes())
}

fn meaning_of_keys(bytes: &[u8]) -> Option<Vec<u8>> {
    let (keys, signature) = split::<InstanceKeys>(bytes)?;
    // The keys name their own signer, so whoever changes them has to have that key.
    (recover(keys_digest(&keys, &DOMAIN), &signature) == Ok(keys.signer)).then(|| keys.abi_encode())
}

fn claims(evidence: &[u8], collateral: &[u8], now_s: u64) -> Option<Vec<u8>> {
    appraise(evidence, collateral, &DOMAIN, now_s).ok().map(|claims| claims.abi_encode())
}
