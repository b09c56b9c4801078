// Answers of a running node against the schemas of ethereum/execution-apis (`tests/vectors/execution-apis-schemas.json`,
// a pinned part of its OpenRPC document).
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import Ajv from 'ajv';
import { privateKeyToAccount } from 'viem/accounts';
import { root, rpc, startDevNode } from './support/node.mjs';

const document = JSON.parse(readFileSync(path.join(root, 'tests/vectors/execution-apis-schemas.json'), 'utf8'));
const ajv = new Ajv({ strict: false, allErrors: true });
ajv.addSchema(document, 'execution-apis');
let node, receipts, contract;

const ask = (method, params = []) => rpc(node.ready.http, method, params);

/** Stores 42 in slot 0 and leaves a contract that logs when it is called with data, and else returns slot 0. */
const CREATION = '0x602a5f556014600e5f3960145ff336600d576000545f5260205ff35b602a5f5fa100';

before(async () => {
  node = await startDevNode('--no-examples');
  const [from, to] = node.ready.accounts.map(({ address }) => address);
  const gasPrice = '0x12a05f200';
  const send = async (transaction) => ask('eth_getTransactionReceipt', [await ask('eth_sendTransaction', [{ from, ...transaction }])]);
  const created = await send({ data: CREATION });
  contract = created.contractAddress;
  const accessList = [{ address: contract, storageKeys: [`0x${'0'.repeat(64)}`] }];
  const account = privateKeyToAccount(node.ready.accounts[1].privateKey);
  const authorization = await account.signAuthorization({ chainId: 31337, contractAddress: contract, nonce: 0 });
  const hex = (value) => `0x${BigInt(value).toString(16)}`;
  const authorizationList = [{
    chainId: hex(authorization.chainId), address: authorization.address, nonce: hex(authorization.nonce),
    yParity: hex(authorization.yParity), r: authorization.r, s: authorization.s,
  }];
  receipts = [
    created,
    await send({ to, value: '0x1', gasPrice }),
    await send({ to, value: '0x1', gasPrice, accessList }),
    await send({ to: contract, data: '0x01' }),
    await send({ to, authorizationList }),
  ];
  assert.deepEqual(receipts.map(({ type }) => type), ['0x2', '0x0', '0x1', '0x2', '0x4']);
});
after(() => node?.stop());

function conforms(schema, answer, what) {
  const validate = ajv.getSchema(`execution-apis#/components/schemas/${schema}`);
  assert.ok(validate, `there is no schema ${schema}`);
  assert.ok(validate(answer), `${what}: ${ajv.errorsText(validate.errors)}\n${JSON.stringify(answer)}`);
}

test('blocks, transactions and receipts of every type', async () => {
  for (const receipt of receipts) {
    conforms('ReceiptInfo', receipt, `the receipt of a transaction of type ${receipt.type}`);
    const transaction = await ask('eth_getTransactionByHash', [receipt.transactionHash]);
    conforms('TransactionInfo', transaction, `a transaction of type ${receipt.type}`);
    const of_block = await ask('eth_getBlockReceipts', [receipt.blockHash]);
    assert.deepEqual(of_block, [receipt]);
    for (const full of [false, true]) conforms('Block', await ask('eth_getBlockByHash', [receipt.blockHash, full]), 'a block');
  }
  for (const tag of ['earliest', 'finalized', 'safe', 'latest']) conforms('Block', await ask('eth_getBlockByNumber', [tag, true]), tag);
});

test('logs', async () => {
  const logs = await ask('eth_getLogs', [{ fromBlock: 'earliest', toBlock: 'latest', address: contract }]);
  assert.equal(logs.length, 1);
  conforms('Log', logs[0], 'a log');
});

test('state and proofs', async () => {
  conforms('AccountProof', await ask('eth_getProof', [contract, ['0x0', '0x01', `0x${'0'.repeat(64)}`], 'latest']), 'a proof');
  conforms('uint', await ask('eth_getBalance', [contract, 'latest']), 'a balance');
  conforms('hash32', await ask('eth_getStorageAt', [contract, '0x0', 'latest']), 'a slot');
});

test('fees', async () => {
  for (const method of ['eth_gasPrice', 'eth_maxPriorityFeePerGas', 'eth_baseFee', 'eth_blobBaseFee']) {
    conforms('uint', await ask(method), method);
  }
  conforms('FeeHistory', await ask('eth_feeHistory', ['0x5', 'latest', [10, 50]]), 'a fee history');
  conforms('FeeHistory', await ask('eth_feeHistory', ['0x5', 'latest', []]), 'a fee history without percentiles');
});

test('calls and simulations', async () => {
  conforms('AccessListResult', await ask('eth_createAccessList', [{ to: contract }, 'latest']), 'an access list');
  const reverting = { [contract]: { code: '0x60006000fd' } };
  const blocks = await ask('eth_simulateV1', [{
    blockStateCalls: [
      { calls: [{ to: contract, input: '0x01' }] },
      { stateOverrides: reverting, calls: [{ to: contract }], blockOverrides: { number: '0x20' } },
    ],
    traceTransfers: true, returnFullTransactions: true,
  }, 'latest']);
  assert.ok(blocks.length > 2);
  for (const block of blocks) {
    conforms('Block', block, 'a simulated block');
    block.calls.forEach((call) => conforms('CallResult', call, 'a simulated call'));
  }
});

test('what the node says of itself', async () => {
  conforms('EthCapabilities', await ask('eth_capabilities'), 'capabilities');
  conforms('EthConfig', await ask('eth_config'), 'the configuration');
});
