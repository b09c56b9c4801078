// What is committed under artifacts/: for each contract what a client or a node needs, in a form that does not change unless the
// contract does.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { compile, compilerVersion, foundrySetting } from "./compiler.js";

const SYSTEM = ["CryptletRegistry", "CryptletPolicy", "AttestationVerifier", "Administrators"];

const SOURCES = {
  "src/interfaces/ICryptoDelegate.sol": ["ICryptoDelegate"],
  "src/interfaces/ICryptletRegistry.sol": ["ICryptletRegistry"],
  "src/interfaces/ICryptletPolicy.sol": ["ICryptletPolicy"],
  "src/interfaces/IAttestationVerifier.sol": ["IAttestationVerifier"],
  "src/interfaces/IAdministrators.sol": ["IAdministrators"],
  "src/Administrators.sol": ["Administrators"],
  "src/CryptletRegistry.sol": ["CryptletRegistry"],
  "src/CryptletPolicy.sol": ["CryptletPolicy"],
  "src/AttestationVerifier.sol": ["AttestationVerifier"],
  "src/TrustedInstanceDirectory.sol": ["TrustedInstanceDirectory"],
  "src/CryptletProxy.sol": ["CryptletProxy"],
  "src/ContractCryptlet.sol": ["ContractCryptlet"],
  "../examples/credit-default-swap/contracts/ICreditDefaultSwap.sol": ["ICreditDefaultSwap"],
  "../examples/credit-default-swap/contracts/CreditDefaultSwap.sol": ["CreditDefaultSwap"],
  "../examples/equity-tools/contracts/EquityTools.sol": ["EquityTools"],
  "../examples/equity-tools/contracts/StockClient.sol": ["StockClient"],
  "../examples/monte-carlo/contracts/MonteCarlo.sol": ["MonteCarlo"],
  "../examples/monte-carlo/contracts/OptionPricer.sol": ["OptionPricer"],
  "../examples/monte-carlo/contracts/OptionPricerSolidity.sol": ["OptionPricerSolidity"],
};

/** Compiles everything and writes the artifacts into `folder`; returns the names of the files. */
export function writeArtifacts(folder) {
  const contracts = compile(Object.keys(SOURCES));
  const files = {};
  for (const [path, names] of Object.entries(SOURCES)) {
    for (const name of names) {
      const compiled = contracts[path][name];
      files[`${name}.json`] = artifact(name, path, compiled);
      if (SYSTEM.includes(name)) files[`${name}.storage.json`] = layout(name, compiled.storageLayout);
    }
  }
  mkdirSync(folder, { recursive: true });
  for (const [name, value] of Object.entries(files)) {
    writeFileSync(join(folder, name), `${JSON.stringify(value, null, 2)}\n`);
  }
  return Object.keys(files);
}

function artifact(name, path, compiled) {
  return {
    contractName: name,
    sourceName: path.replace(/^\.\.\//, "").replace(/^src\//, "contracts/src/"),
    compiler: {
      version: compilerVersion(),
      evmVersion: foundrySetting("evm_version"),
      optimizerRuns: foundrySetting("optimizer_runs"),
      viaIR: foundrySetting("via_ir"),
    },
    abi: compiled.abi,
    methodIdentifiers: compiled.evm.methodIdentifiers,
    bytecode: `0x${compiled.evm.bytecode.object}`,
    deployedBytecode: `0x${compiled.evm.deployedBytecode.object}`,
    storageLayout: layout(name, compiled.storageLayout),
  };
}

/** solc's layout without its syntax-tree numbers, which change with every edit anywhere. */
function layout(contract, { storage, types }) {
  const member = ({ label, slot, offset, type }) => ({
    name: label,
    type: types[type].label,
    slot: Number(slot),
    offset,
    bytes: Number(types[type].numberOfBytes),
  });
  const structs = Object.values(types ?? {})
    .filter(({ members }) => members)
    .map(({ label, numberOfBytes, members }) => [
      label.replace(/^struct /, ""),
      { slots: Number(numberOfBytes) / 32, members: members.map(member) },
    ])
    .sort(([left], [right]) => (left < right ? -1 : 1));
  return { contract, variables: storage.map(member), structs: Object.fromEntries(structs) };
}
