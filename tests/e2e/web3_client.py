"""Deploys a swap with web3.py, reprices it, and prints what it reads back. Input and output are JSON."""

import json
import sys

from web3 import Web3
from web3.logs import DISCARD

NAMES = ["upfront", "price", "accruedPremium", "basis", "riskyAnnuity"]


def main():
    job = json.load(sys.stdin)
    artifact = json.load(open(job["artifact"]))
    w3 = Web3(Web3.HTTPProvider(job["http"]))
    account = w3.eth.account.from_key(job["privateKey"])

    def transact(call):
        transaction = call.build_transaction(
            {"from": account.address, "nonce": w3.eth.get_transaction_count(account.address)}
        )
        signed = account.sign_transaction(transaction)
        receipt = w3.eth.wait_for_transaction_receipt(w3.eth.send_raw_transaction(signed.raw_transaction), poll_latency=0.02)
        assert receipt["status"] == 1, receipt
        assert receipt["gasUsed"] <= transaction["gas"]
        return receipt

    buyer, seller, *numbers = job["terms"]
    terms = (buyer, seller, *map(int, numbers))
    factory = w3.eth.contract(abi=artifact["abi"], bytecode=artifact["bytecode"])
    deployed = transact(factory.constructor(terms, job["packageDigest"], b""))
    swap = w3.eth.contract(address=deployed["contractAddress"], abi=artifact["abi"])

    receipt = transact(swap.functions.reprice(*map(int, job["reprice"])))
    (valued,) = swap.events.Valued().process_receipt(receipt, errors=DISCARD)
    records = w3.provider.make_request("cryptlet_getRecords", [Web3.to_hex(receipt["transactionHash"])])["result"]
    answer = {
        "values": {name: str(swap.functions[name]().call()) for name in NAMES},
        "logged": {"upfront": str(valued["args"]["upfront"])},
        "records": len(records["records"]),
    }
    json.dump(answer, sys.stdout)


main()
