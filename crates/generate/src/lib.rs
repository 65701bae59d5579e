//! Synthetic ad events with the fields of the Avazu click-through-rate data set, generated from a seed.
//!
//! The crate feeds demonstrations, benchmarks and tests. Tests must know the right answer, so the
//! caller also gets an [`Account`] of what went in, to compare with what the pipeline reports.
//!
//! One record goes through these files, in this order; start with `generator.rs`:
//!
//! 1. `generator.rs` decides whether the next record is valid, a repeat or broken;
//! 2. `curve.rs` gives it a time, `world.rs` everything else (through the tables of
//!    `weights.rs`, with ids and codes from `mix.rs`);
//! 3. `render.rs` writes it as NDJSON or CSV, and `fault.rs` breaks it if it is to be invalid;
//! 4. `account.rs` counts it.
//!
//! Everything is integer arithmetic over a PCG generator, so the same [`Config`] gives the same
//! bytes on every platform. There is no input or output here but [`std::io::Write`].
//!
//! ```
//! use adpipe_generate::{Config, Generator};
//!
//! let config = Config {
//!     seed: 7,
//!     rows: Some(1_000),
//!     bad: 0.01,
//!     ..Config::default()
//! };
//! let mut generator = Generator::new(config)?;
//! let mut bytes = Vec::new();
//! generator.write_all(&mut bytes)?;
//! assert_eq!(generator.account().total, 1_000);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod account;
mod chance;
mod config;
mod curve;
mod event;
mod fault;
mod generator;
mod mix;
mod render;
mod text;
mod weights;
mod world;

pub use account::{Account, BadCounts, BadKind, HourCount, RecordKind};
pub use config::{Config, ConfigError, Format, IdFormat, TimeFormat};
pub use generator::Generator;
