//! Where the warehouse is, as the configuration names it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use adpipe_warehouse::Warehouse;
use adpipe_warehouse::postgres::{PostgresSettings, PostgresWarehouse, is_postgres};
use adpipe_warehouse::sqlite::SqliteWarehouse;
use anyhow::bail;

use crate::config::{Config, ConfigError, embedded_folder};

/// Either of the two back ends.
pub enum WarehousePlace {
    /// SQLite files in this folder.
    Folder(PathBuf),
    Postgres(Box<PostgresSettings>),
}

impl WarehousePlace {
    /// Reads `warehouse.*`, the password included.
    pub fn of(config: &Config) -> anyhow::Result<WarehousePlace> {
        let warehouse = &config.warehouse;
        if !is_postgres(&warehouse.url) {
            return Ok(WarehousePlace::Folder(embedded_folder("warehouse.url", &warehouse.url)?));
        }
        let settings = PostgresSettings::from_url(&warehouse.url)
            .map_err(|message| ConfigError::Key { key: "warehouse.url", message })?
            .synchronous_commit(warehouse.synchronous_commit);
        let settings = match password(&warehouse.password_file)? {
            Some(password) => settings.password(&password),
            None => settings,
        };
        Ok(WarehousePlace::Postgres(Box::new(settings)))
    }

    /// Opens it, making what is missing.
    pub fn open(&self) -> anyhow::Result<Arc<dyn Warehouse>> {
        Ok(match self {
            WarehousePlace::Folder(folder) => Arc::new(SqliteWarehouse::open(folder)?),
            WarehousePlace::Postgres(settings) => {
                Arc::new(PostgresWarehouse::open(settings.as_ref().clone())?)
            }
        })
    }

    /// Fails when it only reads, as a standby does: before a process that writes starts its roles.
    pub fn must_take_writes(&self) -> anyhow::Result<()> {
        match self {
            WarehousePlace::Folder(_) => Ok(()),
            WarehousePlace::Postgres(settings) => Ok(PostgresWarehouse::must_take_writes(settings)?),
        }
    }

    /// Fails if there is no data yet, with what to do.
    pub fn must_have_data(&self) -> anyhow::Result<()> {
        let (has_data, place) = match self {
            WarehousePlace::Folder(folder) => {
                {
                    // Any of them: one that is gone is found out when they are opened.
                    let names = ["realtime.db", "errors.db", "ops.db"];
                    (names.iter().any(|name| folder.join(name).exists()), folder.display().to_string())
                }
            }
            WarehousePlace::Postgres(settings) => {
                (PostgresWarehouse::is_prepared(settings)?, settings.location().to_owned())
            }
        };
        if !has_data {
            let demo = Path::new("data/demo/realtime.db").exists();
            let hint = if demo { " (the demo's is there: add --data data/demo)" } else { "" };
            bail!("no data in {place} yet{hint}; send some with `adpipe ingest FILE`, or try `adpipe demo`");
        }
        Ok(())
    }

    /// The folder of an embedded warehouse.
    pub fn folder(&self) -> Option<&Path> {
        match self {
            WarehousePlace::Folder(folder) => Some(folder),
            WarehousePlace::Postgres(_) => None,
        }
    }
}

/// PostgreSQL's password, from the environment or from its file.
fn password(file: &str) -> anyhow::Result<Option<String>> {
    let variable = |name: &str| std::env::var(name).ok().filter(|password| !password.is_empty());
    if let Some(password) = variable("ADPIPE_WAREHOUSE__PASSWORD") {
        return Ok(Some(password));
    }
    if file.is_empty() {
        return Ok(variable("PGPASSWORD"));
    }
    let wrong = |message| ConfigError::Key { key: "warehouse.password_file", message };
    let text = adpipe_sql::text::read(file.as_ref())
        .map_err(|error| wrong(format!("{file} cannot be read: {error}")))?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => bail!(wrong(format!("{file} is empty; put the password into its first line"))),
        password => Ok(Some(password.to_owned())),
    }
}
