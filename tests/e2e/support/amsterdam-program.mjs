// What is run under Amsterdam by two implementations: everything that its gas, its new opcodes and its access lists tell
// apart. Addresses of contracts are in the genesis; `from` is the number of a wallet.

export const BLOCKS = 9;
export const word = (value) => BigInt(value).toString(16).padStart(64, '0');
const contract = (number) => `0x${'00'.repeat(18)}c0${number.toString(16).padStart(2, '0')}`;
const push20 = (address) => `73${address.slice(2)}`;
/** Init code that deploys this runtime code. */
export const deploying = (runtime) => `0x61${(runtime.length / 2).toString(16).padStart(4, '0')}80600c6000396000f3${runtime}`;

const [SETTER, LOOKER, CALLER, FACTORY, DESTROYER, REVERTER, MAKER, TOUCHER, READER] = [1, 2, 3, 4, 5, 6, 7, 8, 9].map(contract);
const NOBODY = `0x${'ee'.repeat(20)}`;
const BUILDER_DEPOSITS = '0x0000bff46984e3725691fa540a8c7589300d8282';
const BUILDER_EXITS = '0x000064d678505ad48f8ccb093bc65613800e8282';
const WITHDRAWALS = '0x00000961ef480eb55e80d19ad83579a64c007002';
const CONSOLIDATIONS = '0x0000bbddc7ce488642fb579f8b00f3a590007251';
const CREATE2_FACTORY = '0x4e59b44847b379578588920ca78fbf26c0b4956c';

/** Stores `input[0..32] → input[32..64]`. */
const SETTING = '60203560003555' + '00';

export const CONTRACTS = {
  [SETTER]: `0x${SETTING}`,
  // Looks at accounts, at itself, at a hash and at the slot, and keeps what the new opcodes make of them in slots 1 to 4.
  [LOOKER]: `0x${push20(NOBODY)}31${push20(SETTER)}3b01${push20(REVERTER)}3f01600155` + '4b600255' + '6001430340600355' + '47600455' + '00',
  // Calls the address in its input with the value it got and 50,000 gas, then with all gas and no value, and goes on.
  [CALLER]: '0x' + '5f5f5f5f34' + '5f35' + '61c350f1' + '5f5f5f5f5f' + '5f35' + '5af1' + '01600155' + '00',
  // Creates what its input says, with its value, and keeps the address in slot 0.
  [FACTORY]: '0x365f5f37' + '365f34f0' + '5f55' + '00',
  [DESTROYER]: '0x5f35ff',
  // Stores, calls the setter, and reverts.
  [REVERTER]: `0x600160005560405f5f5f5f${push20(SETTER)}5af15f5ffd`,
  // Sets slot 5 and clears it again; sets slot 6 to what it is.
  [MAKER]: '0x6001600555' + '5f600555' + '600654600655' + '00',
  // Every kind of call, to an account that is not there and to a precompile.
  [TOUCHER]: `0x${['f1', 'f2'].map((call) => `5f5f5f5f5f${push20(NOBODY)}5a${call}50`).join('')}${['f4', 'fa'].map((call) => `5f5f5f5f${push20(READER)}5a${call}50`).join('')}5f5f5f5f5f60045af15000`,
  // DUPN and SWAPN (EIP-8024) over seventeen numbers.
  [READER]: `0x${Array.from({ length: 18 }, (_, index) => `60${(index + 1).toString(16).padStart(2, '0')}`).join('')}e680e7800160005401505f545000`,
};

export function program(number, { addressOf, nonces }) {
  const call = (to, ...words) => ({ from: 0, to, data: `0x${words.map(word).join('')}` });
  const next = addressOf(0, nonces[0]);
  const list = [
    { from: 0, data: deploying(SETTING) },
    { from: 0, to: next, data: `0x${word(1)}${word(number)}` },
    { from: 0, to: next, data: `0x${word(1)}${word(0)}` },
    // The first ether of an account, and more of it; none at all.
    { from: 1, to: `0x${'aa'.repeat(19)}0${number}`, value: 5n },
    { from: 1, to: `0x${'aa'.repeat(19)}0${number}`, value: 5n },
    { from: 1, to: `0x${'ab'.repeat(19)}0${number}` },
    { from: 1, to: undefined, value: 3n, data: '0x33ff' }, // created and destroyed at once, for its creator
    { from: 1, to: undefined, value: 3n, data: '0x30ff' }, // the same for itself (EIP-8246)
    { from: 1, to: undefined, data: '0x5f5ffd' },
    { from: 1, to: undefined, data: '0xef' },
    call(SETTER, number, number), call(SETTER, number - 1, 0), call(SETTER, number, number),
    call(LOOKER), call(MAKER), call(TOUCHER), call(READER), call(REVERTER),
    { ...call(CALLER, `0x${'ac'.repeat(19)}0${number}`), value: 2n },
    { ...call(CALLER, SETTER), value: 1n },
    { ...call(DESTROYER, `0x${'ad'.repeat(19)}0${number}`), value: number % 2 === 0 ? 9n : 0n },
    { from: 0, to: FACTORY, value: 4n, data: deploying(SETTING) },
    { from: 0, to: FACTORY, value: 4n, data: '0x33ff' },
    { from: 0, to: FACTORY, data: '0x5f5ffd' },
    { from: 2, to: CREATE2_FACTORY, data: `0x${word(number % 3)}${deploying(SETTING).slice(2)}` },
    // Not enough gas for what is stored; gas above EIP-7825's cap, which pays for state only.
    { ...call(SETTER, 100 + number, 1), gasLimit: 60_000n },
    { from: 2, data: deploying(SETTING + '00'.repeat(3_000)), gasLimit: 18_000_000n },
    { from: 2, to: MAKER, accessList: [{ address: MAKER, storageKeys: [`0x${word(5)}`, `0x${word(7)}`] }, { address: NOBODY, storageKeys: [] }] },
    { from: 2, to: SETTER, data: `0x${'11'.repeat(900)}` },
    { from: 2, to: `0x${'00'.repeat(19)}02`, data: `0x${'22'.repeat(40)}`, value: 1n },
    { from: 2, to: WITHDRAWALS, value: 10n ** 18n, data: `0x${'0a'.repeat(48)}${'00'.repeat(7)}0${number}` },
    { from: 2, to: CONSOLIDATIONS, value: 10n ** 18n, data: `0x${'0b'.repeat(96)}` },
    { from: 2, to: BUILDER_EXITS, value: 10n ** 18n, data: `0x${'0c'.repeat(48)}` },
    { from: 2, to: BUILDER_DEPOSITS, value: 2n * 10n ** 18n, data: `0x${'0d'.repeat(48)}${'0e'.repeat(32)}000000003b9aca00${'0f'.repeat(96)}` },
  ];
  if (number % 3 === 0) list.push({ from: 2, to: NOBODY, authorities: [{ by: 3, address: number % 2 === 0 ? SETTER : `0x${'00'.repeat(20)}` }, { by: 4, address: MAKER }] });
  if (number > 4) list.push({ from: 2, to: CALLER, data: `0x${word(4)}` });
  return list;
}
