// The package comes without its Hardhat configuration. This one names what the suite needs: the compilers its contracts
// ask for, its folders, one named account, and the node at NODE_URL.
import { extendEnvironment, subtask } from "hardhat/config";
import { TASK_COMPILE_SOLIDITY_GET_SOLC_BUILD } from "hardhat/builtin-tasks/task-names";
import { createProvider } from "hardhat/internal/core/providers/construction";

// The suite takes its wallets from waffle, which hands them out on the network called "hardhat" only. So that network
// keeps its name, and what answers under it is the node, through Hardhat's own HTTP provider.
extendEnvironment((hre) => {
    const config: any = { url: process.env.NODE_URL, accounts: "remote", gas: "auto", gasPrice: "auto", gasMultiplier: 1, httpHeaders: {}, timeout: 40000 };
    const provider: any = createProvider("external", config, hre.config.paths, hre.artifacts);
    const ask = provider.request.bind(provider);
    provider.send = async (method: string, params?: any) => {
        // Hardhat asks this of the node it embeds, when the tests are over.
        if (method === "hardhat_getStackTraceFailuresCount") return 0;
        const answer: any = await ask({ method, params });
        // What `gasMultiplier` is for: a Safe pays its relayer by tx.gasprice, which an estimate does not know. Hardhat
        // does not apply it to estimates that ethers asks for itself.
        return method === "eth_estimateGas" ? "0x" + (BigInt(answer) * BigInt(2)).toString(16) : answer;
    };
    provider.request = ({ method, params }: any) => provider.send(method, params);
    hre.network.provider = provider;
});

import "@nomiclabs/hardhat-ethers";
import "@nomiclabs/hardhat-waffle";
import "hardhat-deploy";

// The compilers come from npm, where the lockfile pins them, not from the download that Hardhat would make.
subtask(TASK_COMPILE_SOLIDITY_GET_SOLC_BUILD, async ({ solcVersion }: { solcVersion: string }) => {
    const name = "solc-" + solcVersion;
    return {
        version: solcVersion,
        longVersion: require(name).version().replace(".Emscripten.clang", ""),
        compilerPath: require.resolve(name + "/soljson.js"),
        isSolcJs: true,
    };
});

const mnemonic = "test test test test test test test test test test test junk";

export default {
    paths: { artifacts: "build/artifacts", cache: "build/cache", deploy: "src/deploy", sources: "contracts" },
    solidity: { compilers: [{ version: "0.7.6" }, { version: "0.6.12" }] },
    networks: { hardhat: { gas: "auto", chainId: 31337, accounts: { mnemonic, count: 10 } } },
    namedAccounts: { deployer: 0 },
    mocha: { timeout: 30000, reporter: "json", reporterOptions: { output: process.env.REPORT } },
};
