//! What is critical now, for the banner of every page.

use std::sync::Arc;
use std::time::{Duration, Instant};

use adpipe_event::Millis;
use adpipe_ingest::http::Refusal;
use adpipe_monitor::rules::{Language, Severity};
use adpipe_monitor::store::{self, Alert, Silence, State as AlertState};
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Serialize;
use tokio::sync::Mutex;

use crate::alerting::{self, Alerting};
use crate::answer::json;
use crate::i18n;
use crate::query::Parameters;

/// An answer is given again for this long, however many pages look.
const FRESH: Duration = Duration::from_secs(4);

/// Sentences that are sent; a banner holds no more.
const MOST: usize = 3;

/// How long a page waits for what fires; it asks for it itself, too.
const PAGE_WAIT: Duration = Duration::from_millis(250);

/// The answer of `GET /api/operations/firing`.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Firing {
    /// Critical alerts that fire and are neither acknowledged nor silenced.
    pub count: usize,
    /// The first of them in words.
    pub summaries: Vec<String>,
    /// Their names, which unlike the words do not change with each measurement.
    pub names: Vec<String>,
}

/// What fires, and the newest answer of each language.
#[derive(Clone)]
pub(crate) struct FiringAlerts {
    alerting: Alerting,
    newest: Arc<Mutex<Vec<(Language, Instant, Firing)>>>,
}

impl FiringAlerts {
    pub fn new(alerting: Alerting) -> FiringAlerts {
        FiringAlerts { alerting, newest: Arc::default() }
    }

    /// What fires, for the banner of a page that is about to be sent: it is there from the first moment,
    /// and does not move what someone starts to read.
    pub async fn for_page(&self, language: Language) -> Firing {
        let found = tokio::time::timeout(PAGE_WAIT, self.newest(language)).await;
        found.ok().and_then(Result::ok).unwrap_or_default()
    }

    /// What fires, in words of a language.
    async fn newest(&self, language: Language) -> Result<Firing, Refusal> {
        // Other requests wait here and then share the answer.
        let mut answers = self.newest.lock().await;
        answers.retain(|(_, made_at, _)| made_at.elapsed() < FRESH);
        if let Some((_, _, firing)) = answers.iter().find(|(of, _, _)| *of == language) {
            return Ok(firing.clone());
        }
        let firing = self.alerting.run(move |warehouse, rules| {
            let silences = store::silences(warehouse)?;
            let now = Millis::now();
            let open = store::open_alerts(warehouse)?;
            let loud: Vec<&Alert> = open.iter().filter(|alert| is_loud(alert, &silences, now)).collect();
            let shown = || loud.iter().take(MOST);
            Ok(Firing {
                count: loud.len(),
                summaries: shown().map(|alert| alerting::summary(rules, language, alert)).collect(),
                names: shown().map(|alert| name(alert)).collect(),
            })
        });
        let firing = firing.await?;
        answers.push((language, Instant::now(), firing.clone()));
        Ok(firing)
    }
}

/// `GET /api/operations/firing?lang=en`.
pub(crate) async fn get_firing(
    State(firing): State<FiringAlerts>,
    Query(query): Query<Parameters>,
) -> Result<Response, Refusal> {
    json(&firing.newest(i18n::Language::of_query(&query).into()).await?)
}

/// The rule and the labels of an alert, as the page about alerts names it.
fn name(alert: &Alert) -> String {
    let labels: Vec<String> = alert.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    [alert.rule.as_str(), &labels.join(", ")].join(" ").trim_end().to_owned()
}

fn is_loud(alert: &Alert, silences: &[Silence], now: Millis) -> bool {
    alert.state == AlertState::Firing
        && alert.severity == Severity::Critical
        && alert.acknowledged_at.is_none()
        && !alerting::is_silenced(alert, silences, now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use adpipe_monitor::signal::Labels;
    use adpipe_monitor::store::Announced;

    #[test]
    fn only_what_needs_somebody_is_told_on_every_page() {
        let now = Millis(1_000_000);
        let loud = Alert {
            alert_id: "1".to_owned(),
            rule: "LatencyHigh".to_owned(),
            labels: Labels::new(),
            severity: Severity::Critical,
            state: AlertState::Firing,
            value: 7.0,
            worst: 9.0,
            threshold: 5.0,
            context: serde_json::Value::Null,
            pending_since: Millis(1),
            firing_since: Some(Millis(2)),
            resolved_at: None,
            updated_at: now,
            acknowledged_at: None,
            acknowledged_by: None,
            note: String::new(),
            announced: Announced::Firing,
        };
        let silence = |rule: &str, starts_at: i64| Silence {
            silence_id: "1".to_owned(),
            rule: rule.to_owned(),
            labels: Labels::new(),
            starts_at: Millis(starts_at),
            ends_at: Millis(2_000_000),
            comment: String::new(),
            created_by: String::new(),
            created_at: Millis(1),
        };
        assert!(is_loud(&loud, &[], now));
        assert!(is_loud(&loud, &[silence("LagGrowing", 1), silence("LatencyHigh", 1_500_000)], now));
        assert!(!is_loud(&loud, &[silence("LatencyHigh", 1)], now));
        assert!(!is_loud(&loud, &[silence("", 1)], now));
        assert!(!is_loud(&Alert { state: AlertState::Pending, ..loud.clone() }, &[], now));
        assert!(!is_loud(&Alert { severity: Severity::Warning, ..loud.clone() }, &[], now));
        assert!(!is_loud(&Alert { acknowledged_at: Some(now), ..loud }, &[], now));
    }
}
