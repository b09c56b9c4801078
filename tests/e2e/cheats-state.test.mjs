// What cheats set survives a kill, an export and a replay; states go from this node to anvil and back.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { anvilPath, hasAnvil, startAnvil } from './support/anvil.mjs';
import { audit, cryptlet, rpc, run, startDevNode } from './support/node.mjs';

const X = '0x00000000000000000000000000000000000000aa';
const A1 = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8';
const ETHER = '0xde0b6b3a7640000';
const word = (number) => `0x${number.toString(16).padStart(64, '0')}`;
const folder = mkdtempSync(path.join(tmpdir(), 'cryptlet-e2e-'));
const file = (name) => path.join(folder, name);
const skip = hasAnvil ? false : `${anvilPath} is missing: npm ci in contracts`;
after(() => rmSync(folder, { recursive: true, force: true }));

test('a balance that was acknowledged is there after SIGKILL', async () => {
  const args = ['--datadir', file('killed'), '--no-examples'];
  let node = await startDevNode(...args);
  await rpc(node.ready.http, 'anvil_setBalance', [X, '0x1234']);
  await rpc(node.ready.http, 'anvil_setStorageAt', [X, '0x1', word(7)]);
  await node.stop('SIGKILL');
  node = await startDevNode(...args);
  try {
    // The chain was prepared again, so a block may have carried it meanwhile; either way it is there.
    assert.equal(await rpc(node.ready.http, 'eth_getBalance', [X, 'latest']), '0x1234');
    assert.equal(await rpc(node.ready.http, 'eth_getStorageAt', [X, '0x1', 'latest']), word(7));
  } finally {
    await node.stop();
  }
});

test('a chain that was cheated on is exported, replayed and verified, and says so', async () => {
  const node = await startDevNode('--no-examples');
  try {
    const url = node.ready.http;
    await rpc(url, 'anvil_setBalance', [X, ETHER]);
    await rpc(url, 'anvil_setCode', [X, '0x600160005500']);
    await rpc(url, 'anvil_impersonateAccount', [X]);
    await rpc(url, 'eth_sendTransaction', [{ from: X, to: A1, value: '0x1' }]);
    await rpc(url, 'anvil_setNextBlockBaseFeePerGas', ['0x77359400']);
    await rpc(url, 'evm_setBlockGasLimit', ['0x5f5e100']);
    await rpc(url, 'evm_mine');
    const head = await rpc(url, 'eth_getBlockByNumber', ['latest', false]);
    const exported = await run(cryptlet, ['export', file('chain.cryptlet'), '--rpc-url', url]);
    assert.equal(exported.code, 0, exported.stderr);
    const replayed = await run(audit, ['replay', '--json', file('chain.cryptlet')]);
    assert.equal(replayed.code, 0, replayed.stdout + replayed.stderr);
    const report = JSON.parse(replayed.stdout);
    assert.deepEqual([report.headHash, report.stateRoot, report.devEditedBlocks], [head.hash, head.stateRoot, 2]);
    const verified = await run(cryptlet, ['verify', file('chain.cryptlet')]);
    assert.match(verified.stdout, /dev edits {2}2 blocks/);
  } finally {
    await node.stop();
  }
});

test('what was cheated before Prague, where headers cannot name it, is traced as it was', async () => {
  const node = await startDevNode('--no-fabric', '--hardfork', 'london');
  try {
    const call = (method, params) => rpc(node.ready.http, method, params);
    // Returns slot 0 after adding one to it.
    await call('anvil_setCode', [X, '0x60005460010160005560005460005260206000f3']);
    await call('anvil_setStorageAt', [X, '0x0', word(41)]);
    await call('anvil_setBalance', [A1, ETHER]);
    await call('anvil_setNonce', [A1, '0x7']);
    const hash = await call('eth_sendTransaction', [{ from: A1, to: X, gas: '0x30d40' }]);
    await call('anvil_setStorageAt', [X, '0x0', word(1)]);
    await call('evm_mine', []);
    const [{ result }] = await call('debug_traceBlockByNumber', ['0x1', { tracer: 'callTracer' }]);
    assert.equal(BigInt(result.output), 42n);
    const { pre, post } = await call('debug_traceTransaction', [hash, { tracer: 'prestateTracer', tracerConfig: { diffMode: true } }]);
    assert.deepEqual([pre[X].storage, post[X].storage], [{ [word(0)]: word(41) }, { [word(0)]: word(42) }]);
    assert.deepEqual([pre[A1.toLowerCase()].balance, pre[A1.toLowerCase()].nonce], [ETHER, 7]);
  } finally {
    await node.stop();
  }
});

test('--state keeps a state from one run to the next', async () => {
  const args = ['--state', file('kept.json'), '--no-examples'];
  let node = await startDevNode(...args);
  await rpc(node.ready.http, 'anvil_setBalance', [X, '0x1234']);
  await rpc(node.ready.http, 'eth_sendTransaction', [{ from: node.ready.accounts[0].address, to: A1, value: '0x1' }]);
  const nonce = await rpc(node.ready.http, 'eth_getTransactionCount', [node.ready.accounts[0].address, 'latest']);
  const height = Number(await rpc(node.ready.http, 'eth_blockNumber'));
  // Set after the last block: it is in the file all the same.
  await rpc(node.ready.http, 'anvil_setStorageAt', [X, '0x1', word(9)]);
  assert.equal(await node.stop(), 0);
  node = await startDevNode(...args);
  try {
    assert.equal(await rpc(node.ready.http, 'eth_getBalance', [X, 'latest']), '0x1234');
    assert.equal(await rpc(node.ready.http, 'eth_getStorageAt', [X, '0x1', 'latest']), word(9));
    assert.equal(await rpc(node.ready.http, 'eth_getTransactionCount', [node.ready.accounts[0].address, 'latest']), nonce);
    assert.ok(Number(await rpc(node.ready.http, 'eth_blockNumber')) >= height);
  } finally {
    await node.stop();
  }
});

test('--state-interval writes the state while the node runs', async () => {
  const node = await startDevNode('--dump-state', file('often.json'), '--state-interval', '1', '--no-examples');
  try {
    await rpc(node.ready.http, 'anvil_setBalance', [X, '0x77']);
    const deadline = Date.now() + 30_000;
    const balance = () => {
      try {
        return JSON.parse(readFileSync(file('often.json'))).accounts[X]?.balance;
      } catch {
        return undefined;
      }
    };
    while (balance() !== '0x77' && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(balance(), '0x77');
  } finally {
    await node.stop('SIGKILL');
  }
});

test('states go from anvil to this node and back', { skip }, async () => {
  const [anvil, other, node] = [await startAnvil(), await startAnvil(), await startDevNode('--no-examples')];
  try {
    // A contract that keeps 42 in slot 0, made by a transaction, and what cheats set.
    const [from] = await rpc(anvil.url, 'eth_accounts');
    const code = '0x602a60005560016020f3';
    const { contractAddress } = await rpc(anvil.url, 'eth_sendTransactionSync', [{ from, data: code }]);
    await rpc(anvil.url, 'anvil_setBalance', [X, '0x1234']);
    await rpc(anvil.url, 'anvil_setNonce', [X, '0x5']);
    await rpc(anvil.url, 'anvil_mine', ['0x40']);
    const check = async (url) => {
      assert.equal(await rpc(url, 'eth_getBalance', [X, 'latest']), '0x1234');
      assert.equal(await rpc(url, 'eth_getTransactionCount', [X, 'latest']), '0x5');
      assert.equal(await rpc(url, 'eth_getStorageAt', [contractAddress, '0x0', 'latest']), word(42));
      assert.equal(await rpc(url, 'eth_getTransactionCount', [from, 'latest']), '0x1');
      return Number(await rpc(url, 'eth_blockNumber'));
    };
    const height = await check(anvil.url);

    assert.equal(await rpc(node.ready.http, 'anvil_loadState', [await rpc(anvil.url, 'anvil_dumpState')]), true);
    assert.ok(await check(node.ready.http) >= height);
    const head = await rpc(node.ready.http, 'eth_getBlockByNumber', ['latest', false]);
    const theirs = await rpc(anvil.url, 'eth_getBlockByNumber', ['latest', false]);
    assert.deepEqual([head.gasLimit, head.baseFeePerGas, head.miner], [theirs.gasLimit, theirs.baseFeePerGas, theirs.miner]);

    assert.equal(await rpc(other.url, 'anvil_loadState', [await rpc(node.ready.http, 'anvil_dumpState')]), true);
    assert.equal(await check(other.url), Number(head.number));

    const dumped = await run(cryptlet, ['export', file('loaded.cryptlet'), '--rpc-url', node.ready.http]);
    assert.equal(dumped.code, 0, dumped.stderr);
    assert.equal((await run(audit, ['replay', file('loaded.cryptlet')])).code, 0, 'what was loaded replays');
  } finally {
    await Promise.all([anvil.stop(), other.stop(), node.stop()]);
  }
});

test('a state file of anvil starts this node, and one of this node starts anvil', { skip }, async () => {
  let anvil = await startAnvil('--dump-state', file('anvil.json'));
  await rpc(anvil.url, 'anvil_setBalance', [X, '0x1234']);
  await rpc(anvil.url, 'evm_mine');
  await anvil.stop('SIGINT');
  const node = await startDevNode('--load-state', file('anvil.json'), '--dump-state', file('ours.json'), '--no-examples');
  assert.equal(await rpc(node.ready.http, 'eth_getBalance', [X, 'latest']), '0x1234');
  await rpc(node.ready.http, 'anvil_setBalance', [X, '0x5678']);
  assert.equal(await node.stop(), 0);
  anvil = await startAnvil('--load-state', file('ours.json'));
  try {
    assert.equal(await rpc(anvil.url, 'eth_getBalance', [X, 'latest']), '0x5678');
    await rpc(anvil.url, 'evm_mine');
  } finally {
    await anvil.stop();
  }
});

test('a file that is no state stops the start, by name', async () => {
  writeFileSync(file('broken.json'), '{"accounts": 7}');
  const { code, stderr } = await run(cryptlet, ['node', '--dev', '--port', '0', '--no-examples', '--load-state', file('broken.json')]);
  assert.notEqual(code, 0);
  assert.match(stderr, /broken\.json/);
  assert.match(stderr, /Failed to decode state dump/);
});
