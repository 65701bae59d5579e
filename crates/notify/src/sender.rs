//! The thread that sends. It is the only one that talks to Slack, and it asks no database: a
//! warehouse that does not answer must not keep that very news from going out.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use adpipe_event::Millis;
use adpipe_metrics::Metrics;
use adpipe_runtime::Shutdown;

use crate::alert_refresh::AlertRefresh;
use crate::client::{Answer, Client, advice};
use crate::config::SlackConfig;
use crate::error::NotifyError;
use crate::message::{Style, render};
use crate::notice::Entry;
use crate::plan::{Message, Plan, plan};
use crate::reminder;
use crate::spool::{Outcome, SenderLock, Spool};
use crate::waiting::Waiting;

/// The wait after the first failure in a row; doubled with each, up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait after a failure, unless Slack asks for more.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Slack takes one message a second of a webhook.
const PACE: Duration = Duration::from_millis(1_050);
/// How often the spool is put in order.
const TIDY: Duration = Duration::from_secs(86_400);
/// How often another process's lock is tried.
const LOCK_RETRY: Duration = Duration::from_secs(2);

/// What became of names that the journal could not take yet.
struct Unsettled {
    names: Vec<String>,
    kind: String,
    outcome: Outcome,
}

/// Sends what waits.
pub struct Sender {
    pub(crate) spool: Arc<Spool>,
    pub(crate) client: Client,
    pub(crate) config: SlackConfig,
    pub(crate) style: Style,
    pub(crate) metrics: Metrics,
    pub(crate) alert_refresh: Arc<AlertRefresh>,
    pub(crate) waiting: Waiting,
    pub(crate) poll: Duration,
    known: HashMap<String, Entry>,
    unsettled: Vec<Unsettled>,
    failures: u32,
    not_before: Option<Instant>,
    trouble: Option<String>,
}

impl Sender {
    pub(crate) fn new(
        spool: Arc<Spool>,
        client: Client,
        config: SlackConfig,
        style: Style,
        metrics: Metrics,
        alert_refresh: Arc<AlertRefresh>,
        poll: Duration,
    ) -> Sender {
        Sender {
            spool,
            client,
            config,
            style,
            metrics,
            alert_refresh,
            waiting: Waiting::default(),
            poll,
            known: HashMap::new(),
            unsettled: Vec::new(),
            failures: 0,
            not_before: None,
            trouble: None,
        }
    }

    /// Works until the switch is off; only while no other process sends from this spool.
    pub fn run(mut self, shutdown: &Shutdown) {
        let Some(lock) = self.wait_for_lock(shutdown) else { return };
        let mut tidied: Option<Instant> = None;
        while !shutdown.is_triggered() {
            if tidied.is_none_or(|at| at.elapsed() > TIDY) {
                match self.spool.tidy(&lock, Millis::now()) {
                    Ok(()) => tidied = Some(Instant::now()),
                    Err(error) => self.tell_trouble(&error),
                }
            }
            match self.look(shutdown) {
                Ok(()) => {}
                Err(error) => self.tell_trouble(&error),
            }
            shutdown.sleep(self.poll);
        }
    }

    fn wait_for_lock(&mut self, shutdown: &Shutdown) -> Option<SenderLock> {
        loop {
            match self.spool.take_sender() {
                Ok(Some(lock)) => return Some(lock),
                Ok(None) => {}
                Err(error) => self.tell_trouble(&error),
            }
            if shutdown.sleep(LOCK_RETRY.min(self.poll * 10)) {
                return None;
            }
        }
    }

    /// What is wrong with the spool is said once, not every second.
    fn tell_trouble(&mut self, error: &NotifyError) {
        let trouble = error.to_string();
        if self.trouble.as_ref() != Some(&trouble) {
            tracing::error!("{trouble}");
            self.trouble = Some(trouble);
        }
    }

    /// Looks what waits, and sends what is due.
    fn look(&mut self, shutdown: &Shutdown) -> Result<(), NotifyError> {
        self.settle_again()?;
        self.spool.read_waiting(&mut self.known)?;
        let now = Millis::now();
        self.bring_up_to_date(now);
        let plan = self.plan(now);
        for dropped in &plan.dropped {
            self.settle(&dropped.names, &dropped.kind, dropped.outcome, now);
        }
        let told = match self.config.throttle.repeat_every.0 {
            Some(_) => self.spool.read_told()?,
            None => Vec::new(),
        };
        self.alert_refresh.ask(plan.below_threshold.iter().chain(told.iter().map(|(name, ..)| name)));
        let reminders = reminder::due(&told, &self.alert_refresh.answers(), &self.config, now);
        let due = plan.messages.iter().map(|message| message.due).min();
        let sent = self.send(&plan, shutdown);
        if sent {
            self.waiting.set(None);
            self.remind(&reminders, shutdown);
        } else {
            self.waiting.set(due);
        }
        self.waiting.looked(sent);
        self.metrics.notifications_wait(self.waiting.age().map_or(0.0, |age| age.as_secs_f64()));
        self.trouble = None;
        Ok(())
    }

    fn plan(&self, now: Millis) -> Plan {
        let unsettled: HashSet<&String> =
            self.unsettled.iter().flat_map(|unsettled| &unsettled.names).collect();
        let waiting: BTreeMap<&str, &Entry> = self
            .known
            .iter()
            .filter(|(name, _)| !unsettled.contains(name))
            .map(|(name, entry)| (name.as_str(), entry))
            .collect();
        let sent = self.spool.sent_since(Millis(now.0 - 3_600_000));
        plan(&waiting, &|name| self.spool.remembered(name), &sent, &self.config, now)
    }

    /// Takes in what the alert refresh saw, and times that a clock's jump has put into the future.
    fn bring_up_to_date(&mut self, now: Millis) {
        let answers = self.alert_refresh.answers();
        for (name, entry) in &mut self.known {
            match entry {
                Entry::Alert(notice) => {
                    notice.stored_at = notice.stored_at.min(now.0);
                    if let Some(fresh) = answers.get(name).filter(|_| name.ends_with(".fired")) {
                        notice.alert.value = fresh.value;
                        notice.alert.worst = fresh.worst;
                    }
                }
                Entry::Summary { stored_at, .. } => *stored_at = (*stored_at).min(now.0),
            }
        }
    }

    /// Sends the messages in their order. True when none is left.
    fn send(&mut self, plan: &Plan, shutdown: &Shutdown) -> bool {
        for message in &plan.messages {
            if self.not_before.is_some_and(|at| at > Instant::now()) || shutdown.is_triggered() {
                return false;
            }
            if !self.send_one(message, Outcome::Sent) {
                return false;
            }
            shutdown.sleep(PACE.min(self.poll * 10));
        }
        true
    }

    /// False when it has to wait.
    fn send_one(&mut self, message: &Message, outcome: Outcome) -> bool {
        let body = render(&message.content, &self.style, Millis::now()).to_string();
        let answer = self.client.post(&body);
        let now = Millis::now();
        match answer {
            Answer::Taken => {
                if self.failures > 0 {
                    tracing::info!("Slack accepts messages again");
                }
                (self.failures, self.not_before) = (0, None);
                self.settle(&message.names, &message.kind, outcome, now);
                true
            }
            Answer::Wait(time) => {
                tracing::info!(seconds = time.as_secs(), "Slack asks to wait");
                self.count(&message.kind, "failed");
                self.not_before = Some(Instant::now() + time);
                false
            }
            Answer::Later(reason) => {
                self.count(&message.kind, "failed");
                self.failures = self.failures.saturating_add(1);
                if self.failures == 1 {
                    tracing::warn!(
                        webhook = %self.client.webhook(),
                        "messages cannot be sent to Slack; they wait on disk and are retried: {reason}"
                    );
                }
                self.not_before = Some(Instant::now() + backoff(self.failures));
                false
            }
            Answer::Refused(reason) => {
                tracing::error!(
                    webhook = %self.client.webhook(),
                    kind = message.kind,
                    "Slack refuses a message ({reason}), which is moved to {}: {}",
                    self.spool.folder().join("refused").display(),
                    advice(&reason)
                );
                self.settle(&message.names, &message.kind, Outcome::Refused, now);
                true
            }
        }
    }

    fn remind(&mut self, reminders: &[Message], shutdown: &Shutdown) {
        for reminder in reminders {
            let waits = self.not_before.is_some_and(|at| at > Instant::now());
            if waits || shutdown.is_triggered() || !self.send_one(reminder, Outcome::Reminded) {
                return;
            }
            shutdown.sleep(PACE.min(self.poll * 10));
        }
    }

    fn count(&self, kind: &str, outcome: &str) {
        self.metrics.notifications.with_label_values(&[kind, outcome]).inc();
    }

    /// Writes into the journal what became of names; kept in memory while that cannot be written, so
    /// that nothing is sent twice in the meantime.
    fn settle(&mut self, names: &[String], kind: &str, outcome: Outcome, now: Millis) {
        if let Err(error) = self.spool.settle(names, kind, outcome, now) {
            self.tell_trouble(&error);
            self.unsettled.push(Unsettled { names: names.to_vec(), kind: kind.to_owned(), outcome });
        }
        self.count(
            kind,
            match outcome {
                Outcome::Sent | Outcome::Reminded => "sent",
                Outcome::Refused => "refused",
                Outcome::NotWanted | Outcome::Silenced | Outcome::Dropped => "not_wanted",
            },
        );
        names.iter().for_each(|name| drop(self.known.remove(name)));
    }

    fn settle_again(&mut self) -> Result<(), NotifyError> {
        while let Some(unsettled) = self.unsettled.last() {
            self.spool.settle(&unsettled.names, &unsettled.kind, unsettled.outcome, Millis::now())?;
            self.unsettled.pop();
        }
        Ok(())
    }
}

/// Doubled with each failure in a row; half of it by chance, so that not all come back at once.
fn backoff(failures: u32) -> Duration {
    let whole = FIRST_WAIT.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(LONGEST_WAIT);
    whole.mul_f64(rand::random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_a_minute() {
        for failures in [1, 2, 5, 7, 40, u32::MAX] {
            let wait = backoff(failures);
            let whole = 2_f64.powi(failures.min(7) as i32 - 1).min(60.0);
            assert!((whole / 2.0..=whole).contains(&wait.as_secs_f64()), "{failures}: {wait:?}");
        }
    }
}
