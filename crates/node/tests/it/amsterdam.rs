//! Under Amsterdam the header commits to what the block accesses (EIP-7928). Cryptlets and cheats come out the same there,
//! whether the block is built or replayed.
#![allow(clippy::unwrap_used)] // tests

use crate::{
    replay::{export_all, send_traffic, traffic_call},
    support::{Chain, fast_config},
};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use cryptlet_node::{
    chain_file::{ChainFileReader, ReplayOptions, Replaying, replay},
    chain_spec::{EthereumHardfork, dev_accounts},
    execute::{BlockFault, FaultReason, FinishedBlock, RecoveredBlock, replay_block},
    miner::DevEdit,
    types::BlockWithRequests,
};
use cryptlet_primitives::{FabricLimits, system::CRYPTO_DELEGATE};

/// Reads slot 0, adds one and stores it in slot 1.
const NEXT_OF_SLOT_0: &str = "5f5460010160015500";

async fn amsterdam() -> Chain {
    Chain::start_under(EthereumHardfork::Amsterdam, FabricLimits::default(), fast_config()).await
}

fn blocks_of(chain: &Chain) -> Vec<BlockWithRequests> {
    let file = export_all(chain.node.chain());
    ChainFileReader::open(&file[..]).unwrap().collect::<Result<_, _>>().unwrap()
}

/// Replays one block of the chain on its parent, with no host.
fn replay_one(chain: &Chain, given: BlockWithRequests) -> Result<FinishedBlock, BlockFault> {
    let store = chain.node.chain();
    let parent = store.header(given.block.header.number - 1).unwrap().unwrap();
    replay_block(&chain.spec, store, &parent, RecoveredBlock::recover(&chain.spec, given)?)
}

/// Traffic of cryptlets, and between it accounts that cheats make: one that transactions run, one that nobody looks at.
async fn cheated(chain: &Chain, contract: Address, unseen: Address) {
    send_traffic(chain, 20).await;
    let edits = [
        DevEdit::Code(contract, NEXT_OF_SLOT_0.parse().unwrap()),
        DevEdit::Slot(contract, U256::ZERO, U256::from(41)),
        DevEdit::Balance(contract, U256::from(7)),
        DevEdit::Balance(unseen, U256::from(9)),
        DevEdit::GasLimit(29_000_000),
    ];
    for edit in edits {
        chain.node.edit(edit).await.unwrap();
    }
    let run = chain.send(&dev_accounts()[4], TxKind::Call(contract), Bytes::new()).await;
    assert!(chain.receipt(run).await.status());
    chain.node.edit(DevEdit::MoreBalance(unseen, U256::ONE)).await.unwrap();
    let call = chain.send(&dev_accounts()[5], TxKind::Call(chain.traffic), traffic_call(0)).await;
    assert!(chain.receipt(call).await.status());
    chain.node.mine(2, None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cryptlets_and_cheats_replay_to_the_same_access_lists() {
    let chain = amsterdam().await;
    let (contract, unseen) = (Address::repeat_byte(0xaa), Address::repeat_byte(0xbb));
    cheated(&chain, contract, unseen).await;
    chain.node.stop().await;
    let head = chain.node.chain().head().unwrap();

    let (mut records, mut slot) = (0, 0);
    let mut replaying = Replaying {
        progress: &mut |_| {},
        block: &mut |block| records += block.records.0.iter().map(|group| group.records.len()).sum::<usize>(),
    };
    let report = replay(&export_all(chain.node.chain())[..], ReplayOptions::default(), &mut replaying).unwrap();
    assert_eq!((report.head_hash, report.state_root), (head.hash(), head.state_root));
    assert_eq!(report.dev_edited_blocks, 2);
    assert!(records > 10, "{records} records");

    let (mut called, mut ran) = (0, 0);
    for given in blocks_of(&chain) {
        let header = given.block.header.clone();
        slot += 1;
        assert_eq!(header.slot_number, Some(slot), "block {}", header.number);
        let replayed = replay_one(&chain, given).unwrap();
        let list = replayed.access_list.expect("every block has one");
        assert_eq!(header.block_access_list_hash, Some(list.hash()), "block {}", header.number);
        let account = |address| list.list().iter().find(|account| account.address == address);
        assert_eq!(account(unseen), None, "block {}: a cheat is no access", header.number);
        called += usize::from(account(CRYPTO_DELEGATE).is_some());
        if let Some(contract) = account(contract) {
            // What the cheats set is where the block begins.
            ran += 1;
            assert_eq!(contract.storage_reads, [U256::ZERO]);
            assert_eq!(contract.storage_changes[0].slot, U256::ONE);
            assert_eq!(contract.storage_changes[0].changes[0].new_value, U256::from(42));
            assert!(contract.balance_changes.is_empty() && contract.code_changes.is_empty());
        }
    }
    assert!(called > 10, "{called} blocks call the delegate");
    assert_eq!(ran, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_access_list_is_refused_with_both_hashes() {
    let chain = amsterdam().await;
    send_traffic(&chain, 4).await;
    chain.node.stop().await;
    let good = blocks_of(&chain).pop().unwrap();
    let computed = good.block.header.block_access_list_hash.unwrap();
    assert!(replay_one(&chain, good.clone()).is_ok());

    let wrong = B256::repeat_byte(1);
    let refused = |change: fn(&mut BlockWithRequests)| {
        let mut block = good.clone();
        change(&mut block);
        replay_one(&chain, block).expect_err("it is not the block that was built")
    };
    let fault = refused(|given| given.block.header.block_access_list_hash = Some(B256::repeat_byte(1)));
    assert_eq!(*fault.reason, FaultReason::AccessListHash { header: Some(wrong), computed });
    assert!(fault.to_string().contains(&computed.to_string()) && fault.to_string().contains(&wrong.to_string()));
    let fault = refused(|given| given.block.header.block_access_list_hash = None);
    assert_eq!(*fault.reason, FaultReason::ForkField("blockAccessListHash"));
    let fault = refused(|given| given.block.header.slot_number = None);
    assert_eq!(*fault.reason, FaultReason::ForkField("slotNumber"));
}
