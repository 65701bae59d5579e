//! Events as columns.

use std::ops::Range;

use crate::{Event, Millis};

/// Stands for "no value" in the number columns; valid numbers are >= -1.
const NO_VALUE: i32 = i32::MIN;

/// What a text of an event usually has at most: hashes in hexadecimal have eight.
const USUAL_TEXT_BYTES: usize = 10;

/// Texts one after the other.
#[derive(Debug, Clone, Default)]
struct TextColumn {
    text: String,
    ends: Vec<u32>,
}

impl TextColumn {
    fn with_capacity(texts: usize) -> TextColumn {
        TextColumn { text: String::with_capacity(texts * USUAL_TEXT_BYTES), ends: Vec::with_capacity(texts) }
    }

    fn push(&mut self, value: &str) {
        self.text.push_str(value);
        self.ends.push(self.text.len() as u32);
    }

    fn get(&self, index: usize) -> &str {
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        &self.text[start..self.ends[index] as usize]
    }

    fn append_to(&self, rows: Range<usize>, text: &mut Vec<u8>, ends: &mut Vec<usize>) {
        let start = if rows.start == 0 { 0 } else { self.ends[rows.start - 1] as usize };
        let end = if rows.is_empty() { start } else { self.ends[rows.end - 1] as usize };
        let base = text.len();
        text.extend_from_slice(&self.text.as_bytes()[start..end]);
        ends.extend(self.ends[rows].iter().map(|end| base + *end as usize - start));
    }

    fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    fn byte_size(&self) -> usize {
        self.text.len() + 4 * self.ends.len()
    }
}

/// Events as columns: fields that are read together lie together, and nothing is allocated per
/// event once the columns have grown. A column holds at most 4 GiB of text; batches of the
/// pipeline are a hundredth of that.
#[derive(Debug, Clone, Default)]
pub struct EventBatch {
    ids: TextColumn,
    clicks: Vec<bool>,
    event_times: Vec<Millis>,
    banner_pos: Vec<u8>,
    device_types: Vec<u8>,
    device_conn_types: Vec<u8>,
    texts: [TextColumn; 9],
    ints: [Vec<i32>; 9],
}

impl EventBatch {
    /// An empty batch.
    pub fn new() -> EventBatch {
        EventBatch::default()
    }

    /// An empty batch with room for so many events of usual size.
    pub fn with_capacity(events: usize) -> EventBatch {
        EventBatch {
            ids: TextColumn::with_capacity(events),
            clicks: Vec::with_capacity(events),
            event_times: Vec::with_capacity(events),
            banner_pos: Vec::with_capacity(events),
            device_types: Vec::with_capacity(events),
            device_conn_types: Vec::with_capacity(events),
            texts: std::array::from_fn(|_| TextColumn::with_capacity(events)),
            ints: std::array::from_fn(|_| Vec::with_capacity(events)),
        }
    }

    /// Adds an event at the end.
    pub fn push(&mut self, event: &Event<'_>) {
        self.ids.push(event.id);
        self.clicks.push(event.click);
        self.event_times.push(event.event_time);
        self.banner_pos.push(event.banner_pos);
        self.device_types.push(event.device_type);
        self.device_conn_types.push(event.device_conn_type);
        for (column, text) in self.texts.iter_mut().zip(event.texts) {
            column.push(text);
        }
        for (column, number) in self.ints.iter_mut().zip(event.ints) {
            column.push(number.unwrap_or(NO_VALUE));
        }
    }

    /// Number of events.
    pub fn len(&self) -> usize {
        self.event_times.len()
    }

    /// True when there is no event.
    pub fn is_empty(&self) -> bool {
        self.event_times.is_empty()
    }

    /// Forgets the events and keeps the room they took.
    pub fn clear(&mut self) {
        self.ids.clear();
        self.clicks.clear();
        self.event_times.clear();
        self.banner_pos.clear();
        self.device_types.clear();
        self.device_conn_types.clear();
        self.texts.iter_mut().for_each(TextColumn::clear);
        self.ints.iter_mut().for_each(Vec::clear);
    }

    /// The event at an index. Like every getter here it panics beyond the end, as a slice does.
    pub fn event(&self, index: usize) -> Event<'_> {
        Event {
            id: self.id(index),
            click: self.clicks[index],
            event_time: self.event_times[index],
            banner_pos: self.banner_pos[index],
            device_type: self.device_types[index],
            device_conn_type: self.device_conn_types[index],
            texts: std::array::from_fn(|column| self.texts[column].get(index)),
            ints: std::array::from_fn(|column| {
                let number = self.ints[column][index];
                (number != NO_VALUE).then_some(number)
            }),
        }
    }

    /// The events in order.
    pub fn iter(&self) -> impl Iterator<Item = Event<'_>> {
        (0..self.len()).map(|index| self.event(index))
    }

    /// The event's id.
    pub fn id(&self, index: usize) -> &str {
        self.ids.get(index)
    }

    /// When the ad was shown.
    pub fn event_time(&self, index: usize) -> Millis {
        self.event_times[index]
    }

    /// The times of all events, in order.
    pub fn event_times(&self) -> &[Millis] {
        &self.event_times
    }

    /// Whether the ad was clicked.
    pub fn click(&self, index: usize) -> bool {
        self.clicks[index]
    }

    /// The banner's position.
    pub fn banner_pos(&self, index: usize) -> u8 {
        self.banner_pos[index]
    }

    /// The device's type.
    pub fn device_type(&self, index: usize) -> u8 {
        self.device_types[index]
    }

    /// The device's kind of connection.
    pub fn device_conn_type(&self, index: usize) -> u8 {
        self.device_conn_types[index]
    }

    /// A text field; columns in the order of [`crate::TEXT_FIELDS`].
    pub fn text(&self, column: usize, index: usize) -> &str {
        self.texts[column].get(index)
    }

    /// Appends the ids of these rows to `text`, each one's end to `ends`.
    pub fn append_ids(&self, rows: Range<usize>, text: &mut Vec<u8>, ends: &mut Vec<usize>) {
        self.ids.append_to(rows, text, ends);
    }

    /// Appends a text field of these rows to `text`, each one's end to `ends`.
    pub fn append_texts(&self, column: usize, rows: Range<usize>, text: &mut Vec<u8>, ends: &mut Vec<usize>) {
        self.texts[column].append_to(rows, text, ends);
    }

    /// An optional number; columns in the order of [`crate::INT_FIELDS`].
    pub fn int(&self, column: usize, index: usize) -> Option<i32> {
        let number = self.ints[column][index];
        (number != NO_VALUE).then_some(number)
    }

    /// Bytes that the columns hold.
    pub fn byte_size(&self) -> usize {
        let texts: usize = self.texts.iter().map(TextColumn::byte_size).sum();
        self.ids.byte_size() + texts + self.len() * (1 + 8 + 3 + 4 * self.ints.len())
    }
}
