use super::*;
use alloy_primitives::{Address, FixedBytes, keccak256};
use cryptlet_primitives::{CryptletRequest, CryptletResult, InvocationMode, Signature65};

fn call(number: u8, anchor: u64) -> (Invocation, FabricAnswer) {
    let output = Bytes::from(vec![number; 40]);
    let request = CryptletRequest {
        key: B256::repeat_byte(number),
        cryptletId: B256::repeat_byte(1),
        caller: Address::ZERO,
        codeDigest: B256::ZERO,
        inputHash: keccak256([]),
        anchorBlock: anchor,
        anchorHash: B256::ZERO,
        policyVersion: 1,
    };
    let invocation = Invocation {
        request,
        input: Bytes::new(),
        sequence: 0,
        is_static: false,
        units_max: 1,
        output_bytes_max: 100,
        mode: InvocationMode::Live,
    };
    let result = CryptletResult {
        requestHash: invocation.request_hash(),
        registrationId: B256::repeat_byte(9),
        keyEpoch: 1,
        status: 0,
        outputHash: keccak256(&output),
        units: 1,
        observedAt: 5,
        notBefore: anchor,
        expires: anchor + 256,
    };
    (invocation, FabricAnswer { result, output, signature: Signature65(FixedBytes::repeat_byte(number)) })
}

fn open(folder: &Path) -> AnswerLog {
    AnswerLog::open(folder, 1 << 20, Durability::Machine).unwrap()
}

fn find(log: &AnswerLog, invocation: &Invocation) -> Option<FabricAnswer> {
    log.find(invocation.key(), invocation.request_hash()).unwrap()
}

#[test]
fn answers_are_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let calls: Vec<_> = (1..20).map(|number| call(number, 7)).collect();
    {
        let log = open(folder.path());
        calls.iter().for_each(|(invocation, answer)| log.keep(invocation, answer).unwrap());
    }
    let log = open(folder.path());
    for (invocation, answer) in &calls {
        assert_eq!(find(&log, invocation).as_ref(), Some(answer));
        assert_eq!(log.outcome(invocation.key()), Some(Outcome::of(answer)));
    }
    assert_eq!(find(&log, &call(1, 8).0), None, "another anchor is another request");
}

#[test]
fn one_key_keeps_its_first_outcome_and_an_answer_for_each_request() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    for anchor in 0..20 {
        let (invocation, answer) = call(1, anchor);
        log.keep(&invocation, &answer).unwrap();
        assert_eq!(find(&log, &invocation), Some(answer));
    }
    assert_eq!(log.len(), 1);
    assert_eq!(find(&log, &call(1, 0).0), None, "only the newest eight are kept");
}

#[test]
fn a_torn_end_is_cut_off_at_every_byte() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("current.log");
    {
        let log = open(folder.path());
        for number in 1..4 {
            let (invocation, answer) = call(number, 7);
            log.keep(&invocation, &answer).unwrap();
        }
    }
    let whole = std::fs::read(&file).unwrap();
    let frame = whole.len() / 3;
    for cut in 2 * frame..whole.len() {
        std::fs::write(&file, &whole[..cut]).unwrap();
        let log = open(folder.path());
        assert_eq!(log.len(), 2, "cut at {cut}");
        let (invocation, answer) = call(9, 7);
        log.keep(&invocation, &answer).unwrap();
        drop(log);
        assert_eq!(open(folder.path()).len(), 3, "cut at {cut}");
    }
}

#[test]
fn damage_anywhere_but_at_the_end_is_an_error_that_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("current.log");
    {
        let log = open(folder.path());
        for number in 1..4 {
            let (invocation, answer) = call(number, 7);
            log.keep(&invocation, &answer).unwrap();
        }
    }
    let whole = std::fs::read(&file).unwrap();
    for position in 0..2 * whole.len() / 3 {
        let mut bytes = whole.clone();
        bytes[position] ^= 1;
        std::fs::write(&file, bytes).unwrap();
        let error = AnswerLog::open(folder.path(), 1 << 20, Durability::Machine).unwrap_err();
        assert!(error.to_string().contains("current.log"), "byte {position}: {error}");
    }
    std::fs::write(&file, [&whole[..], &[0; 100]].concat()).unwrap();
    assert_eq!(open(folder.path()).len(), 3, "zeros at the end were never an answer");
}

#[test]
fn a_full_log_drops_its_oldest_half() {
    let folder = tempfile::tempdir().unwrap();
    let log = AnswerLog::open(folder.path(), 8 * 1024, Durability::Process).unwrap();
    for number in 0..100 {
        let (invocation, answer) = call(number, 7);
        log.keep(&invocation, &answer).unwrap();
        assert_eq!(find(&log, &invocation), Some(answer));
    }
    assert!(log.len() < 60, "{}", log.len());
    let on_disk: u64 =
        ["current.log", "previous.log"].iter().map(|name| folder.path().join(name).metadata().unwrap().len()).sum();
    assert!(on_disk < 10 * 1024, "{on_disk}");
    let kept = log.len();
    drop(log);
    let log = AnswerLog::open(folder.path(), 8 * 1024, Durability::Process).unwrap();
    assert_eq!(log.len(), kept);
    assert!(find(&log, &call(99, 7).0).is_some());
}

#[test]
fn writers_that_come_together_are_all_kept() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    std::thread::scope(|scope| {
        for thread in 0..8u8 {
            let log = &log;
            scope.spawn(move || {
                for number in 0..20u8 {
                    let (invocation, answer) = call(thread * 20 + number, 7);
                    log.keep(&invocation, &answer).unwrap();
                    assert_eq!(find(log, &invocation), Some(answer));
                }
            });
        }
    });
    assert_eq!(log.len(), 160);
    drop(log);
    assert_eq!(open(folder.path()).len(), 160);
}
