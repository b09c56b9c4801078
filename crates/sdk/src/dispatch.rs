//! From call data to a typed function and back. Monomorphised per function; the macros tie the parts together.

use crate::{Failure, Result};
use alloy_primitives::{Bytes, hex};
use alloy_sol_types::{SolCall, SolType, SolValue, sol};

sol! {
    /// How the base contract of a Contract Cryptlet hands over a call: the call data it got and its own state.
    /// Answered with `abi.encode(bytes newSnapshot)`.
    function delegated(bytes msgData, bytes snapshot) external returns (bytes newSnapshot);
}

/// A Rust function that answers the Solidity function `C`.
pub trait Function<C: SolCall, Args> {
    /// Calls it with the decoded arguments.
    fn call(&self, args: Args) -> Result<C::Return>;
}

/// A Rust function that carries out the delegated Solidity function `C` on the state `S`.
pub trait Method<C: SolCall, S, Args> {
    /// Calls it with the decoded state and arguments.
    fn call(&self, state: &mut S, args: Args) -> Result<()>;
}

macro_rules! arities {
    ($(($($arg:ident)*))*) => {$(
        #[allow(non_snake_case)]
        impl<C, F, R, $($arg),*> Function<C, ($($arg,)*)> for F
        where
            C: SolCall,
            F: Fn($($arg),*) -> Result<R>,
            R: Into<C::Return>,
        {
            fn call(&self, ($($arg,)*): ($($arg,)*)) -> Result<C::Return> {
                self($($arg),*).map(Into::into)
            }
        }

        #[allow(non_snake_case)]
        impl<C, S, F, $($arg),*> Method<C, S, ($($arg,)*)> for F
        where
            C: SolCall,
            F: Fn(&mut S, $($arg),*) -> Result<()>,
        {
            fn call(&self, state: &mut S, ($($arg,)*): ($($arg,)*)) -> Result<()> {
                self(state, $($arg),*)
            }
        }
    )*};
}

arities! {
    () (A1) (A1 A2) (A1 A2 A3) (A1 A2 A3 A4) (A1 A2 A3 A4 A5) (A1 A2 A3 A4 A5 A6) (A1 A2 A3 A4 A5 A6 A7)
    (A1 A2 A3 A4 A5 A6 A7 A8) (A1 A2 A3 A4 A5 A6 A7 A8 A9) (A1 A2 A3 A4 A5 A6 A7 A8 A9 A10)
    (A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11) (A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11 A12)
}

/// Splits call data into its selector and the encoded arguments.
pub fn selector(input: &[u8]) -> Result<([u8; 4], &[u8])> {
    match input.split_first_chunk::<4>() {
        Some((selector, args)) => Ok((*selector, args)),
        None => Err(Failure::text(format!("call data of {} bytes holds no selector of 4 bytes", input.len()))),
    }
}

/// Decodes the arguments, calls the function and encodes what it returns.
pub fn answer<'a, C, F>(function: F, args: &'a [u8]) -> Result<Vec<u8>>
where
    C: SolCall,
    F: Function<C, <C::Parameters<'a> as SolType>::RustType>,
{
    Ok(C::abi_encode_returns(&function.call(decode::<C>(args)?)?))
}

/// Decodes the arguments and carries the function out on the state.
pub fn apply<'a, C, S, F>(method: F, state: &mut S, args: &'a [u8]) -> Result<()>
where
    C: SolCall,
    F: Method<C, S, <C::Parameters<'a> as SolType>::RustType>,
{
    method.call(state, decode::<C>(args)?)
}

/// Unpacks `delegated(msgData, snapshot)`, lets `run` change the state, and packs the next snapshot.
pub fn delegated<S>(input: &[u8], run: impl FnOnce(&mut S, [u8; 4], &[u8]) -> Result<()>) -> Result<Vec<u8>>
where
    S: SolValue + From<<S::SolType as SolType>::RustType>,
{
    let (outer, args) = selector(input)?;
    if outer != delegatedCall::SELECTOR {
        return Err(unknown(outer, "a Contract Cryptlet is called through delegated(bytes,bytes)"));
    }
    let call = delegatedCall::abi_decode_raw_validate(args).map_err(|_| malformed(delegatedCall::SIGNATURE))?;
    let mut state = S::abi_decode_validate(&call.snapshot).map_err(|_| malformed("snapshot"))?;
    let (inner, args) = selector(&call.msgData)?;
    run(&mut state, inner, args)?;
    Ok(delegatedCall::abi_encode_returns(&Bytes::from(state.abi_encode())))
}

/// The refusal of a call that the interface does not have.
pub fn unknown(selector: [u8; 4], hint: &str) -> Failure {
    Failure::text(format!("no function with selector {}: {hint}", hex::encode_prefixed(selector)))
}

fn decode<'a, C: SolCall>(args: &'a [u8]) -> Result<<C::Parameters<'a> as SolType>::RustType> {
    <C::Parameters<'a> as SolType>::abi_decode_params_validate(args).map_err(|_| malformed(C::SIGNATURE))
}

/// Without the decoder's own words: they would make every cryptlet 10 KB larger.
fn malformed(what: &str) -> Failure {
    Failure::text(format!("{what}: malformed ABI encoding"))
}
