// The hardhat_ methods against this node and against Hardhat's own. Answers must be equal, but for the differences listed; a
// difference that is listed and no longer there fails too.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { root, startDevNode } from './support/node.mjs';

const A0 = '0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266';
const A1 = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8';
const X = '0x00000000000000000000000000000000000000aa';
const word = (number) => `0x${number.toString(16).padStart(64, '0')}`;
let ours, theirs;

async function startHardhat() {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  probe.close();
  await once(probe, 'close');
  const here = path.join(root, 'tests/e2e');
  const args = ['--config', path.join(here, 'support/hardhat-node.config.cjs'), 'node', '--port', String(port)];
  const env = { ...process.env, HARDHAT_DISABLE_TELEMETRY_PROMPT: 'true' };
  const child = spawn(path.join(here, 'node_modules/.bin/hardhat'), args, { cwd: here, env, stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise((resolve, reject) => {
    child.stdout.on('data', (text) => String(text).includes('Started HTTP') && resolve());
    child.once('exit', () => reject(new Error('hardhat node ended before it was ready')));
  });
  const stop = async () => {
    const exited = once(child, 'exit');
    child.kill();
    await exited;
  };
  return { url: `http://127.0.0.1:${port}`, stop };
}

before(async () => {
  [ours, theirs] = await Promise.all([startDevNode('--no-examples'), startHardhat()]);
});
after(async () => Promise.all([ours?.stop(), theirs?.stop()]));

const steps = [
  ['hardhat_setBalance', X, '0xde0b6b3a7640000'], ['eth_getBalance', X, 'latest'], ['hardhat_setNonce', X, '0x5'], ['hardhat_setNonce', X, '0x1'],
  ['eth_getTransactionCount', X, 'latest'], ['hardhat_setCode', X, '0x6001'], ['eth_getCode', X, 'latest'],
  ['hardhat_setStorageAt', X, '0x1', word(5)], ['eth_getStorageAt', X, '0x1', 'latest'], ['hardhat_setCoinbase', X],
  ['hardhat_setPrevRandao', word(7)], ['hardhat_setNextBlockBaseFeePerGas', '0x77359400'], ['evm_setBlockGasLimit', '0x3938700'],
  ['hardhat_mine', '0x1'], ['a block'], ['hardhat_mine', '0x2', '0x5'], ['hardhat_mine'], ['evm_mine'], ['evm_mine', '0x2540be400'], ['a time'],
  ['evm_setNextBlockTimestamp', '0x2540be500'], ['evm_mine'], ['a time'],
  ['hardhat_setMinGasPrice', '0x1'], ['evm_snapshot'], ['evm_snapshot'], ['evm_revert', (at) => at.snapshots[0]],
  ['evm_revert', (at) => at.snapshots[1]], ['evm_setAutomine', false], ['hardhat_getAutomine'], ['evm_setIntervalMining', [100000, 200000]],
  ['evm_setIntervalMining', 0], ['eth_sendTransaction', { from: A0, to: A1, value: '0x1' }], ['hardhat_dropTransaction', (at) => at.sent],
  ['hardhat_dropTransaction', (at) => at.sent], ['evm_setAutomine', true], ['hardhat_setCode', X, '0x'], ['hardhat_impersonateAccount', X],
  ['eth_sendTransaction', { from: X, to: A1, value: '0x1', gas: '0x5208' }], ['a sender'], ['hardhat_dropTransaction', (at) => at.sent],
  ['hardhat_stopImpersonatingAccount', X], ['hardhat_stopImpersonatingAccount', X],
  ['eth_sendTransaction', { from: X, to: A1, value: '0x1' }], ['hardhat_setLoggingEnabled', true],
  ['hardhat_getStackTraceFailuresCount'], ['hardhat_reset'], ['eth_getBalance', X, 'latest'],
];

// Where this node answers otherwise, and why. The key is the method with its place among the calls of that method.
const differences = {
  'evm_mine 1': 'anvil\'s "0x0" where Hardhat has "0"', 'evm_mine 2': 'anvil\'s "0x0" where Hardhat has "0"',
  'evm_mine 3': 'anvil\'s "0x0" where Hardhat has "0"',
  'evm_setNextBlockTimestamp 1': 'anvil answers null, Hardhat the time',
  'hardhat_setMinGasPrice 1': 'anvil\'s code -32602, Hardhat\'s words',
  'evm_setAutomine 1': 'anvil answers null to methods of the namespace evm', 'evm_setAutomine 2': 'the same',
  'evm_setIntervalMining 1': 'the same', 'evm_setIntervalMining 2': 'the same',
  'hardhat_dropTransaction 3': 'a mined transaction: Hardhat says no, we say why',
  'eth_sendTransaction 3': 'geth\'s words for an account without a key',
};

async function play(url) {
  const call = async (method, ...params) => (await fetch(url, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
  })).json();
  const at = { snapshots: [] };
  const block = async () => (await call('eth_getBlockByNumber', 'latest', false)).result;
  const answers = [];
  for (const [method, ...params] of steps) {
    if (method === 'a block') {
      const { miner, mixHash, baseFeePerGas, gasLimit } = await block();
      answers.push({ miner, mixHash, baseFeePerGas, gasLimit });
    } else if (method === 'a time') {
      answers.push((await block()).timestamp);
    } else if (method === 'a sender') {
      const { result } = await call('eth_getTransactionReceipt', at.sent);
      answers.push([result.from, result.status]);
    } else {
      const filled = params.map((param) => (typeof param === 'function' ? param(at) : param));
      const { result, error } = await call(method, ...filled);
      if (method === 'evm_snapshot') at.snapshots.push(result);
      if (method === 'eth_sendTransaction' && result) at.sent = result;
      const isName = ['evm_snapshot', 'eth_sendTransaction'].includes(method) && result;
      answers.push(error ? { code: error.code, message: error.message } : { result: isName ? typeof result : result });
    }
  }
  return answers;
}

test('a script of hardhat_ methods is answered as Hardhat answers it', async () => {
  const [mine, hardhats] = [await play(ours.ready.http), await play(theirs.url)];
  const [found, seen] = [{}, {}];
  steps.forEach(([method], place) => {
    seen[method] = (seen[method] ?? 0) + 1;
    const [a, b] = [mine[place], hardhats[place]];
    if (JSON.stringify(a) !== JSON.stringify(b)) found[`${method} ${seen[method]}`] = { cryptlet: a, hardhat: b };
  });
  const unexpected = Object.entries(found).filter(([key]) => !(key in differences));
  assert.deepEqual(unexpected, [], JSON.stringify(unexpected, null, 1));
  const gone = Object.keys(differences).filter((key) => !(key in found));
  assert.deepEqual(gone, [], 'these differences are listed and no longer there');
});
