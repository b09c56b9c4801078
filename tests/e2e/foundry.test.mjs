// forge deploys the swap, cast calls it and reads the result and the log. No file of ours is in between: the tools compile
// the tree's own sources and talk to the node.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { root, run, startDevNode } from './support/node.mjs';
import { check, reprice, terms } from './support/swap.mjs';

const tool = (name) => path.join(root, `contracts/node_modules/@foundry-rs/${name}-linux-amd64/bin/${name}`);
const contracts = { cwd: path.join(root, 'contracts'), env: { ...process.env, FOUNDRY_DISABLE_NIGHTLY_WARNING: '1' } };
let node, swap, url, key;

async function foundry(name, ...args) {
  const { code, stdout, stderr } = await run(tool(name), args, contracts);
  assert.equal(code, 0, `${name} ${args.join(' ')}\n${stdout}\n${stderr}`);
  return stdout.trim();
}

before(async () => {
  assert.ok(existsSync(tool('forge')), 'forge comes with contracts/package.json');
  node = await startDevNode();
  url = ['--rpc-url', node.ready.http];
  key = ['--private-key', node.ready.accounts[0].privateKey];
});
after(() => node?.stop());

test('forge create deploys the swap with its cryptlet', async () => {
  const [buyer, seller] = node.ready.accounts.map(({ address }) => address);
  const tuple = `(${Object.values(terms(buyer, seller)).join(',')})`;
  const out = await foundry(
    'forge', 'create', ...url, ...key, '--broadcast', '--json', '../examples/credit-default-swap/contracts/CreditDefaultSwap.sol:CreditDefaultSwap',
    '--constructor-args', tuple, node.ready.packages['credit-default-swap'], '0x',
  );
  swap = JSON.parse(out.slice(out.indexOf('{'))).deployedTo;
  assert.match(swap, /^0x[0-9a-fA-F]{40}$/);
});

test('cast send reprices the swap, cast call reads the result, cast logs the log', async () => {
  const out = await foundry('cast', 'send', ...url, ...key, '--json', swap, 'reprice(uint256,uint256,uint64)', ...reprice.map(String));
  const receipt = JSON.parse(out);
  assert.equal(receipt.status, '0x1');

  const read = (signature) => foundry('cast', 'call', ...url, '--json', swap, signature);
  const number = async (signature) => String(JSON.parse(await read(signature))[0]);
  check({
    upfront: await number('upfront()(int256)'),
    price: await number('price()(int256)'),
    accruedPremium: await number('accruedPremium()(uint256)'),
    basis: await number('basis()(int256)'),
    riskyAnnuity: await number('riskyAnnuity()(uint256)'),
  });
  const logs = JSON.parse(await foundry(
    'cast', 'logs', ...url, '--json', '--from-block', 'earliest', '--address', swap,
    'Valued(uint64 indexed,int256,int256,uint256,int256)',
  ));
  assert.deepEqual(logs.map(({ transactionHash }) => transactionHash), [receipt.transactionHash]);
});

test('cast estimate covers what the call uses', async () => {
  const [spread, bond, asOf] = reprice;
  const args = [swap, 'reprice(uint256,uint256,uint64)', String(spread), String(bond), String(asOf + 86_400n)];
  const estimate = BigInt(await foundry('cast', 'estimate', ...url, '--from', node.ready.accounts[0].address, ...args));
  const receipt = JSON.parse(await foundry('cast', 'send', ...url, ...key, '--gas-limit', String(estimate), '--json', ...args));
  assert.equal(receipt.status, '0x1');
  assert.ok(BigInt(receipt.gasUsed) <= estimate);
});

test('forge script broadcasts a deployment, and cast calls it', async () => {
  const { 'equity-tools': equityTools } = node.ready.cryptlets;
  const out = await foundry(
    'forge', 'script', 'script/DeployStockClient.s.sol', ...url, ...key, '--broadcast', '--json', '--sig', 'run(bytes32)', equityTools,
  );
  const client = out.match(/"contract_address":"(0x[0-9a-fA-F]{40})"/)?.[1];
  assert.ok(client, out);
  const averages = await foundry('cast', 'call', ...url, client, 'movingAverage(uint256[],uint32)(uint256[])', '[10,20,30]', '2');
  assert.equal(averages, '[15, 25]');
});
