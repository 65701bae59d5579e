//! Where the server is and how to get in.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use postgres::Config;
use postgres::config::{Host, SslMode};

/// What `warehouse.*` says about a PostgreSQL warehouse. Its `Debug` shows no password.
#[derive(Clone)]
pub struct PostgresSettings {
    config: Config,
    location: String,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) synchronous_commit: bool,
}

/// Before the handshake is done; see also `connect.rs`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A dead peer is noticed after about 10 + 3 x 3 seconds of silence, an unacknowledged write
/// after 15.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(3);
const KEEPALIVE_RETRIES: u32 = 3;
const UNACKNOWLEDGED: Duration = Duration::from_secs(15);

impl PostgresSettings {
    /// Reads `postgres://USER@HOST:PORT/DATABASE[?sslmode=…&sslrootcert=FILE]`.
    ///
    /// Encryption: without `sslmode` a server on this machine is spoken to plainly and any other
    /// one by TLS. The server's certificate is always verified, against `sslrootcert` or the
    /// system's authorities; `sslmode=disable` is for networks that are trusted.
    ///
    /// # Errors
    /// What is wrong with the URL, without repeating it: it may hold a password.
    pub fn from_url(url: &str) -> Result<PostgresSettings, String> {
        let (url, parameters) = url.split_once('?').unwrap_or((url, ""));
        let mut ca_file = None;
        let mut ssl_mode = None;
        let mut rest: Vec<&str> = Vec::new();
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=') {
                Some(("sslrootcert", file)) => ca_file = Some(PathBuf::from(file)),
                Some(("sslmode", mode)) => ssl_mode = Some(mode),
                _ => rest.push(parameter),
            }
        }
        let plain = if rest.is_empty() { url.to_owned() } else { format!("{url}?{}", rest.join("&")) };
        let mut config = Config::from_str(&plain).map_err(|error| {
            let source =
                std::error::Error::source(&error).map_or(String::new(), |source| format!(": {source}"));
            format!("is not a PostgreSQL address{source}; write postgres://user@host:5432/database")
        })?;
        if config.get_hosts().is_empty() || config.get_dbname().is_none() || config.get_user().is_none() {
            return Err(
                "names no user, host or database; write postgres://user@host:5432/database".to_owned()
            );
        }
        let is_here = config.get_hosts().iter().all(is_this_machine);
        config.ssl_mode(match ssl_mode {
            Some("disable") => SslMode::Disable,
            Some("require" | "verify-ca" | "verify-full") => SslMode::Require,
            None if is_here => SslMode::Disable,
            None => SslMode::Require,
            Some(other) => {
                return Err(format!("has sslmode={other}; write disable, require or verify-full"));
            }
        });
        config
            .application_name("adpipe")
            .connect_timeout(CONNECT_TIMEOUT)
            .keepalives(true)
            .keepalives_idle(KEEPALIVE_IDLE)
            .keepalives_interval(KEEPALIVE_INTERVAL)
            .keepalives_retries(KEEPALIVE_RETRIES)
            .tcp_user_timeout(UNACKNOWLEDGED);
        let location = masked(url);
        Ok(PostgresSettings { config, location, ca_file, synchronous_commit: true })
    }

    /// Sets the password, in place of one in the URL.
    pub fn password(mut self, password: &str) -> PostgresSettings {
        self.config.password(password);
        self
    }

    /// Whether a commit waits until the server has it on disk. Without that, a crash of the
    /// server may undo the newest commits; they are then read from the log again and counted
    /// once, because their offsets are undone with them.
    pub fn synchronous_commit(mut self, waits: bool) -> PostgresSettings {
        self.synchronous_commit = waits;
        self
    }

    /// The address, without password and parameters.
    pub fn location(&self) -> &str {
        &self.location
    }

    /// The same as libpq's variables, for other programs: PGHOST, PGPORT and so on. With the password.
    pub fn environment(&self) -> Vec<(String, String)> {
        let config = &self.config;
        let mut variables = Vec::new();
        let mut set = |name: &str, value: String| variables.push((name.to_owned(), value));
        match config.get_hosts().first() {
            Some(Host::Tcp(name)) => set("PGHOST", name.clone()),
            #[cfg(unix)]
            Some(Host::Unix(path)) => set("PGHOST", path.display().to_string()),
            None => {}
        }
        set("PGPORT", config.get_ports().first().copied().unwrap_or(5_432).to_string());
        set("PGUSER", config.get_user().unwrap_or_default().to_owned());
        set("PGDATABASE", config.get_dbname().unwrap_or_default().to_owned());
        if let Some(password) = config.get_password() {
            set("PGPASSWORD", String::from_utf8_lossy(password).into_owned());
        }
        let ssl_mode = match (config.get_ssl_mode(), &self.ca_file) {
            (SslMode::Disable, _) => "disable",
            (_, Some(_)) => "verify-full",
            _ => "require",
        };
        set("PGSSLMODE", ssl_mode.to_owned());
        if let Some(file) = &self.ca_file {
            set("PGSSLROOTCERT", file.display().to_string());
        }
        variables
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }
}

impl std::fmt::Debug for PostgresSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresSettings").field("location", &self.location).finish_non_exhaustive()
    }
}

fn is_this_machine(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    }
}

/// Whether an address is PostgreSQL's.
pub fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

/// Whether a URL holds a password, in either of the places where one can be.
pub fn has_password(url: &str) -> bool {
    masked(url) != url
}

/// The URL with `***` where a password is. Works on URLs that are wrong, too.
pub fn masked(url: &str) -> String {
    let (address, parameters) = url.split_once('?').unwrap_or((url, ""));
    let mut shown = match address.split_once("://") {
        Some((scheme, rest)) => match rest.rsplit_once('@') {
            Some((who, place)) => match who.split_once(':') {
                Some((user, _)) => format!("{scheme}://{user}:***@{place}"),
                None => address.to_owned(),
            },
            None => address.to_owned(),
        },
        None => address.to_owned(),
    };
    for (index, parameter) in parameters.split('&').filter(|parameter| !parameter.is_empty()).enumerate() {
        shown.push(if index == 0 { '?' } else { '&' });
        if parameter.starts_with("password=") {
            shown.push_str("password=***")
        } else {
            shown.push_str(parameter)
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_masked_wherever_they_stand() {
        for (url, shown) in [
            ("postgres://ann@db:5432/x", "postgres://ann@db:5432/x"),
            ("postgres://ann:p@ss@db/x", "postgres://ann:***@db/x"),
            (
                "postgres://ann@db/x?password=p&sslmode=disable",
                "postgres://ann@db/x?password=***&sslmode=disable",
            ),
            ("sqlite:data", "sqlite:data"),
        ] {
            assert_eq!(masked(url), shown);
            assert_eq!(has_password(url), url != shown);
        }
        let settings = PostgresSettings::from_url("postgres://ann:secret@db/x").unwrap();
        assert!(!format!("{settings:?} {}", settings.location()).contains("secret"));
    }

    #[test]
    fn only_this_machine_is_spoken_to_plainly() {
        let mode = |url| PostgresSettings::from_url(url).unwrap().config.get_ssl_mode();
        assert_eq!(mode("postgres://ann@127.0.0.1/x"), SslMode::Disable);
        assert_eq!(mode("postgres://ann@db.example/x"), SslMode::Require);
        assert_eq!(mode("postgres://ann@db.example/x?sslmode=disable"), SslMode::Disable);
        assert_eq!(mode("postgres://ann@127.0.0.1/x?sslmode=require"), SslMode::Require);
    }

    #[test]
    fn a_wrong_url_is_explained_without_repeating_it() {
        for url in
            ["postgres://ann:secret@db/x?color=red", "postgres://db", "postgres://ann@db/x?sslmode=prefer"]
        {
            let error = PostgresSettings::from_url(url).unwrap_err();
            assert!(
                !error.contains("secret") && error.contains("please") | error.contains("write"),
                "{error}"
            );
        }
    }
}
