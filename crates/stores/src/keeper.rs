//! Keeps what the stores remember of each other fresh while a process works.

use std::sync::Arc;
use std::time::{Duration, Instant};

use adpipe_log::EventLog;
use adpipe_warehouse::identity::{self, Peer};
use adpipe_warehouse::{Dialect, Schema, Session, StreamWriter, Warehouse};

use crate::judge::{Judgement, judge};
use crate::settle::{is_news, memories};
use crate::survey::Survey;
use crate::{Parts, Store, StoresError};
use adpipe_runtime::Shutdown;

/// `realtime` remembers the end of the log this often: what is acknowledged and not yet processed
/// is known nowhere else.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The others remember this often; each of their commits waits for the disk.
const OTHERS_EVERY: Duration = Duration::from_secs(15);

/// Remembers for a log and a warehouse.
pub struct Keeper {
    log: Arc<dyn EventLog>,
    warehouse: Arc<dyn Warehouse>,
    is_ours: bool,
    /// Connections that are kept for the next turn.
    pens: Pens,
}

#[derive(Default)]
struct Pens {
    writer: Option<Box<dyn StreamWriter>>,
    sessions: Vec<(Schema, Box<dyn Session>)>,
}

impl Keeper {
    /// For this log, which can be raised if it `is_ours`, and this (guarded) warehouse.
    pub fn new(log: Arc<dyn EventLog>, warehouse: Arc<dyn Warehouse>, is_ours: bool) -> Keeper {
        Keeper { log, warehouse, is_ours, pens: Pens::default() }
    }

    /// Remembers until the switch is on, and once more then. What fails is tried again.
    pub fn run(&mut self, shutdown: &Shutdown) {
        let mut others_at = Instant::now();
        while !shutdown.sleep(LOOK_EVERY) {
            let with_others = others_at.elapsed() >= OTHERS_EVERY;
            if with_others {
                others_at = Instant::now();
            }
            self.try_turn(with_others);
        }
        self.try_turn(true);
    }

    /// Remembers once, in every store.
    pub fn try_turn(&mut self, with_others: bool) {
        if let Err(error) = self.turn(with_others) {
            tracing::debug!(%error, "cannot record the other stores now");
            self.pens = Pens::default();
        }
    }

    fn turn(&mut self, with_others: bool) -> Result<(), StoresError> {
        let never = |_: &[(adpipe_log::Topic, u32, adpipe_log::Offset)]| Ok(());
        let parts = Parts {
            log: self.log.as_ref(),
            warehouse: self.warehouse.as_ref(),
            raise: self.is_ours.then_some(&never),
            archive_has_parts: &|| Ok(false),
        };
        let survey = Survey::take(parts)?;
        let judgement = judge(&survey);
        let memories = memories(&survey, &judgement);
        self.remember(&survey, &judgement, Store::Realtime, &memories)?;
        if with_others {
            self.remember(&survey, &judgement, Store::Errors, &memories)?;
            self.remember(&survey, &judgement, Store::Ops, &memories)?;
        }
        Ok(())
    }

    fn remember(
        &mut self,
        survey: &Survey,
        judgement: &Judgement,
        store: Store,
        memories: &[Peer],
    ) -> Result<(), StoresError> {
        let found =
            survey.found(store).filter(|found| found.identity.is_some() && judgement.is_usable(store));
        let (Some(found), Some(schema)) = (found, store.schema()) else { return Ok(()) };
        let news: Vec<Peer> = memories.iter().filter(|peer| is_news(survey, store, peer)).cloned().collect();
        if news.is_empty() || self.warehouse.is_stopped(schema) {
            return Ok(());
        }
        if schema == Schema::Realtime && self.warehouse.dialect() == Dialect::Sqlite {
            // Beside the processor: a commit that waits for the disk would have it wait, too.
            if self.pens.writer.is_none() {
                self.pens.writer = Some(self.warehouse.stream_writer()?);
            }
            let Some(writer) = &mut self.pens.writer else { return Ok(()) };
            let mut transaction = writer.begin()?;
            for (statement, params) in identity::remembering(schema, found.how_far, &news) {
                transaction.execute(&statement, &params)?;
            }
            return Ok(transaction.commit()?);
        }
        let sessions = &mut self.pens.sessions;
        if !sessions.iter().any(|(of, _)| *of == schema) {
            sessions.push((schema, self.warehouse.session(schema)?));
        }
        let Some((_, session)) = sessions.iter_mut().find(|(of, _)| *of == schema) else { return Ok(()) };
        Ok(identity::remember(session.as_mut(), schema, found.how_far, &news)?)
    }
}
