//! The archive in an S3-compatible object store.
//!
//! A part is made in memory and put when it gets its path: S3 makes an object there whole or not at
//! all, and has no rename. Big ones are sent in pieces and put together by the server; of one that
//! fails the pieces are given back. `read.rs` reads only what is asked for.

mod explain;
mod read;

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path as Key;
use object_store::{BackoffConfig, ClientOptions, ObjectStoreExt, RetryConfig};
use tokio::runtime::Runtime;

use super::Archive;
use super::store::{NewFile, PROBE, Store, StoreError, StoredFile, is_beside, is_ours};

const REQUEST_LIMIT: Duration = Duration::from_secs(60);

/// The time limit for the first request of a run, for which someone may wait.
const HASTY_LIMIT: Duration = Duration::from_secs(3);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// An object of more bytes is sent in pieces of so many.
const PIECE_BYTES: usize = 32 << 20;

/// Where the archive is, and how to get in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Place {
    /// Name of the bucket, without its endpoint.
    pub bucket: String,
    /// Path within the bucket; may be empty.
    pub prefix: String,
    /// URL of a server other than Amazon's.
    pub endpoint: Option<String>,
    /// Region; none: as the environment has it, else `us-east-1`.
    pub region: Option<String>,
    /// Keys; none: as the environment has them, else those of the machine's role.
    pub keys: Option<S3Keys>,
    /// Connections without TLS are allowed.
    pub allow_http: bool,
    /// Where this machine's lock file is; none if the warehouse keeps the lock.
    pub lock_folder: Option<PathBuf>,
    /// Larger objects are sent in pieces of so many bytes (5 MiB or more); none: 32 MiB.
    pub piece_bytes: Option<usize>,
    /// How long a server that cannot be reached, or answers with 5xx, is tried again; none: a minute.
    pub patience: Option<Duration>,
}

/// Access keys; what is secret of them is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct S3Keys {
    /// The key's name.
    pub access_key_id: String,
    /// The secret that belongs to it.
    pub secret_access_key: String,
    /// Of keys that last for a while only.
    pub session_token: Option<String>,
}

impl fmt::Debug for S3Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("S3Keys").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

impl S3Place {
    /// Reads `s3://BUCKET[/PREFIX]`, without anything else; none when it is something else.
    pub fn from_url(url: &str) -> Option<S3Place> {
        let (bucket, prefix) = match url.strip_prefix("s3://")?.split_once('/') {
            Some((bucket, prefix)) => (bucket, prefix.trim_matches('/')),
            None => (&url["s3://".len()..], ""),
        };
        let is_name = |name: &str| {
            name.chars().all(|character| character.is_ascii_alphanumeric() || ".-_".contains(character))
        };
        if bucket.is_empty() || !is_name(bucket) || Key::parse(prefix).is_err() {
            return None;
        }
        Some(S3Place {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            endpoint: None,
            region: None,
            keys: None,
            allow_http: false,
            lock_folder: None,
            piece_bytes: None,
            patience: None,
        })
    }

    /// The same as a URL.
    pub fn url(&self) -> String {
        match self.prefix.as_str() {
            "" => format!("s3://{}", self.bucket),
            prefix => format!("s3://{}/{prefix}", self.bucket),
        }
    }

    fn client(&self, patience: Duration) -> object_store::Result<AmazonS3> {
        // Whether it was this call that set it does not matter: this tree has one provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let options = ClientOptions::new()
            .with_connect_timeout(CONNECT_TIMEOUT.min(patience))
            .with_timeout(REQUEST_TIMEOUT)
            .with_allow_http(self.allow_http);
        let retry = RetryConfig {
            backoff: BackoffConfig {
                init_backoff: Duration::from_millis(100),
                max_backoff: Duration::from_secs(5),
                base: 2.0,
            },
            max_retries: 1_000,
            retry_timeout: patience,
        };
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(&self.bucket)
            .with_virtual_hosted_style_request(false)
            .with_client_options(options)
            .with_retry(retry);
        if let Some(endpoint) = &self.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        if let Some(region) = &self.region {
            builder = builder.with_region(region);
        }
        if let Some(keys) = &self.keys {
            builder = builder
                .with_access_key_id(&keys.access_key_id)
                .with_secret_access_key(&keys.secret_access_key);
            if let Some(token) = &keys.session_token {
                builder = builder.with_token(token);
            }
        }
        builder.build()
    }
}

impl Archive {
    /// The archive in an object store. Connects to nothing yet.
    ///
    /// # Errors
    /// When the place cannot be one.
    pub fn in_s3(place: S3Place) -> Result<Archive, StoreError> {
        let cannot = |error: &dyn fmt::Display| StoreError::failed(place.url(), error);
        let client = place.client(place.patience.unwrap_or(REQUEST_LIMIT)).map_err(|error| cannot(&error))?;
        let hasty = place.client(HASTY_LIMIT).map_err(|error| cannot(&error))?;
        // Its one thread serves only sockets; callers wait on their own threads.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("s3")
            .enable_all()
            .build()
            .map_err(|error| cannot(&error))?;
        let shared = Shared { client, hasty, runtime: Some(runtime), place };
        Ok(Archive::of(S3 { shared: Arc::new(shared) }))
    }
}

#[derive(Debug)]
struct S3 {
    shared: Arc<Shared>,
}

/// Shared by the store and its files.
#[derive(Debug)]
struct Shared {
    place: S3Place,
    client: AmazonS3,
    /// Gives up soon: listing happens at the start of a run, or to find out what is wrong.
    hasty: AmazonS3,
    /// There until it is dropped.
    runtime: Option<Runtime>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The ordinary drop waits, which a thread of another runtime must not.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Shared {
    fn key(&self, path: &str) -> Result<Key, StoreError> {
        let whole = match self.place.prefix.as_str() {
            "" => path.to_owned(),
            prefix => format!("{prefix}/{path}"),
        };
        Key::parse(&whole).map_err(|error| StoreError::failed(self.place.url(), error))
    }

    fn prefix(&self) -> Option<Key> {
        (!self.place.prefix.is_empty()).then(|| Key::from(self.place.prefix.as_str()))
    }

    /// Waits for the server's answer; its errors come in words.
    fn ask<T>(
        &self,
        path: &str,
        answer: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, StoreError> {
        let Some(runtime) = &self.runtime else {
            return Err(StoreError::failed(self.place.url(), "is closed; please report this"));
        };
        runtime.block_on(answer).map_err(|error| explain::explain(&self.place, path, &error))
    }

    /// Puts an object, whole or not at all.
    async fn put(&self, key: &Key, bytes: Bytes) -> object_store::Result<()> {
        let piece_bytes = self.place.piece_bytes.unwrap_or(PIECE_BYTES);
        if bytes.len() <= piece_bytes {
            return self.client.put(key, bytes.into()).await.map(drop);
        }
        let mut upload = self.client.put_multipart(key).await?;
        let sent = async {
            for start in (0..bytes.len()).step_by(piece_bytes) {
                let piece = bytes.slice(start..bytes.len().min(start + piece_bytes));
                upload.put_part(piece.into()).await?;
            }
            upload.complete().await.map(drop)
        };
        let outcome = sent.await;
        if outcome.is_err() {
            // Where even this fails, the bucket's rule for unfinished uploads sees to the pieces.
            let _ = upload.abort().await;
        }
        outcome
    }
}

impl Store for S3 {
    fn location(&self) -> String {
        self.shared.place.url()
    }

    fn create(&self, path: &str) -> Result<Box<dyn NewFile>, StoreError> {
        Ok(Box::new(NewObject {
            shared: Arc::clone(&self.shared),
            path: path.to_owned(),
            written: Vec::new(),
            complete: Bytes::new(),
            is_put: AtomicBool::new(false),
        }))
    }

    fn open(&self, path: &str) -> Result<Box<dyn StoredFile>, StoreError> {
        Ok(Box::new(read::Object::open(&self.shared, path)?))
    }

    fn list(&self) -> Result<Vec<String>, StoreError> {
        let prefix = self.shared.prefix();
        let listed = read::list(&self.shared.hasty, prefix.as_ref());
        let mut paths = self.shared.ask("", listed)?;
        paths.retain(|path| !is_beside(path));
        Ok(paths)
    }

    fn remove(&self, path: &str) -> Result<(), StoreError> {
        let key = self.shared.key(path)?;
        match self.shared.ask(path, self.shared.client.delete(&key)) {
            Err(StoreError::Missing(_)) => Ok(()),
            removed => removed,
        }
    }

    fn lock_folder(&self) -> Option<&Path> {
        self.shared.place.lock_folder.as_deref()
    }

    fn check(&self) -> Result<String, StoreError> {
        let shared = &self.shared;
        let name = format!("{PROBE}{}", std::process::id());
        let key = shared.key(&name)?;
        let files = self.list()?.iter().filter(|path| is_ours(path)).count();
        shared.ask(&name, shared.hasty.put(&key, Bytes::from_static(b"adpipe").into()))?;
        shared.ask(&name, shared.hasty.delete(&key))?;
        Ok(format!("{}: {files} files, can be written", self.location()))
    }
}

/// A part in memory, until it is put.
struct NewObject {
    shared: Arc<Shared>,
    path: String,
    written: Vec<u8>,
    complete: Bytes,
    is_put: AtomicBool,
}

impl fmt::Debug for NewObject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("NewObject").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Write for NewObject {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl NewFile for NewObject {
    fn complete(&mut self) -> Result<u64, StoreError> {
        self.complete = Bytes::from(std::mem::take(&mut self.written));
        Ok(self.complete.len() as u64)
    }

    fn publish(&self) -> Result<(), StoreError> {
        let key = self.shared.key(&self.path)?;
        // Also when it fails: the answer may have been lost, not the request.
        self.is_put.store(true, Ordering::Relaxed);
        self.shared.ask(&self.path, self.shared.put(&key, self.complete.clone()))
    }

    fn discard(&self) {
        if self.is_put.load(Ordering::Relaxed)
            && let Ok(key) = self.shared.key(&self.path)
        {
            let _ = self.shared.ask(&self.path, self.shared.client.delete(&key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_bucket_and_prefix_and_nothing_else() {
        let place = |url| S3Place::from_url(url).map(|place| (place.bucket.clone(), place.prefix.clone()));
        let some = |bucket: &str, prefix: &str| Some((bucket.to_owned(), prefix.to_owned()));
        assert_eq!(place("s3://ads"), some("ads", ""));
        assert_eq!(place("s3://ads/"), some("ads", ""));
        assert_eq!(place("s3://my.ads-1/a/b/"), some("my.ads-1", "a/b"));
        for wrong in ["s3://", "s3:///x", "s3://key:secret@ads/x", "s3://ads/a//b", "s3://ads/../x", "/data"]
        {
            assert_eq!(place(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_key_is_not_shown() {
        let keys = S3Keys {
            access_key_id: "name".to_owned(),
            secret_access_key: "hidden".to_owned(),
            session_token: Some("hidden".to_owned()),
        };
        let shown = format!("{keys:?}");
        assert!(shown.contains("name") && !shown.contains("hidden"), "{shown}");
    }
}
