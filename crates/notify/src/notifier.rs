//! What the monitor hands alerts to.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use adpipe_event::Millis;
use adpipe_metrics::Metrics;
use adpipe_monitor::announce::{Announce, Announcement, LogOnly};
use adpipe_monitor::rules::Rules;
use adpipe_runtime::Shutdown;
use adpipe_warehouse::Warehouse;

use crate::alert_refresh::{self, AlertRefresh};
use crate::client::Client;
use crate::config::SlackConfig;
use crate::error::NotifyError;
use crate::kind;
use crate::message::Style;
use crate::notice::{Entry, Notice};
use crate::sender::Sender;
use crate::spool::Spool;
use crate::waiting::Waiting;
use crate::webhook::{HOW_TO_SET, Webhook};

/// How often the spool is looked at. Listing a folder that is empty costs nothing to speak of.
pub const POLL: Duration = Duration::from_secs(1);

/// Without a webhook, what an earlier run left in the spool is kept for a day.
const LEFT_OVER_MS: i64 = 86_400_000;

/// How long the end of a process waits for a post that is under way.
const LAST_POST: Duration = Duration::from_secs(2);

/// What a notifier needs.
pub struct NotifierOptions {
    /// Which alerts are sent, in which language, and when.
    pub config: SlackConfig,
    /// The table of alerts.
    pub rules: Rules,
    /// The webhook; without one, nothing is sent.
    pub webhook: Option<Webhook>,
    /// Where what waits is kept.
    pub spool: PathBuf,
    /// The console's address, for links; "" for none.
    pub console_url: String,
    /// For the daily summary and for alerts that are held back; without one there is neither.
    pub warehouse: Option<Arc<dyn Warehouse>>,
    /// Where messages are counted.
    pub metrics: Metrics,
    /// How often the spool is looked at: [`POLL`].
    pub poll: Duration,
}

/// Takes announcements and sends them. Its threads end with the switch they were given.
pub struct Notifier {
    announcer: Announcer,
    threads: Vec<JoinHandle<()>>,
    waiting: Waiting,
    webhook: Option<String>,
}

/// The part of a [`Notifier`] that the monitor keeps.
#[derive(Clone)]
pub struct Announcer {
    spool: Option<Arc<Spool>>,
}

impl Notifier {
    /// Starts it. Without a webhook it does nothing but say so, once.
    ///
    /// # Errors
    /// When the spool cannot be used, or a thread cannot be started.
    pub fn start(options: NotifierOptions, shutdown: &Shutdown) -> Result<Notifier, NotifyError> {
        set_up(&options.metrics, &options.rules);
        let Some(webhook) = options.webhook else {
            tracing::info!("alerts are not sent to Slack, because no webhook is set; {HOW_TO_SET}");
            if options.spool.is_dir() {
                let (spool, now) = (Spool::open(&options.spool)?, Millis::now());
                // Not while another process, which has a webhook, sends from there.
                if let Some(_sender) = spool.take_sender()? {
                    spool.drop_waiting_before(Millis(now.0 - LEFT_OVER_MS), now)?;
                }
            }
            return Ok(Notifier {
                announcer: Announcer { spool: None },
                threads: Vec::new(),
                waiting: Waiting::default(),
                webhook: None,
            });
        };
        let spool = Arc::new(Spool::open(&options.spool)?);
        let owner = spool.identity()?;
        let style = Style::new(&options.config, &options.console_url)
            .map_err(|error| NotifyError::Start(error.to_string()))?;
        let shown = webhook.to_string();
        let alert_refresh = Arc::new(AlertRefresh::default());
        let sender = Sender::new(
            Arc::clone(&spool),
            Client::new(webhook)?,
            options.config.clone(),
            style,
            options.metrics,
            Arc::clone(&alert_refresh),
            options.poll,
        );
        let waiting = sender.waiting.clone();
        let started = |error: std::io::Error| NotifyError::Start(error.to_string());
        let mut threads = Vec::new();
        let switch = shutdown.clone();
        let send = move || sender.run(&switch);
        threads.push(std::thread::Builder::new().name("slack".to_owned()).spawn(send).map_err(started)?);
        if let Some(warehouse) = options.warehouse {
            let (spool, switch, config) = (Arc::clone(&spool), shutdown.clone(), options.config);
            let look = move || {
                alert_refresh::run(&alert_refresh, &spool, warehouse.as_ref(), &config, &owner, &switch)
            };
            threads.push(
                std::thread::Builder::new().name("alert-refresh".to_owned()).spawn(look).map_err(started)?,
            );
        }
        Ok(Notifier { announcer: Announcer { spool: Some(spool) }, threads, waiting, webhook: Some(shown) })
    }

    /// The part that the monitor keeps.
    pub fn announcer(&self) -> Announcer {
        self.announcer.clone()
    }

    /// The webhook, masked; none when none is set.
    pub fn webhook(&self) -> Option<&str> {
        self.webhook.as_deref()
    }

    /// For how long the oldest message waits that should be out; for
    /// `adpipe_monitor::figures::Sources`.
    pub fn spool_age(&self) -> Arc<dyn Fn() -> Option<Duration> + Send + Sync> {
        let waiting = self.waiting.clone();
        Arc::new(move || waiting.age())
    }

    /// Waits until everything that is due now is sent. False if that takes longer than `limit`: the
    /// rest stays in the spool.
    pub fn drain(&self, limit: Duration) -> bool {
        if self.webhook.is_none() {
            return true;
        }
        let until = Instant::now() + limit;
        // The look that continues now may have begun before the newest announcement.
        let enough = self.waiting.looks() + 2;
        while self.waiting.looks() < enough || !self.waiting.is_idle() {
            if Instant::now() >= until {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        true
    }

    /// Waits for its threads, after the switch is off; not for a Slack that does not answer, as
    /// what is under way is safe on disk.
    pub fn end(self) {
        let until = Instant::now() + LAST_POST;
        for thread in self.threads {
            while !thread.is_finished() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(10));
            }
            if thread.is_finished() && thread.join().is_err() {
                tracing::error!("the notifier panicked; please report this");
            }
        }
    }
}

impl Announce for Announcer {
    fn reaches_people(&self) -> bool {
        self.spool.is_some()
    }

    fn announce(&mut self, announcement: &Announcement) -> Result<(), String> {
        let Some(spool) = &self.spool else { return LogOnly.announce(announcement) };
        let notice = Notice::of(announcement, Millis::now());
        spool.put(&Entry::Alert(Box::new(notice))).map(drop).map_err(|error| error.to_string())
    }
}

impl Announce for Notifier {
    fn reaches_people(&self) -> bool {
        self.announcer.reaches_people()
    }

    fn announce(&mut self, announcement: &Announcement) -> Result<(), String> {
        self.announcer.announce(announcement)
    }
}

/// Every series of messages is there from the start.
fn set_up(metrics: &Metrics, rules: &Rules) {
    metrics.notifications_wait(0.0);
    let mut kinds: Vec<String> = rules.iter().map(|rule| kind::of_rule(&rule.name)).collect();
    kinds.extend([kind::DAILY_SUMMARY, kind::DIGEST].map(str::to_owned));
    for kind in &kinds {
        for outcome in kind::OUTCOMES {
            metrics.notifications.with_label_values(&[kind, outcome]);
        }
    }
}
