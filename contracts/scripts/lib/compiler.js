// Compiles contracts straight with npm's solc, with the settings of foundry.toml and no other tool in between.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const solc = createRequire(import.meta.url)("solc");

export const CONTRACTS_DIR = resolve(dirname(fileURLToPath(import.meta.url)), "../..");

/** The value of a key of foundry.toml's default profile: a string, a number or a boolean on one line. */
export function foundrySetting(key) {
  const text = readFileSync(resolve(CONTRACTS_DIR, "foundry.toml"), "utf8");
  const match = text.match(new RegExp(`^${key} = (.+)$`, "m"));
  if (!match) throw new Error(`foundry.toml has no line "${key} = …"`);
  return JSON.parse(match[1]);
}

/** The remappings of foundry.toml, `[prefix, folder]`. */
function remappings() {
  const text = readFileSync(resolve(CONTRACTS_DIR, "foundry.toml"), "utf8");
  const list = text.match(/^remappings = \[([^\]]*)\]/m)?.[1] ?? "";
  return [...list.matchAll(/"([^"=]+)=([^"]+)"/g)].map((match) => [match[1], match[2]]);
}

/** Compiles the sources (paths relative to `contracts/`) and everything they import; returns solc's `contracts`. */
export function compile(sourcePaths) {
  const settings = {
    evmVersion: foundrySetting("evm_version"),
    optimizer: { enabled: foundrySetting("optimizer"), runs: foundrySetting("optimizer_runs") },
    viaIR: foundrySetting("via_ir"),
    metadata: { bytecodeHash: foundrySetting("bytecode_hash"), appendCBOR: foundrySetting("cbor_metadata") },
    remappings: remappings().map(([prefix, folder]) => `${prefix}=${folder}`),
    outputSelection: {
      "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode", "evm.methodIdentifiers", "storageLayout"] },
    },
  };
  const sources = Object.fromEntries(sourcePaths.map((path) => [path, { content: read(path) }]));
  const output = JSON.parse(
    solc.compile(JSON.stringify({ language: "Solidity", sources, settings }), { import: (path) => ({ contents: read(path) }) }),
  );
  const problems = (output.errors ?? []).filter(({ severity }) => severity === "error");
  if (problems.length > 0) throw new Error(problems.map(({ formattedMessage }) => formattedMessage).join("\n"));
  return output.contracts;
}

export const compilerVersion = () => solc.version().replace(".Emscripten.clang", "");

function read(path) {
  return readFileSync(resolve(CONTRACTS_DIR, path), "utf8");
}
