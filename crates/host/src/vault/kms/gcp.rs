//! GCP KMS. Credentials come from where Google's own tools have them: the environment, a file, the machine's metadata server.

use super::{
    KmsUri,
    service::{Connect, Find, KmsSigner, chain_of},
};
use alloy_signer_gcp::{
    GcpKeyRingRef, GcpSigner, GcpSignerError, KeySpecifier,
    gcloud_sdk::{
        GoogleApi, google::cloud::kms::v1::key_management_service_client::KeyManagementServiceClient, tonic::Code,
    },
};
use std::sync::Arc;

const ADDRESS: &str = "https://cloudkms.googleapis.com";

/// A client for the key ring in the URI. Keys are `KEY/VERSION`.
pub(super) fn connect(uri: &KmsUri) -> Connect {
    let [project, location, keyring] = ["project", "location", "keyring"].map(|name| uri.setting(name).to_owned());
    Box::pin(async move {
        let client = GoogleApi::from_function(KeyManagementServiceClient::new, ADDRESS, None).await;
        let client = client.map_err(|error| chain_of(&error))?;
        let keyring = GcpKeyRingRef::new(&project, &location, &keyring);
        let find: Find = Box::new(move |id| {
            let (client, keyring) = (client.clone(), keyring.clone());
            Box::pin(async move {
                let parsed = id.rsplit_once('/').and_then(|(key, version)| Some((key, version.parse().ok()?)));
                let (key, version) = parsed.ok_or_else(|| format!("{id:?} is no key: KEY/VERSION, as host/1"))?;
                match GcpSigner::new(client, KeySpecifier::new(keyring, key, version), None).await {
                    Ok(signer) => Ok(Some(Arc::new(signer) as KmsSigner)),
                    Err(GcpSignerError::RequestError(status)) if status.code() == Code::NotFound => Ok(None),
                    Err(error) => Err(chain_of(&error)),
                }
            })
        });
        Ok(find)
    })
}
