//! Where the archive is, as the configuration names it.

use std::path::Path;

use adpipe_batch::Archive;

use crate::config::{Config, ConfigError, check_archive_folder};

fn wrong(key: &'static str, message: impl Into<String>) -> ConfigError {
    ConfigError::Key { key, message: message.into() }
}

/// The archive of this configuration; nothing is connected to yet.
pub fn open(config: &Config) -> Result<Archive, ConfigError> {
    let url = &config.archive.url;
    if url.starts_with("s3:") {
        return object_store(config);
    }
    check_archive_folder(url)?;
    Ok(Archive::in_folder(Path::new(url)))
}

#[cfg(not(feature = "s3"))]
fn object_store(_: &Config) -> Result<Archive, ConfigError> {
    Err(wrong("archive.url", "this adpipe is built without S3; build it with `--features s3`"))
}

#[cfg(feature = "s3")]
fn object_store(config: &Config) -> Result<Archive, ConfigError> {
    use adpipe_batch::archive::s3::S3Place;

    let settings = &config.archive;
    // Not repeated: it may contain keys.
    let mut place = S3Place::from_url(&settings.url).ok_or_else(|| {
        wrong(
            "archive.url",
            "is not understood; write \"s3://BUCKET/PREFIX\", and give keys by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        )
    })?;
    place.endpoint = match settings.endpoint.as_str() {
        "" => ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"].iter().find_map(|name| s3::variable(name)),
        endpoint => Some(endpoint.to_owned()),
    };
    if let Some(endpoint) = &place.endpoint {
        s3::check_endpoint(endpoint, settings.allow_http)?;
    }
    place.allow_http = settings.allow_http;
    place.region = (!settings.region.is_empty()).then(|| settings.region.clone());
    place.keys = s3::keys(settings)?;
    if place.endpoint.is_some() && place.keys.is_none() && !s3::has_role() {
        let message = format!("there are no keys for {}; {}", settings.url, s3::SET_KEYS);
        return Err(wrong("archive.url", message));
    }
    // On PostgreSQL the database keeps the lock.
    let warehouse = crate::warehouse_place::WarehousePlace::of(config)
        .map_err(|error| wrong("warehouse.url", format!("{error:#}")))?;
    place.lock_folder = warehouse.folder().map(Path::to_path_buf);
    Archive::in_s3(place).map_err(|error| wrong("archive.url", error.to_string()))
}

#[cfg(feature = "s3")]
mod s3 {
    use adpipe_batch::archive::s3::S3Keys;

    use crate::archive_place::wrong;
    use crate::config::{ArchiveSettings, ConfigError};

    pub const SET_KEYS: &str = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or archive.access_key_id and archive.secret_access_key_file";

    pub fn variable(name: &str) -> Option<String> {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    }

    /// Whether the environment names a role whose keys are fetched when they are needed.
    pub fn has_role() -> bool {
        let names = [
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        ];
        names.iter().any(|name| variable(name).is_some())
    }

    pub fn check_endpoint(endpoint: &str, allow_http: bool) -> Result<(), ConfigError> {
        let (scheme, host) = endpoint.split_once("://").unwrap_or(("", endpoint));
        match scheme {
            // Not repeated: there may be a password in it.
            _ if host.contains('@') => {
                Err(wrong("archive.endpoint", format!("must not contain keys; {SET_KEYS}")))
            }
            "https" => Ok(()),
            "http" if allow_http => Ok(()),
            "http" => Err(wrong(
                "archive.endpoint",
                format!(
                    "{endpoint} is not encrypted; use https, or for a server on this machine set archive.allow_http = true"
                ),
            )),
            _ => {
                Err(wrong("archive.endpoint", format!("{endpoint} is not a URL like \"https://HOST:PORT\"")))
            }
        }
    }

    /// Keys of the configuration and the environment; none when neither has any.
    pub fn keys(settings: &ArchiveSettings) -> Result<Option<S3Keys>, ConfigError> {
        let file = match settings.secret_access_key_file.as_str() {
            "" => None,
            file => {
                let text = adpipe_sql::text::read(file.as_ref()).map_err(|error| {
                    wrong("archive.secret_access_key_file", format!("{file} cannot be read: {error}"))
                })?;
                let secret = text.trim_end_matches(['\r', '\n']).to_owned();
                if secret.is_empty() {
                    let message = format!("{file} is empty; put the key into its first line");
                    return Err(wrong("archive.secret_access_key_file", message));
                }
                Some(secret)
            }
        };
        let name = match settings.access_key_id.as_str() {
            "" => variable("AWS_ACCESS_KEY_ID"),
            name => Some(name.to_owned()),
        };
        let secret = variable("ADPIPE_ARCHIVE__SECRET_ACCESS_KEY")
            .or(file)
            .or_else(|| variable("AWS_SECRET_ACCESS_KEY"));
        let session_token =
            variable("ADPIPE_ARCHIVE__SESSION_TOKEN").or_else(|| variable("AWS_SESSION_TOKEN"));
        match (name, secret) {
            (Some(access_key_id), Some(secret_access_key)) => {
                Ok(Some(S3Keys { access_key_id, secret_access_key, session_token }))
            }
            (None, None) => Ok(None),
            (Some(_), None) => {
                Err(wrong("archive.url", format!("there is an access key without its secret; {SET_KEYS}")))
            }
            (None, Some(_)) => Err(wrong(
                "archive.url",
                format!("there is a secret access key without an access key; {SET_KEYS}"),
            )),
        }
    }
}
