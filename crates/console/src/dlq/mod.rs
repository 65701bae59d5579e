//! The pages and the API of the dead-letter queue.
//!
//! `pages.rs` gives the three pages; their scripts ask `lists.rs` (groups, backlog, lists, counts;
//! `causes.rs` pages the groups), `detail.rs` (one error whole) and `jobs.rs` (bulk actions), and act
//! through `actions.rs` and `edits.rs`. All of them reach the queue through `queue.rs`. `waiting.rs`
//! knows what nobody has stored yet. `filter.rs` reads which errors are meant, `view.rs` and
//! `fields.rs` make payloads fit to show.

pub(crate) mod actions;
mod causes;
pub(crate) mod detail;
pub(crate) mod edits;
mod fields;
mod filter;
pub(crate) mod jobs;
pub(crate) mod lists;
pub(crate) mod pages;
pub(crate) mod queue;
mod view;
pub(crate) mod waiting;
