// A node under abuse: blocks go on, honest requests are answered, everything refused is refused with a typed error, and
// memory stays where it was.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { rpc, startDevNode } from './support/node.mjs';

/** MiB that the flood may add to what the node takes. */
const GROWTH_MAX_MIB = 200;
let node, url;

before(async () => {
  node = await startDevNode('--no-examples', '--rpc.evmtimeout', '2s');
  url = new URL(node.ready.http);
});
after(() => node?.stop());

const residentMib = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${node.child.pid}/status`, 'utf8'))[1]) / 1024;

const connect = () => new Promise((resolve, reject) => {
  const socket = net.connect(Number(url.port), url.hostname, () => resolve(socket));
  socket.on('error', reject);
});

async function post(body, headers = {}) {
  const answer = await fetch(node.ready.http, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body });
  const text = await answer.text();
  return { status: answer.status, json: answer.status === 200 && text ? JSON.parse(text) : undefined, text };
}

/** An honest client: sends a transaction and reads its receipt, again and again. */
async function honest(rounds) {
  const [from, to] = node.ready.accounts.map(({ address }) => address);
  for (let round = 0; round < rounds; round += 1) {
    const hash = await rpc(node.ready.http, 'eth_sendTransaction', [{ from, to, value: '0x1', gas: '0x5208' }]);
    let receipt = null;
    for (let attempt = 0; receipt === null && attempt < 200; attempt += 1) {
      receipt = await rpc(node.ready.http, 'eth_getTransactionReceipt', [hash]);
    }
    assert.equal(receipt.status, '0x1');
  }
}

test('a flood of every kind leaves blocks going on and memory where it was', async (context) => {
  await honest(5);
  const before = residentMib();
  const height = Number(await rpc(node.ready.http, 'eth_blockNumber'));
  const silent = [], problems = [];
  for (let index = 0; index < 200; index += 1) {
    const socket = await connect();
    // Slowloris: a head that never ends, or a body that never comes.
    socket.on('error', () => {});
    socket.write(index % 2 ? 'POST / HTTP/1.1\r\nhost: localhost\r\n' : 'POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9999999\r\n\r\n{');
    silent.push(socket);
  }
  const deep = '['.repeat(1_000_000) + ']'.repeat(1_000_000);
  const loop = { data: '0x5b600056', gas: '0x2faf080' };
  const call = (method, params) => JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
  const expect = (name, answer, holds) => holds || problems.push(`${name}: ${answer.status} ${answer.text.slice(0, 200)}`);
  const codes = new Set([-32000, -32002, -32005]);
  const flood = async (round) => {
    const oversized = await post('x'.repeat(16 * 1024 * 1024));
    expect('oversized body', oversized, oversized.status === 413);
    const nested = await post(call('eth_call', []).replace('[]', deep));
    expect('deep JSON', nested, nested.json?.error?.code < 0);
    const batch = await post(JSON.stringify(Array(1_001).fill(JSON.parse(call('eth_chainId', [])))));
    expect('large batch', batch, batch.json?.[0]?.error?.code === -32600);
    const costly = await Promise.all(Array.from({ length: 20 }, () => post(call('eth_call', [loop]))));
    costly.forEach((answer) => expect('endless call', answer, codes.has(answer.json?.error?.code)));
    const logs = await post(call('eth_getLogs', [{ fromBlock: '0x0', toBlock: 'latest' }]));
    expect('logs', logs, Array.isArray(logs.json?.result));
    const many = await post(JSON.stringify(Array(1_000).fill(JSON.parse(call('eth_getBlockByNumber', ['latest', true])))));
    expect('honest batch', many, many.json?.length === 1_000);
    const filters = await post(JSON.stringify(Array(1_000).fill(JSON.parse(call('eth_newFilter', [{}])))));
    expect('filters', filters, filters.json?.every(({ result, error }) => result || error.code === -32005));
    return round;
  };
  await Promise.all([honest(40), ...Array.from({ length: 3 }, async () => {
    for (let round = 0; round < 4; round += 1) await flood(round);
  })]);
  assert.deepEqual(problems, []);
  assert.ok(Number(await rpc(node.ready.http, 'eth_blockNumber')) >= height + 40);
  silent.forEach((socket) => socket.destroy());
  const growth = residentMib() - before;
  context.diagnostic(`resident memory: ${before.toFixed(0)} MiB before, ${growth.toFixed(0)} MiB more after`);
  assert.ok(growth < GROWTH_MAX_MIB, `${growth.toFixed(0)} MiB more than before the flood`);
});
