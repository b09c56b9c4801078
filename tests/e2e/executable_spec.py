"""Runs a chain through Ethereum's executable specification (the Python package `ethereum-execution`), which decides what the
rules are: every header field, root and receipt of every block is computed again by it.

Usage: executable_spec.py GENESIS CHAIN.rlp[.gz]. Prints `head NUMBER HASH STATEROOT`, as `cryptlet import` does.
"""

import dataclasses
import gzip
import importlib
import json
import sys

from ethereum.crypto.hash import keccak256
from ethereum_rlp import rlp
from ethereum_types.bytes import Bytes, Bytes8, Bytes20, Bytes32
from ethereum_types.numeric import U64, U256, Uint

# Name in the genesis file, and the package that specifies it.
BY_NUMBER = [
    (None, "frontier"), ("homesteadBlock", "homestead"), ("daoForkBlock", "dao_fork"),
    ("eip150Block", "tangerine_whistle"), ("eip158Block", "spurious_dragon"), ("byzantiumBlock", "byzantium"),
    ("constantinopleBlock", "constantinople"), ("istanbulBlock", "istanbul"), ("muirGlacierBlock", "muir_glacier"),
    ("berlinBlock", "berlin"), ("londonBlock", "london"), ("arrowGlacierBlock", "arrow_glacier"),
    ("grayGlacierBlock", "gray_glacier"), ("mergeNetsplitBlock", "paris"),
]
BY_TIME = [
    ("shanghaiTime", "shanghai"), ("cancunTime", "cancun"), ("pragueTime", "prague"), ("osakaTime", "osaka"),
    ("bpo1Time", "bpo1"), ("bpo2Time", "bpo2"),
]


def part(fork, name):
    return importlib.import_module(f"ethereum.forks.{fork}.{name}")


def fork_at(config, number, time):
    """The last fork that has begun."""
    begun = [fork for key, fork in BY_NUMBER if key is None or config.get(key, number + 1) <= number]
    begun += [fork for key, fork in BY_TIME if config.get(key, time + 1) <= time]
    return begun[-1]


def number_of(value):
    return int(value, 0) if isinstance(value, str) else int(value)


def bytes_of(text):
    return bytes.fromhex(text.removeprefix("0x"))


def genesis_chain(genesis):
    fork = fork_at(genesis["config"], 0, number_of(genesis["timestamp"]))
    store, types, blocks = part(fork, "state"), part(fork, "fork_types"), part(fork, "blocks")
    state = store.State()
    for address, account in genesis["alloc"].items():
        key = types.Address(bytes_of(address))
        code = bytes_of(account.get("code", "0x"))
        fields = (Uint(number_of(account.get("nonce", 0))), U256(number_of(account["balance"])), Bytes(code))
        store.set_account(state, key, types.Account(*fields))
        for slot, value in account.get("storage", {}).items():
            store.set_storage(state, key, Bytes32(bytes_of(slot)), U256(number_of(value)))
    empty = keccak256(rlp.encode(b""))
    header = blocks.Header(
        parent_hash=Bytes32(bytes(32)), ommers_hash=keccak256(rlp.encode(())), coinbase=Bytes20(bytes_of(genesis["coinbase"])),
        state_root=store.state_root(state), transactions_root=empty, receipt_root=empty, bloom=types.Bloom(bytes(256)),
        difficulty=Uint(number_of(genesis["difficulty"])), number=Uint(0), gas_limit=Uint(number_of(genesis["gasLimit"])),
        gas_used=Uint(0), timestamp=U256(number_of(genesis["timestamp"])), extra_data=Bytes(bytes_of(genesis["extraData"])),
        mix_digest=Bytes32(bytes_of(genesis["mixHash"])), nonce=Bytes8(number_of(genesis["nonce"]).to_bytes(8, "big")),
    )
    block = blocks.Block(header=header, transactions=(), ommers=())
    return fork, part(fork, "fork").BlockChain([block], state, U64(genesis["config"]["chainId"]))


def blocks_in(data):
    while data:
        length = rlp.decode_item_length(data)
        yield data[:length]
        data = data[length:]


def state_of(fork, old):
    """The same state as this fork has it: each has classes of its own for states, tries and accounts, and looks for them."""
    account, trie = part(fork, "fork_types").Account, part(fork, "trie").Trie
    state = part(fork, "state").State()
    for address, before in old._main_trie._data.items():
        fields = (getattr(before, field.name) for field in dataclasses.fields(account))
        state._main_trie._data[address] = account(*fields)
    for address, slots in old._storage_tries.items():
        state._storage_tries[address] = trie(slots.secured, slots.default, dict(slots._data))
    return state


def begins_at(module, config, key):
    """Where a fork of this chain begins, instead of where it began on the main chain."""
    criteria = getattr(module, "FORK_CRITERIA", None)
    if criteria is not None and key in config:
        changed = type(criteria)(config[key])
        module.FORK_CRITERIA = changed


def rules_of_its_height(module, config):
    """An uncle keeps to the rules of its own height, not to those of the block that includes it."""
    own = module.validate_header
    module.validate_own_header = own

    def validate_header(chain, header):
        of_height = part(fork_at(config, int(header.number), int(header.timestamp)), "fork")
        of_height.validate_own_header(chain, header)

    module.validate_header = validate_header


def run(genesis, data):
    config = genesis["config"]
    for key, fork in BY_NUMBER + BY_TIME:
        module = part(fork, "fork")
        if key is not None:
            begins_at(module, config, key)
        if hasattr(module, "validate_proof_of_work"):
            module.validate_proof_of_work = lambda header: None  # nobody mined it
            rules_of_its_height(module, config)
    fork, chain = genesis_chain(genesis)
    names = [name for _, name in BY_NUMBER + BY_TIME]
    for encoded in blocks_in(data):
        header = rlp.decode(encoded)[0]
        number, time = (int.from_bytes(header[index], "big") for index in (8, 11))
        wanted = fork_at(config, number, time)
        for name in names[names.index(fork) + 1 : names.index(wanted) + 1]:
            chain.state = state_of(name, chain.state)
            chain = part(name, "fork").apply_fork(chain)
        fork = wanted
        block = rlp.decode_to(part(fork, "blocks").Block, encoded)
        try:
            part(fork, "fork").state_transition(chain, block)
        except Exception as error:
            raise SystemExit(f"block {number} ({fork}): {type(error).__name__} {error}") from error
    last = chain.blocks[-1].header
    print(f"head {last.number} 0x{keccak256(rlp.encode(last)).hex()} 0x{last.state_root.hex()}")


if __name__ == "__main__":
    genesis_file, chain_file = sys.argv[1:]
    opened = gzip.open if chain_file.endswith(".gz") else open
    with open(genesis_file) as file:
        given = json.load(file)
    with opened(chain_file, "rb") as file:
        run(given, file.read())
