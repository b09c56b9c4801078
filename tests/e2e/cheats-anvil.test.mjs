// The same script against this node and against anvil. Answers must be equal, but for the differences listed at the end;
// a difference that is listed and no longer there fails too.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { anvilPath, hasAnvil, startAnvil } from './support/anvil.mjs';
import { startDevNode } from './support/node.mjs';

const A0 = '0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266';
const A1 = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8';
const X = '0x00000000000000000000000000000000000000aa';
const TOKEN = '0x0000000000000000000000000000000000007070';
const BOOKS = '0x6040600460003760406000205460005260206000f3';
const word = (number) => `0x${number.toString(16).padStart(64, '0')}`;
const ETHER = '0xde0b6b3a7640000';
const skip = hasAnvil ? false : `${anvilPath} is missing: npm ci in contracts`;
let ours, theirs;

async function connect(url) {
  const call = async (method, ...params) => {
    const answer = await fetch(url, {
      method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
    });
    return answer.json();
  };
  const height = async () => Number((await call('eth_blockNumber')).result);
  return { call, height, start: await height(), url };
}

before(async () => {
  if (skip) return;
  ours = await startDevNode('--no-examples');
  theirs = await startAnvil();
});
after(async () => Promise.all([ours?.stop(), theirs?.stop()]));

// What every step is called with may depend on what came before: `at` is height, clock and answers of one chain.
const steps = [
  // Accounts.
  ['anvil_setBalance', X, ETHER], ['anvil_setBalance', X, 1000], ['anvil_setBalance', X, '1000'], ['hardhat_setBalance', X, '0x5'],
  ['tenderly_setBalance', X, '0x6'], ['anvil_addBalance', X, '0x1'], ['eth_getBalance', X, 'latest'], ['anvil_setBalance', X],
  ['anvil_setBalance', X, ETHER], ['anvil_setNonce', X, '0x5'], ['evm_setAccountNonce', X, '0x6'], ['eth_getTransactionCount', X, 'latest'],
  ['anvil_setCode', X, '0x6001600055'], ['eth_getCode', X, 'latest'], ['anvil_setCode', X, '0x'], ['eth_getCode', X, 'latest'],
  ['anvil_setStorageAt', X, '0x1', word(5)], ['eth_getStorageAt', X, '0x1', 'latest'], ['eth_getStorageAt', X, '0x1', 'pending'],
  // Tokens.
  ['anvil_setCode', TOKEN, BOOKS], ['anvil_dealERC20', A0, TOKEN, '0x64'],
  ['eth_call', { to: TOKEN, data: `0x70a08231${A0.slice(2).padStart(64, '0')}` }, 'latest'],
  ['anvil_setERC20Allowance', A0, A1, TOKEN, '0x65'],
  ['eth_call', { to: TOKEN, data: `0xdd62ed3e${A0.slice(2).padStart(64, '0')}${A1.slice(2).padStart(64, '0')}` }, 'latest'],
  ['anvil_dealERC20', A0, X, '0x1'], ['anvil_setERC20Allowance', A0, A1, X, '0x1'],
  // Header.
  ['anvil_setCoinbase', X], ['anvil_setNextBlockBaseFeePerGas', '0x77359400'], ['evm_setBlockGasLimit', '0x2faf080'], ['evm_mine'],
  ['eth_getBlockByNumber', 'latest', false], ['anvil_setMinGasPrice', '0x1'], ['hardhat_setMinGasPrice', '0x1'], ['anvil_setLoggingEnabled', true],
  // Mining and time.
  ['evm_mine', { timestamp: null, blocks: 2 }], ['anvil_mine', '0x2'], ['anvil_mine', 2, 10], ['hardhat_mine', '0x2', '0x5'], ['anvil_mine'],
  ['eth_getBlockByNumber', 'latest', false], ['anvil_setBlockTimestampInterval', 5], ['anvil_mine', '0x2'],
  ['anvil_removeBlockTimestampInterval'], ['anvil_removeBlockTimestampInterval'],
  ['evm_setNextBlockTimestamp', '0x1'], ['evm_setNextBlockTimestamp', '0x2540be400'], ['evm_mine'], ['eth_getBlockByNumber', 'latest', false],
  ['evm_setTime', '0x2540be810'],
  ['anvil_getAutomine'], ['hardhat_getAutomine'], ['evm_setAutomine', false], ['anvil_getAutomine'], ['anvil_getIntervalMining'],
  ['anvil_setIntervalMining', 1000], ['anvil_getIntervalMining'], ['anvil_getAutomine'], ['evm_setIntervalMining', 0], ['anvil_getIntervalMining'],
  ['anvil_setAutomine', true], ['anvil_getIntervalMining'], ['anvil_getAutomine'],
  // Snapshots.
  ['evm_snapshot'], ['anvil_setBalance', X, '0x7'], ['evm_mine'], ['evm_snapshot'], ['anvil_metadata'], ['evm_revert', '0x0'],
  ['eth_getBalance', X, 'latest'], ['evm_revert', '0x77'], ['eth_blockNumber'],
  // Impersonation.
  ['eth_sendTransaction', { from: X, to: A1, value: '0x1' }], ['anvil_impersonateAccount', X], ['eth_accounts'],
  ['eth_sendTransaction', { from: X, to: A1, value: '0x1' }], ['eth_getTransactionReceipt', (at) => at.last],
  ['eth_getTransactionByHash', (at) => at.sent], ['anvil_stopImpersonatingAccount', X], ['anvil_autoImpersonateAccount', true],
  ['eth_sendTransaction', { from: X, to: A1, value: '0x1', gasPrice: '0xee6b2800', type: '0x0' }], ['anvil_autoImpersonateAccount', false],
  ['anvil_setCode', X, '0x6001600055'],
  ['eth_sendUnsignedTransaction', { from: X, to: A1, value: '0x0', gas: '0x5208' }], ['eth_getTransactionReceipt', (at) => at.last],
  // The pool.
  ['anvil_setAutomine', false], ['eth_sendTransaction', { from: A0, to: A1, value: '0x1' }], ['anvil_dropTransaction', (at) => at.last],
  ['anvil_dropTransaction', (at) => at.sent], ['eth_sendTransaction', { from: A0, to: A1, value: '0x1' }], ['anvil_removePoolTransactions', A0],
  ['anvil_dropAllTransactions'], ['txpool_status'], ['anvil_setAutomine', true],
  // Reorganizations.
  ['anvil_reorg', 2, []], ['eth_blockNumber'], ['anvil_reorg', 2, [[{ from: A0, to: A1, value: '0x1' }, 0]]], ['eth_blockNumber'],
  ['anvil_reorg', 100000, []], ['anvil_reorg', 1, [[{ from: A0, to: A1, value: '0x1' }, 1]]], ['anvil_rollback', 1], ['eth_blockNumber'],
  ['anvil_rollback', 100000], ['anvil_rollback', 1],
  // The rest.
  ['anvil_nodeInfo'], ['anvil_getBlobByHash', word(1)], ['anvil_getBlobsByTransactionHash', word(1)], ['anvil_loadState', '0x00'],
  ['anvil_setChainId', 31337], ['anvil_reset'], ['eth_blockNumber'], ['eth_getBalance', X, 'latest'],
  ['anvil_setRpcUrl', 'http://localhost:1'], ['anvil_foo'],
];

// Where this node answers otherwise, and why. The key is the method with its place among the calls of that method.
const differences = {
  'anvil_setBalance 4': 'the words for a missing parameter are the JSON-RPC library\'s',
  'hardhat_setBalance 1': 'Hardhat answers true; anvil null under every name',
  'hardhat_mine 1': 'Hardhat answers true; anvil null under every name',
  'hardhat_setMinGasPrice 1': 'the refusal names the method that was called',
  'evm_setNextBlockTimestamp 1': 'we name the time that is in the way: two blocks never have one time here',
  'eth_sendTransaction 1': 'geth\'s words and code for an account without a key',
  'eth_getTransactionByHash 1': 'the mark of an impersonated sender stands where anvil has zeros',
  'anvil_loadState 1': 'the reason stands behind anvil\'s words',
  'anvil_setChainId 1': 'the chain id is part of the genesis',
  'anvil_setRpcUrl 1': 'there is nothing to fork',
  'anvil_foo 1': 'geth\'s words for a method that is not there',
};

/** What does not depend on which of the two chains it is. */
function comparable(value, at) {
  if (value === null || value === undefined) return null;
  if (typeof value !== 'object') return value;
  if (Array.isArray(value)) return value.map((entry) => comparable(entry, at));
  const hidden = new Set([
    'hash', 'parentHash', 'stateRoot', 'receiptsRoot', 'transactionsRoot', 'withdrawalsRoot', 'requestsHash', 'mixHash', 'blockHash',
    'transactionHash', 'latestBlockHash', 'currentBlockHash', 'instanceId', 'clientVersion', 'clientSemver', 'clientCommitSha', 'size',
    'totalDifficulty', 'timestamp', 'blockTimestamp', 'currentBlockTimestamp', 'difficulty', 'extraData', 'gasPrice', 'maxFeePerGas',
    'effectiveGasPrice', 'baseFee', 'excessBlobGas', 'parentBeaconBlockRoot', 'v', 'logsBloom', 'maxPriorityFeePerGas', 'snapshots',
    'uncles', 'withdrawals', 'blobGasPrice', 'blobGasUsed',
  ]);
  const heights = new Set(['number', 'blockNumber', 'latestBlockNumber', 'currentBlockNumber']);
  return Object.fromEntries(Object.entries(value).filter(([key]) => !hidden.has(key)).map(([key, entry]) =>
    [key, heights.has(key) ? Number(entry) - at.start : comparable(entry, at)]).sort());
}

async function play(url) {
  const chain = await connect(url);
  const at = { start: chain.start };
  const answers = [];
  for (const [method, ...params] of steps) {
    const filled = params.map((param) => (typeof param === 'function' ? param(at) : param));
    const { result, error } = await chain.call(method, ...filled);
    if (/^eth_send/.test(method) && result) [at.last, at.sent] = [result, result];
    // A height within words counts from where the chain began.
    const words = error?.message.replace(/(current height )(\d+)/, (_, before, height) => before + (height - chain.start));
    if (error) answers.push({ error: { code: error.code, message: words } });
    else if (/^eth_send|anvil_dropTransaction/.test(method)) answers.push({ result: result === null ? null : 'a hash' });
    else if (method === 'eth_blockNumber') answers.push({ result: Number(result) - chain.start });
    else answers.push({ result: comparable(result, at) });
  }
  return answers;
}

test('a script of every cheat is answered as anvil answers it', { skip }, async () => {
  const [mine, anvils] = [await play(ours.ready.http), await play(theirs.url)];
  const [found, seen] = [{}, {}];
  steps.forEach(([method], place) => {
    seen[method] = (seen[method] ?? 0) + 1;
    const [a, b] = [mine[place], anvils[place]];
    if (JSON.stringify(a) !== JSON.stringify(b)) found[`${method} ${seen[method]}`] = { cryptlet: a, anvil: b };
  });
  const unexpected = Object.entries(found).filter(([key]) => !(key in differences));
  assert.deepEqual(unexpected, [], JSON.stringify(unexpected, null, 1));
  const gone = Object.keys(differences).filter((key) => !(key in found));
  assert.deepEqual(gone, [], 'these differences are listed and no longer there');
});
