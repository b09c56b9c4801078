// Chains that another implementation made, and ours read by it. EthereumJS shares no code with this node's EVM, trie or
// RLP, so the same state roots on both sides are no accident.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { after, before, test } from 'node:test';
import { createBlockFromRLP } from '@ethereumjs/block';
import { createBlockchain } from '@ethereumjs/blockchain';
import { createCommonFromGethGenesis, parseGethGenesisState } from '@ethereumjs/common';
import { RLP } from '@ethereumjs/rlp';
import { bytesToHex } from '@ethereumjs/util';
import { createVM, runBlock } from '@ethereumjs/vm';
import { Wallet } from 'ethers';
import { LAST, MERGE, makeChain, rlpOf } from './support/chain-maker.mjs';
import { cryptlet, root, rpc, run, start } from './support/node.mjs';

let folder, chain, head;
const inside = (name) => path.join(folder, name);
const vector = (name) => path.join(root, 'tests/vectors/all-forks', name);

before(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'cryptlet-e2e-'));
  chain = await makeChain();
  head = chain.blocks.at(-1);
  await writeFile(inside('genesis.json'), JSON.stringify(chain.genesis));
  await writeFile(inside('chain.rlp'), rlpOf(chain.blocks));
});
after(() => rm(folder, { recursive: true, force: true }));

const headLine = (block) => `head ${block.header.number} ${bytesToHex(block.hash())} ${bytesToHex(block.header.stateRoot)}`;
const imported = (datadir, ...files) => run(cryptlet, ['import', '--genesis', inside('genesis.json'), '--datadir', inside(datadir), ...files]);

test('EthereumJS makes the chain that the vectors in the tree have', async () => {
  assert.deepEqual(rlpOf(chain.blocks), new Uint8Array(gunzipSync(await readFile(vector('chain.rlp.gz')))));
  assert.deepEqual(JSON.parse(JSON.stringify(chain.genesis)), JSON.parse(await readFile(vector('genesis.json'), 'utf8')));
});

test('a chain through every fork, from Frontier to BPO 2, imports to the same state root', async () => {
  const { code, stdout, stderr } = await imported('all', inside('chain.rlp'));
  assert.equal(code, 0, stderr);
  assert.equal(stdout.trim(), headLine(head));
});

test("Ethereum's executable specification comes to the same head", async () => {
  const python = path.join(root, 'tests/e2e/.venv/bin/python');
  const script = path.join(root, 'tests/e2e/executable_spec.py');
  const { code, stdout, stderr } = await run(python, [script, inside('genesis.json'), inside('chain.rlp')]);
  assert.equal(code, 0, stderr);
  assert.equal(stdout.trim(), headLine(head));
});

test('it imports packed, and what is known is skipped', async () => {
  await writeFile(inside('chain.rlp.gz'), gzipSync(await readFile(inside('chain.rlp'))));
  const { code, stdout } = await run(cryptlet, ['import', '--datadir', inside('all'), '--json', inside('chain.rlp.gz')]);
  assert.equal(code, 0);
  const answer = JSON.parse(stdout);
  assert.deepEqual(answer, {
    head: { number: LAST, hash: bytesToHex(head.hash()), stateRoot: bytesToHex(head.header.stateRoot) },
    blocks: 0, transactions: 0, gasUsed: 0,
  });
});

test('export gives the same bytes back, and a part of them when asked', async () => {
  for (const [name, ...flags] of [['whole.rlp'], ['part.rlp', '--first', '10', '--last', '12'], ['packed.rlp.gz']]) {
    const { code, stderr } = await run(cryptlet, ['export', inside(name), '--datadir', inside('all'), ...flags]);
    assert.equal(code, 0, stderr);
  }
  const bytes = await readFile(inside('chain.rlp'));
  assert.deepEqual(await readFile(inside('whole.rlp')), bytes);
  assert.deepEqual(new Uint8Array(await readFile(inside('part.rlp'))), rlpOf(chain.blocks.slice(9, 12)));
  assert.deepEqual(gunzipSync(await readFile(inside('packed.rlp.gz'))), bytes);
});

test('a file in the format of cryptlet export goes the same way round', async () => {
  const out = inside('chain.cryptlet');
  assert.equal((await run(cryptlet, ['export', out, '--datadir', inside('all')])).code, 0);
  const { code, stdout, stderr } = await run(cryptlet, ['import', '--datadir', inside('again'), out]);
  assert.equal(code, 0, stderr);
  assert.equal(stdout.trim(), headLine(head));
  const replayed = JSON.parse((await run(cryptlet, ['replay', out, '--json'])).stdout);
  assert.equal(replayed.stateRoot, bytesToHex(head.header.stateRoot));
});

test('the first bad block stops an import with its number and the reason; the head before it stands', async () => {
  const bytes = rlpOf(chain.blocks);
  const block = chain.blocks[40];
  const at = Buffer.from(bytes).indexOf(Buffer.from(block.header.stateRoot));
  bytes[at] ^= 1;
  await writeFile(inside('bad.rlp'), bytes);
  const { code, stdout, stderr } = await imported('bad', inside('bad.rlp'));
  assert.equal(code, 1);
  assert.match(stderr, /error: .*bad\.rlp: block 41: the state after it has root 0x[0-9a-f]{64}, but its header says 0x/);
  assert.equal(stdout.trim(), headLine(chain.blocks[39]));
});

test('a node imports before it serves, and shows blocks from before the merge as geth does', async () => {
  const node = await start([
    'node', '--genesis', inside('genesis.json'), '--datadir', inside('served'), '--no-mining', '--port', '0',
    '--import', inside('part.rlp').replace('part', 'whole'),
  ]);
  const { http } = node.ready;
  try {
    assert.equal(BigInt(await rpc(http, 'eth_blockNumber')), BigInt(LAST));
    const eight = await rpc(http, 'eth_getBlockByNumber', ['0x8', true]);
    const made = chain.blocks[7];
    assert.equal(eight.hash, bytesToHex(made.hash()));
    assert.equal(BigInt(eight.difficulty), made.header.difficulty);
    assert.equal(eight.mixHash, bytesToHex(made.header.mixHash));
    assert.equal(eight.nonce, '0x0000000000000000');
    assert.deepEqual(eight.uncles, made.uncleHeaders.map((uncle) => bytesToHex(uncle.hash())));
    for (const field of ['baseFeePerGas', 'withdrawals', 'blobGasUsed', 'totalDifficulty']) {
      assert.equal(field in eight, false, field);
    }
    assert.equal(await rpc(http, 'eth_getUncleCountByBlockNumber', ['0x8']), '0x2');
    const uncle = await rpc(http, 'eth_getUncleByBlockNumberAndIndex', ['0x8', '0x1']);
    assert.equal(uncle.hash, bytesToHex(made.uncleHeaders[1].hash()));
    assert.equal(BigInt(uncle.number), made.uncleHeaders[1].number);
    assert.deepEqual([uncle.uncles, 'transactions' in uncle && uncle.transactions.length > 0], [[], false]);

    const [old] = await rpc(http, 'eth_getBlockReceipts', ['0x8']);
    assert.match(old.root, /^0x[0-9a-f]{64}$/);
    assert.equal('status' in old, false);
    const [newer] = await rpc(http, 'eth_getBlockReceipts', ['0xe']);
    assert.deepEqual([newer.status, 'root' in newer], ['0x1', false]);

    const merged = await rpc(http, 'eth_getBlockByNumber', [`0x${MERGE.toString(16)}`, false]);
    assert.equal(merged.difficulty, '0x0');
    assert.equal(await rpc(http, 'eth_getStorageAt', ['0x00000000000000000000000000000000000000c0', '0x2', merged.number]), merged.mixHash);
    assert.equal(BigInt(await rpc(http, 'eth_getBalance', ['0xd4fe7bc31cedb7bfb8a345f31e668033056b2728', '0x4'])), 10n ** 19n);
    assert.equal(await rpc(http, 'eth_getBalance', ['0xd4fe7bc31cedb7bfb8a345f31e668033056b2728', '0x5']), '0x0');
  } finally {
    await node.stop();
  }
});

test('every transaction of every fork is traced to what its receipt and the state after it say', async () => {
  const node = await start([
    'node', '--datadir', inside('served'), '--no-mining', '--port', '0', '--http.api', 'eth,debug',
  ]);
  const call = (method, params) => rpc(node.ready.http, method, params);
  try {
    let traced = 0;
    for (let number = 1; number <= LAST; number += 1) {
      const tag = `0x${number.toString(16)}`;
      const [block, receipts] = [await call('eth_getBlockByNumber', [tag, false]), await call('eth_getBlockReceipts', [tag])];
      const calls = await call('debug_traceBlockByNumber', [tag, { tracer: 'callTracer' }]);
      assert.deepEqual(calls.map(({ txHash, result }) => [txHash, result.gasUsed]), receipts.map((receipt) => [receipt.transactionHash, receipt.gasUsed]), `block ${number}`);
      const diffs = await call('debug_traceBlockByNumber', [tag, { tracer: 'prestateTracer', tracerConfig: { diffMode: true } }]);
      const balances = new Map(diffs.flatMap(({ result }) => Object.entries(result.post)).filter(([, { balance }]) => balance).map(([address, { balance }]) => [address, balance]));
      // Whoever is rewarded has more after the block than after its last transaction.
      balances.delete(block.miner);
      if (block.uncles.length > 0) continue;
      for (const [address, balance] of balances) assert.equal(await call('eth_getBalance', [address, tag]), balance, `block ${number}, ${address}`);
      traced += calls.length;
    }
    assert.ok(traced > 400, `${traced} transactions`);
  } finally {
    await node.stop();
  }
});

test('a dev chain runs under an older fork, and what it made imports as any chain does', async () => {
  for (const [name, hasBaseFee, isMerged] of [['berlin', false, false], ['london', true, false], ['paris', true, true]]) {
    const datadir = inside(`dev-${name}`);
    const node = await start(['node', '--dev', '--hardfork', name, '--port', '0', '--datadir', datadir]);
    try {
      const { http, accounts: [{ address: from }, { address: to }] } = node.ready;
      for (let count = 0; count < 3; count += 1) {
        const hash = await rpc(http, 'eth_sendTransaction', [{ from, to, value: '0x1' }]);
        assert.equal((await rpc(http, 'eth_getTransactionReceipt', [hash])).status, '0x1', name);
      }
      const block = await rpc(http, 'eth_getBlockByNumber', ['latest', false]);
      assert.deepEqual(['baseFeePerGas' in block, block.difficulty === '0x0', 'withdrawals' in block], [hasBaseFee, isMerged, false], name);
      await writeFile(inside(`${name}.json`), JSON.stringify(await rpc(http, 'cryptlet_getGenesis')));
    } finally {
      await node.stop();
    }
    const file = inside(`${name}.rlp`);
    assert.equal((await run(cryptlet, ['export', file, '--datadir', datadir])).code, 0);
    const { code, stderr } = await run(cryptlet, ['import', '--genesis', inside(`${name}.json`), '--datadir', inside(`${name}-again`), file]);
    assert.equal(code, 0, `${name}: ${stderr}`);
  }
});

test('EthereumJS verifies a chain that this node made', async () => {
  const wallet = new Wallet(`0x${'11'.repeat(32)}`);
  const { alloc, config } = chain.genesis;
  const genesis = {
    ...chain.genesis, difficulty: '0x0', alloc: { ...alloc, [wallet.address.toLowerCase()]: { balance: `0x${(10n ** 21n).toString(16)}` } },
    config: {
      ...config, terminalTotalDifficulty: 0,
      ...Object.fromEntries(Object.keys(config).filter((key) => key.endsWith('Block')).map((key) => [key, 0])),
      ...Object.fromEntries(['shanghaiTime', 'cancunTime', 'pragueTime', 'osakaTime'].map((key) => [key, 0])),
    },
  };
  delete genesis.config.daoForkBlock;
  delete genesis.config.bpo1Time;
  delete genesis.config.bpo2Time;
  await writeFile(inside('own.json'), JSON.stringify(genesis));
  const node = await start(['node', '--genesis', inside('own.json'), '--datadir', inside('own'), '--port', '0']);
  try {
    const fields = { chainId: config.chainId, gasLimit: 300_000, maxFeePerGas: 10n ** 11n, maxPriorityFeePerGas: 10n ** 9n, type: 2 };
    const sends = [
      { to: wallet.address, value: 1n },
      { data: '0x604b80600b6000396000f3' + '600054600101600055'.padEnd(150, '0') },
      { to: '0x00000000000000000000000000000000000000c0', data: `0x${'00'.repeat(31)}e1` },
      { to: '0x00000961ef480eb55e80d19ad83579a64c007002', value: 10n ** 18n, data: `0x${'0c'.repeat(48)}${'00'.repeat(8)}` },
    ];
    for (const [nonce, send] of sends.entries()) {
      const raw = await wallet.signTransaction({ ...fields, ...send, nonce });
      const hash = await rpc(node.ready.http, 'eth_sendRawTransaction', [raw]);
      let receipt = null;
      for (let tries = 0; receipt === null && tries < 200; tries += 1) {
        receipt = await rpc(node.ready.http, 'eth_getTransactionReceipt', [hash]);
        if (receipt === null) await new Promise((resolve) => { setTimeout(resolve, 25); });
      }
      assert.equal(receipt?.status, '0x1', `transaction ${nonce}`);
    }
  } finally {
    await node.stop();
  }
  assert.equal((await run(cryptlet, ['export', inside('own.rlp'), '--datadir', inside('own')])).code, 0);
  const { vm, common } = await verifier(genesis);
  const blocks = blocksOf(await readFile(inside('own.rlp')), common);
  assert.equal(blocks.length, 4);
  for (const block of blocks) {
    await runBlock(vm, { block, skipHeaderValidation: true }); // throws if a root, the gas or the bloom is another
    await vm.blockchain.putBlock(block);
  }
});

async function verifier(genesis) {
  const { blobSchedule: _, ...config } = genesis.config;
  const common = createCommonFromGethGenesis({ ...genesis, config }, { chain: 'own', customCrypto: { kzg: {} } });
  const genesisState = parseGethGenesisState(genesis);
  const blockchain = await createBlockchain({ common, genesisState, validateBlocks: false, validateConsensus: false });
  const vm = await createVM({ common, blockchain });
  await vm.stateManager.generateCanonicalGenesis(genesisState);
  return { vm, common };
}

function blocksOf(bytes, common) {
  const blocks = [];
  for (let rest = new Uint8Array(bytes); rest.length > 0;) {
    const { data, remainder } = RLP.decode(rest, true);
    blocks.push(createBlockFromRLP(RLP.encode(data), { common }));
    rest = remainder;
  }
  return blocks;
}
