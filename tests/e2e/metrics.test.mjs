// What an operator's Prometheus reads from `--metrics`, parsed by Prometheus's own Python client.
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { root, rpc, run, startDevNode } from './support/node.mjs';

const python = path.join(root, 'tests/e2e/.venv/bin/python');
const PARSE = `
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
samples = [s for family in text_string_to_metric_families(sys.stdin.read()) for s in family.samples]
json.dump([{"name": s.name, "labels": s.labels, "value": s.value} for s in samples], sys.stdout)
`;

async function scrape(url) {
  const answer = await fetch(url);
  assert.equal(answer.status, 200);
  assert.match(answer.headers.get('content-type'), /^application\/openmetrics-text/);
  const { code, stdout, stderr } = await run(python, ['-c', PARSE], { input: await answer.text() });
  assert.equal(code, 0, stderr);
  const samples = JSON.parse(stdout);
  return (name, labels = {}) => {
    const fits = (sample) => sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value);
    return samples.find(fits)?.value;
  };
}

test('metrics follow the chain, the calls of cryptlets, JSON-RPC and the process', async () => {
  const node = await startDevNode('--metrics', '127.0.0.1:0');
  try {
    const { http, metrics, accounts } = node.ready;
    const before = await scrape(metrics);
    const [from, to] = accounts.map(({ address }) => address);
    await rpc(http, 'eth_sendTransaction', [{ from, to, value: '0x1' }]);
    await assert.rejects(rpc(http, 'eth_noSuchMethod'), { code: -32601 });
    const after = await scrape(metrics);

    assert.equal(after('cryptlet_chain_head_number'), Number(await rpc(http, 'eth_blockNumber')));
    assert.equal(after('cryptlet_chain_blocks_total') - before('cryptlet_chain_blocks_total'), 1);
    assert.equal(after('cryptlet_chain_gas_total') - before('cryptlet_chain_gas_total'), 21_000);
    assert.equal(
      after('cryptlet_chain_block_seconds_count', { phase: 'store' }),
      after('cryptlet_chain_blocks_total'),
    );
    assert.equal(after('cryptlet_pool_transactions', { state: 'pending' }), 0);
    // The examples were registered, so the factory was called.
    assert.ok(after('cryptlet_calls_attempts_total', { outcome: 'Answered' }) > 0);
    assert.equal(after('cryptlet_rpc_requests_total', { method: 'eth_sendTransaction', code: '0' }), 1);
    assert.equal(after('cryptlet_rpc_requests_total', { method: 'unknown', code: '-32601' }), 1);
    assert.ok(after('process_resident_memory_bytes') > 10e6);
    assert.ok(after('process_cpu_seconds_total') > 0);

    const other = await fetch(new URL('/', metrics));
    assert.equal(other.status, 404);
  } finally {
    await node.stop();
  }
});
