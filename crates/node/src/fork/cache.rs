//! The rows of the base that are known, and those that somebody wants.

use super::{Base, BaseAccount, BaseKey, BaseMiss, BaseValue, ForkFault, ForkSource};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use parking_lot::{Mutex, RwLock};
use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::Arc,
};

/// Rows asked for at once.
const ROWS_PER_FETCH_MAX: usize = 1_000;

/// What is known of the base of a running node. Rows never change, so they are never forgotten; a dev chain's fork reads
/// few of them.
pub struct ForkCache {
    source: Arc<dyn ForkSource>,
    known: RwLock<Known>,
    wanted: Mutex<BTreeSet<BaseKey>>,
}

#[derive(Default)]
struct Known {
    rows: HashMap<BaseKey, BaseValue>,
    codes: HashMap<B256, Bytes>,
}

impl fmt::Debug for ForkCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (known, wanted) = (self.known.read().rows.len(), self.wanted.lock().len());
        f.debug_struct("ForkCache").field("known", &known).field("wanted", &wanted).finish_non_exhaustive()
    }
}

impl ForkCache {
    /// Knows nothing yet.
    pub fn new(source: Arc<dyn ForkSource>) -> Self {
        Self { source, known: RwLock::default(), wanted: Mutex::default() }
    }

    /// The other chain.
    pub fn source(&self) -> &Arc<dyn ForkSource> {
        &self.source
    }

    /// Fetches everything that was wanted since the last call. Runs that ended for the want of it can be made again.
    pub async fn fetch_wanted(&self) -> Result<(), ForkFault> {
        loop {
            let keys: Vec<BaseKey> = {
                let mut wanted = self.wanted.lock();
                let known = self.known.read();
                wanted.retain(|key| !known.rows.contains_key(key));
                wanted.iter().copied().take(ROWS_PER_FETCH_MAX).collect()
            };
            if keys.is_empty() {
                return Ok(());
            }
            let values = self.source.fetch(keys.clone()).await?;
            if values.len() != keys.len() {
                return Err(ForkFault(format!("{} rows were asked for, and {} came", keys.len(), values.len())));
            }
            self.learn(keys.into_iter().zip(values));
        }
    }

    fn learn(&self, rows: impl Iterator<Item = (BaseKey, BaseValue)>) {
        let mut known = self.known.write();
        for (key, value) in rows {
            if let BaseValue::Account(Some(account)) = &value
                && !account.code.is_empty()
            {
                known.codes.insert(keccak256(&account.code), account.code.clone());
            }
            known.rows.insert(key, value);
        }
    }

    fn row(&self, key: BaseKey) -> Result<BaseValue, BaseMiss> {
        if let Some(value) = self.known.read().rows.get(&key) {
            return Ok(value.clone());
        }
        self.wanted.lock().insert(key);
        Err(BaseMiss(key))
    }
}

impl Base for ForkCache {
    fn account(&self, address: Address) -> Result<Option<BaseAccount>, BaseMiss> {
        match self.row(BaseKey::Account(address))? {
            BaseValue::Account(account) => Ok(account),
            _ => Err(BaseMiss(BaseKey::Account(address))),
        }
    }

    fn slot(&self, address: Address, slot: U256) -> Result<U256, BaseMiss> {
        // Who has no code has no storage: most slots that a new contract reads need no asking.
        if let Some(BaseValue::Account(account)) = self.known.read().rows.get(&BaseKey::Account(address))
            && account.as_ref().is_none_or(|account| account.code.is_empty())
        {
            return Ok(U256::ZERO);
        }
        match self.row(BaseKey::Slot(address, slot))? {
            BaseValue::Slot(value) => Ok(value),
            _ => Err(BaseMiss(BaseKey::Slot(address, slot))),
        }
    }

    fn block_hash(&self, number: u64) -> Result<B256, BaseMiss> {
        match self.row(BaseKey::BlockHash(number))? {
            BaseValue::BlockHash(hash) => Ok(hash),
            _ => Err(BaseMiss(BaseKey::BlockHash(number))),
        }
    }

    fn code(&self, hash: B256) -> Option<Bytes> {
        self.known.read().codes.get(&hash).cloned()
    }
}
