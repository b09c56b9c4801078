// Hardhat's own node, to compare with.
module.exports = { solidity: '0.8.30', networks: { hardhat: { hardfork: 'prague', chainId: 31337 } } };
