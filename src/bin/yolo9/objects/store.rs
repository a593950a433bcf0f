//! Reading, listing and writing, each on the thread of its caller.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::path::Path as Key;
use object_store::{ClientOptions, Error, ObjectStore, ObjectStoreExt, ObjectStoreScheme, PutPayload, WriteMultipart};
use tokio::runtime::Runtime;
use yolo9::untrusted::printable;

use super::http::Connector;

/// Files from here on are written in parts of this size.
const PART: usize = 16 << 20;
/// Characters of a server's own words in a message.
const MAX_WORDS: usize = 200;

const NOT_THERE: &str = "there is no such object or bucket";
const DENIED: &str = "access denied; check the credentials in the environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, \
                      GOOGLE_APPLICATION_CREDENTIALS, AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY) and their \
                      rights";

pub(super) type Store = Arc<dyn ObjectStore>;

/// One store for each bucket: it keeps connections and credentials.
static STORES: Mutex<Option<HashMap<String, Store>>> = Mutex::new(None);

thread_local! {
    /// Every thread waits for its own requests.
    static RUNTIME: std::io::Result<Runtime> = tokio::runtime::Builder::new_current_thread().enable_time().build();
}

pub(super) fn wait<T>(future: impl Future<Output = T>) -> Result<T, String> {
    RUNTIME.with(|runtime| match runtime {
        Ok(runtime) => Ok(runtime.block_on(future)),
        Err(error) => Err(format!("no timer for requests: {error}")),
    })
}

/// An address, as its store knows it.
pub(super) struct Place {
    pub(super) store: Store,
    /// Scheme and bucket, or scheme and host.
    pub(super) base: String,
    pub(super) key: Key,
}

impl Place {
    pub(super) fn of(address: &str) -> Result<Self, String> {
        let (scheme, rest) = address.split_once("://").ok_or("not an address")?;
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(format!("there is no bucket in it; expected {scheme}://BUCKET/KEY"));
        }
        let base = format!("{}://{bucket}", scheme.to_ascii_lowercase());
        // Keys are taken as they are written: signs of an address mean nothing in them.
        let key = Key::parse(key.trim_end_matches('/')).map_err(|error| error.to_string())?;
        let mut stores = STORES.lock().unwrap_or_else(PoisonError::into_inner);
        let stores = stores.get_or_insert_default();
        if let Some(store) = stores.get(&base) {
            return Ok(Self { store: Arc::clone(store), base, key });
        }
        let store = connect(&base).map_err(|error| reason(&error))?;
        stores.insert(base.clone(), Arc::clone(&store));
        Ok(Self { store, base, key })
    }
}

fn connect(base: &str) -> Result<Store, Error> {
    let url = url::Url::parse(base).map_err(|error| Error::Generic { store: "address", source: Box::new(error) })?;
    let (scheme, _) = ObjectStoreScheme::parse(&url)?;
    Ok(match scheme {
        ObjectStoreScheme::GoogleCloudStorage => {
            Arc::new(GoogleCloudStorageBuilder::from_env().with_url(base).with_http_connector(Connector).build()?)
        }
        ObjectStoreScheme::Http => {
            let options = ClientOptions::new().with_allow_http(true);
            let builder = HttpBuilder::new().with_url(base).with_client_options(options);
            Arc::new(builder.with_http_connector(Connector).build()?)
        }
        ObjectStoreScheme::MicrosoftAzure => {
            Arc::new(MicrosoftAzureBuilder::from_env().with_url(base).with_http_connector(Connector).build()?)
        }
        _ => {
            // Whoever names an endpoint without TLS means it.
            let plain = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"]
                .iter()
                .any(|name| std::env::var(name).is_ok_and(|value| value.starts_with("http://")));
            let builder = AmazonS3Builder::from_env().with_url(base).with_http_connector(Connector);
            let builder =
                if plain { builder.with_client_options(ClientOptions::new().with_allow_http(true)) } else { builder };
            Arc::new(builder.build()?)
        }
    })
}

/// An address as it stands in listings: without the escapes of the web.
pub(crate) fn plain(address: &str) -> Result<String, String> {
    if super::web_folder(address.as_ref()).is_none() {
        return Ok(address.to_owned());
    }
    let url = url::Url::parse(address).map_err(|error| error.to_string())?;
    let key = Key::from_url_path(url.path()).map_err(|error| error.to_string())?;
    let host = &url[..url::Position::BeforePath];
    Ok(if key.as_ref().is_empty() { format!("{host}/") } else { format!("{host}/{key}/") })
}

/// All bytes of an object of at most `limit`.
pub(crate) fn read(address: &str, limit: u64) -> Result<Vec<u8>, String> {
    let Place { store, key, .. } = Place::of(address)?;
    wait(async {
        let found = store.get(&key).await.map_err(|error| reason(&error))?;
        if found.meta.size > limit {
            return Err(format!("has {} bytes; the limit is {limit}", found.meta.size));
        }
        found.bytes().await.map(|bytes| bytes.to_vec()).map_err(|error| reason(&error))
    })?
}

/// Writes a file as an object, which is there when it is whole.
pub(crate) fn put(address: &str, file: &Path) -> Result<(), String> {
    let Place { store, key, .. } = Place::of(address)?;
    let mut file = std::fs::File::open(file).map_err(|error| error.to_string())?;
    let mut piece = || {
        let mut bytes = Vec::new();
        file.by_ref().take(PART as u64).read_to_end(&mut bytes).map(|_| bytes).map_err(|error| error.to_string())
    };
    let first = piece()?;
    wait(async {
        if first.len() < PART {
            return store.put(&key, PutPayload::from(first)).await.map(drop).map_err(|error| reason(&error));
        }
        let upload = store.put_multipart(&key).await.map_err(|error| reason(&error))?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, PART);
        upload.write(&first);
        loop {
            let next = piece()?;
            if next.is_empty() {
                break;
            }
            upload.wait_for_capacity(1).await.map_err(|error| reason(&error))?;
            upload.write(&next);
        }
        upload.finish().await.map(drop).map_err(|error| reason(&error))
    })?
}

/// Why, in few words; what a server says is untrusted.
pub(super) fn reason(error: &Error) -> String {
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let more = error.to_string();
        if !words.contains(&more) {
            words = format!("{words}: {more}");
        }
        cause = error.source();
    }
    // What the crate says about its retries goes before.
    if let Some((retries, last)) = words.split_once("  - ")
        && retries.contains("Error performing")
    {
        words = last.to_owned();
    }
    // Listings that fail come without a class of their own.
    let says = |status: &str| words.contains(status);
    match error {
        Error::NotFound { .. } => NOT_THERE.into(),
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => DENIED.into(),
        _ if says("404 Not Found") => NOT_THERE.into(),
        _ if says("403 Forbidden") || says("401 Unauthorized") => DENIED.into(),
        _ => printable(&words.chars().take(MAX_WORDS).collect::<String>()).into_owned(),
    }
}
