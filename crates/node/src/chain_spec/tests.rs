//! Genesis files, good and bad.

use super::{ChainSpec, EthereumHardfork, GenesisError, dev_accounts, dev_genesis, dev_genesis_at, dev_operator};
use alloy::genesis::Genesis;
use alloy_primitives::{B256, U256, address, bytes};
use cryptlet_primitives::{FabricLimits, system::CRYPTO_DELEGATE};
use revm::primitives::hardfork::SpecId;

fn refused(change: impl FnOnce(&mut Genesis)) -> GenesisError {
    let mut genesis = dev_genesis(&FabricLimits::default());
    change(&mut genesis);
    ChainSpec::from_genesis(genesis).expect_err("it must be refused")
}

#[test]
fn the_dev_chain_funds_the_accounts_everybody_knows() {
    let spec = ChainSpec::dev();
    assert_eq!(spec.chain_id(), 31_337);
    assert_eq!(dev_accounts()[0].address(), address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266"));
    assert_eq!(dev_accounts()[9].address(), address!("a0Ee7A142d267C1f36714E4a8F75612F20a79720"));
    let ten_thousand = U256::from(10).pow(U256::from(22));
    for account in dev_accounts().iter().chain([&dev_operator()]) {
        assert_eq!(spec.genesis().alloc[&account.address()].balance, ten_thousand);
    }
    assert_eq!(spec.spec_id_of(spec.genesis_header()), SpecId::PRAGUE);
    assert_eq!(spec.limits(), Some(&FabricLimits::default()));
}

#[test]
fn a_genesis_survives_json() {
    let spec = ChainSpec::dev();
    let json = serde_json::to_string(spec.genesis()).expect("JSON");
    assert_eq!(ChainSpec::from_json(&json).expect("valid").genesis_hash(), spec.genesis_hash());
}

#[test]
fn a_dev_chain_starts_under_any_fork_and_has_a_delegate_from_prague_on() {
    for fork in EthereumHardfork::VARIANTS.iter().take_while(|fork| **fork <= EthereumHardfork::Osaka) {
        let spec = ChainSpec::from_genesis(dev_genesis_at(&FabricLimits::default(), *fork)).expect("it is valid");
        assert_eq!(spec.limits().is_some(), *fork >= EthereumHardfork::Prague, "{fork}");
        assert!(spec.takes_dev_edits(), "{fork}");
        let header = spec.genesis_header();
        assert_eq!(header.base_fee_per_gas.is_some(), *fork >= EthereumHardfork::London, "{fork}");
        assert_eq!(header.difficulty.is_zero(), *fork >= EthereumHardfork::Paris, "{fork}");
    }
    let berlin = ChainSpec::from_genesis(dev_genesis_at(&FabricLimits::default(), EthereumHardfork::Berlin));
    assert_eq!(berlin.map(|spec| spec.spec_id_of(spec.genesis_header())).ok(), Some(SpecId::BERLIN));
    let prague = dev_genesis_at(&FabricLimits::default(), EthereumHardfork::Prague);
    assert_eq!(prague, dev_genesis(&FabricLimits::default()));
}

#[test]
fn a_genesis_as_hive_writes_it_is_understood() {
    let json = r#"{
        "config": {"chainId": 3503995874084926, "homesteadBlock": 0, "eip150Block": 0, "eip155Block": 0, "eip158Block": 0,
                   "byzantiumBlock": 0, "constantinopleBlock": 0, "petersburgBlock": 0, "istanbulBlock": 0,
                   "muirGlacierBlock": 0, "berlinBlock": 0, "londonBlock": 0, "arrowGlacierBlock": 0, "grayGlacierBlock": 0,
                   "mergeNetsplitBlock": 0, "shanghaiTime": 0, "cancunTime": 0, "pragueTime": 0,
                   "terminalTotalDifficulty": 131072, "ethash": {},
                   "depositContractAddress": "0x0000000000000000000000000000000000000000"},
        "nonce": "0x0", "timestamp": "0", "extraData": "0x68697665636861696e", "gasLimit": "37699104",
        "difficulty": "0x20000", "mixHash": "0x0000000000000000000000000000000000000000000000000000000000000000",
        "coinbase": "0x0000000000000000000000000000000000000000",
        "alloc": {"0c2c51a0990aee1d73c1228de158688341557508": {"balance": "0xc097ce7bc90715b34b9f1000000000"},
                  "0x8bebc8ba651aee624937e7d897853ac30c95a067": {"balance": "12", "nonce": "0x1",
                      "storage": {"0x01": "0x02", "0x0000000000000000000000000000000000000000000000000000000000000003": "0x04"}}},
        "number": "0x0", "gasUsed": "0x0", "baseFeePerGas": "0x3b9aca00", "excessBlobGas": null, "blobGasUsed": null,
        "parentHash": "0x0000000000000000000000000000000000000000000000000000000000000000"
    }"#;
    let spec = ChainSpec::from_json(json).expect("valid");
    assert_eq!((spec.chain_id(), spec.genesis_header().gas_limit), (3_503_995_874_084_926, 37_699_104));
    // The block after it is the first of the proof of stake.
    let next = crate::types::Header { number: 1, timestamp: 10, ..Default::default() };
    assert_eq!(spec.spec_id_of(&next), SpecId::PRAGUE);
}

#[test]
fn other_limits_make_another_chain() {
    let limits = FabricLimits { gas_per_unit: 2, ..FabricLimits::default() };
    let other = ChainSpec::from_genesis(dev_genesis(&limits)).expect("valid");
    assert_ne!(other.genesis_hash(), ChainSpec::dev().genesis_hash());
}

#[test]
fn limits_in_config_and_state_must_agree() {
    let wrong = B256::repeat_byte(1);
    let error = refused(|genesis| {
        let account = genesis.alloc.get_mut(&CRYPTO_DELEGATE).expect("the delegate");
        account.storage.as_mut().expect("a slot").insert(B256::ZERO, wrong);
    });
    assert!(matches!(error, GenesisError::LimitsDigest { found, .. } if found == wrong), "{error}");
    let error = refused(|genesis| drop(genesis.config.extra_fields.remove("cryptletFabric")));
    assert!(matches!(error, GenesisError::LimitsMissing(_)), "{error}");
    let error = refused(|genesis| drop(genesis.alloc.remove(&CRYPTO_DELEGATE)));
    assert!(matches!(error, GenesisError::NoDelegateAccount { .. }), "{error}");
    let error = refused(|genesis| {
        genesis.alloc.get_mut(&CRYPTO_DELEGATE).expect("the delegate").code = Some(bytes!("6000"));
    });
    assert!(matches!(error, GenesisError::DelegateAccount { nonce: 1, .. }), "{error}");
}

#[test]
fn a_chain_that_this_node_cannot_follow_is_refused_with_what_to_set() {
    let error = refused(|genesis| genesis.config.prague_time = Some(7));
    assert!(error.to_string().contains("config.pragueTime is 7"), "{error}");
    let error = refused(|genesis| genesis.config.istanbul_block = None);
    assert!(error.to_string().contains("config.istanbulBlock is not"), "{error}");
    let error = refused(|genesis| genesis.config.cancun_time = Some(9));
    assert!(error.to_string().contains("config.pragueTime is 0, before config.cancunTime (9)"), "{error}");
    let error = refused(|genesis| genesis.config.amsterdam_time = Some(0));
    assert!(error.to_string().contains("config.amsterdamTime is set, but config.osakaTime is not"), "{error}");
    let error = refused(|genesis| genesis.config.bogota_time = Some(0));
    assert!(error.to_string().contains("rules up to Amsterdam; take bogotaTime out of config"), "{error}");
    let error = refused(|genesis| genesis.gas_limit = 1);
    assert!(matches!(error, GenesisError::GasLimit(1)), "{error}");
}

#[test]
fn a_plain_ethereum_genesis_is_a_chain_without_a_delegate() {
    let json = r#"{
        "config": {"chainId": 5, "homesteadBlock": 0, "eip150Block": 0, "eip155Block": 0, "eip158Block": 0,
                   "byzantiumBlock": 0, "constantinopleBlock": 0, "petersburgBlock": 0, "istanbulBlock": 0,
                   "berlinBlock": 0, "londonBlock": 0, "terminalTotalDifficulty": 0, "shanghaiTime": 0},
        "difficulty": "0x0", "gasLimit": "0x1c9c380", "alloc": {}
    }"#;
    let spec = ChainSpec::from_json(json).expect("valid");
    assert_eq!((spec.limits(), spec.spec_id_of(spec.genesis_header())), (None, SpecId::SHANGHAI));
}
