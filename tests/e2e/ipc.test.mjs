// The Unix socket, as ethers, viem and web3.py use it: requests, and what is told without being asked.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { IpcSocketProvider } from 'ethers';
import { createPublicClient } from 'viem';
import { foundry } from 'viem/chains';
import { ipc } from 'viem/node';
import { root, rpc, run, startDevNode } from './support/node.mjs';

const folder = mkdtempSync(path.join(tmpdir(), 'cryptlet-ipc-'));
const socket = path.join(folder, 'node.ipc');
let node, sender, receiver;

before(async () => {
  node = await startDevNode('--no-examples', '--ipcpath', socket, '--http.api', 'eth,net,cryptlet');
  [sender, receiver] = node.ready.accounts.map(({ address }) => address);
});
after(async () => {
  await node?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Does something again and again until it has the effect: a client subscribes when it likes. */
async function until(holds, act) {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    await act();
    await setTimeout(25);
    if (holds()) return;
  }
  assert.fail('nothing was told');
}

const send = () => rpc(node.ready.http, 'eth_sendTransaction', [{ from: sender, to: receiver, value: '0x1' }]);

test('the socket is told, and has the namespaces that HTTP has not', async () => {
  assert.equal(node.ready.ipc, socket);
  await assert.rejects(rpc(node.ready.http, 'evm_mine'), { code: -32601 });
});

test('ethers reads and is told of blocks', async () => {
  const provider = new IpcSocketProvider(socket);
  try {
    assert.equal((await provider.getNetwork()).chainId, 31337n);
    let told;
    provider.on('block', (number) => { told = number; });
    await until(() => told !== undefined, () => provider.send('evm_mine', []));
    assert.ok(told <= await provider.getBlockNumber());
  } finally {
    await provider.destroy();
  }
});

test('viem reads, and watches blocks', async () => {
  const client = createPublicClient({ chain: foundry, transport: ipc(socket, { reconnect: false }) });
  const block = await client.getBlock();
  let told;
  const unwatch = client.watchBlockNumber({ onBlockNumber: (number) => { told = number; }, onError: (error) => { throw error; } });
  let hash;
  await until(() => told > block.number, async () => { hash = await send(); });
  unwatch();
  const receipt = await client.getTransactionReceipt({ hash });
  assert.equal(receipt.status, 'success');
  // Its pings would keep the process alive.
  (await client.transport.getRpcClient()).close();
});

test('web3.py reads', async () => {
  const python = path.join(root, 'tests/e2e/.venv/bin/python');
  const script = `
import sys
from web3 import Web3, IPCProvider
w3 = Web3(IPCProvider(sys.argv[1]))
assert w3.is_connected()
print(w3.eth.chain_id, w3.eth.get_balance(sys.argv[2]) > 0, w3.eth.get_block("latest")["number"] == w3.eth.block_number)
`;
  const { code, stdout, stderr } = await run(python, ['-c', script, socket, sender]);
  assert.equal(code, 0, stderr);
  assert.equal(stdout.trim(), '31337 True True');
});
