// Traces against anvil's: the same accounts, contracts and transactions on both, and every answer compared field by field.
// What differs on purpose is named where it is taken out.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { root, rpc, startDevNode } from './support/node.mjs';

const binary = path.join(root, 'contracts/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil');
const skip = existsSync(binary) ? false : 'anvil comes with contracts/package.json, and is not there';

const hex = (number) => `0x${number.toString(16)}`;
const word = (value) => BigInt(value).toString(16).padStart(64, '0');
/** Creation code of a contract with this code. */
const creation = (code) => `0x60${word(code.length / 2).slice(-2)}600c60003960${word(code.length / 2).slice(-2)}6000f3${code}`;

// Returns slot 0 and adds one to it.
const counter = '6000548060005260010160005560206000f3';
// Calls the address in its input: with one wei, then statically, then by delegation; returns what the last one returned.
const caller = '600060006000600060016000355af150' + '60206000600060006000355afa50' + '60206000600060006000355af4' + '5060206000f3';
// Reverts with 32 bytes.
const reverter = '602a60005260206000fd';
// Logs 32 bytes under one topic and creates an empty contract.
const maker = '602a600052600760206000a1600060006000f060005260206000f3';
// Destroys itself in favour of whoever called.
const ending = '33ff';
// Runs into an invalid opcode after a jump.
const broken = '600456' + '00' + '5bfe';

let ours, theirs, anvil;

async function startAnvil(mnemonic, chainId, genesisTime) {
  const child = spawn(binary, ['--port', '0', '--mnemonic', mnemonic, '--chain-id', String(chainId), '--hardfork', 'osaka', '--timestamp', String(genesisTime), '--steps-tracing'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const url = await new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      const listening = line.match(/Listening on (\S+)/);
      if (listening) resolve(`http://${listening[1]}`);
    });
    child.once('exit', (code) => reject(new Error(`anvil ended (${code}) before it was ready`)));
  });
  return { child, url };
}

/** Sends the same transaction to both, with the same nonce and price, so that hashes agree. */
async function send(transaction) {
  const nonce = await rpc(ours.url, 'eth_getTransactionCount', [sender, 'pending']);
  const whole = { from: sender, gas: hex(1_000_000), gasPrice: hex(2_000_000_000), value: '0x0', nonce, ...transaction };
  const hashes = await Promise.all([ours, theirs].map(async ({ url }) => {
    const hash = await rpc(url, 'eth_sendTransaction', [whole]);
    for (let tries = 0; tries < 200; tries += 1) {
      const receipt = await rpc(url, 'eth_getTransactionReceipt', [hash]);
      if (receipt) return receipt;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`${hash} was not mined`);
  }));
  assert.equal(hashes[0].transactionHash, hashes[1].transactionHash);
  assert.equal(hashes[0].gasUsed, hashes[1].gasUsed);
  return hashes[0];
}

/** Asks both and compares; `forget` takes out what may differ. */
async function same(method, params, forget = (answer) => answer) {
  const ask = async ({ url }) => {
    try {
      return { result: await rpc(url, method, params) };
    } catch (error) {
      return { error: { code: error.code, message: error.message } };
    }
  };
  const [mine, its] = await Promise.all([ask(ours), ask(theirs)]);
  assert.ok(its.result !== undefined, `anvil answers ${method}: ${JSON.stringify(its)}`);
  assert.deepEqual(normal(forget(mine.result)), normal(forget(its.result)), `${method} ${JSON.stringify(params)}: ${JSON.stringify(mine.error)}`);
  return mine.result;
}

/** Blocks have other hashes on the two chains. Addresses may be checksummed. Keys of objects have no order. */
function normal(value, key) {
  if (['blockHash', 'coinbase'].includes(key)) return 'ignored';
  // anvil 1.7.1 writes revm's names for errors, geth and this node write sentences.
  if (key === 'error' && typeof value === 'string') return 'an error';
  if (typeof value === 'string') return value.toLowerCase();
  if (Array.isArray(value)) return value.map((item) => normal(item));
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name.toLowerCase(), normal(item, name)]).sort());
  }
  return value;
}

let accounts, sender, addresses, receipts, coinbases;

describe('traces beside anvil', { skip }, () => {
  before(async () => {
    const node = await startDevNode('--no-examples');
    ours = { ...node, url: node.ready.http };
    const genesis = await rpc(ours.url, 'eth_getBlockByNumber', ['0x0', false]);
    const mnemonic = node.ready.mnemonic ?? 'test test test test test test test test test test test junk';
    anvil = await startAnvil(mnemonic, Number(await rpc(ours.url, 'eth_chainId')), Number(genesis.timestamp));
    theirs = anvil;
    coinbases = (await Promise.all([ours, theirs].map(({ url }) => rpc(url, 'eth_coinbase')))).map((it) => it.toLowerCase());
    accounts = await rpc(ours.url, 'eth_accounts');
    // One that the node's own set-up does not use; and as many blocks as that took.
    sender = accounts[8];
    const made = Number(await rpc(ours.url, 'eth_blockNumber'));
    if (made > 0) await rpc(theirs.url, 'anvil_mine', [hex(made)]);
    addresses = {}; receipts = {};
    for (const [name, code] of Object.entries({ counter, caller, reverter, maker, ending, broken })) {
      receipts[`creation of ${name}`] = await send({ data: creation(code), value: name === 'caller' ? '0xa' : '0x0' });
      addresses[name] = receipts[`creation of ${name}`].contractAddress;
    }
    const to = (address) => `0x${word(address)}`;
    receipts.transfer = await send({ to: accounts[5], value: '0x7' });
    receipts.count = await send({ to: addresses.counter });
    receipts.calls = await send({ to: addresses.caller, data: to(addresses.counter) });
    receipts['calls that revert'] = await send({ to: addresses.caller, data: to(addresses.reverter) });
    receipts['call of a precompile'] = await send({ to: addresses.caller, data: to('0x2') });
    receipts.revert = await send({ to: addresses.reverter });
    receipts.make = await send({ to: addresses.maker });
    receipts['invalid opcode'] = await send({ to: addresses.broken });
    receipts.end = await send({ to: addresses.ending });
  });
  after(async () => {
    anvil?.child.kill();
    await ours?.stop();
  });

  const options = [
    ['the opcode logger', {}],
    ['the opcode logger with memory and return data', { enableMemory: true, enableReturnData: true }],
    ['the opcode logger without stack and storage', { disableStack: true, disableStorage: true }],
    ['callTracer', { tracer: 'callTracer' }],
    ['callTracer, only the top call', { tracer: 'callTracer', tracerConfig: { onlyTopCall: true } }],
    ['callTracer with logs', { tracer: 'callTracer', tracerConfig: { withLog: true } }],
    ['prestateTracer', { tracer: 'prestateTracer' }],
    ['prestateTracer with differences', { tracer: 'prestateTracer', tracerConfig: { diffMode: true } }],
    ['4byteTracer', { tracer: '4byteTracer' }],
    ['noopTracer', { tracer: 'noopTracer' }],
  ];
  for (const [name, tracer] of options) {
    test(`debug_traceTransaction: ${name}`, async () => {
      for (const { transactionHash } of Object.values(receipts)) {
        await same('debug_traceTransaction', [transactionHash, tracer], (answer) => comparable(answer, tracer.tracerConfig?.onlyTopCall));
      }
    });
  }

  test('debug_traceCall, on now and on the past', async () => {
    const call = { from: accounts[1], to: addresses.counter };
    for (const block of ['latest', receipts['creation of caller'].blockNumber]) {
      await same('debug_traceCall', [call, block, { tracer: 'callTracer' }], comparable);
      await same('debug_traceCall', [call, block, {}]);
    }
    const overrides = { [addresses.counter]: { stateDiff: { [`0x${word(0)}`]: `0x${word(41)}` } } };
    const traced = await same('debug_traceCall', [call, 'latest', { tracer: 'callTracer', stateOverrides: overrides }], comparable);
    assert.equal(BigInt(traced.output), 41n);
  });

  test('trace_transaction and trace_block', async () => {
    for (const [what, { transactionHash, blockNumber }] of Object.entries(receipts)) {
      // OpenEthereum leaves calls of precompiles out, anvil does not.
      if (what === 'call of a precompile') continue;
      await same('trace_transaction', [transactionHash]);
      await same('trace_block', [blockNumber]);
    }
  });

  test('trace_replayBlockTransactions', async () => {
    for (const [what, { blockNumber }] of Object.entries(receipts)) {
      await same('trace_replayBlockTransactions', [blockNumber, ['trace']]);
      // anvil's precompiles are accounts from the beginning.
      if (what !== 'call of a precompile') await same('trace_replayBlockTransactions', [blockNumber, ['stateDiff']], withoutCoinbase);
    }
  });

  test('trace_filter', async () => {
    await same('trace_filter', [{ fromBlock: '0x1', toBlock: receipts.end.blockNumber, toAddress: [addresses.counter] }]);
  });

  test('ots_', async () => {
    await same('ots_getApiLevel', []);
    for (const { transactionHash } of Object.values(receipts)) {
      const isInner = ({ from }) => from.toLowerCase() !== sender.toLowerCase();
      await same('ots_getInternalOperations', [transactionHash], (operations) => operations.filter(isInner));
      await same('ots_getTransactionError', [transactionHash]);
      // anvil tells only calls here, and a value for static ones; erigon tells creations and ends too, and no such value.
      const told = (entries) => entries.filter(({ type }) => type.endsWith('CALL')).map(({ value, ...entry }) => entry);
      await same('ots_traceTransaction', [transactionHash], told);
    }
    await same('ots_hasCode', [addresses.counter, 'latest']);
    await same('ots_getContractCreator', [addresses.counter]);
    await same('ots_getTransactionBySenderAndNonce', [sender, 3]);
  });

  test('txpool_', async () => {
    await same('txpool_status', []);
    await same('txpool_content', []);
    await same('txpool_inspect', []);
  });
});

/**
 * Where anvil 1.7.1 differs from geth: its root call has the gas after the intrinsic cost, and the prestate of an account
 * that is created is told. (It also ignores "limit", answers flatCallTracer and
 * muxTracer with nothing, shows what destroys itself below the only top call, and counts the transaction
 * itself among the internal operations.)
 */
function comparable(answer, onlyTop = false) {
  const kept = withoutCoinbase(answer);
  if (kept === null || typeof kept !== 'object' || Array.isArray(kept)) return kept;
  const { gas, calls, ...rest } = kept;
  const isEmpty = (account) => JSON.stringify(account) === '{"balance":"0x0"}';
  const entries = Object.entries(kept.type && gas ? (onlyTop ? rest : { ...rest, calls }) : kept);
  return Object.fromEntries(entries.filter(([, account]) => !isEmpty(account)));
}

/** The two chains pay their tips to different accounts: whoever is paid only that is left out. */
function withoutCoinbase(answer) {
  if (Array.isArray(answer)) return answer.map(withoutCoinbase);
  if (answer === null || typeof answer !== 'object') return answer;
  const kept = Object.entries(answer).filter(([name]) => !coinbases.includes(name.toLowerCase()));
  return Object.fromEntries(kept.map(([name, item]) => [name, withoutCoinbase(item)]));
}
