//! Lets through as many messages as there may be; when there are more, all go in one.

use std::collections::BTreeMap;

use adpipe_event::Millis;

use super::{Content, Held, Message, Plan};
use crate::config::Throttle;
use crate::kind;

const HOUR_MS: i64 = 3_600_000;

/// Adds to the plan what may go out now of what is due; `sent` are the messages of the last hour.
pub(super) fn throttle(
    due: Vec<Message>,
    sent: &[(Millis, String)],
    limits: &Throttle,
    now: Millis,
    plan: &mut Plan,
) {
    let allowed = throttle_kinds(due, sent, limits.messages_per_hour_of_a_kind as usize, now, plan);
    let most = limits.messages_per_hour as usize;
    let room = most.saturating_sub(sent.len());
    if allowed.len() <= room {
        plan.messages.extend(allowed);
    } else if room > 0 {
        plan.messages.push(all_in_one(allowed, now));
    } else if !allowed.is_empty() {
        let all: Vec<Millis> = sent.iter().map(|(at, _)| *at).collect();
        plan.look_again(room_at(&all, most, now));
    }
}

/// The messages whose kind has not been sent too often.
fn throttle_kinds(
    due: Vec<Message>,
    sent: &[(Millis, String)],
    most: usize,
    now: Millis,
    plan: &mut Plan,
) -> Vec<Message> {
    let mut sent_of_kind: BTreeMap<&str, Vec<Millis>> = BTreeMap::new();
    for (at, kind) in sent {
        sent_of_kind.entry(kind).or_default().push(*at);
    }
    let mut allowed_of_kind: BTreeMap<String, usize> = BTreeMap::new();
    let mut allowed = Vec::new();
    for message in due {
        let times = sent_of_kind.get(message.kind.as_str()).map_or(&[] as &[Millis], Vec::as_slice);
        let more = allowed_of_kind.entry(message.kind.clone()).or_default();
        if times.len() + *more >= most {
            plan.look_again(room_at(times, most, now));
        } else {
            *more += 1;
            allowed.push(message);
        }
    }
    allowed
}

/// When the `most`-th newest message leaves the hour, and there is room. Where those of this moment fill
/// it, in an hour at the latest.
fn room_at(times: &[Millis], most: usize, now: Millis) -> Millis {
    let oldest = times.len().checked_sub(most).and_then(|index| times.get(index));
    Millis(oldest.unwrap_or(&now).0 + HOUR_MS)
}

fn all_in_one(messages: Vec<Message>, now: Millis) -> Message {
    let due = messages.iter().map(|message| message.due).min().unwrap_or(now);
    let names = messages.iter().flat_map(|message| message.names.clone()).collect();
    let notices = messages
        .into_iter()
        .flat_map(|message| match message.content {
            Content::Group(news, notices) => notices.into_iter().map(|notice| (news, notice)).collect(),
            Content::Digest(_, notices) => notices,
            Content::Summary(_) => Vec::new(),
        })
        .collect();
    let content = Content::Digest(Held::Throttled, notices);
    Message { names, kind: kind::DIGEST.to_owned(), content, due }
}
