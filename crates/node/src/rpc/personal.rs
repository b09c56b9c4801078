//! What wallets call `personal_sign`.

use super::{Rpc, RpcError};
use alloy_primitives::{Address, Bytes};
use jsonrpsee::{RpcModule, proc_macros::rpc};

#[rpc(server, namespace = "personal")]
pub(crate) trait Personal {
    /// EIP-191. The parameters come in the other order than those of `eth_sign`; a passphrase is not needed and
    /// ignored.
    #[method(name = "sign")]
    fn sign(&self, message: Bytes, address: Address, passphrase: Option<String>) -> Result<Bytes, RpcError>;
}

impl PersonalServer for Rpc {
    fn sign(&self, message: Bytes, address: Address, _passphrase: Option<String>) -> Result<Bytes, RpcError> {
        self.accounts.sign_message(address, &message)
    }
}

pub(super) fn methods(rpc: &Rpc) -> RpcModule<()> {
    rpc.clone().into_rpc().remove_context()
}
