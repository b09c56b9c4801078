// Isolation `vm`: the same cryptlets, the same answers, in virtual machines; and what a host says that has none.
import assert from 'node:assert/strict';
import { accessSync, constants, existsSync } from 'node:fs';
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Interface } from 'ethers';
import { audit, cryptlet, rpc, run, startDevNode } from './support/node.mjs';
import { artifact } from './support/swap.mjs';

const tools = new Interface(artifact('StockClient').abi);
const averages = tools.encodeFunctionData('movingAverage', [[10n, 20n, 30n], 2]);
const program = path.join(path.dirname(cryptlet), 'cryptlet-vm-guest');
const skip = missing();
let folder;

function missing() {
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
  } catch (error) {
    return `no virtual machines here: ${error.message}`;
  }
  return existsSync(program) ? false : `no ${program}: run scripts/build-vm-guest`;
}

before(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'cryptlet-e2e-'));
});
after(() => rm(folder, { recursive: true, force: true }));

/** Calls a cryptlet on a dev node of its own; gives the call's record, and the chain as a file. */
async function callWith(isolation) {
  const node = await startDevNode('--isolation', isolation);
  try {
    const { http, accounts, contracts } = node.ready;
    const hash = await rpc(http, 'eth_sendTransaction', [
      { from: accounts[3].address, to: contracts.StockClient, data: averages, gas: '0x100000' },
    ]);
    let receipt;
    while (!(receipt = await rpc(http, 'eth_getTransactionReceipt', [hash]))) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.equal(receipt.status, '0x1');
    const { records: [record] } = await rpc(http, 'cryptlet_getRecords', [hash]);
    const shown = await run(cryptlet, ['registry', 'show', 'equity-tools', '--rpc-url', http, '--json']);
    const file = path.join(folder, `${isolation}.cryptlet`);
    const exported = await run(cryptlet, ['export', file, '--rpc-url', http]);
    assert.equal(exported.code, 0, exported.stderr);
    return { record, registered: JSON.parse(shown.stdout), file };
  } finally {
    await node.stop();
  }
}

test('a contract gets the same from a virtual machine as from a process, and the chain says which it was', { skip }, async () => {
  const [process, machine] = [await callWith('process'), await callWith('vm')];
  assert.equal(machine.registered.codeDigest, process.registered.codeDigest);
  assert.equal(process.registered.instances[0].isolation, 'process');
  assert.equal(machine.registered.instances[0].isolation, 'vm');
  assert.notEqual(machine.registered.instances[0].measurement, process.registered.instances[0].measurement);
  const said = ({ record }) => [record.status, record.output, record.result?.units ?? record.units];
  assert.deepEqual(said(machine), said(process));
  assert.ok(said(machine).every((part) => part !== undefined), JSON.stringify(machine.record));

  // Whoever replays it needs no virtual machines, nor a host.
  const replayed = await run(audit, ['replay', machine.file]);
  assert.equal(replayed.code, 0, replayed.stderr);
});

test('a host without the program for its machines does not start, and says what builds it', { skip }, async () => {
  const alone = path.join(folder, 'cryptlet');
  await copyFile(cryptlet, alone);
  const { code, stderr } = await run(alone, ['host', '--isolation', 'vm', '--datadir', path.join(folder, 'host'),
    '--listen', '127.0.0.1:0', '--descriptor-listen', '127.0.0.1:0']);
  assert.notEqual(code, 0);
  assert.match(stderr, /cryptlet-vm-guest/);
  assert.match(stderr, /scripts\/build-vm-guest/);
});
