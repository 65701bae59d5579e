//! What every handler shares.

use tokio::sync::watch;

use crate::assets::Assets;
use crate::config::{ConsoleConfig, Services};
use crate::csrf;
use crate::dlq;
use crate::error::ConsoleError;
use crate::ingest::Intake;
use crate::lag::LagGauge;
use crate::live::Live;
use crate::operations;
use crate::outbox::Outbox;
use crate::overview::Overviews;
use crate::page::Pages;
use crate::quality;
use crate::readiness::Readiness;
use crate::throttle::Throttle;
use crate::work::Work;

/// The console's state.
pub(crate) struct App {
    pub config: ConsoleConfig,
    pub services: Services,
    /// True when only this machine can reach the console.
    pub on_loopback: bool,
    pub intake: Intake,
    /// Where requests wait for a database.
    pub work: Work,
    /// Where answers wait to be taken.
    pub outbox: Outbox,
    pub throttle: Throttle,
    pub readiness: Readiness,
    pub lag: LagGauge,
    pub live: Live,
    pub overviews: Overviews,
    pub pages: Pages,
    pub assets: Assets,
    pub desk: dlq::Desk,
    pub quality: quality::Desk,
    pub operations: operations::Desk,
    /// What a page's buttons have to show.
    pub csrf_token: String,
    /// Turns true when the console ends.
    pub closing: watch::Sender<bool>,
}

impl App {
    pub fn new(config: ConsoleConfig, services: Services, on_loopback: bool) -> Result<App, ConsoleError> {
        let (assets, csrf_token) = (Assets::new(), csrf::new_token());
        Ok(App {
            on_loopback,
            intake: Intake::new(&config),
            work: Work::new(),
            outbox: Outbox::new(),
            throttle: Throttle::new(),
            readiness: Readiness::default(),
            lag: LagGauge::new(&services),
            live: Live::new(),
            overviews: Overviews::new(),
            pages: Pages::new(services.version, &csrf_token)?,
            assets,
            desk: dlq::Desk::new(),
            quality: quality::Desk::new(),
            operations: operations::Desk::new(),
            csrf_token,
            closing: watch::Sender::new(false),
            config,
            services,
        })
    }
}

/// Resolves when the console ends.
pub(crate) async fn ended(closing: &mut watch::Receiver<bool>) {
    // An error would say that the sender, and with it the console, is gone: ended as well. The
    // value is let go at once, because holding it keeps the sender waiting.
    drop(closing.wait_for(|closing| *closing).await);
}
