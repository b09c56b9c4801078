// Random programs for two implementations of Amsterdam: the same for the same seed.
//
// Left out is what docs/conformance.md names as known to differ: a creation with more value than its creator has, a creation in a
// static call, value to a precompile that fails, and a transaction that cannot pay for the account it would make.
import { CONTRACTS, deploying, word } from './amsterdam-program.mjs';

const POOL = Array.from({ length: 12 }, (_, index) => `0x${'f0'.repeat(19)}${(index + 16).toString(16)}`);
const PRECOMPILES = Array.from({ length: 9 }, (_, index) => `0x${'00'.repeat(19)}0${index + 1}`);
const push1 = (number) => `60${number.toString(16).padStart(2, '0')}`;
const push3 = (number) => `62${number.toString(16).padStart(6, '0')}`;
const push20 = (address) => `73${address.slice(2)}`;
const DEPTH_MAX = 2;

export class Random {
  constructor(seed, others) {
    Object.assign(this, { state: seed, others });
  }

  below(bound) {
    this.state = (this.state * 1103515245 + 12345) % 2147483648;
    return Math.floor((this.state / 2147483648) * bound);
  }

  of(list) {
    return list[this.below(list.length)];
  }

  address() {
    return this.of([...POOL, ...Object.keys(CONTRACTS), ...PRECOMPILES, ...this.others]);
  }

  /** Contracts that random transactions call, with some storage. The last of the pool are left for what is created and paid. */
  accounts() {
    const storage = { [`0x${word(1)}`]: `0x${word(1)}`, [`0x${word(2)}`]: `0x${word(2)}` };
    return Object.fromEntries(POOL.slice(0, 9).map((address) => [address, { balance: `0x${this.below(5)}`, nonce: '0x1', code: `0x${this.runtime(0)}`, storage }]));
  }

  transactions(count) {
    return Array.from({ length: count }, () => {
      const from = this.below(3);
      const value = BigInt(this.below(3));
      const kind = this.below(6);
      if (kind === 0) return { from, value, data: `0x${this.init(0)}`, gasLimit: this.of([800_000n, 1_000_000n]) };
      if (kind === 1) return { from, data: deploying(this.runtime(0)), gasLimit: 1_000_000n };
      const to = kind === 2 ? this.address() : this.of(POOL);
      const paid = PRECOMPILES.includes(to) ? 0n : value;
      const gasLimit = this.of(paid > 0n ? [300_000n, 600_000n, 1_000_000n] : [100_000n, 300_000n, 1_000_000n]);
      const fields = { from, to, value: paid, gasLimit, data: `0x${'11'.repeat(this.below(80))}` };
      if (this.below(4) === 0) fields.accessList = [{ address: this.address(), storageKeys: [`0x${word(this.below(6))}`] }];
      if (this.below(8) === 0) fields.authorities = [3, 4].map((by) => ({ by, address: this.of([...POOL, `0x${'00'.repeat(20)}`]) }));
      return fields;
    });
  }

  runtime(depth) {
    return Array.from({ length: 2 + this.below(depth > 0 ? 4 : 10) }, () => this.step(depth)).join('');
  }

  init(depth) {
    const end = this.of(['', '5f5ff3', '33ff', '30ff', '5f5ffd', 'fe', `${push1(this.below(256))}5f5360015ff3`, `61${this.below(4000).toString(16).padStart(4, '0')}5ff3`]);
    if (depth > DEPTH_MAX) return end;
    return Array.from({ length: this.below(4) }, () => this.step(depth + 1)).join('').slice(0, 440) + end;
  }

  /** Some opcodes that leave the stack as it was. */
  step(depth) {
    const [slot, value, account] = [push1(this.below(6)), push1(this.below(4)), this.address()];
    const gas = this.of(['5a', push3(this.below(300_000)), push1(this.below(256))]);
    const rarely = (code, often) => (this.below(often) === 0 ? code : '5b');
    return this.of([
      () => `${value}${slot}55`, () => `5f${slot}55`, () => `${slot}5450`, () => `${value}${slot}5d`, () => `${slot}5c50`,
      () => `${push20(account)}${this.of(['31', '3b', '3f'])}50`, () => `5f5f5f${push20(account)}3c`, () => '4750', () => '4b50', () => '5f5fa0',
      () => `5f5f5f5f${push1(this.below(3))}${push20(account)}${gas}${this.of(['f1', 'f2'])}50`,
      () => `5f5f5f5f${push20(account)}${gas}f450`,
      () => `5f5f5f5f${push20(this.of([...PRECOMPILES, ...Object.keys(CONTRACTS)]))}${gas}fa50`,
      () => this.creation(this.init(depth + 1)),
      () => rarely('5f5ffd', 5), () => rarely(`${this.of([push20(account), '30', '33'])}ff`, 5), () => rarely('fe', 12),
    ])();
  }

  creation(code) {
    let stored = '';
    for (let at = 0; at < code.length; at += 64) stored += `7f${code.slice(at, at + 64).padEnd(64, '0')}${push1(at / 2)}52`;
    const length = push1((code.length / 2) % 256);
    return `${stored}${this.of([`${length}5f5ff0`, `${push1(this.below(3))}${length}5f5ff5`])}50`;
  }
}
