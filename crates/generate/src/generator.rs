//! The generator: decides what the next record is, writes it and keeps the account.

use std::io;

use crate::account::{Account, RecordKind};
use crate::chance::Chance;
use crate::config::{Config, ConfigError, clamp_clock};
use crate::curve::Schedule;
use crate::event::Event;
use crate::fault::Faults;
use crate::mix::mix64;
use crate::render::{Patch, Style};
use crate::text::HOUR_MS;
use crate::world::World;

/// How many valid events are remembered to be repeated.
const RECENT_EVENTS: usize = 10_000;
/// How much [`Generator::write_all`] gathers before it writes.
const WRITE_BYTES: usize = 64 * 1024;

/// Makes records of ad events, one after another, and counts them.
#[derive(Debug, Clone)]
pub struct Generator {
    header: Option<&'static str>,
    style: Style,
    clock_ms: i64,
    /// Out of 2^32 draws, those that are broken.
    bad_below: u64,
    /// Out of 2^32 draws, those that are broken or repeated.
    repeated_below: u64,
    schedule: Schedule,
    world: World,
    chance: Chance,
    faults: Faults,
    ids: Ids,
    recent: Recent,
    account: Account,
}

impl Generator {
    /// A generator at its first record.
    ///
    /// # Errors
    /// When the configuration cannot be followed.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.check()?;
        let bad_below = share_of_draws(config.bad);
        let repeated_below = bad_below + share_of_draws(config.duplicates);
        let wanted = if config.duplicates > 0.0 { RECENT_EVENTS } else { 0 };
        Ok(Self {
            header: config.format.header(),
            style: Style {
                format: config.format,
                time_format: config.time_format,
                id_format: config.id_format,
            },
            clock_ms: config.clock_ms(),
            bad_below,
            repeated_below,
            schedule: Schedule::new(config.start_ms, config.end_ms, config.rows),
            world: World::new(),
            chance: Chance::new(config.seed),
            faults: Faults::default(),
            ids: Ids::new(config.seed),
            recent: Recent::new(wanted),
            account: Account::default(),
        })
    }

    /// The header line, without its newline, if the format has one.
    pub fn header(&self) -> Option<&'static str> {
        self.header
    }

    /// What has been generated so far.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Appends one record, without a newline and never containing one. `None` when all rows have
    /// been generated.
    pub fn next_record(&mut self, out: &mut Vec<u8>) -> Option<RecordKind> {
        let time_ms = self.schedule.next_ms(&mut self.chance)?;
        Some(self.generate(time_ms, self.clock_ms, out))
    }

    /// Appends one record that happens at `now_ms` (ms since 1970 UTC), which is also the clock
    /// that `future` records lie ahead of: live traffic, at whatever pace the caller keeps.
    /// It neither needs nor uses up rows. A time outside the years 2000 to 2099 is moved there.
    pub fn next_at(&mut self, now_ms: i64, out: &mut Vec<u8>) -> RecordKind {
        let now_ms = clamp_clock(now_ms);
        self.generate(now_ms, now_ms, out)
    }

    /// Writes the header line, if there is one, and all rows left, each ended by a newline. Without
    /// [`Config::rows`] it continues until the writer fails.
    ///
    /// # Errors
    /// Those of the writer. The account then counts up to 64 KiB of records that were generated
    /// and perhaps not written.
    pub fn write_all(&mut self, mut writer: impl io::Write) -> io::Result<()> {
        let mut buffer = Vec::with_capacity(WRITE_BYTES + 2 * 1024);
        if let Some(header) = self.header {
            buffer.extend_from_slice(header.as_bytes());
            buffer.push(b'\n');
        }
        while self.next_record(&mut buffer).is_some() {
            buffer.push(b'\n');
            if buffer.len() >= WRITE_BYTES {
                writer.write_all(&buffer)?;
                buffer.clear();
            }
        }
        writer.write_all(&buffer)?;
        writer.flush()
    }

    fn generate(&mut self, time_ms: i64, clock_ms: i64, out: &mut Vec<u8>) -> RecordKind {
        let draw = u64::from(self.chance.bits32());
        if draw < self.bad_below {
            return self.generate_bad(time_ms, clock_ms, out);
        }
        if draw < self.repeated_below
            && let Some(event) = self.recent.pick(&mut self.chance)
        {
            self.style.write(out, &event, Patch::Keep);
            self.account.add_duplicate();
            return RecordKind::Duplicate;
        }
        let event = self.draw_event(time_ms);
        self.style.write(out, &event, Patch::Keep);
        self.recent.remember(event);
        let hour_ms = time_ms - time_ms.rem_euclid(HOUR_MS);
        self.account.add_valid(hour_ms, event.click);
        RecordKind::Valid
    }

    fn generate_bad(&mut self, time_ms: i64, clock_ms: i64, out: &mut Vec<u8>) -> RecordKind {
        let event = self.draw_event(time_ms);
        let kind = self.faults.write(out, &event, self.style, clock_ms, &mut self.chance);
        self.account.add_bad(kind);
        RecordKind::Bad(kind)
    }

    fn draw_event(&mut self, time_ms: i64) -> Event {
        let id = self.ids.next();
        self.world.draw(&mut self.chance, id, time_ms)
    }
}

/// A share from 0 to 1 as a number of 2^32 draws. Scaling by a power of two is exact.
fn share_of_draws(share: f64) -> u64 {
    (share * 4_294_967_296.0) as u64
}

/// Ids over the whole of 64 bits, none twice: a counter mixed by a bijection.
#[derive(Debug, Clone)]
struct Ids {
    counter: u64,
}

impl Ids {
    /// Each seed starts elsewhere on the circle of 2^64 ids. Two runs of a billion events share
    /// ids only if their seeds fall within a billion steps of each other: about 1 in 10^10.
    fn new(seed: u64) -> Self {
        Self { counter: mix64(seed ^ 0x6964_6964_6964_6964) }
    }

    fn next(&mut self) -> u64 {
        self.counter = self.counter.wrapping_add(1);
        mix64(self.counter)
    }
}

/// The latest valid events.
#[derive(Debug, Clone)]
struct Recent {
    events: Vec<Event>,
    capacity: usize,
    /// Where the next event goes once the ring is full.
    oldest: usize,
}

impl Recent {
    fn new(capacity: usize) -> Self {
        Self { events: Vec::with_capacity(capacity), capacity, oldest: 0 }
    }

    fn remember(&mut self, event: Event) {
        if self.events.len() < self.capacity {
            self.events.push(event);
        } else if let Some(place) = self.events.get_mut(self.oldest) {
            *place = event;
            self.oldest = (self.oldest + 1) % self.capacity;
        }
    }

    fn pick(&self, chance: &mut Chance) -> Option<Event> {
        chance.pick(&self.events).copied()
    }
}
