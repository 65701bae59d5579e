//! Whether the stores belong together: log, `realtime`, `errors` and `ops`, each against what the
//! others remember of it.
//!
//! [`survey`] reads, [`judge`] compares and touches nothing ([`resume`]: what ends exactly from the log
//! alone), [`settle`] writes what follows: identities for what is new, a log raised past its consumers,
//! and what each store now records. [`keeper`] keeps the memory fresh while a process works,
//! [`crossing`] takes a consumer past records that are lost and named, [`accept`] is for people who
//! restored an older copy on purpose.
//!
//! A store that does not fit stops what writes to it (`adpipe_warehouse::guarded`), and nothing
//! else.

pub mod accept;
pub mod crossing;
mod judge;
mod keeper;
mod resume;
mod settle;
mod survey;
#[cfg(test)]
mod tests;

use adpipe_log::{EventLog, LogError, Offset, Topic};
use adpipe_warehouse::lost::LostRecords;
use adpipe_warehouse::{Schema, Warehouse, WarehouseError};

pub use keeper::Keeper;
pub use survey::Remembered;

/// What the stores are opened with.
#[derive(Clone, Copy)]
pub struct Parts<'a> {
    /// The event log.
    pub log: &'a dyn EventLog,
    /// The warehouse, unguarded.
    pub warehouse: &'a dyn Warehouse,
    /// Raises the next offsets of a log; none for a log that is not ours to change.
    pub raise: Option<&'a Raise<'a>>,
    /// Whether the archive has any parts; asked only when `realtime` is new.
    pub archive_has_parts: &'a dyn Fn() -> Result<bool, String>,
}

/// Makes the next record of each partition get this offset or a higher one, all in one step.
pub type Raise<'a> = dyn Fn(&[(Topic, u32, Offset)]) -> Result<(), LogError> + 'a;

/// What keeps something that nothing else has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Store {
    /// The event log.
    Log,
    /// Events, figures, offsets.
    Realtime,
    /// The dead-letter queue.
    Errors,
    /// Runs, alerts, tests.
    Ops,
}

impl Store {
    /// Every store.
    pub const ALL: [Store; 4] = [Store::Log, Store::Realtime, Store::Errors, Store::Ops];

    /// Its name, as on the command line.
    pub fn name(self) -> &'static str {
        self.schema().map_or("log", Schema::name)
    }

    /// The store of that name.
    pub fn from_name(name: &str) -> Option<Store> {
        Store::ALL.into_iter().find(|store| store.name() == name)
    }

    /// Its schema; the log has none.
    pub fn schema(self) -> Option<Schema> {
        match self {
            Store::Log => None,
            Store::Realtime => Some(Schema::Realtime),
            Store::Errors => Some(Schema::Errors),
            Store::Ops => Some(Schema::Ops),
        }
    }
}

/// Whether a store fits the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It does.
    Sound,
    /// It did not, and continues anyway, without a loss or with one that is named.
    GoesOn(String),
    /// It does not: why, and what to do. Nothing is written to it.
    Stopped(String),
}

impl State {
    /// One word for it.
    pub fn name(&self) -> &'static str {
        match self {
            State::Sound => "ok",
            State::GoesOn(_) => "goes on",
            State::Stopped(_) => "stopped",
        }
    }

    /// What there is to say.
    pub fn message(&self) -> &str {
        match self {
            State::Sound => "",
            State::GoesOn(message) | State::Stopped(message) => message,
        }
    }
}

/// A store and its state.
#[derive(Debug, Clone)]
pub struct Standing {
    /// Which one.
    pub store: Store,
    /// Where it is, for people.
    pub place: String,
    /// The data set that it is of; none for a log, and for a store that is not of one yet.
    pub data_id: Option<String>,
    /// Its own id.
    pub store_id: Option<String>,
    /// Grows when a copy is accepted in the place of the store.
    pub epoch: u64,
    /// How far it is.
    pub how_far: u64,
    /// What the others remember of it.
    pub known: Vec<Remembered>,
    /// Whether it fits them.
    pub state: State,
}

/// How all of them stand.
#[derive(Debug, Clone, Default)]
pub struct Stores {
    /// In the order of [`Store::ALL`].
    pub standings: Vec<Standing>,
    /// Records that are lost with a log and whose loss is not acknowledged.
    pub lost: Vec<LostRecords>,
}

impl Stores {
    /// Why nothing may be written to a store, and what to do; none when it may.
    pub fn stopped(&self, store: Store) -> Option<&str> {
        let standing = self.standings.iter().find(|standing| standing.store == store)?;
        match &standing.state {
            State::Stopped(message) => Some(message),
            State::Sound | State::GoesOn(_) => None,
        }
    }

    /// Fails with the first of these stores that is stopped.
    ///
    /// # Errors
    /// [`StoresError::Stopped`].
    pub fn require(&self, stores: &[Store]) -> Result<(), StoresError> {
        for store in stores {
            if let Some(message) = self.stopped(*store) {
                return Err(StoresError::Stopped { store: store.name(), message: message.to_owned() });
            }
        }
        Ok(())
    }

    /// All that does not fit, a line each: stopped stores, then lost records.
    pub fn complaints(&self) -> Vec<String> {
        let stopped = self.standings.iter().filter_map(|standing| match &standing.state {
            State::Stopped(message) => Some(format!("store {} is stopped: {message}", standing.store.name())),
            State::Sound | State::GoesOn(_) => None,
        });
        stopped.chain(self.lost.iter().map(lost_in_words)).collect()
    }
}

/// Records that are gone, and what to do.
pub fn lost_in_words(lost: &LostRecords) -> String {
    format!("{lost}, then run `adpipe stores accept log`")
}

/// Why the stores cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoresError {
    /// One of them does not fit the others.
    #[error("store {store} is stopped: {message}")]
    Stopped {
        /// As messages call it.
        store: &'static str,
        /// Why, and what to do.
        message: String,
    },
    /// What was asked for cannot be done.
    #[error("{0}")]
    Refused(String),
    /// Failures of the warehouse.
    #[error(transparent)]
    Warehouse(#[from] WarehouseError),
    /// Failures of the log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The archive cannot be listed.
    #[error("cannot find out whether the archive has parts: {0}")]
    Archive(String),
}

/// Compares the stores, settles what can be settled, and reports their states. A user who may only read
/// the warehouse gets what can be read.
///
/// # Errors
/// When log or warehouse cannot be used at all.
pub fn open(parts: Parts<'_>) -> Result<Stores, StoresError> {
    let survey = survey::Survey::take(parts)?;
    let judgement = judge::judge(&survey);
    settle::settle(parts, &survey, &judgement)?;
    Ok(Stores { standings: judgement.standings(&survey), lost: not_accepted(parts.warehouse)? })
}

/// The same without writing anything.
///
/// # Errors
/// The same as [`open`].
pub fn look(parts: Parts<'_>) -> Result<Stores, StoresError> {
    let survey = survey::Survey::take(parts)?;
    let judgement = judge::judge(&survey);
    Ok(Stores { standings: judgement.standings(&survey), lost: not_accepted(parts.warehouse)? })
}

fn not_accepted(warehouse: &dyn Warehouse) -> Result<Vec<LostRecords>, WarehouseError> {
    let lost = adpipe_warehouse::lost::lost_records(warehouse);
    Ok(survey::unless_forbidden(warehouse, lost)?
        .unwrap_or_default()
        .into_iter()
        .filter(|lost| !lost.is_accepted)
        .collect())
}
