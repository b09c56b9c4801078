//! Contract codes, analysed once.

use alloy_primitives::B256;
use lru::LruCache;
use parking_lot::Mutex;
use revm::bytecode::Bytecode;
use std::num::NonZeroUsize;

/// The codes used last. A clone of one is a pointer. Codes never change, so one cache serves all states.
pub struct CodeCache(Mutex<LruCache<B256, Bytecode>>);

impl CodeCache {
    /// Holds at most so many codes.
    pub fn new(codes_max: usize) -> Self {
        Self(Mutex::new(LruCache::new(NonZeroUsize::new(codes_max).unwrap_or(NonZeroUsize::MIN))))
    }

    /// The code with this hash, if it is here.
    pub fn get(&self, hash: &B256) -> Option<Bytecode> {
        self.0.lock().get(hash).cloned()
    }

    /// Keeps a code.
    pub fn put(&self, hash: B256, code: Bytecode) {
        self.0.lock().put(hash, code);
    }
}
