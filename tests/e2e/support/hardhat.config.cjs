// A Hardhat project with nothing in it but the node under test as its network.
module.exports = {
  solidity: '0.8.30',
  networks: { cryptlet: { url: process.env.CRYPTLET_URL, chainId: 31337 } },
};
