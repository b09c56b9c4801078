// A network that is not a dev chain: a genesis file, a host of its own, a factory and a package that the administrator
// registers, and a contract with its cryptlet, by somebody with nothing but a key.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { ContractFactory, JsonRpcProvider, Wallet } from 'ethers';
import { cryptlet, fabricOf, root, rpc, run, start, startDevNode, succeed } from './support/node.mjs';
import { artifact, check, reprice, terms } from './support/swap.mjs';

// The first account of the well-known test mnemonic, funded by the genesis that this test borrows from a dev node.
const KEY = '0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80';
let folder, host, node;
const inside = (name) => path.join(folder, name);

before(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'cryptlet-e2e-'));
  const dev = await startDevNode('--no-examples', '--chain-id', '4242');
  await writeFile(inside('genesis.json'), JSON.stringify(await rpc(dev.ready.http, 'cryptlet_getGenesis')));
  await dev.stop();
  host = await start(['host', '--datadir', inside('host'), '--listen', '127.0.0.1:0', '--descriptor-listen', '127.0.0.1:0']);
});
after(async () => {
  await node?.stop();
  await host?.stop();
  await rm(folder, { recursive: true, force: true });
});

const fabric = (identity) => fabricOf(host, inside(identity));

test('an operator enrols, and a node starts from a genesis file', async () => {
  await succeed('host', 'enroll', 'admin', '--operator', '--datadir', inside('host'), '--out', inside('admin.pem'));
  await succeed('host', 'enroll', 'node', '--datadir', inside('host'), '--out', inside('node.pem'));
  node = await start(['node', '--genesis', inside('genesis.json'), '--datadir', inside('node'), '--port', '0', ...fabric('node.pem')]);
  assert.equal(node.ready.chainId, 4242);
  assert.deepEqual(node.ready.accounts, []);
});

test('its administrator registers the factory and a package', async () => {
  const at = ['--rpc-url', node.ready.http];
  await succeed('register', '--factory', ...at, ...fabric('admin.pem'));
  const { cryptletId } = await succeed('register', path.join(root, 'examples/credit-default-swap'), ...at, ...fabric('admin.pem'));
  assert.match(cryptletId, /^0x[0-9a-f]{64}$/);
});

test('a contract is created with its cryptlet and calls it', async () => {
  const provider = new JsonRpcProvider(node.ready.http, undefined, { polling: true, pollingInterval: 20, cacheTimeout: -1 });
  try {
    const wallet = new Wallet(KEY, provider);
    const { abi, bytecode } = artifact('CreditDefaultSwap');
    const { packageDigest } = await succeed(
      'register', path.join(root, 'examples/credit-default-swap'), '--rpc-url', node.ready.http, ...fabric('admin.pem'),
    );
    const swap = await new ContractFactory(abi, bytecode, wallet).deploy(terms(wallet.address, wallet.address), packageDigest, '0x');
    await swap.waitForDeployment();
    assert.equal((await (await swap.reprice(...reprice)).wait()).status, 1);
    const names = ['upfront', 'price', 'accruedPremium', 'basis', 'riskyAnnuity'];
    check(Object.fromEntries(await Promise.all(names.map(async (name) => [name, await swap[name]()]))));
  } finally {
    provider.destroy();
  }
});

test('a fabric that serves another chain is refused', async () => {
  const { code, stderr } = await run(cryptlet, ['node', '--dev', '--no-examples', '--port', '0', ...fabric('node.pem')]);
  assert.notEqual(code, 0);
  assert.match(stderr, /chain/);
});

test('a host that was restarted is resumed by one command', async () => {
  const { listen, descriptor } = host.ready;
  await host.stop();
  const flags = ['--listen', listen, '--descriptor-listen', new URL(descriptor).host];
  host = await start(['host', '--datadir', inside('host'), ...flags]);
  const { resumed } = await succeed('register', '--resume', '--rpc-url', node.ready.http, ...fabric('admin.pem'));
  assert.ok(resumed >= 3, `${resumed} instances: the factory, the package, the swap's own`);
});
