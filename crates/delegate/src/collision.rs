//! EIP-7610: no contract is created where there is storage, even if the account has neither nonce nor code.
//!
//! revm looks at nonce and code. For exactly as long as it makes the frame of a creation at such an address, the account
//! has a nonce here, so that it refuses as it refuses any other collision. No frame ever sees that nonce.

use crate::alloy::{DelegateEvmContext, DelegateRevm};
use crate::precompile::DelegatePrecompiles;
use alloy_evm::Database;
use alloy_primitives::Address;
use revm::{
    Inspector,
    context::{FrameStack, JournalTr},
    handler::{
        EthFrame, EvmTr, FrameInitOrResult, FrameTr, ItemOrResult,
        evm::{ContextDbError, FrameInitResult},
        instructions::EthInstructions,
    },
    inspector::InspectorEvmTr,
    interpreter::{CreateInputs, FrameInput, interpreter::EthInterpreter, interpreter_action::FrameInit},
    primitives::constants::CALL_STACK_LIMIT,
};

/// Says whether an account has storage. Asked only of accounts that are there and have neither nonce nor code: ordinary
/// creations cost no read more than before.
pub type StorageLook<DB> = fn(&mut DB, Address) -> Result<bool, <DB as revm::Database>::Error>;

/// An EVM that looks at storage before it creates.
pub(crate) struct Colliding<'a, DB: Database, I> {
    evm: &'a mut DelegateRevm<DB, I>,
    look: StorageLook<DB>,
}

impl<'a, DB: Database, I> Colliding<'a, DB, I> {
    pub(crate) const fn new(evm: &'a mut DelegateRevm<DB, I>, look: StorageLook<DB>) -> Self {
        Self { evm, look }
    }

    /// The address of a creation, if there is storage and nothing else that would keep a contract from being created there.
    /// Loads what making the frame loads next, in the same order, and nothing that it would not.
    fn taken(&mut self, inputs: &CreateInputs, depth: usize) -> Result<Option<Address>, DB::Error> {
        if depth > CALL_STACK_LIMIT as usize {
            return Ok(None);
        }
        let journal = &mut self.evm.ctx.journaled_state;
        let creator = &journal.load_account(inputs.caller())?.data.info;
        if creator.balance < inputs.value() || creator.nonce == u64::MAX {
            return Ok(None);
        }
        let address = inputs.created_address(creator.nonce);
        let account = journal.load_account(address)?.data;
        let is_bare = account.info.nonce == 0 && account.info.is_empty_code_hash();
        if !is_bare || account.is_loaded_as_not_existing() {
            return Ok(None);
        }
        let is_taken = (self.look)(&mut journal.database, address)?;
        Ok(is_taken.then_some(address))
    }

    fn set_nonce(&mut self, address: Address, nonce: u64) {
        if let Some(account) = self.evm.ctx.journaled_state.state.get_mut(&address) {
            account.info.nonce = nonce;
        }
    }
}

type Context<DB> = DelegateEvmContext<DB>;
type Instructions<DB> = EthInstructions<EthInterpreter, Context<DB>>;
type Frame = EthFrame<EthInterpreter>;

impl<DB: Database, I> EvmTr for Colliding<'_, DB, I> {
    type Context = Context<DB>;
    type Instructions = Instructions<DB>;
    type Precompiles = DelegatePrecompiles;
    type Frame = Frame;

    fn all(&self) -> (&Context<DB>, &Instructions<DB>, &DelegatePrecompiles, &FrameStack<Frame>) {
        self.evm.all()
    }

    fn all_mut(
        &mut self,
    ) -> (&mut Context<DB>, &mut Instructions<DB>, &mut DelegatePrecompiles, &mut FrameStack<Frame>) {
        self.evm.all_mut()
    }

    fn frame_init(&mut self, init: FrameInit) -> Result<FrameInitResult<'_, Frame>, ContextDbError<Context<DB>>> {
        let taken = match &init.frame_input {
            FrameInput::Create(inputs) => self.taken(inputs, init.depth)?,
            _ => None,
        };
        let Some(address) = taken else { return self.evm.frame_init(init) };
        self.set_nonce(address, 1);
        let made = self.evm.frame_init(init).map(|made| match made {
            ItemOrResult::Result(refused) => Some(refused),
            ItemOrResult::Item(_) => None,
        });
        self.set_nonce(address, 0);
        Ok(match made? {
            Some(refused) => ItemOrResult::Result(refused),
            None => ItemOrResult::Item(self.evm.frame_stack.get()),
        })
    }

    fn frame_run(&mut self) -> Result<FrameInitOrResult<Frame>, ContextDbError<Context<DB>>> {
        self.evm.frame_run()
    }

    fn frame_return_result(
        &mut self,
        result: <Frame as FrameTr>::FrameResult,
    ) -> Result<Option<<Frame as FrameTr>::FrameResult>, ContextDbError<Context<DB>>> {
        self.evm.frame_return_result(result)
    }
}

impl<DB: Database, I: Inspector<Context<DB>>> InspectorEvmTr for Colliding<'_, DB, I> {
    type Inspector = I;

    fn all_inspector(&self) -> (&Context<DB>, &Instructions<DB>, &DelegatePrecompiles, &FrameStack<Frame>, &I) {
        self.evm.all_inspector()
    }

    fn all_mut_inspector(
        &mut self,
    ) -> (&mut Context<DB>, &mut Instructions<DB>, &mut DelegatePrecompiles, &mut FrameStack<Frame>, &mut I) {
        self.evm.all_mut_inspector()
    }
}
