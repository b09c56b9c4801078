// ethers deploys the swap, calls it, and reads the result and the log.
import assert from 'node:assert/strict';
import { ContractFactory, Interface, JsonRpcProvider, Wallet, WebSocketProvider, isCallException, verifyTypedData } from 'ethers';
import { after, before, test } from 'node:test';
import { startDevNode } from './support/node.mjs';
import { DELEGATE, artifact, check, domain, reprice, resultTypes, terms } from './support/swap.mjs';

const { abi, bytecode } = artifact('CreditDefaultSwap');
let node, provider, wallet, swap, receipt;

before(async () => {
  node = await startDevNode();
  provider = new JsonRpcProvider(node.ready.http, undefined, { polling: true, pollingInterval: 20, cacheTimeout: -1 });
  wallet = new Wallet(node.ready.accounts[0].privateKey, provider);
});
after(async () => {
  provider?.destroy();
  await node?.stop();
});

test('ethers deploys the swap with its cryptlet', async () => {
  const parties = node.ready.accounts.map(({ address }) => address);
  const factory = new ContractFactory(abi, bytecode, wallet);
  swap = await factory.deploy(terms(parties[0], parties[1]), node.ready.packages['credit-default-swap'], '0x');
  await swap.waitForDeployment();
});

test('ethers reprices the swap, and reads the result and the logs', async () => {
  const estimate = await swap.reprice.estimateGas(...reprice);
  receipt = await (await swap.reprice(...reprice)).wait();
  assert.equal(receipt.status, 1);
  assert.ok(receipt.gasUsed <= estimate, `used ${receipt.gasUsed}, estimated ${estimate}`);
  const names = ['upfront', 'price', 'accruedPremium', 'basis', 'riskyAnnuity'];
  check(Object.fromEntries(await Promise.all(names.map(async (name) => [name, await swap[name]()]))));

  const valued = receipt.logs.map((log) => swap.interface.parseLog(log)).find((log) => log?.name === 'Valued');
  assert.equal(valued.args.upfront, await swap.upfront());
  const delegate = new Interface(artifact('ICryptoDelegate').abi);
  const invoked = receipt.logs.filter((log) => log.address.toLowerCase() === DELEGATE).map((log) => delegate.parseLog(log));
  assert.deepEqual(invoked.map(({ name }) => name), ['CryptletInvoked']);
});

test('ethers verifies the record', async () => {
  const { records: [entry] } = await provider.send('cryptlet_getRecords', [receipt.hash]);
  const { result, signature } = entry;
  const { instances } = await provider.send('cryptlet_getCryptlet', [await swap.cryptlet()]);
  const signer = verifyTypedData(domain(node.ready), resultTypes, result, signature);
  assert.ok(instances.some((instance) => instance.signer.toLowerCase() === signer.toLowerCase()));
});

test('ethers sees a custom error of the swap', async () => {
  const error = await swap.setPrice.staticCall(1n).then(() => assert.fail('it went through'), (error) => error);
  assert.ok(isCallException(error));
  assert.equal(error.revert?.name, 'OnlyCryptlet');
});

test('ethers hears new blocks over WebSocket', async () => {
  const socket = new WebSocketProvider(node.ready.ws);
  try {
    const heard = new Promise((resolve) => socket.once('block', resolve));
    await socket.send('eth_chainId', []);
    const sent = await (await wallet.sendTransaction({ to: wallet.address, value: 0n })).wait();
    assert.ok((await heard) <= sent.blockNumber);
  } finally {
    await socket.destroy();
  }
});
