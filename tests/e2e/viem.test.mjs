// viem deploys the swap, calls it, reads the result and the log, and checks the cryptlet's signature itself.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  BaseError, ContractFunctionRevertedError, createPublicClient, createWalletClient, decodeErrorResult, getContract, http,
  parseEventLogs, recoverTypedDataAddress, webSocket,
} from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import { foundry } from 'viem/chains';
import { startDevNode } from './support/node.mjs';
import { DELEGATE, artifact, check, domain, reprice, resultTypes, terms } from './support/swap.mjs';

const { abi, bytecode } = artifact('CreditDefaultSwap');
const delegateAbi = artifact('ICryptoDelegate').abi;
let node, client, wallet, other, swap, receipt;

before(async () => {
  node = await startDevNode();
  const transport = http(node.ready.http);
  const account = (index) => privateKeyToAccount(node.ready.accounts[index].privateKey);
  client = createPublicClient({ chain: foundry, transport, pollingInterval: 20 });
  wallet = createWalletClient({ chain: foundry, transport, account: account(0) });
  other = createWalletClient({ chain: foundry, transport, account: account(2) });
});
after(() => node?.stop());

test('viem deploys the swap with its cryptlet', async () => {
  const parties = node.ready.accounts.map(({ address }) => address);
  const args = [terms(parties[0], parties[1]), node.ready.packages['credit-default-swap'], '0x'];
  const hash = await wallet.deployContract({ abi, bytecode, args });
  const { status, contractAddress } = await client.waitForTransactionReceipt({ hash });
  assert.equal(status, 'success');
  swap = getContract({ abi, address: contractAddress, client: { public: client, wallet } });
  assert.notEqual(await swap.read.cryptlet(), `0x${'0'.repeat(64)}`);
});

test('viem reprices the swap, and reads the result and the logs', async () => {
  const gas = await client.estimateContractGas({ abi, address: swap.address, functionName: 'reprice', args: reprice, account: wallet.account });
  const hash = await swap.write.reprice(reprice, { gas });
  receipt = await client.waitForTransactionReceipt({ hash });
  assert.equal(receipt.status, 'success');
  assert.ok(receipt.gasUsed <= gas, `used ${receipt.gasUsed}, estimated ${gas}`);

  const names = ['upfront', 'price', 'accruedPremium', 'basis', 'riskyAnnuity'];
  const values = await Promise.all(names.map((name) => swap.read[name]()));
  check(Object.fromEntries(names.map((name, index) => [name, values[index]])));
  const [valued] = parseEventLogs({ abi, logs: receipt.logs, eventName: 'Valued' });
  assert.equal(valued.args.upfront, values[0]);
  const [invoked] = parseEventLogs({ abi: delegateAbi, logs: receipt.logs, eventName: 'CryptletInvoked' });
  assert.equal(invoked.address.toLowerCase(), DELEGATE);
  assert.equal(invoked.args.caller.toLowerCase(), swap.address.toLowerCase());
});

test('a wallet library verifies the record with nothing but the registry', async () => {
  const { records: [entry] } = await client.request({ method: 'cryptlet_getRecords', params: [receipt.transactionHash] });
  const { result, signature } = entry;
  const signer = await recoverTypedDataAddress({
    domain: domain(node.ready), types: resultTypes, primaryType: 'CryptletResult', message: result, signature,
  });
  const registry = { address: '0x000000000000000000000000000000000000cd01', abi: artifact('CryptletRegistry').abi };
  const instance = await client.readContract({ ...registry, functionName: 'instance', args: [result.registrationId] });
  assert.equal(signer, instance.signer);
});

test('nobody but its cryptlet writes the swap, and a stranger may not ask for it', async () => {
  const revert = async (promise) => {
    const error = await promise.then(() => assert.fail('it went through'), (error) => error);
    assert.ok(error instanceof BaseError);
    return error.walk((cause) => cause instanceof ContractFunctionRevertedError).data.errorName;
  };
  const call = (functionName, args, account) => client.simulateContract({ abi, address: swap.address, functionName, args, account });
  assert.equal(await revert(call('updateState', [await swap.read.stateSnapshot()], wallet.account)), 'OnlyCryptlet');
  assert.equal(await revert(call('setPrice', [1n], wallet.account)), 'OnlyCryptlet');
  assert.equal(await revert(call('reprice', reprice, other.account)), 'NotCounterparty');
});

test('a refusal of the delegate arrives as a typed error', async () => {
  const unknown = `0x${'11'.repeat(32)}`;
  const error = await client
    .call({ to: DELEGATE, data: artifact('ICryptoDelegate').methodIdentifiers
      ? `0x${artifact('ICryptoDelegate').methodIdentifiers['invoke(bytes32,bytes)'].replace(/^0x/, '')}${unknown.slice(2)}${'40'.padStart(64, '0')}${'0'.repeat(64)}`
      : '0x' })
    .then(() => assert.fail('it went through'), (error) => error);
  const data = error.walk((cause) => cause.data !== undefined).data;
  const { errorName, args } = decodeErrorResult({ abi: delegateAbi, data: data.data ?? data });
  assert.equal(errorName, 'CryptletError');
  assert.equal(args[0], 4);
});

test('viem watches the log over WebSocket', async () => {
  const socket = createPublicClient({ chain: foundry, transport: webSocket(node.ready.ws, { reconnect: false }) });
  try {
    const heard = deferred();
    const stop = socket.watchContractEvent({
      abi, address: swap.address, eventName: 'Valued', onLogs: ([first]) => heard.resolve(first), onError: heard.reject,
    });
    // The subscription is in place once a later request on the same socket was answered.
    await socket.getBlockNumber({ cacheTime: 0 });
    const [spread, bond, asOf] = reprice;
    const hash = await swap.write.reprice([spread, bond, asOf + 86_400n]);
    assert.equal((await heard.promise).transactionHash, hash);
    stop();
  } finally {
    (await socket.transport.getRpcClient()).close();
  }
});

function deferred() {
  const parts = {};
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }));
  return parts;
}
