//! `adpipe up`: all roles in one process; `adpipe run`: one of them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use adpipe_console::{Console, ConsoleConfig, MetricsServer};
use adpipe_dlq::DlqError;
use adpipe_metrics::Role;
use adpipe_monitor::processes::{Introduction, Presence};
use adpipe_monitor::rules::Rules;
use adpipe_notify::Notifier;
use adpipe_stream::StreamError;
use adpipe_stream::shutdown::Shutdown;
use anyhow::{Context, bail};

use crate::commands::transform;
use crate::config::{Config, ConfigError};
use crate::output;
use crate::services::{HeldRole, Services, VERSION};
use crate::signals;

/// Runs until Ctrl-C or SIGTERM.
pub fn run(config: Config) -> anyhow::Result<()> {
    let up = Up::start(config, Roles::ALL)?;
    output::line(&format!("adpipe {VERSION} is up: {}", up.url()))?;
    output::line(&crate::notify::described(&up.services().config)?)?;
    output::line(&format!("events: {}   Ctrl-C ends it", up.services().warehouse.location()))?;
    up.wait()
}

/// Which roles a process plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roles {
    /// Counts the events, and keeps house beside it.
    pub stream: bool,
    /// Stores, retries and repairs errors.
    pub dlq: bool,
    /// Runs the DAGs at their time.
    pub scheduler: bool,
    /// Serves the console and takes events over HTTP.
    pub console: bool,
    /// Measures, watches the alerts, tells people.
    pub monitor: bool,
}

impl Roles {
    /// Everything in one process.
    pub const ALL: Roles = Roles { stream: true, dlq: true, scheduler: true, console: true, monitor: true };
    /// Nothing yet.
    pub const NONE: Roles =
        Roles { stream: false, dlq: false, scheduler: false, console: false, monitor: false };

    /// Their names, separated by spaces.
    fn names(self) -> String {
        let roles = [
            (self.stream, Role::Stream),
            (self.dlq, Role::Dlq),
            (self.scheduler, Role::Scheduler),
            (self.console, Role::Console),
            (self.monitor, Role::Monitor),
        ];
        let played = roles.into_iter().filter(|(plays, _)| *plays);
        played.map(|(_, role)| role.name()).collect::<Vec<_>>().join(" ")
    }
}

/// The roles of this process, running.
pub struct Up {
    services: Arc<Services>,
    runtime: tokio::runtime::Runtime,
    shutdown: Shutdown,
    url: String,
    console: Option<tokio::task::JoinHandle<Result<(), adpipe_console::ConsoleError>>>,
    stream: Option<Stream>,
    dlq: Option<JoinHandle<Result<(), DlqError>>>,
    scheduler: Option<SchedulerThread>,
    monitor: Option<JoinHandle<()>>,
    notifier: Option<Notifier>,
    metrics: Option<Listening>,
    presence: Presence,
}

/// A listener at work, and its address.
type Listening = (SocketAddr, tokio::task::JoinHandle<()>);

/// The thread of the scheduler's role.
type SchedulerThread = JoinHandle<Result<(), adpipe_schedule::ScheduleError>>;

/// The threads of the stream role.
struct Stream {
    processor: JoinHandle<Result<(), StreamError>>,
    housekeeping: JoinHandle<()>,
    _role: HeldRole,
}

impl Stream {
    fn start(services: &Arc<Services>, role: HeldRole, shutdown: &Shutdown) -> anyhow::Result<Stream> {
        let processor = {
            let (services, shutdown) = (Arc::clone(services), shutdown.clone());
            std::thread::Builder::new().name("stream".to_owned()).spawn(move || {
                let outcome = services.run_stream(&shutdown);
                if outcome.is_err() {
                    shutdown.trigger();
                }
                outcome
            })?
        };
        let housekeeping = {
            let (services, shutdown) = (Arc::clone(services), shutdown.clone());
            std::thread::Builder::new()
                .name("housekeeping".to_owned())
                .spawn(move || services.run_housekeeping(&shutdown))?
        };
        Ok(Stream { processor, housekeeping, _role: role })
    }

    fn wait(self) -> anyhow::Result<()> {
        let streamed = self.processor.join();
        let kept_house = self.housekeeping.join();
        streamed.map_err(|_| anyhow::anyhow!("the stream processor panicked; please report this"))??;
        kept_house.map_err(|_| anyhow::anyhow!("housekeeping panicked; please report this"))
    }
}

impl Up {
    /// Opens the back ends and starts the roles; nothing is left running when one cannot start.
    pub fn start(config: Config, roles: Roles) -> anyhow::Result<Up> {
        // Looked at first: a wrong file of DAGs, or of alerts, leaves nothing behind.
        let dags = crate::dags::load(&config)?;
        let rules = crate::alerts::rules(&config)?;
        if roles.monitor {
            crate::notify::check(&config)?;
        }
        let services = Arc::new(Services::open(config)?);
        let role = match roles.stream {
            true => Some(take_stream_role(&services)?),
            false => None,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(if roles.console { 2 } else { 1 })
            .enable_all()
            .build()
            .context("cannot start the server threads")?;
        let shutdown = Shutdown::new();
        signals::watch(&shutdown)?;

        let (mut url, mut console) = (String::new(), None);
        if roles.console {
            let bound = runtime.block_on(Console::bind(
                console_config(&services.config, dags.clone())?,
                console_services(&services, rules.clone())?,
            ))?;
            url = bound.url();
            console = Some(runtime.spawn(bound.serve(shutdown.clone())));
        }
        let metrics = match (roles.console, services.config.metrics.port) {
            (false, 1..) => Some(serve_metrics(&services, &runtime, &shutdown)?),
            _ => None,
        };
        let presence = start_presence(&services, roles, &shutdown)?;
        let stream = role.map(|role| Stream::start(&services, role, &shutdown)).transpose()?;
        let dlq = match roles.dlq {
            true => Some(start_dlq(&services, &shutdown)?),
            false => None,
        };
        let (monitor, notifier) = match roles.monitor {
            true => {
                let notifier = crate::notify::start(&services, &shutdown)?;
                let mut sources = crate::alerts::sources(&services, dags.clone(), presence.pulse())?;
                sources.spool_age = Some(notifier.spool_age());
                let announcer = Box::new(notifier.announcer());
                let monitor = crate::alerts::monitor(&services, rules, sources, announcer)?;
                (Some(start_monitor(monitor, &shutdown)?), Some(notifier))
            }
            false => (None, None),
        };
        let scheduler = match roles.scheduler {
            true => Some(start_scheduler(&services, dags, &shutdown)?),
            false => None,
        };
        Ok(Up {
            services,
            runtime,
            shutdown,
            url,
            console,
            stream,
            dlq,
            scheduler,
            monitor,
            notifier,
            metrics,
            presence,
        })
    }

    /// The console's address; empty without a console.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The opened back ends.
    pub fn services(&self) -> &Arc<Services> {
        &self.services
    }

    /// The switch that ends it.
    pub fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }

    /// Where `/metrics` is served without a console.
    pub fn metrics_url(&self) -> Option<String> {
        self.metrics.as_ref().map(|(address, _)| format!("http://{address}/metrics"))
    }

    /// Waits until asked to end, then for every role to have ended.
    pub fn wait(self) -> anyhow::Result<()> {
        let served = self.console.map(|console| self.runtime.block_on(console));
        if served.is_some() {
            // The console also ends by a failure of its own: then the others have to end, too.
            self.shutdown.trigger();
        }
        let worked = self.dlq.map_or(Ok(Ok(())), JoinHandle::join);
        let streamed = self.stream.map_or(Ok(()), Stream::wait);
        let scheduled = self.scheduler.map(JoinHandle::join);
        let watched = self.monitor.map_or(Ok(()), JoinHandle::join);
        // A role that ended by itself ends the process.
        self.shutdown.trigger();
        if let Some((_, serving)) = self.metrics {
            let _ = self.runtime.block_on(serving);
        }
        self.presence.end();
        if let Some(notifier) = self.notifier {
            notifier.end();
        }
        worked.map_err(|_| anyhow::anyhow!("the dead-letter queue panicked; please report this"))??;
        if let Some(served) = served {
            served.context("the console panicked; please report this")??;
        }
        streamed?;
        watched.map_err(|_| anyhow::anyhow!("the monitor panicked; please report this"))?;
        match scheduled {
            Some(ended) => {
                Ok(ended.map_err(|_| anyhow::anyhow!("the scheduler panicked; please report this"))??)
            }
            None => Ok(()),
        }
    }
}

fn serve_metrics(
    services: &Services,
    runtime: &tokio::runtime::Runtime,
    shutdown: &Shutdown,
) -> anyhow::Result<Listening> {
    let settings = &services.config.metrics;
    let metrics = services.metrics.clone();
    let bound = runtime.block_on(MetricsServer::bind(&settings.host, settings.port, metrics))?;
    Ok((bound.address(), runtime.spawn(bound.serve(shutdown.clone()))))
}

/// Has this process say that it lives and what it uses.
fn start_presence(services: &Services, roles: Roles, shutdown: &Shutdown) -> anyhow::Result<Presence> {
    let introduction = Introduction {
        roles: roles.names(),
        version: VERSION.to_owned(),
        data_folder: services.data_folder()?,
    };
    let (warehouse, metrics) = (Arc::clone(&services.warehouse), services.metrics.clone());
    Presence::start(introduction, warehouse, metrics, shutdown.clone()).context("cannot start a thread")
}

fn start_dlq(services: &Services, shutdown: &Shutdown) -> anyhow::Result<JoinHandle<Result<(), DlqError>>> {
    let (dlq, shutdown) = (services.dlq()?, shutdown.clone());
    // Held so that others see that somebody keeps the queue; they may keep it, too.
    let role = services.take_vacant_dlq_role()?;
    let work = move || {
        let _role = role;
        let outcome = adpipe_dlq::role::run(&dlq, &shutdown);
        if outcome.is_err() {
            shutdown.trigger();
        }
        outcome
    };
    Ok(std::thread::Builder::new().name("dlq".to_owned()).spawn(work)?)
}

fn start_monitor(
    mut monitor: adpipe_monitor::role::Monitor,
    shutdown: &Shutdown,
) -> anyhow::Result<JoinHandle<()>> {
    let shutdown = shutdown.clone();
    let work = move || monitor.run(&shutdown);
    Ok(std::thread::Builder::new().name("monitor".to_owned()).spawn(work)?)
}

fn start_scheduler(
    services: &Services,
    dags: adpipe_schedule::dag::Dags,
    shutdown: &Shutdown,
) -> anyhow::Result<SchedulerThread> {
    let config = crate::dags::scheduler_config(&services.config, dags, true)?;
    let warehouse = Arc::clone(&services.warehouse);
    let mut scheduler =
        adpipe_schedule::scheduler::Scheduler::new(config, warehouse, services.metrics.clone());
    let shutdown = shutdown.clone();
    Ok(std::thread::Builder::new().name("scheduler".to_owned()).spawn(move || {
        let outcome = scheduler.run(&shutdown);
        if outcome.is_err() {
            shutdown.trigger();
        }
        outcome
    })?)
}

fn take_stream_role(services: &Services) -> anyhow::Result<HeldRole> {
    let Some(role) = services.take_stream_role()? else {
        bail!(
            "another adpipe already processes {}; end it first, or name another folder with --data",
            services.warehouse.location()
        );
    };
    Ok(role)
}

fn console_services(services: &Services, rules: Rules) -> Result<adpipe_console::Services, ConfigError> {
    Ok(adpipe_console::Services {
        dlq: services.dlq()?,
        log: Arc::clone(&services.log),
        warehouse: Arc::clone(&services.warehouse),
        metrics: services.metrics.clone(),
        docs_page: {
            let (config, warehouse) = (services.config.clone(), Arc::clone(&services.warehouse));
            Arc::new(move || {
                transform::docs_page(&config, warehouse.as_ref()).map_err(|error| error.to_string())
            })
        },
        rules: Arc::new(rules),
        version: VERSION,
    })
}

fn console_config(config: &Config, dags: adpipe_schedule::dag::Dags) -> anyhow::Result<ConsoleConfig> {
    Ok(ConsoleConfig {
        host: config.console.host.clone(),
        port: config.console.port,
        token: console_token(config)?,
        max_body_bytes: config.console.max_body_size.bytes(),
        max_lag_records: config.ingest.max_lag_records,
        max_record_bytes: config.ingest.max_record_size.bytes(),
        dags,
        ..ConsoleConfig::default()
    })
}

/// The console's token, from the environment or from its file.
fn console_token(config: &Config) -> anyhow::Result<Option<String>> {
    let from_environment = std::env::var("ADPIPE_CONSOLE__TOKEN").ok();
    let token = match (from_environment, config.console.token_file.as_str()) {
        (Some(token), _) => token,
        (None, "") => return Ok(None),
        (None, file) => std::fs::read_to_string(file).map_err(|error| ConfigError::Key {
            key: "console.token_file",
            message: format!("{file} cannot be read: {error}"),
        })?,
    };
    let token = token.trim().to_owned();
    if token.is_empty() {
        bail!(ConfigError::Key {
            key: "console.token_file",
            message: "the token is empty; put one line into the file or into ADPIPE_CONSOLE__TOKEN"
                .to_owned(),
        });
    }
    Ok(Some(token))
}
