// Under Amsterdam, whose rules may still change: what this node builds, EthereumJS executes to the same state, gas, receipts
// and access list; what EthereumJS builds, this node verifies. Neither shares code with the other.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { createBlock, createBlockFromRLP, genWithdrawalsTrieRoot } from '@ethereumjs/block';
import { createBlockchain } from '@ethereumjs/blockchain';
import { Hardfork, Mainnet, createCustomCommon, parseGethGenesisState } from '@ethereumjs/common';
import { RLP } from '@ethereumjs/rlp';
import { createTx } from '@ethereumjs/tx';
import { bytesToHex, createWithdrawal, hexToBytes } from '@ethereumjs/util';
import { createVM, runBlock } from '@ethereumjs/vm';
import { HDNodeWallet, Mnemonic, getCreateAddress } from 'ethers';
import { cryptlet, rpc, run, start } from './support/node.mjs';
import { BLOCKS, CONTRACTS, program } from './support/amsterdam-program.mjs';
import { Random } from './support/amsterdam-random.mjs';

const CHAIN_ID = 31337;
const phrase = Mnemonic.fromPhrase('test test test test test test test test test test test junk');
const wallets = [0, 1, 2, 3, 4].map((index) => HDNodeWallet.fromMnemonic(phrase, `m/44'/60'/0'/0/${index}`));
const fees = { chainId: CHAIN_ID, maxFeePerGas: 10n ** 10n, maxPriorityFeePerGas: 10n ** 9n };
const hex = (number) => `0x${number.toString(16)}`;

let folder;
const inside = (name) => path.join(folder, name);
before(async () => { folder = await mkdtemp(path.join(os.tmpdir(), 'cryptlet-e2e-')); });
after(() => rm(folder, { recursive: true, force: true }));

/** The genesis of the dev chain, with the contracts of the program in it. */
async function genesisOf() {
  const node = await start(['node', '--dev', '--hardfork', 'amsterdam', '--no-fabric', '--port', '0']);
  try {
    const genesis = await rpc(node.ready.http, 'cryptlet_getGenesis');
    for (const [address, code] of Object.entries(CONTRACTS)) genesis.alloc[address] = { balance: '0x0', nonce: '0x1', code };
    genesis.config.blobSchedule = { amsterdam: { target: 14, max: 21, baseFeeUpdateFraction: 11684671 } };
    return genesis;
  } finally {
    await node.stop();
  }
}

/** An EthereumJS whose state and head are those of this genesis. */
async function peer(genesis, header) {
  // Every fork of the main chain from the first block on, as EthereumJS has no name for this one's time in a genesis file.
  const hardforks = Mainnet.hardforks.filter(({ name }) => name !== 'dao')
    .map(({ name, block }) => (block === null ? { name, block, timestamp: 0 } : { name, block: 0 }));
  const common = createCustomCommon({ chainId: CHAIN_ID, name: 'amsterdam', hardforks }, Mainnet, { hardfork: Hardfork.Amsterdam, customCrypto: { kzg: {} } });
  const genesisState = parseGethGenesisState(genesis);
  const genesisBlock = createBlockFromRLP(RLP.encode([RLP.decode(header), [], [], []]), { common, setHardfork: false });
  const blockchain = await createBlockchain({ common, genesisBlock, genesisState, validateBlocks: false, validateConsensus: false });
  const vm = await createVM({ common, blockchain });
  await vm.stateManager.generateCanonicalGenesis(genesisState);
  assert.equal(bytesToHex(await vm.stateManager.getStateRoot()), bytesToHex(genesisBlock.header.stateRoot));
  return { vm, common, genesisBlock };
}

/** Each block as its own bytes. */
function* blocksOf(bytes) {
  for (let rest = new Uint8Array(bytes); rest.length > 0;) {
    const { data, remainder } = RLP.decode(rest, true);
    yield RLP.encode(data);
    rest = remainder;
  }
}

/** Runs the program on a node of ours. Returns the genesis header, and the access list of every block. */
async function buildHere(genesis) {
  await writeFile(inside('genesis.json'), JSON.stringify(genesis));
  const node = await start(['node', '--genesis', inside('genesis.json'), '--datadir', inside('ours'), '--port', '0', '--http.api', 'eth,debug,evm', '--no-sync']);
  const { http } = node.ready;
  try {
    await rpc(http, 'evm_setAutomine', [false]);
    const nonces = wallets.map(() => 0);
    const lists = [];
    for (let number = 1; number <= BLOCKS; number += 1) {
      const hashes = [];
      for (const { from, authorities, ...fields } of program(number, { addressOf, nonces })) {
        const request = { ...fees, gasLimit: 1_000_000n, type: 2, ...fields };
        request.nonce = nonces[from]++;
        if (authorities) {
          request.type = 4;
          request.authorizationList = authorities.map(({ by, address }) => wallets[by].authorizeSync({ address, chainId: CHAIN_ID, nonce: nonces[by]++ }));
        }
        hashes.push(await rpc(http, 'eth_sendRawTransaction', [await wallets[from].signTransaction(request)]));
      }
      await rpc(http, 'evm_mine');
      const block = await rpc(http, 'eth_getBlockByNumber', [hex(number), false]);
      assert.deepEqual(block.transactions.toSorted(), hashes.toSorted(), `all of block ${number} is in it`);
      lists.push(hexToBytes(await rpc(http, 'debug_getRawBlockAccessList', [hex(number)])));
    }
    return { header: hexToBytes(await rpc(http, 'debug_getRawHeader', ['0x0'])), lists };
  } finally {
    await node.stop();
  }
}

const addressOf = (from, nonce) => getCreateAddress({ from: wallets[from].address, nonce }).toLowerCase();

test('EthereumJS executes what this node built to the same states, gas, receipts and access lists', async () => {
  const genesis = await genesisOf();
  const { header, lists } = await buildHere(genesis);
  const exported = await run(cryptlet, ['export', inside('ours.rlp'), '--datadir', inside('ours')]);
  assert.equal(exported.code, 0, exported.stderr);
  const { vm, common } = await peer(genesis, header);
  let transactions = 0;
  for (const [index, bytes] of [...blocksOf(await readFile(inside('ours.rlp')))].entries()) {
    const block = createBlockFromRLP(bytes, { common, setHardfork: false });
    transactions += block.transactions.length;
    await verify(vm, block, lists[index]);
    await vm.blockchain.putBlock(block);
  }
  assert.ok(transactions > 5 * BLOCKS, `${transactions} transactions`);
});

/** Throws if a root, the gas, the bloom, the requests or the access list is another. */
async function verify(vm, block, blockAccessList) {
  await runBlock(vm, { block, blockAccessList, skipHeaderValidation: true });
  const theirs = bytesToHex(vm.evm.blockLevelAccessList.hash());
  assert.equal(theirs, bytesToHex(block.header.blockAccessListHash), `block ${block.header.number}`);
}

test('this node verifies what EthereumJS built, blobs and withdrawals and requests included', async () => {
  const genesis = await genesisOf();
  const blocks = await chainOfTheirs(genesis, 'theirs', BLOCKS, (number, nonces) => [...program(number, { addressOf, nonces }), ...onlyThere(number)], withdrawals);
  const { code, stdout, stderr } = await imported('theirs');
  assert.equal(code, 0, stderr);
  assert.equal(stdout.trim(), headLine(blocks.at(-1)));

  const bytes = await readFile(inside('theirs.rlp'));
  bytes[bytes.indexOf(Buffer.from(blocks[4].header.blockAccessListHash))] ^= 1;
  await writeFile(inside('theirs.rlp'), bytes);
  const refused = await imported('theirs', 'bad');
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /block 5: execution accesses what gives a block access list \(EIP-7928\) with hash 0x[0-9a-f]{64}, but its header says/);
});

test('random programs come out the same', async () => {
  for (const seed of [11, 12]) {
    const random = new Random(seed, [0, 1, 2].map((number) => `0x${'c0'.repeat(19)}0${number}`));
    const genesis = await genesisOf();
    Object.assign(genesis.alloc, random.accounts());
    const name = `random-${seed}`;
    const blocks = await chainOfTheirs(genesis, name, BLOCKS, () => random.transactions(15), () => []);
    const { code, stdout, stderr } = await imported(name);
    assert.equal(code, 0, `seed ${seed}: ${stderr}`);
    assert.equal(stdout.trim(), headLine(blocks.at(-1)), `seed ${seed}`);
  }
});

const headLine = ({ header }) => `head ${header.number} ${bytesToHex(header.hash())} ${bytesToHex(header.stateRoot)}`;
const imported = (name, datadir = name) => run(cryptlet, ['import', '--genesis', inside(`${name}.json`), '--datadir', inside(datadir), inside(`${name}.rlp`)]);

/** A chain that EthereumJS makes on this genesis, in files of this name. */
async function chainOfTheirs(genesis, name, length, transactionsOf, withdrawalsOf) {
  await writeFile(inside(`${name}.json`), JSON.stringify(genesis));
  const node = await start(['node', '--genesis', inside(`${name}.json`), '--datadir', inside(`${name}-genesis`), '--no-mining', '--port', '0', '--http.api', 'debug']);
  const header = hexToBytes(await rpc(node.ready.http, 'debug_getRawHeader', ['0x0']));
  await node.stop();
  const { vm, common, genesisBlock } = await peer(genesis, header);
  const blocks = [];
  const nonces = wallets.map(() => 0);
  for (let number = 1; number <= length; number += 1) {
    const parent = blocks.at(-1) ?? genesisBlock;
    const transactions = transactionsOf(number, nonces).map((fields) => signedThere(fields, nonces, common));
    const block = await buildThere(vm, common, parent, transactions, withdrawalsOf(number), {
      coinbase: `0x${'c0'.repeat(19)}0${number % 3}`, timestamp: parent.header.timestamp + 12n,
      slotNumber: parent.header.slotNumber + BigInt(1 + (number % 2)), parentBeaconBlockRoot: new Uint8Array(32).fill(number),
    });
    await vm.blockchain.putBlock(block);
    blocks.push(block);
  }
  await writeFile(inside(`${name}.rlp`), Buffer.concat(blocks.map((block) => block.serialize())));
  return blocks;
}

function signedThere({ from, authorities, ...fields }, nonces, common) {
  const data = { ...fees, gasLimit: 1_000_000n, type: 2, ...fields, nonce: BigInt(nonces[from]++) };
  if (authorities) {
    data.type = 4;
    data.authorizationList = authorities.map(({ by, address }) => authorizationOf(wallets[by].authorizeSync({ address, chainId: CHAIN_ID, nonce: nonces[by]++ })));
  }
  return createTx(data, { common }).sign(hexToBytes(wallets[from].privateKey));
}

/** A block as EthereumJS has it: everything in its header that follows from execution is what execution gives. */
async function buildThere(vm, common, parent, transactions, withdrawals, attributes) {
  const options = { common, setHardfork: false, freeze: false, skipConsensusFormatValidation: true };
  const blobs = transactions.reduce((count, tx) => count + BigInt(tx.blobVersionedHashes?.length ?? 0), 0n);
  const header = {
    ...attributes, number: parent.header.number + 1n, parentHash: parent.hash(), gasLimit: parent.header.gasLimit,
    mixHash: new Uint8Array(32).fill(7), baseFeePerGas: parent.header.calcNextBaseFee(),
    excessBlobGas: parent.header.calcNextExcessBlobGas(common), blobGasUsed: blobs * 131072n,
  };
  const draft = createBlock({ header, transactions, withdrawals }, options);
  const ran = await runBlock(vm, { block: draft, generate: true, skipBlockValidation: true, skipHeaderValidation: true });
  const complete = {
    ...draft.header, stateRoot: ran.stateRoot, receiptTrie: ran.receiptsRoot, gasUsed: ran.gasUsed, logsBloom: ran.logsBloom,
    transactionsTrie: await draft.genTxTrie(), requestsHash: ran.requestsHash, blockAccessListHash: vm.evm.blockLevelAccessList.hash(),
    withdrawalsRoot: await genWithdrawalsTrieRoot(withdrawals.map((data) => createWithdrawal(data))),
  };
  return createBlock({ header: complete, transactions, withdrawals }, options);
}

function authorizationOf({ signature: { r, s, yParity }, chainId, address, nonce }) {
  return { chainId: hex(chainId), address: address.toLowerCase(), nonce: hex(nonce), r, s, yParity: hex(yParity) };
}

const withdrawals = (number) => [0, 1, 2].map((index) => ({
  index: BigInt(number * 3 + index), validatorIndex: BigInt(index),
  address: `0x${'d0'.repeat(18)}0${number}0${index}`, amount: index === 2 ? 0n : BigInt(1_000_000 * (index + 1)),
}));

/** What the pool of a node takes only with more than stands in a block: blobs. */
const onlyThere = (number) => [{
  from: 1, type: 3, to: wallets[2].address, maxFeePerBlobGas: 10n ** 12n,
  blobVersionedHashes: Array.from({ length: 1 + (number % 6) }, (_, index) => `0x01${(number * 10 + index).toString(16).padStart(62, '0')}`),
}];

test('a dev node under Amsterdam prepares its cryptlets, and the chain replays with no host', async () => {
  const node = await start(['node', '--dev', '--hardfork', 'amsterdam', '--port', '0', '--datadir', inside('fabric')]);
  const head = await rpc(node.ready.http, 'eth_getBlockByNumber', ['latest', false]);
  await node.stop();
  assert.equal((await run(cryptlet, ['export', inside('fabric.cryptlet'), '--datadir', inside('fabric')])).code, 0);
  const { code, stdout, stderr } = await run(cryptlet, ['replay', inside('fabric.cryptlet'), '--json']);
  assert.equal(code, 0, stderr);
  const replayed = JSON.parse(stdout);
  assert.deepEqual([replayed.headHash, replayed.stateRoot], [head.hash, head.stateRoot]);
  assert.ok(replayed.records > 0, 'a cryptlet was called');
});
