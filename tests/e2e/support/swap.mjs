// The swap that every client deploys, and what must be true of its valuation, whoever asked for it.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { root } from './node.mjs';

export const artifact = (name) => JSON.parse(readFileSync(path.join(root, 'contracts/artifacts', `${name}.json`), 'utf8'));

const day = (text) => BigInt(Date.parse(`${text}T00:00:00Z`) / 1000);
const WAD = 10n ** 18n;

/** Five-year protection on 10 million at 100 basis points; the market says 200. */
export const terms = (buyer, seller) => ({
  protectionBuyer: buyer,
  protectionSeller: seller,
  notional: 10_000_000n * WAD,
  coupon: WAD / 100n,
  recovery: (WAD * 40n) / 100n,
  rate: (WAD * 3n) / 100n,
  effective: day('2026-09-20'),
  maturity: day('2031-12-20'),
});
export const reprice = [(WAD * 2n) / 100n, (WAD * 18n) / 1000n, day('2026-11-20')];

/** 200 basis points against a coupon of 100: the buyer pays roughly spread difference times risky annuity up front. */
export function check({ upfront, price, accruedPremium, basis, riskyAnnuity }) {
  [upfront, price, accruedPremium, basis, riskyAnnuity] = [upfront, price, accruedPremium, basis, riskyAnnuity].map(BigInt);
  const expected = (10_000_000n * riskyAnnuity) / 100n;
  const distance = upfront > expected ? upfront - expected : expected - upfront;
  assert.ok(distance * 50n < expected, `upfront ${upfront} is within 2 % of ${expected}`);
  assert.equal(price, 100n * WAD - (100n * upfront) / 10_000_000n);
  // 61 days of 1 % on 10 million, ACT/360; the cryptlet may round the last digits, and count the first day.
  const accrued = (days) => (10_000_000n * WAD * BigInt(days)) / 36_000n;
  assert.ok(accruedPremium >= accrued(60) && accruedPremium <= accrued(63), `accrued premium ${accruedPremium}`);
  assert.equal(basis, (WAD * 2n) / 1000n);
}

/** Types of the signed result, for wallet libraries. */
export const resultTypes = {
  CryptletResult: [
    { name: 'requestHash', type: 'bytes32' },
    { name: 'registrationId', type: 'bytes32' },
    { name: 'keyEpoch', type: 'uint64' },
    { name: 'status', type: 'uint8' },
    { name: 'outputHash', type: 'bytes32' },
    { name: 'units', type: 'uint64' },
    { name: 'observedAt', type: 'uint64' },
    { name: 'notBefore', type: 'uint64' },
    { name: 'expires', type: 'uint64' },
  ],
};

export const DELEGATE = '0x000000000000000000000000000000000000cd00';

/** The domain in which results are signed. */
export const domain = (ready) => ({
  name: 'CryptletFabric',
  version: '1',
  chainId: ready.chainId,
  verifyingContract: DELEGATE,
  salt: ready.genesisHash,
});
