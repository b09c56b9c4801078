// `--fork-url`: a dev chain that continues a chain of anvil's (another implementation, so nothing is shared but JSON-RPC),
// and that is replayed when anvil is long gone.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { audit, cryptlet, root, rpc, run, startDevNode } from './support/node.mjs';

const anvil = path.join(root, 'contracts/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil');
const [ALICE, BOB] = ['0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266', '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'];
const SAVER = '0x00000000000000000000000000000000deadbeef';
// Returns the slot of the name that is 32 bytes of data; sets it to the second 32 bytes if there are 64.
const CREATION = '0x601c600c600039601c6000f3366040146013576000355460005260206000f35b6020356000355500';
const word = (value) => BigInt(value).toString(16).padStart(64, '0');
let other, url, contract, block, folder;

async function send(to, transaction) {
  const hash = await rpc(to, 'eth_sendTransaction', [{ from: ALICE, gas: '0x30d40', ...transaction }]);
  for (;;) {
    const receipt = await rpc(to, 'eth_getTransactionReceipt', [hash]);
    if (receipt !== null) {
      assert.equal(receipt.status, '0x1');
      return receipt;
    }
  }
}
const read = (to, slot, at = 'latest') => rpc(to, 'eth_call', [{ to: contract, data: `0x${word(slot)}` }, at]).then(BigInt);
const write = (to, slot, value) => send(to, { to: contract, data: `0x${word(slot)}${word(value)}` });
const fork = (...args) => startDevNode('--fork-url', url, '--no-storage-caching', ...args);

before(async () => {
  assert.ok(existsSync(anvil), 'anvil comes with contracts/package.json');
  folder = await mkdtemp(path.join(os.tmpdir(), 'cryptlet-fork-'));
  other = spawn(anvil, ['--port', '0', '--chain-id', '4242'], { stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const line of createInterface({ input: other.stdout })) {
    const found = line.match(/^Listening on (\S+)/);
    if (found) {
      url = `http://${found[1]}`;
      break;
    }
  }
  contract = (await send(url, { data: CREATION })).contractAddress;
  await write(url, 1, 7);
  await write(url, 2, 9);
  block = Number((await send(url, { to: SAVER, value: '0x3e8' })).blockNumber);
  // What happens over there afterwards is no concern of the fork.
  await write(url, 1, 1000);
});
after(async () => {
  other?.kill('SIGKILL');
  await rm(folder, { recursive: true, force: true });
});

test('a fork has the state of its block, and its own from then on', async () => {
  const node = await fork('--fork-block-number', String(block));
  const { http } = node.ready;
  try {
    assert.equal(BigInt(await rpc(http, 'eth_chainId')), 4242n);
    assert.equal(Number(await rpc(http, 'eth_blockNumber')), block);
    assert.equal(BigInt(await rpc(http, 'eth_getBalance', [SAVER, 'latest'])), 1000n);
    assert.equal(await rpc(http, 'eth_getCode', [contract, 'latest']), await rpc(url, 'eth_getCode', [contract, 'latest']));
    assert.equal(BigInt(await rpc(http, 'eth_getTransactionCount', [ALICE, 'latest'])), 4n);
    assert.equal(await read(http, 1), 7n);
    assert.equal(BigInt(await rpc(http, 'eth_getStorageAt', [contract, '0x2', 'latest'])), 9n);

    await write(http, 1, 0);
    await write(http, 2, 5);
    await send(http, { to: SAVER, value: '0x1' });
    assert.equal(await read(http, 1), 0n);
    assert.equal(await read(http, 2), 5n);
    assert.equal(await read(http, 1, `0x${block.toString(16)}`), 7n);
    assert.equal(BigInt(await rpc(http, 'eth_getBalance', [SAVER, 'latest'])), 1001n);
    assert.equal(Number(await rpc(http, 'eth_blockNumber')), block + 3);
    assert.equal(await read(url, 1), 1000n, 'the other chain is untouched');
  } finally {
    await node.stop();
  }
});

test('a fork may continue from within a block', async () => {
  await rpc(url, 'evm_setAutomine', [false]);
  const hashes = [];
  for (const value of [21, 22, 23]) {
    hashes.push(await rpc(url, 'eth_sendTransaction', [{ from: ALICE, gas: '0x30d40', to: contract, data: `0x${word(3)}${word(value)}` }]));
  }
  // anvil's blocks of one second have the same time; Ethereum's never do.
  await rpc(url, 'evm_increaseTime', [3]);
  await rpc(url, 'evm_mine', []);
  await rpc(url, 'evm_setAutomine', [true]);
  const there = await rpc(url, 'eth_getTransactionByHash', [hashes[1]]);
  const node = await fork('--fork-transaction-hash', hashes[1]);
  const { http } = node.ready;
  try {
    const head = await rpc(http, 'eth_getBlockByNumber', ['latest', false]);
    assert.deepEqual([head.number, head.transactions], [there.blockNumber, hashes.slice(0, 2)]);
    assert.equal(head.timestamp, (await rpc(url, 'eth_getBlockByNumber', [there.blockNumber, false])).timestamp);
    assert.equal(await read(http, 3), 22n);
    await write(http, 3, 30);
    assert.equal(await read(http, 3), 30n);
  } finally {
    await node.stop();
  }
  const { code, stderr } = await run(cryptlet, ['node', '--dev', '--port', '0', '--fork-url', url, '--fork-transaction-hash', `0x${'ab'.repeat(32)}`]);
  assert.notEqual(code, 0);
  assert.match(stderr, /no block of .* has transaction 0xabab/);
});

test('logs are of both chains: up to the fork block the other one’s, and then its own', async () => {
  // Logs the word it is called with: CALLDATACOPY, LOG1 with topic 1.
  const logger = '0x600d600c600039600d6000f3' + '3660006000376001366000a100';
  const there = (await send(url, { data: logger })).contractAddress;
  const say = (to, value) => send(to, { to: there, data: `0x${word(value)}` });
  const [first, second] = [await say(url, 1), await say(url, 2)];
  const node = await fork();
  const { http } = node.ready;
  try {
    await say(url, 99); // Over there, and after the fork.
    await say(http, 3);
    const said = async (filter) => (await rpc(http, 'eth_getLogs', [filter])).map(({ data }) => Number(data));
    const topics = [`0x${word(1)}`];
    assert.deepEqual(await said({ fromBlock: '0x0', toBlock: 'latest', address: there }), [1, 2, 3]);
    assert.deepEqual(await said({ fromBlock: '0x0', toBlock: second.blockNumber, address: there, topics }), [1, 2]);
    assert.deepEqual(await said({ fromBlock: second.blockNumber, address: there }), [2, 3]);
    assert.deepEqual(await said({ blockHash: first.blockHash, address: there }), [1]);
    assert.deepEqual(await said({ fromBlock: '0x0', address: there, topics: [`0x${word(2)}`] }), []);
    const filter = await rpc(http, 'eth_newFilter', [{ fromBlock: '0x0', address: there }]);
    assert.equal((await rpc(http, 'eth_getFilterLogs', [filter])).length, 3);
    await assert.rejects(rpc(http, 'eth_getLogs', [{ blockHash: `0x${'ab'.repeat(32)}` }]), /./);
  } finally {
    await node.stop();
  }
});

test('what is before the fork is answered by the other chain', async () => {
  const node = await fork('--fork-block-number', String(block));
  const { http } = node.ready;
  try {
    const before = `0x${(block - 1).toString(16)}`;
    const theirs = await rpc(url, 'eth_getBlockByNumber', [before, true]);
    assert.deepEqual(await rpc(http, 'eth_getBlockByNumber', [before, true]), theirs);
    assert.deepEqual(await rpc(http, 'eth_getBlockByHash', [theirs.hash, true]), theirs);
    const [transaction] = theirs.transactions;
    assert.deepEqual(
      await rpc(http, 'eth_getTransactionReceipt', [transaction.hash]),
      await rpc(url, 'eth_getTransactionReceipt', [transaction.hash]),
    );
    assert.equal(await read(http, 2, `0x${(block - 2).toString(16)}`), 0n);
    assert.equal(BigInt(await rpc(http, 'eth_getBalance', [SAVER, before])), 0n);
    assert.equal(await rpc(http, 'eth_getTransactionReceipt', [`0x${word(1)}`]), null);
  } finally {
    await node.stop();
  }
});

test('cheats work on accounts of the other chain', async () => {
  const node = await fork('--fork-block-number', String(block));
  const { http } = node.ready;
  try {
    await rpc(http, 'anvil_setStorageAt', [contract, `0x${word(1)}`, `0x${word(77)}`]);
    assert.equal(await read(http, 1), 77n);
    assert.equal(await read(http, 2), 9n);
    await rpc(http, 'anvil_impersonateAccount', [SAVER]);
    await rpc(http, 'anvil_setBalance', [SAVER, '0xde0b6b3a7640000']);
    const receipt = await send(http, { from: SAVER, to: BOB, value: '0x1' });
    assert.equal(receipt.from, SAVER);
  } finally {
    await node.stop();
  }
});

test('a fork in a data folder goes on where it was, and is replayed without the other chain', async () => {
  const datadir = path.join(folder, 'data'), file = path.join(folder, 'fork.cryptlet');
  const first = await fork('--fork-block-number', String(block), '--datadir', datadir);
  await write(first.ready.http, 1, 0);
  await first.stop('SIGKILL');

  const second = await fork('--datadir', datadir);
  const { http } = second.ready;
  let head;
  try {
    assert.equal(await read(http, 1), 0n);
    await write(http, 2, await read(http, 1) + 3n);
    const exported = await run(cryptlet, ['export', file, '--rpc-url', http]);
    assert.equal(exported.code, 0, exported.stderr);
    head = await rpc(http, 'eth_getBlockByNumber', ['latest', false]);
  } finally {
    await second.stop();
  }
  other.kill('SIGKILL');
  const { code, stdout, stderr } = await run(audit, ['replay', file, '--json']);
  assert.equal(code, 0, stderr);
  const report = JSON.parse(stdout);
  assert.deepEqual([report.headHash, report.stateRoot], [head.hash, head.stateRoot]);
});
