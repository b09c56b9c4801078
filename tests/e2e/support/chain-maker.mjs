// Makes chains with EthereumJS: an implementation that shares no code with this node's EVM. Every block is built from the
// rules as EthereumJS has them, every chain is the same on every run.
import { createBlock } from '@ethereumjs/block';
import { createBlockchain } from '@ethereumjs/blockchain';
import { createCommonFromGethGenesis, parseGethGenesisState } from '@ethereumjs/common';
import { RLP } from '@ethereumjs/rlp';
import { createTx } from '@ethereumjs/tx';
import {
  bigIntToUnpaddedBytes, bytesToHex, concatBytes, createAddressFromPrivateKey, eoaCode7702SignAuthorization, hexToBytes,
} from '@ethereumjs/util';
import { createVM, runBlock } from '@ethereumjs/vm';
import { keccak_256 } from '@noble/hashes/sha3.js';

const toBytes = (value) => (typeof value === 'string' ? hexToBytes(value) : bigIntToUnpaddedBytes(value));
const keccak = (bytes) => keccak_256(bytes);
const keys = [1, 2, 3, 4].map((number) => keccak(new TextEncoder().encode(`cryptlet chain maker ${number}`)));
export const senders = keys.map((key) => createAddressFromPrivateKey(key).toString());
const ETHER = 10n ** 18n;
const GWEI = 10n ** 9n;

const word = (value) => BigInt(value).toString(16).padStart(64, '0');
/** Init code that deploys this runtime code. */
const deploying = (runtime) => `0x60${(runtime.length / 2).toString(16).padStart(2, '0')}80600b6000396000f3${runtime}`;
// Counts in slot 0, keeps the last block's hash in 1 and DIFFICULTY (PREVRANDAO) in 2, calls the address in its input with
// no value, which touches it, creates an account without code and keeps its address in 3, and logs the block number.
const WORKER =
  '600054600101600055' + '43600190034060015544600255' + '600060006000600060006000356107d0f150' +
  '600060006000f0600355' + '436000523360206000a100';
const SELF_DESTRUCT = '33ff'; // pays its caller
const INVALID = 'fe';
const REVERTING = '60206000fd';
/** Emits its input as a DepositEvent (EIP-6110). */
const DEPOSIT_TOPIC = '649bbc62d0e31342afea4e5cd82d4049e7e1ee912fc0889aa790803be39038c5';
const DEPOSIT_CONTRACT = '0x00000000219ab540356cbb839cbe05303d7705fa';
const DEPOSIT_CODE = `0x36600060003760` + `00507f${DEPOSIT_TOPIC}366000a100`;

// Deployed code of Ethereum's own contracts (EIP-4788, 2935, 7002, 7251).
const SYSTEM_CODE = {
  '0x000f3df6d732807ef1319fb7b8bb8522d0beac02':
    '0x3373fffffffffffffffffffffffffffffffffffffffe14604d57602036146024575f5ffd5b5f35801560495762001fff810690815414603c575f5ffd5b62001fff01545f5260205ff35b5f5ffd5b62001fff42064281555f359062001fff015500',
  '0x0000f90827f1c53a10cb7a02335b175320002935':
    '0x3373fffffffffffffffffffffffffffffffffffffffe14604657602036036042575f35600143038111604257611fff81430311604257611fff9006545f5260205ff35b5f5ffd5b5f35611fff60014303065500',
  '0x00000961ef480eb55e80d19ad83579a64c007002':
    '0x3373fffffffffffffffffffffffffffffffffffffffe1460cb5760115f54807fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff146101f457600182026001905f5b5f82111560685781019083028483029004916001019190604d565b909390049250505036603814608857366101f457346101f4575f5260205ff35b34106101f457600154600101600155600354806003026004013381556001015f35815560010160203590553360601b5f5260385f601437604c5fa0600101600355005b6003546002548082038060101160df575060105b5f5b8181146101835782810160030260040181604c02815460601b8152601401816001015481526020019060020154807fffffffffffffffffffffffffffffffff00000000000000000000000000000000168252906010019060401c908160381c81600701538160301c81600601538160281c81600501538160201c81600401538160181c81600301538160101c81600201538160081c81600101535360010160e1565b910180921461019557906002556101a0565b90505f6002555f6003555b5f54807fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff14156101cd57505f5b6001546002828201116101e25750505f6101e8565b01600290035b5f555f600155604c025ff35b5f5ffd',
  '0x0000bbddc7ce488642fb579f8b00f3a590007251':
    '0x3373fffffffffffffffffffffffffffffffffffffffe1460d35760115f54807fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff1461019a57600182026001905f5b5f82111560685781019083028483029004916001019190604d565b9093900492505050366060146088573661019a573461019a575f5260205ff35b341061019a57600154600101600155600354806004026004013381556001015f358155600101602035815560010160403590553360601b5f5260605f60143760745fa0600101600355005b6003546002548082038060021160e7575060025b5f5b8181146101295782810160040260040181607402815460601b815260140181600101548152602001816002015481526020019060030154905260010160e9565b910180921461013b5790600255610146565b90505f6002555f6003555b5f54807fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff141561017357505f5b6001546001828201116101885750505f61018e565b01600190035b5f555f6001556074025ff35b5f5ffd',
};

// A chain through every fork: the block each begins with, and a step of 12 seconds per block.
export const STEP_S = 12;
export const MERGE = 36;
const blockOf = {
  homesteadBlock: 3, daoForkBlock: 5, eip150Block: 7, eip155Block: 10, eip158Block: 10, byzantiumBlock: 13,
  constantinopleBlock: 16, petersburgBlock: 16, istanbulBlock: 20, muirGlacierBlock: 22, berlinBlock: 24, londonBlock: 27,
  arrowGlacierBlock: 30, grayGlacierBlock: 33, mergeNetsplitBlock: MERGE,
};
const timeOf = { shanghaiTime: 39, cancunTime: 42, pragueTime: 46, osakaTime: 50, bpo1Time: 53, bpo2Time: 56 };
export const LAST = 60;
const DAO_ACCOUNT = '0xd4fe7bc31cedb7bfb8a345f31e668033056b2728';

/** Genesis, in geth's format; `terminalTotalDifficulty` is known once the chain is made. */
export function genesisOfAllForks() {
  const times = Object.entries(timeOf).map(([name, block]) => [name, block * STEP_S]);
  const alloc = Object.fromEntries(senders.map((address) => [address, { balance: `0x${(1_000_000n * ETHER).toString(16)}` }]));
  for (const [address, code] of Object.entries(SYSTEM_CODE)) alloc[address] = { balance: '0x0', nonce: '0x1', code };
  alloc[DEPOSIT_CONTRACT] = { balance: '0x0', nonce: '0x1', code: DEPOSIT_CODE };
  alloc[DAO_ACCOUNT] = { balance: '0x8ac7230489e80000' };
  alloc['0x00000000000000000000000000000000000000e1'] = { balance: '0x0' }; // empty, and there until something touches it
  alloc['0x00000000000000000000000000000000000000c0'] = {
    balance: '0x1', nonce: '0x1', code: `0x${WORKER}`, storage: { [`0x${word(9)}`]: `0x${word(7)}` },
  };
  return {
    config: {
      chainId: 7_777_777_777_777, ...blockOf, daoForkSupport: true, ...Object.fromEntries(times),
      depositContractAddress: DEPOSIT_CONTRACT, ethash: {},
      blobSchedule: {
        cancun: { target: 3, max: 6, baseFeeUpdateFraction: 3338477 },
        prague: { target: 6, max: 9, baseFeeUpdateFraction: 5007716 },
        osaka: { target: 6, max: 9, baseFeeUpdateFraction: 5007716 },
        bpo1: { target: 10, max: 15, baseFeeUpdateFraction: 8346193 },
        bpo2: { target: 14, max: 21, baseFeeUpdateFraction: 11684671 },
      },
    },
    nonce: '0x42', timestamp: '0x0', extraData: '0x63727970746c6574', gasLimit: '0x1c9c380', difficulty: '0x20000',
    mixHash: `0x${'0'.repeat(64)}`, coinbase: `0x${'0'.repeat(40)}`, alloc,
  };
}

/** Makes a chain of `last` blocks. Returns its genesis with the total difficulty of its merge, its blocks and their roots. */
export async function makeChain({ genesis = genesisOfAllForks(), last = LAST, salt = '' } = {}) {
  const maker = await Maker.begin(genesis, salt);
  for (let number = 1; number <= last; number += 1) await maker.make(number);
  const { terminal: terminalTotalDifficulty } = maker;
  const config = { ...genesis.config, terminalTotalDifficulty: Number(terminalTotalDifficulty) };
  return { genesis: { ...genesis, config }, blocks: maker.blocks };
}

/** A chain as `geth export` writes it. */
export const rlpOf = (blocks) => concatBytes(...blocks.map((block) => block.serialize()));

class Maker {
  static async begin(genesis, salt) {
    const maker = new Maker();
    // Its KZG is asked for as soon as there are blob transactions, and used only for blobs, of which blocks have none.
    // Its blob schedule is that of the main chain, which is the one in the genesis file.
    const { blobSchedule: _, ...config } = genesis.config;
    const common = createCommonFromGethGenesis({ ...genesis, config }, { chain: 'all-forks', customCrypto: { kzg: {} } });
    common.setHardforkBy({ blockNumber: 0n, timestamp: 0n });
    const genesisState = parseGethGenesisState(genesis);
    const blockchain = await createBlockchain({ common, genesisState, validateBlocks: false, validateConsensus: false });
    maker.vm = await createVM({ common, blockchain });
    await maker.vm.stateManager.generateCanonicalGenesis(genesisState);
    Object.assign(maker, { common, salt, parent: blockchain.genesisBlock, blocks: [], terminal: BigInt(genesis.difficulty) });
    maker.nonces = senders.map(() => 0n);
    maker.ancestors = [maker.parent];
    return maker;
  }

  async make(number) {
    const { common, parent } = this;
    const timestamp = parent.header.timestamp + BigInt(number % 5 === 0 && number < MERGE ? 5 : STEP_S);
    // Proof of work comes at its own pace; forks by time need theirs.
    const time = number >= MERGE ? BigInt(number * STEP_S) : timestamp;
    common.setHardforkBy({ blockNumber: BigInt(number), timestamp: time });
    const rules = common.copy();
    const isMined = number < MERGE;
    const transactions = this.transactions(number, rules);
    const uncleHeaders = isMined ? this.uncles(number) : [];
    const isLondon = rules.isActivatedEIP(1559);
    const header = {
      number, parentHash: parent.hash(), timestamp: time, coinbase: `0x${'c0'.repeat(19)}${(16 + (number % 3)).toString(16)}`,
      gasLimit: number === blockOf.londonBlock ? parent.header.gasLimit * 2n : parent.header.gasLimit,
      extraData: this.extraData(number), uncleHash: keccak(RLP.encode(uncleHeaders.map((uncle) => uncle.raw()))),
    };
    if (isLondon) header.baseFeePerGas = number === blockOf.londonBlock ? GWEI : parent.header.calcNextBaseFee();
    if (isMined) header.mixHash = keccak(new TextEncoder().encode(`seal ${number}`));
    else header.mixHash = keccak(new TextEncoder().encode(`randao ${number}${this.salt}`));
    if (rules.isActivatedEIP(4844)) {
      header.excessBlobGas = parent.header.calcNextExcessBlobGas(rules);
      const blobs = transactions.reduce((count, tx) => count + BigInt(tx.blobVersionedHashes?.length ?? 0), 0n);
      header.blobGasUsed = blobs * 131072n;
      header.parentBeaconBlockRoot = keccak(new TextEncoder().encode(`beacon ${number}`));
    }
    const withdrawals = rules.isActivatedEIP(4895) ? this.withdrawals(number) : undefined;
    const options = { common: rules, setHardfork: false, skipConsensusFormatValidation: true, freeze: false };
    if (isMined) options.calcDifficultyFromHeader = parent.header;
    const draft = createBlock({ header, transactions, uncleHeaders, withdrawals }, options);
    const ran = await runBlock(this.vm, {
      block: draft, generate: true, skipBlockValidation: true, skipHeaderValidation: true, setHardfork: true,
    });
    const complete = {
      ...draft.header, stateRoot: ran.stateRoot, receiptTrie: ran.receiptsRoot, gasUsed: ran.gasUsed,
      logsBloom: ran.logsBloom, transactionsTrie: await draft.genTxTrie(), requestsHash: ran.requestsHash,
    };
    if (withdrawals) complete.withdrawalsRoot = (await createWithdrawalsRoot(withdrawals));
    const block = createBlock({ header: complete, transactions, uncleHeaders, withdrawals }, { ...options, calcDifficultyFromHeader: undefined });
    await this.vm.blockchain.putBlock(block);
    if (isMined) this.terminal += block.header.difficulty;
    Object.assign(this, { parent: block });
    this.blocks.push(block);
    this.ancestors.push(block);
  }

  extraData(number) {
    const isDao = number >= blockOf.daoForkBlock && number < blockOf.daoForkBlock + 10;
    return new TextEncoder().encode(isDao ? 'dao-hard-fork' : `block ${number}${this.salt}`.slice(0, 32));
  }

  /** One or two uncles in some blocks: brothers of an ancestor. */
  uncles(number) {
    if (number % 4 !== 0 || number < 4) return [];
    // A block of London has no form for an uncle without a base fee in the executable specification.
    const depths = number % 8 === 0 ? [1, 3] : [number === blockOf.londonBlock + 1 ? 1 : 2];
    return depths.map((depth) => {
      const brother = this.ancestors[number - depth];
      const parent = this.ancestors[number - depth - 1];
      const rules = brother.common;
      const data = {
        ...brother.header, difficulty: undefined, coinbase: `0x${'ab'.repeat(19)}0${depth}`,
        timestamp: brother.header.timestamp + 2n, mixHash: keccak(new TextEncoder().encode(`uncle ${number} ${depth}`)),
      };
      const options = { common: rules, setHardfork: false, calcDifficultyFromHeader: parent.header, skipConsensusFormatValidation: true };
      return createBlock({ header: data }, options).header;
    });
  }

  withdrawals(number) {
    return [0, 1, 2].map((index) => ({
      index: BigInt(number * 3 + index), validatorIndex: BigInt(index),
      address: `0x${'d0'.repeat(19)}0${index}`, amount: index === 2 ? 0n : BigInt(1_000_000 * (index + 1)),
    }));
  }

  transactions(number, rules) {
    const at = (address, block) => number >= block && address;
    const touched = `0x${word(0xe0 + (number % 4))}`;
    const plain = [
      { to: senders[1], value: 5n * GWEI },
      { data: deploying(WORKER) },
      { to: '0x00000000000000000000000000000000000000c0', data: touched },
      { to: `0x000000000000000000000000000000000000000${1 + (number % 8)}`, data: `0x${'01'.repeat(number)}` },
      { data: deploying(number % 2 === 0 ? SELF_DESTRUCT : INVALID), value: number % 2 === 0 ? 7n : 0n },
    ];
    if (this.destructible && number % 3 === 0) plain.push({ to: this.destructible, data: '0x' });
    if (number % 2 === 0) this.destructible = this.addressOfNext(0, plain.length - (this.destructible && number % 3 === 0 ? 2 : 1));
    if (at(true, blockOf.byzantiumBlock)) plain.push({ data: `0x${REVERTING}` });
    const list = plain.map((fields) => this.legacy(0, fields, number, rules));
    if (at(true, blockOf.berlinBlock)) list.push(this.typed(1, 1, { to: `0x${'00'.repeat(19)}c0`, data: touched, accessList: [{ address: `0x${'00'.repeat(19)}c0`, storageKeys: [`0x${word(0)}`, `0x${word(9)}`] }] }, number, rules));
    if (at(true, blockOf.londonBlock)) list.push(this.typed(2, 1, { to: `0x${'00'.repeat(19)}c0`, data: touched, value: 1n }, number, rules));
    if (rules.isActivatedEIP(4844)) {
      const blobs = Array.from({ length: 1 + (number % 5) }, (_, index) => `0x01${word(number * 10 + index).slice(2)}`);
      list.push(this.typed(3, 2, { to: senders[0], blobVersionedHashes: blobs, maxFeePerBlobGas: 1_000n * GWEI }, number, rules));
    }
    if (rules.isActivatedEIP(7702)) {
      const authorization = eoaCode7702SignAuthorization(
        [rules.chainId(), `0x${'00'.repeat(19)}c0`, this.nonces[3]].map(toBytes), keys[3],
      );
      this.nonces[3] += 1n;
      list.push(this.typed(4, 2, { to: senders[3], data: touched, authorizationList: [authorization] }, number, rules));
      list.push(this.typed(2, 1, { to: '0x00000961ef480eb55e80d19ad83579a64c007002', value: ETHER, data: `0x${'0a'.repeat(48)}${'00'.repeat(7)}0${number % 10}` }, number, rules));
      list.push(this.typed(2, 1, { to: '0x0000bbddc7ce488642fb579f8b00f3a590007251', value: ETHER, data: `0x${'0b'.repeat(96)}` }, number, rules));
      if (number % 2 === 0) list.push(this.typed(2, 1, { to: DEPOSIT_CONTRACT, data: depositEvent(number), gasLimit: 200_000n }, number, rules));
    }
    return list;
  }

  addressOfNext(sender, ahead) {
    const nonce = this.nonces[sender] + BigInt(ahead);
    const encoded = RLP.encode([hexToBytes(senders[sender]), nonce]);
    return bytesToHex(keccak(encoded).slice(12));
  }

  legacy(sender, fields, number, rules) {
    return this.typed(0, sender, { gasPrice: 20n * GWEI, ...fields }, number, rules);
  }

  typed(type, sender, fields, number, rules) {
    const nonce = this.nonces[sender];
    this.nonces[sender] += 1n;
    const fees = type < 2 ? { gasPrice: 20n * GWEI } : { maxFeePerGas: 20n * GWEI, maxPriorityFeePerGas: GWEI };
    const chain = type === 0 ? {} : { chainId: rules.chainId() };
    const data = { type, nonce, gasLimit: 400_000n, ...fees, ...chain, ...fields };
    return createTx(data, { common: rules }).sign(keys[sender]);
  }
}

function depositEvent(number) {
  const parts = [48, 32, 8, 96, 8].map((length, index) => (index === 2 ? '00ca9a3b00000000' : `${(number + index).toString(16).padStart(2, '0')}`.repeat(length)).slice(0, length * 2));
  let offset = 160;
  const heads = [];
  const tails = [];
  for (const part of parts) {
    const length = part.length / 2;
    const padded = Math.ceil(length / 32) * 32;
    heads.push(word(offset));
    tails.push(word(length) + part.padEnd(padded * 2, '0'));
    offset += 32 + padded;
  }
  return `0x${heads.join('')}${tails.join('')}`;
}

async function createWithdrawalsRoot(withdrawals) {
  const { genWithdrawalsTrieRoot } = await import('@ethereumjs/block');
  const { createWithdrawal } = await import('@ethereumjs/util');
  return genWithdrawalsTrieRoot(withdrawals.map((data) => createWithdrawal(data)));
}
