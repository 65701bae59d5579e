//! The event itself.

use crate::Millis;

/// Names of the required text fields, in the order of [`Event::texts`].
pub const TEXT_FIELDS: [&str; 9] = [
    "site_id",
    "site_domain",
    "site_category",
    "app_id",
    "app_domain",
    "app_category",
    "device_id",
    "device_ip",
    "device_model",
];

/// Names of the optional whole-number fields, in the order of [`Event::ints`].
pub const INT_FIELDS: [&str; 9] = ["C1", "C14", "C15", "C16", "C17", "C18", "C19", "C20", "C21"];

const SITE_CATEGORY: usize = 2;
const APP_CATEGORY: usize = 5;

/// One ad impression, clicked or not, that keeps every rule. Borrows from its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// Opaque id, 1 to 128 printable ASCII characters.
    pub id: &'a str,
    /// Whether the ad was clicked.
    pub click: bool,
    /// When it was shown.
    pub event_time: Millis,
    /// Banner position, 0..=99.
    pub banner_pos: u8,
    /// Device type, 0..=99.
    pub device_type: u8,
    /// Connection type, 0..=99.
    pub device_conn_type: u8,
    /// The text fields, each 1 to 64 characters; names in [`TEXT_FIELDS`].
    pub texts: [&'a str; 9],
    /// The optional numbers, each >= -1; names in [`INT_FIELDS`].
    pub ints: [Option<i32>; 9],
}

impl<'a> Event<'a> {
    /// Category of the site.
    pub fn site_category(&self) -> &'a str {
        self.texts[SITE_CATEGORY]
    }

    /// Category of the app.
    pub fn app_category(&self) -> &'a str {
        self.texts[APP_CATEGORY]
    }
}

/// What is odd about a valid event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Warnings {
    /// The id is a number in float notation: it may have lost digits on its way.
    pub float_id: bool,
    /// Fields that we do not know, and ignored.
    pub unknown_fields: u32,
}

/// An event, and what is odd about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parsed<'a> {
    /// What it is.
    pub event: Event<'a>,
    /// What is odd about it.
    pub warnings: Warnings,
}
