//! How alike the names of two fields are.

use crate::fields::FIELDS;
use crate::raw::{FIRST_INT, ID};

/// Scores of names: the same, the same but for spelling, another word for it, and the best that words
/// in common can come to.
const SAME: f64 = 1_000.0;
const SPELLED: f64 = 900.0;
const SYNONYM: f64 = 800.0;
const WORDS: f64 = 600.0;
/// A pair below this is a coincidence.
pub(super) const LEAST: f64 = 300.0;

/// Other words that teams use for a field, without separators.
fn synonyms(field: usize) -> &'static [&'static str] {
    match FIELDS[field] {
        "id" => &[
            "eventid",
            "impressionid",
            "impid",
            "requestid",
            "reqid",
            "bidid",
            "auctionid",
            "transactionid",
            "uuid",
            "guid",
            "rowid",
            "recordid",
            "messageid",
            "adeventid",
        ],
        "click" => &[
            "clicked",
            "isclick",
            "isclicked",
            "hasclick",
            "wasclicked",
            "clk",
            "clicks",
            "clickflag",
            "label",
            "adclick",
            "adclicked",
        ],
        "hour" | "event_time" => &[
            "timestamp",
            "ts",
            "time",
            "eventtimestamp",
            "eventts",
            "datetime",
            "createdat",
            "occurredat",
            "servedat",
            "shownat",
            "requesttime",
            "impressiontime",
            "imptime",
            "logtime",
            "servertime",
            "date",
            "eventdate",
            "eventhour",
            "at",
            "when",
        ],
        "banner_pos" => &[
            "bannerposition",
            "adposition",
            "adpos",
            "position",
            "pos",
            "slotposition",
            "adslot",
            "slot",
            "placement",
            "placementposition",
        ],
        "device_type" => &["devtype", "devicekind", "deviceclass", "devicecategory", "formfactor"],
        "device_conn_type" => &[
            "connectiontype",
            "conntype",
            "deviceconnectiontype",
            "connection",
            "networktype",
            "net",
            "conn",
            "nettype",
            "network",
        ],
        "site_id" => {
            &["site", "siteidentifier", "publisherid", "pubid", "publisher", "websiteid", "propertyid"]
        }
        "site_domain" => &[
            "domain",
            "sitehost",
            "host",
            "hostname",
            "pagedomain",
            "pagehost",
            "publisherhost",
            "publisherdomain",
            "website",
            "referrerdomain",
        ],
        "site_category" => {
            &["sitecat", "category", "iabcategory", "pagecategory", "contentcategory", "sitegenre", "topic"]
        }
        "app_id" => &[
            "app",
            "application",
            "applicationid",
            "bundle",
            "bundleid",
            "appbundle",
            "package",
            "packagename",
            "apppackage",
            "apppkg",
            "pkg",
        ],
        "app_domain" => &["applicationdomain", "apphost", "appstoredomain", "appstore", "storedomain"],
        "app_category" => &["appcat", "applicationcategory", "appgenre", "genre"],
        "device_id" => &[
            "device",
            "deviceidentifier",
            "ifa",
            "idfa",
            "gaid",
            "aaid",
            "advertisingid",
            "userid",
            "uid",
            "visitorid",
            "cookieid",
            "clientid",
        ],
        "device_ip" => {
            &["ip", "ipaddress", "ipaddr", "clientip", "userip", "remoteaddr", "remoteip", "deviceipaddress"]
        }
        "device_model" => &[
            "model",
            "devicename",
            "handset",
            "phone",
            "phonemodel",
            "hardware",
            "hardwaremodel",
            "modelname",
        ],
        _ => &[],
    }
}

/// How alike the name of a field of the input and a field of ours are.
pub(super) fn name_score(name: &str, field: usize) -> f64 {
    let own = FIELDS[field];
    if name == own {
        return SAME;
    }
    let plain = plain(name);
    if plain == self::plain(own) {
        return SPELLED;
    }
    if let Some(place) = synonyms(field).iter().position(|word| *word == plain) {
        return SYNONYM - place as f64;
    }
    // The word "id" is in many names, such as `campaign_id`.
    if field >= FIRST_INT || field == ID {
        return 0.0;
    }
    let (ours, theirs) = (words(own), words(name));
    let common = ours.iter().filter(|word| theirs.contains(word)).count();
    // One word of several is in many names, too.
    if common < ours.len().min(2) {
        return 0.0;
    }
    let all = ours.len() + theirs.len() - common;
    WORDS * common as f64 / all as f64
}

/// The letters and digits of a name, small.
fn plain(name: &str) -> String {
    name.chars().filter(|character| character.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The words of a name: `siteDomain`, `site-domain` and `site_domain` have two.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_small = false;
    for character in name.chars() {
        let begins = !character.is_alphanumeric() || (character.is_uppercase() && was_small);
        if begins && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| character.is_alphanumeric()) {
            word.extend(character.to_lowercase());
        }
        was_small = character.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw::FIELD_COUNT;

    #[test]
    fn names_that_are_alike_are_found() {
        for (name, field) in [
            ("SiteID", "site_id"),
            ("requestId", "id"),
            ("is_click", "click"),
            ("publisher_site_domain", "site_domain"),
            ("ip", "device_ip"),
            ("c14", "C14"),
            ("user.device.model", "device_model"),
        ] {
            let scores = (0..FIELD_COUNT).map(|field| (name_score(name, field), field));
            let best = scores.max_by(|one, other| one.0.total_cmp(&other.0)).unwrap();
            assert!(best.0 >= LEAST && FIELDS[best.1] == field, "{name}: {} {}", best.0, FIELDS[best.1]);
        }
        for name in ["price", "c2", "campaign_id", "creativeId", "id_of_order", "creative", "currency"] {
            let score = (0..FIELD_COUNT).map(|field| name_score(name, field)).fold(0.0, f64::max);
            assert!(score < LEAST, "{name}: {score}");
        }
    }
}
