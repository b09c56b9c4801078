//! The four macros of an author: the interface, its functions, and two ways to refuse.

/// Declares Solidity types: inline Solidity, or the path of a `.sol` file relative to the crate's manifest.
///
/// `alloy_sol_types::sol!` under a name that needs no further dependency.
#[macro_export]
macro_rules! sol {
    ($($input:tt)*) => {
        $crate::__private::alloy_sol_types::sol! {
            #![sol(alloy_sol_types = $crate::__private::alloy_sol_types)]
            $($input)*
        }
    };
}

/// Exports a utility cryptlet: which Rust function answers which Solidity function. All of the interface must be answered.
///
/// Defines `handle(input) -> Result<output>` over call data and, when built for WebAssembly, the component around it.
#[macro_export]
macro_rules! export {
    ($calls:ty; $($call:ty => $function:expr),+ $(,)?) => {
        /// Answers one call: selector and arguments in, encoded return values out.
        pub fn handle(input: &[u8]) -> $crate::Result<Vec<u8>> {
            use $crate::__private::{SolCall, SolInterface};
            const _: () = assert!(
                <$calls as SolInterface>::COUNT == [$(<$call as SolCall>::SELECTOR),+].len(),
                "every function of the interface needs an answer, once"
            );
            let (selector, args) = $crate::__private::selector(input)?;
            match selector {
                $(<$call as SolCall>::SELECTOR => $crate::__private::answer::<$call, _>($function, args),)+
                _ => Err($crate::__private::unknown(selector, concat!("the cryptlet answers ", stringify!($($call),+)))),
            }
        }
        $crate::__component!(handle);
    };
}

/// Exports a Contract Cryptlet: which Rust function carries out which delegated Solidity function on the contract's state.
///
/// The functions take `&mut State` and the arguments; what they leave in the state becomes the contract's next snapshot.
/// Defines `handle(input) -> Result<output>` over `delegated(bytes,bytes)` and, for WebAssembly, the component around it.
#[macro_export]
macro_rules! export_contract {
    ($calls:ty, $state:ty; $($call:ty => $method:expr),+ $(,)?) => {
        /// Carries out one delegated call: `delegated(msgData, snapshot)` in, the next snapshot out.
        pub fn handle(input: &[u8]) -> $crate::Result<Vec<u8>> {
            use $crate::__private::{SolCall, SolInterface};
            const _: () = assert!(
                <$calls as SolInterface>::COUNT == [$(<$call as SolCall>::SELECTOR),+].len(),
                "every function of the interface needs an answer, once"
            );
            $crate::__private::delegated::<$state>(input, |state, selector, args| match selector {
                $(<$call as SolCall>::SELECTOR => $crate::__private::apply::<$call, $state, _>($method, state, args),)+
                _ => Err($crate::__private::unknown(selector, concat!("the cryptlet carries out ", stringify!($($call),+)))),
            })
        }
        $crate::__component!(handle);
    };
}

/// Returns from the function with a reason in words.
#[macro_export]
macro_rules! fail {
    ($($reason:tt)+) => {
        return Err($crate::Failure::text(format!($($reason)+)))
    };
}

/// Returns from the function with a reason in words unless the condition holds.
#[macro_export]
macro_rules! ensure {
    ($condition:expr, $($reason:tt)+) => {
        // Not `!condition`: a comparison with NaN is false, and that is meant.
        if $condition {
        } else {
            $crate::fail!($($reason)+);
        }
    };
}

/// Writes a line to the host's log. It is no part of the answer.
#[macro_export]
macro_rules! log {
    ($($line:tt)+) => {
        $crate::host::log(&format!($($line)+))
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __component {
    ($handle:ident) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Component;
            impl $crate::bindings::Guest for Component {
                fn handle(input: Vec<u8>) -> Result<Vec<u8>, $crate::bindings::Failure> {
                    $handle(&input).map_err($crate::bindings::failure)
                }
            }
    $crate::bindings::export!(Component with_types_in $crate::bindings);
        };
    };
}
