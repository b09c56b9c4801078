//! AWS KMS. Credentials come from where Amazon's own tools have them: the environment, a profile, a role of the machine.

use super::{
    KmsUri,
    service::{Connect, Find, KmsSigner, chain_of},
};
use alloy_signer_aws::{AwsSigner, AwsSignerError, aws_sdk_kms::Client};
use aws_config::{BehaviorVersion, Region};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use std::sync::Arc;

/// A client for the region and address in the URI.
pub(super) fn connect(uri: &KmsUri) -> Connect {
    let (region, endpoint) = (uri.setting("region").to_owned(), uri.setting("endpoint").to_owned());
    Box::pin(async move {
        let https =
            aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).region(Region::new(region)).http_client(https);
        if !endpoint.is_empty() {
            loader = loader.endpoint_url(endpoint);
        }
        let client = Client::new(&loader.load().await);
        let find: Find = Box::new(move |id| Box::pin(find(client.clone(), id)));
        Ok(find)
    })
}

async fn find(client: Client, id: String) -> Result<Option<KmsSigner>, String> {
    match AwsSigner::new(client, id, None).await {
        Ok(signer) => Ok(Some(Arc::new(signer))),
        Err(AwsSignerError::GetPublicKey(error))
            if error.as_service_error().is_some_and(|error| error.is_not_found_exception()) =>
        {
            Ok(None)
        }
        Err(error) => Err(chain_of(&error)),
    }
}
