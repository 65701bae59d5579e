//! Puts the configuration together and says exactly what is wrong with it.

use std::path::Path;

use adpipe_warehouse::postgres::has_password;

use super::kafka::name_from_variable;
use super::origin::position;
use super::places::{check_archive_folder, embedded_folder};
use super::suggest::{nearest, with_suggestion};
use super::{Config, ConfigError, Origin, Origins};

const FILE_NAME: &str = "adpipe.toml";
const PREFIX: &str = "ADPIPE_";

/// Variables that are secrets, and no keys of the file.
const SECRETS: [&str; 5] = [
    "ADPIPE_CONSOLE__TOKEN",
    "ADPIPE_WAREHOUSE__PASSWORD",
    "ADPIPE_ARCHIVE__SECRET_ACCESS_KEY",
    "ADPIPE_ARCHIVE__SESSION_TOKEN",
    adpipe_notify::webhook::VARIABLE,
];

/// Reads the file (`explicit`, or `adpipe.toml` here if there is one) and the variables.
pub fn load(explicit: Option<&Path>) -> Result<Config, ConfigError> {
    let path = explicit.unwrap_or(Path::new(FILE_NAME));
    let text = match adpipe_sql::text::read(path) {
        Ok(text) => text,
        Err(error) if explicit.is_none() && error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => {
            return Err(ConfigError::Unreadable { path: path.to_path_buf(), reason: error.to_string() });
        }
    };
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())));
    assemble(path, &text, variables)
}

fn assemble(
    path: &Path,
    text: &str,
    variables: impl Iterator<Item = (String, String)>,
) -> Result<Config, ConfigError> {
    let in_file = |error: toml::de::Error| {
        let (line, column) = position(text, error.span().map_or(0, |span| span.start));
        ConfigError::File {
            path: path.to_path_buf(),
            line,
            column,
            message: with_suggestion(error.message()),
        }
    };
    let mut config: Config = toml::from_str(text).map_err(in_file)?;
    refuse_secrets(&config, path, text)?;
    let variables = ours(variables);
    let mut origins = Origins::of_file(path, text);
    for (name, value) in variables {
        let key;
        (config, key) = with_variable(&config, &name, &value)
            .map_err(|message| ConfigError::Variable { name: name.clone(), message })?;
        origins.set(key, Origin::Variable(name));
    }
    check(&config).map_err(|error| origins.placed(error))?;
    config.origins = origins;
    Ok(config)
}

/// Fails when the file holds a secret, and does not repeat it.
fn refuse_secrets(config: &Config, path: &Path, text: &str) -> Result<(), ConfigError> {
    let refused = |secret: &str, message: String| {
        let (line, column) = position(text, text.find(secret).unwrap_or(0));
        Err(ConfigError::File { path: path.to_path_buf(), line, column, message })
    };
    if let Some(secret) = config.log.kafka.plain_secret() {
        let message = format!(
            "a secret does not belong in this file: name a file that holds it, \"{secret}_file\" = \"…\", \
             or set ADPIPE_LOG__KAFKA__{}",
            secret.replace('.', "_").to_uppercase()
        );
        return refused(secret, message);
    }
    if config.notify.webhook_file.contains("://") {
        let message =
            "the webhook's address does not belong in this file: write it into a file and name that, \
                       or set ADPIPE_NOTIFY__SLACK_WEBHOOK"
                .to_owned();
        return refused(&config.notify.webhook_file, message);
    }
    if has_password(&config.warehouse.url) {
        let message =
            "a password does not belong in this file: set ADPIPE_WAREHOUSE__PASSWORD or PGPASSWORD, \
                       or name a warehouse.password_file"
                .to_owned();
        return refused(&config.warehouse.url, message);
    }
    Ok(())
}

/// The variables that are meant for adpipe, by name.
fn ours(variables: impl Iterator<Item = (String, String)>) -> Vec<(String, String)> {
    let mut variables: Vec<(String, String)> =
        variables.filter(|(name, _)| name.starts_with(PREFIX) && !SECRETS.contains(&name.as_str())).collect();
    variables.sort();
    let of_kubernetes: Vec<String> = variables
        .extract_if(.., |(name, value)| is_of_kubernetes(name, value))
        .map(|(name, _)| name)
        .collect();
    if !of_kubernetes.is_empty() {
        tracing::warn!(
            variables = of_kubernetes.join(" "),
            "ignored: Kubernetes sets these for a Service named adpipe; enableServiceLinks: false keeps them away"
        );
    }
    variables
}

/// Values that are readable but cannot work.
fn check(config: &Config) -> Result<(), ConfigError> {
    let not_zero = |key, is_zero: bool| {
        if is_zero {
            return Err(ConfigError::Key { key, message: "must be more than zero".to_owned() });
        }
        Ok(())
    };
    check_places(config)?;
    not_zero("stream.batch_records", config.stream.batch_records == 0)?;
    not_zero("stream.batch_size", config.stream.batch_size.0 == 0)?;
    not_zero("ingest.max_lag_records", config.ingest.max_lag_records == 0)?;
    not_zero("ingest.max_body_records", config.ingest.max_body_records == 0)?;
    not_zero("ingest.max_record_size", config.ingest.max_record_size.0 == 0)?;
    not_zero("etl.segment_rows", config.etl.segment_rows == 0)?;
    config.dlq.settings(&config.stream, config.event.fields.map())?;
    config.alerts.check()?;
    not_zero("transform.threads", config.transform.threads == 0)?;
    not_zero("scheduler.max_tasks", config.scheduler.max_tasks == 0)?;
    // Shorter ones would be lost to a disk that is busy for a moment.
    if config.scheduler.lease.0 < std::time::Duration::from_secs(2) {
        return Err(ConfigError::Key { key: "scheduler.lease", message: "must be 2s or more".to_owned() });
    }
    if jiff::tz::TimeZone::get(&config.scheduler.timezone).is_err() {
        let message = format!("{:?} is not a time zone like \"Europe/Berlin\"", config.scheduler.timezone);
        return Err(ConfigError::Key { key: "scheduler.timezone", message });
    }
    not_zero("console.max_body_size", config.console.max_body_size.0 == 0)
}

/// Back ends that adpipe does not have. Opening one shows whether it can be reached.
fn check_places(config: &Config) -> Result<(), ConfigError> {
    let (log, warehouse, archive) = (&config.log.url, &config.warehouse.url, &config.archive.url);
    if !log.starts_with("kafka:") {
        embedded_folder("log.url", log)?;
    }
    if !adpipe_warehouse::postgres::is_postgres(warehouse) {
        embedded_folder("warehouse.url", warehouse)?;
    }
    if !archive.starts_with("s3:") {
        check_archive_folder(archive)?;
    }
    Ok(())
}

/// Whether Kubernetes sets this variable in every pod for a Service whose name begins with adpipe:
/// `ADPIPE_SERVICE_HOST`, `ADPIPE_SERVICE_PORT_HTTP`, `ADPIPE_PORT=tcp://10.0.0.1:8088`,
/// `ADPIPE_CONSOLE_PORT_8088_TCP_ADDR` …. None of them has the two underscores of a key.
/// Source: Kubernetes, "Discovering services", environment variables.
fn is_of_kubernetes(name: &str, value: &str) -> bool {
    let is_port_part = |rest: &str| {
        let mut parts = rest.split('_');
        let number = parts.next().is_some_and(|part| part.parse::<u16>().is_ok());
        number && parts.next().is_some_and(|protocol| matches!(protocol, "TCP" | "UDP" | "SCTP"))
    };
    !name.contains("__")
        && (name.ends_with("_SERVICE_HOST")
            || name.ends_with("_SERVICE_PORT")
            || name.contains("_SERVICE_PORT_")
            || (name.ends_with("_PORT") && value.contains("://"))
            || name.split_once("_PORT_").is_some_and(|(_, rest)| is_port_part(rest)))
}

/// The configuration with one key replaced, and that key.
fn with_variable(config: &Config, name: &str, value: &str) -> Result<(Config, String), String> {
    let table = toml::Table::try_from(config).map_err(|error| error.to_string())?;
    let (table, key) = replaced(table.clone(), name, value).map_err(|wrong| match wrong {
        Wrong::Value(message) => message,
        Wrong::Name(message) => {
            match nearest(name, known_variables(PREFIX, &table).iter().map(String::as_str)) {
                Some(meant) => format!("{message}; did you mean {meant}?"),
                None => message,
            }
        }
    })?;
    let config = table.try_into().map_err(|error: toml::de::Error| with_suggestion(error.message()))?;
    Ok((config, key))
}

/// What is wrong with a variable.
enum Wrong {
    Name(String),
    /// It has a value that its key cannot take.
    Value(String),
}

/// Every variable that sets a key.
fn known_variables(prefix: &str, table: &toml::Table) -> Vec<String> {
    let mut names = Vec::new();
    for (key, value) in table {
        let name = format!("{prefix}{}", key.to_uppercase());
        match value {
            toml::Value::Table(inner) => names.extend(known_variables(&format!("{name}__"), inner)),
            _ => names.push(name),
        }
    }
    names
}

/// The table with one key replaced, and that key.
fn replaced(mut table: toml::Table, name: &str, value: &str) -> Result<(toml::Table, String), Wrong> {
    let key = name[PREFIX.len()..].to_lowercase();
    let (section, key) = key
        .split_once("__")
        .ok_or_else(|| Wrong::Name("is not of the form ADPIPE_SECTION__KEY".to_owned()))?;
    let entry = table
        .get_mut(section)
        .and_then(toml::Value::as_table_mut)
        .ok_or_else(|| Wrong::Name(format!("there is no section [{section}]")))?;
    let key = match key.split_once("__") {
        Some((table_name, key)) => {
            let place = format!("{section}.{table_name}");
            let inner = entry
                .get_mut(table_name)
                .and_then(toml::Value::as_table_mut)
                .ok_or_else(|| Wrong::Name(format!("there is no table [{place}]")))?;
            match place.as_str() {
                // It takes any setting of librdkafka's: which of them there are is for it to say.
                "log.kafka" => {
                    let setting = name_from_variable(key);
                    inner.insert(setting.clone(), toml::Value::String(value.to_owned()));
                    format!("{place}.{setting}")
                }
                "event.fields" => {
                    let field = super::event::field_of_variable(key);
                    inner.insert(field.clone(), super::event::value_of_variable(value));
                    format!("{place}.{field}")
                }
                _ => set_key(inner, &place, key, value)?,
            }
        }
        None => set_key(entry, section, key, value)?,
    };
    Ok((table, key))
}

/// Replaces a key by a value of the same kind; of a list the items are separated by commas. Gives the
/// whole key.
fn set_key(table: &mut toml::Table, section: &str, key: &str, value: &str) -> Result<String, Wrong> {
    let old =
        table.get(key).ok_or_else(|| Wrong::Name(format!("there is no key {key} in section [{section}]")))?;
    let new = match old {
        toml::Value::Float(_) => value.parse().map(toml::Value::Float).map_err(|_| "is not a number"),
        toml::Value::Array(_) => Ok(toml::Value::Array(
            value
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(|item| toml::Value::String(item.to_owned()))
                .collect(),
        )),
        toml::Value::Integer(_) => {
            value.parse().map(toml::Value::Integer).map_err(|_| "is not a whole number")
        }
        toml::Value::Boolean(_) => {
            value.parse().map(toml::Value::Boolean).map_err(|_| "is neither true nor false")
        }
        _ => Ok(toml::Value::String(value.to_owned())),
    };
    table.insert(key.to_owned(), new.map_err(|what| Wrong::Value(format!("{value:?} {what}")))?);
    Ok(format!("{section}.{key}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
        let variables = variables.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        assemble(Path::new("adpipe.toml"), text, variables).map_err(|error| error.to_string())
    }

    #[test]
    fn what_was_meant_is_suggested() {
        let error = load("[consol]\nport = 9000", &[]).unwrap_err();
        assert!(error.contains("unknown field `consol`, did you mean `console`?"), "{error}");
        let error = load("[transform]\nengine = \"buildin\"", &[]).unwrap_err();
        assert!(error.contains("did you mean `builtin`?"), "{error}");
        for (slip, meant) in [
            ("ADPIPE_CONSOLE_PORT", "ADPIPE_CONSOLE__PORT"),
            ("ADPIPE_CONSOL__PORT", "ADPIPE_CONSOLE__PORT"),
            ("ADPIPE_DLQ__MAX_RETRY", "ADPIPE_DLQ__MAX_RETRIES"),
        ] {
            let error = load("", &[(slip, "1")]).unwrap_err();
            assert!(error.ends_with(&format!("did you mean {meant}?")), "{slip}: {error}");
        }
    }

    #[test]
    fn back_ends_that_adpipe_does_not_have_are_refused_with_their_place() {
        for (text, expected) in [
            (
                "[warehouse]\nurl = \"mysql://me@db/x\"",
                "warehouse.url: \"mysql://me@db/x\" is not understood",
            ),
            ("[warehouse]\nurl = \"data\"", "warehouse.url: \"data\" is not understood"),
            ("[log]\nurl = \"redis://localhost\"", "log.url: \"redis://localhost\" is not understood"),
            ("[archive]\nurl = \"gs://bucket/x\"", "archive.url: is not understood"),
        ] {
            let error = load(text, &[]).unwrap_err();
            assert!(error.starts_with(expected) && error.ends_with("(adpipe.toml:2)"), "{error}");
        }
        let error = load("", &[("ADPIPE_WAREHOUSE__URL", "mysql://me:secret@db/x")]).unwrap_err();
        assert!(error.ends_with("(ADPIPE_WAREHOUSE__URL)") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn where_each_value_comes_from_is_known() {
        let config = load("[console]\nport = 1\nhost = \"::1\"", &[("ADPIPE_CONSOLE__PORT", "2")]).unwrap();
        let of = |key| config.origins.get(key).map(ToString::to_string);
        assert_eq!(of("console.port").as_deref(), Some("ADPIPE_CONSOLE__PORT"));
        assert_eq!(of("console.host").as_deref(), Some("adpipe.toml:3"));
        assert_eq!(of("log.url"), None);
    }

    #[test]
    fn a_variable_overrides_the_file() {
        let config = load("[console]\nport = 9000", &[("ADPIPE_CONSOLE__PORT", "9001")]).unwrap();
        assert_eq!(config.console.port, 9001);
        let config = load("[console]\nport = 9000", &[("ADPIPE_STREAM__LINGER", "1s")]).unwrap();
        assert_eq!((config.console.port, config.stream.linger.to_string()), (9000, "1s".to_owned()));
    }

    #[test]
    fn what_kubernetes_sets_for_a_service_is_no_configuration() {
        let variables = [
            ("ADPIPE_SERVICE_HOST", "10.0.0.1"),
            ("ADPIPE_SERVICE_PORT", "8088"),
            ("ADPIPE_SERVICE_PORT_HTTP", "8088"),
            ("ADPIPE_PORT", "tcp://10.0.0.1:8088"),
            ("ADPIPE_PORT_8088_TCP", "tcp://10.0.0.1:8088"),
            ("ADPIPE_PORT_8088_TCP_ADDR", "10.0.0.1"),
            ("ADPIPE_PORT_8088_TCP_PROTO", "tcp"),
            ("ADPIPE_CONSOLE_SERVICE_HOST", "10.0.0.2"),
            ("ADPIPE_CONSOLE_PORT_8088_TCP_PORT", "8088"),
            ("ADPIPE_CONSOLE__PORT", "9001"),
        ];
        assert_eq!(load("", &variables).unwrap().console.port, 9001);
        for slip in [("ADPIPE_PORT", "9001"), ("ADPIPE_CONSOLE_PORT", "9001"), ("ADPIPE_PORT_X", "1")] {
            let error = load("", &[slip]).unwrap_err();
            assert!(error.contains("is not of the form ADPIPE_SECTION__KEY"), "{error}");
        }
    }

    #[cfg(feature = "kafka")]
    #[test]
    fn a_variable_sets_a_setting_of_kafka() {
        let config =
            load("[log.kafka]\n\"sasl.username\" = \"me\"", &[("ADPIPE_LOG__KAFKA__SASL_PASSWORD", "x")]);
        let settings = config.unwrap().log.kafka.resolved().unwrap();
        assert_eq!((settings["sasl.username"].as_str(), settings["sasl.password"].as_str()), ("me", "x"));
        let error = load("[log.kafka]\n\"sasl.password\" = \"hunter2\"", &[]).unwrap_err();
        assert!(error.starts_with("adpipe.toml:2:2: a secret") && !error.contains("hunter2"), "{error}");
        let error = load("", &[("ADPIPE_LOG__KAFKAS__SASL_PASSWORD", "x")]).unwrap_err();
        assert!(error.contains("there is no table [log.kafkas]"), "{error}");
    }

    #[test]
    fn fields_of_events_are_mapped_by_file_and_variables() {
        let file = "[event.fields]\nclick = \"is_click\"\napp_id = { default = \"none\" }";
        let variables = [
            ("ADPIPE_EVENT__FIELDS__CLICK", "clicked, clk"),
            ("ADPIPE_EVENT__FIELDS__C14", "campaign"),
            ("ADPIPE_EVENT__FIELDS__DEVICE_TYPE", "{ names = \"kind\", default = 1 }"),
        ];
        let config = load(file, &variables).unwrap();
        let map = config.event.fields.map();
        assert_eq!((map.names("click"), map.names("C14")), (vec!["clicked", "clk"], vec!["campaign"]));
        let written = toml::to_string(&config.event).unwrap();
        assert!(written.contains("app_id") && written.contains("device_type"), "{written}");
        let error = load("", &[("ADPIPE_EVENT__FIELDS__CLIK", "x")]).unwrap_err();
        assert!(
            error.starts_with("environment variable ADPIPE_EVENT__FIELDS__CLIK: an event has no field"),
            "{error}"
        );

        let error = load("[event.fields]\nid = \"a\"\nclik = \"b\"", &[]).unwrap_err();
        assert!(error.starts_with("adpipe.toml:3:") && error.contains("did you mean click?"), "{error}");
        let error = load("[event.fields]\nid = \"a\"\ndevice_id = \"a\"", &[]).unwrap_err();
        assert!(
            error.starts_with("adpipe.toml:2:6:") && error.contains("for id and for device_id"),
            "{error}"
        );
        let error = load("[event.fields]\nid = \"a\"\n\nclick = { default = 7 }", &[]).unwrap_err();
        assert!(error.starts_with("adpipe.toml:4:") && error.contains("click 7 is out of range"), "{error}");
        let error = load("[event.fields]\ndevice_id = \"id\"", &[]).unwrap_err();
        assert!(error.starts_with("adpipe.toml:") && error.contains("list other names for id"), "{error}");
    }

    #[test]
    fn a_password_in_the_file_is_refused_and_not_repeated() {
        let error = load("[warehouse]\nurl = \"postgres://ann:secret@db/x\"", &[]).unwrap_err();
        assert!(error.starts_with("adpipe.toml:2:8: a password") && !error.contains("secret"), "{error}");
        let url = "postgres://ann:secret@db/x";
        assert_eq!(load("", &[("ADPIPE_WAREHOUSE__URL", url)]).unwrap().warehouse.url, url);
    }

    #[test]
    fn a_webhook_in_the_file_is_refused_and_not_repeated() {
        let error = load("[notify]\nslack_webhook = \"https://hooks.slack.com/s3cret\"", &[]).unwrap_err();
        assert!(error.starts_with("adpipe.toml:2:1: unknown field `slack_webhook`"), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
        let file = "[notify]\nwebhook_file = \"https://hooks.slack.com/services/s3cret\"";
        let error = load(file, &[]).unwrap_err();
        assert!(error.starts_with("adpipe.toml:2:17: the webhook's address does not belong"), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
        let config = load("", &[("ADPIPE_NOTIFY__SLACK_WEBHOOK", "https://hooks.slack.com/s3cret")]).unwrap();
        assert!(!format!("{config:?}").contains("s3cret"));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let error = load("[console]\nport = 9000\nprot = 1", &[]).unwrap_err();
        assert!(error.starts_with("adpipe.toml:3:1: unknown field `prot`"), "{error}");
        let error = load("[stream]\n\nlinger = \"soon\"", &[]).unwrap_err();
        assert!(error.starts_with("adpipe.toml:3:10: \"soon\" is not a duration"), "{error}");
        let error = load("", &[("ADPIPE_CONSOLE__PORT", "many")]).unwrap_err();
        assert_eq!(error, "environment variable ADPIPE_CONSOLE__PORT: \"many\" is not a whole number");
        let error = load("", &[("ADPIPE_CONSOLE__PROT", "1")]).unwrap_err();
        assert!(error.contains("there is no key prot"), "{error}");
        assert!(error.ends_with("did you mean ADPIPE_CONSOLE__PORT?"), "{error}");
        let error = load("[alerts]\nconsole_url = \"adpipe\"", &[]).unwrap_err();
        assert!(error.starts_with("alerts.console_url: write an address"), "{error}");
        let error = load("", &[("ADPIPE_CONSOLE__PORT", "70000")]).unwrap_err();
        assert!(error.contains("ADPIPE_CONSOLE__PORT"), "{error}");
    }
}
