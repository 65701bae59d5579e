//! `adpipe up`: all roles in one process; `adpipe run`: one of them.
//!
//! Each role is a piece of work that the supervisor starts, isolates from the others, and retries. Only
//! the console is different: people use it, and the process ends with it.

use std::sync::Arc;

use adpipe_console::{Console, ConsoleConfig, MetricsServer};
use adpipe_ingest::EventsConfig;
use adpipe_metrics::Role;
use adpipe_monitor::processes::{Introduction, Presence};
use adpipe_monitor::pulse::Pulse;
use adpipe_monitor::rules::Rules;
use adpipe_notify::Notifier;
use adpipe_runtime::Shutdown;
use adpipe_schedule::dag::Dags;
use adpipe_stores::Keeper;
use anyhow::{Context, anyhow, bail};
use tokio::runtime::Runtime;

use crate::config::{Config, ConfigError};
use crate::services::{HeldRole, Services, VERSION, role_folder};
use crate::supervisor::{Supervisor, Work};
use crate::warehouse_place::WarehousePlace;
use crate::watched_project::WatchedProject;
use crate::{output, project, signals};

/// Runs until Ctrl-C or SIGTERM.
pub fn run(config: Config) -> anyhow::Result<()> {
    let up = Up::start(config, &Role::ALL)?;
    output::line(&format!("adpipe {VERSION} is up: {}", up.url()))?;
    output::line(&crate::notify::described(&up.services().config)?)?;
    output::line(&format!("events: {}   Ctrl-C ends it", up.services().warehouse.location()))?;
    up.wait()
}

/// Threads for what blocks: the console works on a handful of requests at once.
const BLOCKING_THREADS: usize = 32;

/// The roles of this process, running.
pub struct Up {
    services: Arc<Services>,
    /// Ends after everything that runs on it.
    runtime: Runtime,
    shutdown: Shutdown,
    url: String,
    metrics_url: Option<String>,
    roles: Supervisor,
    /// In the order in which they are waited for.
    helpers: Vec<Helper>,
}

/// Something that serves the roles, and ends after them.
struct Helper {
    name: &'static str,
    /// False when it panicked.
    join: Box<dyn FnOnce() -> bool>,
}

impl Helper {
    fn new(name: &'static str, join: impl FnOnce() -> bool + 'static) -> Helper {
        Helper { name, join: Box::new(join) }
    }
}

impl Up {
    /// Opens the back ends and starts the roles; nothing is left running when one cannot start.
    pub fn start(config: Config, roles: &[Role]) -> anyhow::Result<Up> {
        // Checked first: a mistake in the DAGs or alerts must leave nothing behind.
        let dags = crate::dags::load(&config)?;
        let rules = crate::alerts::rules(&config)?;
        if roles.contains(&Role::Monitor) {
            crate::notify::check(&config)?;
        }
        if roles.iter().any(|role| *role != Role::Console) {
            WarehousePlace::of(&config)?.must_take_writes()?;
        }
        let services = Arc::new(Services::open(config)?);
        let stream_lock =
            if roles.contains(&Role::Stream) { Some(take_stream_role(&services)?) } else { None };
        let mut up = Up::without_roles(services, roles)?;
        let listener = if roles.contains(&Role::Console) {
            up.start_console(dags.clone(), rules.clone())?;
            None
        } else {
            up.serve_metrics()?
        };
        let presence = start_presence(&up.services, roles, &up.shutdown)?;
        let pulse = presence.pulse();
        if stream_lock.is_some() {
            up.helpers.push(start_housekeeping(&up.services, &up.shutdown)?);
        }
        up.helpers.push(start_keeper(&up.services, &up.shutdown)?);
        up.helpers.extend(listener);
        up.helpers.push(Helper::new("presence", move || {
            presence.end();
            true
        }));
        if let Some(lock) = stream_lock {
            up.roles.start(Role::Stream, stream_work(&up.services, lock))?;
        }
        for role in roles {
            match role {
                // They are at work already.
                Role::Console | Role::Stream => {}
                Role::Dlq => up.roles.start(Role::Dlq, dlq_work(&up.services)?)?,
                Role::Scheduler => {
                    up.roles.start(Role::Scheduler, scheduler_work(&up.services, dags.clone())?)?;
                }
                Role::Monitor => up.start_monitor(&dags, rules.clone(), pulse.clone())?,
            }
        }
        Ok(up)
    }

    fn without_roles(services: Arc<Services>, roles: &[Role]) -> anyhow::Result<Up> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(if roles.contains(&Role::Console) { 2 } else { 1 })
            .max_blocking_threads(BLOCKING_THREADS)
            .enable_all()
            .build()
            .context("cannot start the server threads")?;
        let shutdown = Shutdown::new();
        signals::watch(&shutdown, signals::SERVER_GRACE)?;
        let is_alone = roles.len() == 1;
        // Of one role the exit code says enough.
        let folder = role_folder(&services.config)?.filter(|_| !is_alone);
        let supervisor = Supervisor::new(services.metrics.clone(), shutdown.clone(), is_alone, folder);
        Ok(Up {
            services,
            runtime,
            shutdown,
            url: String::new(),
            metrics_url: None,
            roles: supervisor,
            helpers: Vec::new(),
        })
    }

    /// The console runs on the server threads, and the process ends with it.
    fn start_console(&mut self, dags: Dags, rules: Rules) -> anyhow::Result<()> {
        let bound = self.runtime.block_on(Console::bind(
            console_config(&self.services.config, dags)?,
            console_services(&self.services, rules)?,
        ))?;
        self.url = bound.url();
        let serving = self.runtime.spawn(bound.serve(self.shutdown.clone()));
        let threads = self.runtime.handle().clone();
        self.roles.take_in(Role::Console, move || {
            let served = threads.block_on(serving);
            Ok(served.context("the console panicked; please report this")??)
        });
        Ok(())
    }

    /// `/metrics` where no console serves it; none when it is not asked for.
    fn serve_metrics(&mut self) -> anyhow::Result<Option<Helper>> {
        let settings = &self.services.config.metrics;
        if settings.port == 0 {
            return Ok(None);
        }
        let metrics = self.services.metrics.clone();
        let bound = self.runtime.block_on(MetricsServer::bind(&settings.host, settings.port, metrics))?;
        self.metrics_url = Some(format!("http://{}/metrics", bound.address()));
        let serving = self.runtime.spawn(bound.serve(self.shutdown.clone()));
        let threads = self.runtime.handle().clone();
        Ok(Some(Helper::new("the metrics server", move || threads.block_on(serving).is_ok())))
    }

    fn start_monitor(&mut self, dags: &Dags, rules: Rules, pulse: Pulse) -> anyhow::Result<()> {
        let notifier = crate::notify::start(&self.services, &self.shutdown)?;
        let work = monitor_work(&self.services, dags, rules, pulse, &notifier)?;
        self.roles.start(Role::Monitor, work)?;
        self.helpers.push(Helper::new("the notifier", move || {
            notifier.end();
            true
        }));
        Ok(())
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
    pub fn metrics_url(&self) -> Option<&str> {
        self.metrics_url.as_deref()
    }

    /// Waits until asked to end, then for every role to have ended.
    pub fn wait(self) -> anyhow::Result<()> {
        let mut ended = self.roles.wait();
        // A role that was alone and ended by itself ends the process.
        self.shutdown.trigger();
        for helper in self.helpers {
            if !(helper.join)() {
                ended = ended.and(Err(anyhow!("{} panicked; please report this", helper.name)));
            }
        }
        ended
    }
}

/// A role that writes to these stores: not before they fit the others.
fn when_they_fit(
    services: &Arc<Services>,
    role: Role,
    mut work: impl FnMut(&Services, &Shutdown) -> anyhow::Result<()> + Send + 'static,
) -> Work {
    let services = Arc::clone(services);
    let mut is_first = true;
    Box::new(move |shutdown| {
        if !std::mem::take(&mut is_first) {
            services.look_again()?;
        }
        services.require_for(role)?;
        work(&services, shutdown)
    })
}

/// Counts events. The lock is held for as long as the process lives, whatever the processor does.
fn stream_work(services: &Arc<Services>, lock: HeldRole) -> Work {
    when_they_fit(services, Role::Stream, move |services, shutdown| {
        let _held = &lock;
        Ok(services.run_stream(shutdown)?)
    })
}

fn dlq_work(services: &Arc<Services>) -> anyhow::Result<Work> {
    // A setting that is wrong ends the start.
    services.dlq()?;
    Ok(when_they_fit(services, Role::Dlq, |services, shutdown| {
        let dlq = services.dlq()?;
        // Held so that others see that the queue is kept; they may keep it, too.
        let _role = services.take_vacant_dlq_role()?;
        Ok(adpipe_dlq::role::run(&dlq, shutdown)?)
    }))
}

fn monitor_work(
    services: &Arc<Services>,
    dags: &Dags,
    rules: Rules,
    pulse: Pulse,
    notifier: &Notifier,
) -> anyhow::Result<Work> {
    let mut sources = crate::alerts::sources(services, dags.clone(), pulse)?;
    sources.spool_age = Some(notifier.spool_age());
    sources.sends = crate::notify::webhook(&services.config)?.is_some();
    let announcer = Box::new(notifier.announcer());
    let mut monitor = Some(crate::alerts::monitor(services, rules, sources, announcer)?);
    Ok(when_they_fit(services, Role::Monitor, move |_, shutdown| {
        // It ends only with the switch, or by a panic, which is a fault of ours.
        let mut monitor =
            monitor.take().ok_or_else(|| anyhow!("the monitor panicked; please report this"))?;
        monitor.run(shutdown);
        Ok(())
    }))
}

fn scheduler_work(services: &Arc<Services>, dags: Dags) -> anyhow::Result<Work> {
    crate::dags::scheduler_config(&services.config, dags.clone(), true)?;
    Ok(when_they_fit(services, Role::Scheduler, move |services, shutdown| {
        let config = crate::dags::scheduler_config(&services.config, dags.clone(), true)?;
        let (warehouse, metrics) = (Arc::clone(&services.warehouse), services.metrics.clone());
        let mut scheduler = adpipe_schedule::scheduler::Scheduler::new(config, warehouse, metrics);
        Ok(scheduler.run(shutdown)?)
    }))
}

/// Keeps house next to the processor; retention spares what does not fit.
fn start_housekeeping(services: &Arc<Services>, shutdown: &Shutdown) -> std::io::Result<Helper> {
    let (services, shutdown) = (Arc::clone(services), shutdown.clone());
    let thread = std::thread::Builder::new()
        .name("housekeeping".to_owned())
        .spawn(move || services.run_housekeeping(&shutdown))?;
    Ok(Helper::new("housekeeping", move || thread.join().is_ok()))
}

/// Has the stores remember each other, and once more as they are in the end.
fn start_keeper(services: &Arc<Services>, shutdown: &Shutdown) -> std::io::Result<Helper> {
    let (mut keeper, shutdown): (Keeper, Shutdown) = (services.keeper(), shutdown.clone());
    let thread =
        std::thread::Builder::new().name("stores".to_owned()).spawn(move || keeper.run(&shutdown))?;
    let services = Arc::clone(services);
    Ok(Helper::new("housekeeping", move || {
        let is_sound = thread.join().is_ok();
        services.remember();
        is_sound
    }))
}

/// Has this process say that it lives and what it uses.
fn start_presence(services: &Services, roles: &[Role], shutdown: &Shutdown) -> anyhow::Result<Presence> {
    let introduction = Introduction {
        roles: roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(" "),
        version: VERSION.to_owned(),
        data_folder: services.data_folder()?,
    };
    let (warehouse, metrics) = (Arc::clone(&services.warehouse), services.metrics.clone());
    Presence::start(introduction, warehouse, metrics, shutdown.clone()).context("cannot start a thread")
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
                project::docs_page(&config, warehouse.as_ref()).map_err(|error| error.to_string())
            })
        },
        project_tests: {
            let target = project::target(&services.config, services.warehouse.as_ref());
            let watched = WatchedProject::new(services.config.clone(), target);
            Arc::new(move || watched.now().map(|project| project.test_ids()))
        },
        rules: Arc::new(rules),
        version: VERSION,
    })
}

fn console_config(config: &Config, dags: Dags) -> anyhow::Result<ConsoleConfig> {
    Ok(ConsoleConfig {
        host: config.console.host.clone(),
        port: config.console.port,
        token: console_token(config)?,
        events: EventsConfig {
            max_body_bytes: config.console.max_body_size.bytes(),
            max_lag_records: config.ingest.max_lag_records,
            max_body_records: config.ingest.max_body_records,
            max_body_errors: config.ingest.max_body_errors,
            max_record_bytes: config.ingest.max_record_size.bytes(),
            fields: config.event.fields.map().clone(),
            ..EventsConfig::default()
        },
        dags,
        slack: crate::notify::webhook(config)?.is_some(),
        ..ConsoleConfig::default()
    })
}

/// The console's token, from the environment or from its file.
fn console_token(config: &Config) -> anyhow::Result<Option<String>> {
    let from_environment = std::env::var("ADPIPE_CONSOLE__TOKEN").ok();
    let token = match (from_environment, config.console.token_file.as_str()) {
        (Some(token), _) => token,
        (None, "") => return Ok(None),
        (None, file) => adpipe_sql::text::read(file.as_ref()).map_err(|error| ConfigError::Key {
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
