//! Development edits have one encoding, and everything else is refused by name.

use alloy_primitives::{Address, Bytes, Signature, U256};
use cryptlet_primitives::{
    AccountEdit, DEV_EDITS_REQUEST_TYPE, DevEdits, DevEditsError, impersonated_sender, impersonated_signature,
};

fn everything() -> DevEdits {
    let mut edits = DevEdits::default();
    let full = AccountEdit {
        is_cleared: true,
        balance: Some(U256::MAX),
        nonce: Some(7),
        code: Some(Bytes::from_static(&[0x60, 0x01])),
        storage: [(U256::ZERO, U256::from(1)), (U256::MAX, U256::ZERO)].into(),
    };
    edits.accounts.insert(Address::repeat_byte(1), full);
    edits.account(Address::repeat_byte(2)).balance = Some(U256::ZERO);
    edits.account(Address::repeat_byte(3)).code = Some(Bytes::new());
    edits.impersonated.insert(0, Address::repeat_byte(4));
    edits.impersonated.insert(9, Address::repeat_byte(4));
    edits.base_fee_per_gas = Some(0);
    edits.gas_limit = Some(30_000_000);
    edits
}

#[test]
fn edits_survive_their_encoding() {
    let edits = everything();
    let request = edits.to_request();
    assert_eq!(request[0], DEV_EDITS_REQUEST_TYPE);
    assert_eq!(DevEdits::from_request_data(&request[1..]), Ok(edits.clone()));
    assert_eq!(DevEdits::of_requests([&Bytes::from_static(&[0, 1]), &request]), Ok(Some(edits.clone())));
    let json = serde_json::to_string(&edits).expect("JSON");
    assert_eq!(serde_json::from_str::<DevEdits>(&json).expect("edits"), edits);
}

#[test]
fn nothing_set_differs_from_zero_set() {
    let mut edits = DevEdits::default();
    edits.account(Address::ZERO).nonce = Some(0);
    let back = DevEdits::from_request_data(&edits.to_request()[1..]).expect("edits");
    assert_eq!(back.accounts[&Address::ZERO], AccountEdit { nonce: Some(0), ..Default::default() });
}

#[test]
fn later_edits_win_and_clearing_forgets_what_was_before() {
    let mut edits = everything();
    let mut later = DevEdits::default();
    later.account(Address::repeat_byte(1)).storage.insert(U256::MAX, U256::from(9));
    later.account(Address::repeat_byte(3)).is_cleared = true;
    edits.extend(later);
    let first = &edits.accounts[&Address::repeat_byte(1)];
    assert_eq!((first.nonce, first.storage[&U256::MAX]), (Some(7), U256::from(9)));
    assert_eq!(edits.accounts[&Address::repeat_byte(3)], AccountEdit { is_cleared: true, ..Default::default() });
    assert_eq!(edits.gas_limit, Some(30_000_000));
}

#[test]
fn every_cut_and_every_stray_byte_is_refused() {
    let request = everything().to_request();
    for length in 1..request.len() {
        assert!(DevEdits::from_request_data(&request[1..length]).is_err(), "cut at {length}");
    }
    let longer = [&request[1..], &[0]].concat();
    assert_eq!(DevEdits::from_request_data(&longer), Err(DevEditsError::TrailingBytes(1)));
    assert_eq!(DevEdits::from_request_data(&DevEdits::default().to_request()[1..]), Err(DevEditsError::Empty));
}

#[test]
fn accounts_out_of_order_are_refused() {
    let mut edits = DevEdits::default();
    edits.account(Address::repeat_byte(1)).nonce = Some(1);
    edits.account(Address::repeat_byte(2)).nonce = Some(2);
    let mut data = edits.to_request()[1..].to_vec();
    let first = data.windows(20).position(|window| window == [1; 20]).expect("the first address");
    data[first..first + 20].fill(3);
    assert_eq!(DevEdits::from_request_data(&data), Err(DevEditsError::Order("accounts")));
}

#[test]
fn the_mark_of_a_transaction_that_nobody_signed_names_its_sender() {
    let sender = Address::repeat_byte(0xaa);
    assert_eq!(impersonated_sender(&impersonated_signature(sender)), Some(sender));
    assert_eq!(impersonated_sender(&Signature::test_signature()), None);
    let odd = Signature::new(impersonated_signature(sender).r(), impersonated_signature(sender).s(), true);
    assert_eq!(impersonated_sender(&odd), None);
}
