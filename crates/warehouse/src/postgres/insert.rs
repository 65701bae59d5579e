//! Putting events into the table: the fast way, the way that asks the key, and the search for
//! single rows that the database refuses.

use adpipe_event::{EventBatch, Millis};
use hashbrown::HashMap;
use postgres::{Error, Transaction};

use super::copy::copy;
use super::failure::{is_conflict, is_fault_of_a_row, server_message};
use super::statements::Statements;
use super::wire::Time;

/// What became of the rows so far.
pub(super) struct Inserter<'a> {
    pub statements: &'a Statements,
    pub events: &'a EventBatch,
    pub ingested_at: Millis,
    /// By index of the event.
    pub is_new: Vec<bool>,
    pub refused: Vec<(usize, String)>,
    /// An unknown row was there: another process writes, too.
    pub met_conflict: bool,
}

impl Inserter<'_> {
    /// Rows that are believed to be new, sorted by key, by plain COPY.
    ///
    /// A savepoint lets the transaction survive a refusal. A conflict sends the rows the other
    /// way; a row at fault is searched for by halves, so that its neighbours are counted: one bad
    /// row in n costs about two more copies of them.
    pub fn insert(&mut self, transaction: &mut Transaction<'_>, rows: &[usize]) -> Result<(), Error> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut savepoint = transaction.savepoint("fast")?;
        match copy(&mut savepoint, &self.statements.copy_events, self.events, rows, self.ingested_at) {
            Ok(_) => {
                savepoint.commit()?;
                rows.iter().for_each(|row| self.is_new[*row] = true);
                Ok(())
            }
            Err(error) if is_conflict(&error) => {
                savepoint.rollback()?;
                self.met_conflict = true;
                self.insert_by_key(transaction, rows)
            }
            Err(error) if is_fault_of_a_row(&error) => {
                savepoint.rollback()?;
                match rows {
                    [row] => self.refuse(*row, &error),
                    _ => {
                        let (left, right) = rows.split_at(rows.len() / 2);
                        self.insert(transaction, left)?;
                        self.insert(transaction, right)?;
                    }
                }
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Rows of which some may be there: COPY into a temporary table, then `insert … on conflict
    /// do nothing returning`. Each key at most once among `rows`.
    pub fn insert_by_key(&mut self, transaction: &mut Transaction<'_>, rows: &[usize]) -> Result<(), Error> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut savepoint = transaction.savepoint("by_key")?;
        match self.try_insert_by_key(&mut savepoint, rows) {
            Ok(()) => savepoint.commit(),
            Err(error) if is_fault_of_a_row(&error) => {
                savepoint.rollback()?;
                match rows {
                    [row] => self.refuse(*row, &error),
                    _ => {
                        let (left, right) = rows.split_at(rows.len() / 2);
                        self.insert_by_key(transaction, left)?;
                        self.insert_by_key(transaction, right)?;
                    }
                }
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn try_insert_by_key(&mut self, transaction: &mut Transaction<'_>, rows: &[usize]) -> Result<(), Error> {
        transaction.execute(&self.statements.clear_incoming, &[])?;
        copy(transaction, &self.statements.copy_incoming, self.events, rows, self.ingested_at)?;
        let index_of: HashMap<(Millis, &str), usize> = rows
            .iter()
            .map(|row| ((self.events.event_time(*row).floor_hour(), self.events.id(*row)), *row))
            .collect();
        for inserted in transaction.query(&self.statements.insert_incoming, &[])? {
            let (hour, id): (Time, &str) = (inserted.try_get(0)?, inserted.try_get(1)?);
            if let Some(row) = index_of.get(&(hour.0, id)) {
                self.is_new[*row] = true;
            }
        }
        Ok(())
    }

    fn refuse(&mut self, row: usize, error: &Error) {
        self.refused.push((row, server_message(error)));
    }
}
