//! Opening a store, and what its errors mean to a user.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::{BackoffConfig, ClientOptions, Error as StoreError, ObjectStore, RetryConfig};

use super::location::{Location, Provider};

/// The store of a URL. Credentials, regions and endpoints are those of the environment.
pub(super) fn open(location: &Location) -> Result<Arc<dyn ObjectStore>, StoreError> {
    // reqwest is built without a provider of its own. Where the program around this library has chosen one, that stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Of one request. Downloads go on from where they stopped (see download.rs), so that little is lost when these run out.
    let retry = RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(5),
            base: 2.,
        },
        max_retries: 4,
        retry_timeout: Duration::from_secs(60),
    };
    Ok(match location.provider {
        Provider::Aws => {
            let builder = AmazonS3Builder::from_env().with_bucket_name(&location.host);
            Arc::new(builder.with_retry(retry).build()?)
        }
        Provider::Google => {
            let builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(&location.host);
            Arc::new(builder.with_retry(retry).build()?)
        }
        Provider::Azure => {
            let builder = MicrosoftAzureBuilder::from_env().with_url(&location.origin);
            Arc::new(builder.with_retry(retry).build()?)
        }
        Provider::Web => {
            let query = location.query.as_ref().map(|query| format!("/?{query}")).unwrap_or_default();
            // What a server without ranges sends is one answer, however long that takes.
            let options = ClientOptions::new()
                .with_allow_http(true)
                .with_timeout_disabled()
                .with_read_timeout(Duration::from_secs(30));
            let builder =
                HttpBuilder::new().with_url(format!("{}{query}", location.origin)).with_client_options(options);
            Arc::new(builder.with_retry(retry).build()?)
        }
    })
}

/// What is wrong and what to do about it.
pub(super) fn explained(error: &StoreError, location: &Location) -> String {
    let text = in_full(error);
    let text = match &location.query {
        Some(query) if !query.is_empty() => text.replace(query.as_str(), "…"),
        _ => text,
    };
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let credentials = credentials(location.provider);
    if has(&["NoSuchBucket", "ContainerNotFound", "The specified bucket does not exist"]) {
        return format!(
            "there is no bucket or container \"{}\"; check its name, and the endpoint and region",
            location.host
        );
    }
    // Where no variable is set, machines of the provider's own are asked for theirs, at these addresses.
    if has(&["169.254.169.254", "169.254.170.2", "metadata.google.internal"]) {
        return format!("there is nothing to sign in with; {credentials}");
    }
    match error {
        StoreError::NotFound { .. } => "there is no such object".to_owned(),
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => {
            format!("access is denied; {credentials} ({text})")
        }
        StoreError::Precondition { .. } => CHANGED.to_owned(),
        _ if has(&["Account must be specified"]) => format!("the account is not known; {credentials}"),
        _ if has(&["URL scheme is not allowed"]) => {
            format!(
                "the endpoint is http://, which is not encrypted; to use it all the same, set {}",
                allow_http(location)
            )
        }
        _ => format!("cannot be read: {text}"),
    }
}

/// What is wrong where an object is no longer the one that was found.
pub(super) const CHANGED: &str = "the object was replaced while it was read, so its parts would not fit together; start again when it stays as it is";

fn credentials(provider: Provider) -> &'static str {
    match provider {
        Provider::Aws => {
            "credentials come from the environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY (AWS_SESSION_TOKEN), AWS_REGION, \
             AWS_ENDPOINT; for a public bucket AWS_SKIP_SIGNATURE=true"
        }
        Provider::Google => {
            "credentials come from the environment: GOOGLE_SERVICE_ACCOUNT, the path of a key file; for a public bucket \
             GOOGLE_SKIP_SIGNATURE=true"
        }
        Provider::Azure => {
            "credentials come from the environment: AZURE_STORAGE_ACCOUNT_NAME with AZURE_STORAGE_ACCOUNT_KEY or \
             AZURE_STORAGE_SAS_KEY; for a public container AZURE_SKIP_SIGNATURE=true"
        }
        Provider::Web => "the server wants a signed URL, or does not let everyone read it",
    }
}

fn allow_http(location: &Location) -> &'static str {
    match location.provider {
        Provider::Google => "GOOGLE_ALLOW_HTTP=true",
        Provider::Azure => "AZURE_ALLOW_HTTP=true",
        Provider::Aws | Provider::Web => "AWS_ALLOW_HTTP=true",
    }
}

/// An error with its innermost cause, which the outer ones may not tell.
fn in_full(error: &StoreError) -> String {
    let text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause.and_then(|cause| cause.source()) {
        cause = Some(inner);
    }
    let cause = cause.map(ToString::to_string).filter(|cause| !text.contains(cause));
    cause.map_or_else(|| text.clone(), |cause| format!("{text}: {cause}"))
}
