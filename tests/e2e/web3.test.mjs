// web3.py deploys the swap, calls it, and reads the result and the log. The client is `web3_client.py`.
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { root, run, startDevNode } from './support/node.mjs';
import { check, reprice, terms } from './support/swap.mjs';

test('web3.py deploys the swap, calls it, and reads the result and the log', async () => {
  const node = await startDevNode();
  try {
    const [buyer, seller] = node.ready.accounts;
    const here = path.join(root, 'tests/e2e');
    const input = {
      http: node.ready.http,
      privateKey: buyer.privateKey,
      artifact: path.join(root, 'contracts/artifacts/CreditDefaultSwap.json'),
      terms: Object.values(terms(buyer.address, seller.address)).map(String),
      packageDigest: node.ready.packages['credit-default-swap'],
      reprice: reprice.map(String),
    };
    const { code, stdout, stderr } = await run(path.join(here, '.venv/bin/python'), [path.join(here, 'web3_client.py')], {
      input: JSON.stringify(input),
    });
    assert.equal(code, 0, stderr);
    const { values, logged, records } = JSON.parse(stdout);
    check(values);
    assert.equal(logged.upfront, values.upfront);
    assert.equal(records, 1);
  } finally {
    await node.stop();
  }
});
