//! The store against a model: every block keeps a whole copy of the state, and roots come from alloy-trie.

mod evm;
mod faults;
mod model;
mod twins;
