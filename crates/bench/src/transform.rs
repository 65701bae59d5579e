//! All marts over the metrics of 40 million events.

use adpipe_transform::{Command, Project, ProjectFiles, RunOptions, Target};
use adpipe_warehouse::{Schema, Warehouse};
use anyhow::bail;

use crate::host::{Host, WarehouseChoice};
use crate::measure::{Figure, measure};

/// The ten days of the Avazu data set.
const HOURS: u64 = 240;
const EVENTS: u64 = 40_000_000;

/// Different combinations of dimensions that are seen in an hour.
const GROUPS: u64 = 1_500;

/// Rows of one statement.
const ROWS_AT_ONCE: usize = 1_000;

/// Makes the marts twice: from nothing, and again as a nightly run does.
pub fn transform(host: &dyn Host) -> anyhow::Result<Vec<Figure>> {
    let pipeline = host.open("transform", WarehouseChoice::Named)?;
    let warehouse = pipeline.warehouse.as_ref();
    if warehouse.newest_minute()?.is_some() {
        bail!("{} is in use; make an empty database to measure with", warehouse.location());
    }
    fill(warehouse)?;
    let target = Target::new(warehouse.dialect());
    let project = Project::load(&ProjectFiles::embedded(), &target, "")?;
    let run = |command, select: &[&str], exclude: &[&str]| -> anyhow::Result<()> {
        let owned = |selectors: &[&str]| selectors.iter().map(|selector| (*selector).to_owned()).collect();
        let options = RunOptions { command, select: owned(select), exclude: owned(exclude) };
        let results =
            adpipe_transform::run(warehouse, &project, &target, &options, &|| false, &|_, _, _, _| {})?;
        match results.results.iter().find(|result| result.status.is_bad()) {
            Some(bad) => bail!("{}: {}", bad.name, bad.message.as_deref().unwrap_or_default()),
            None => Ok(()),
        }
    };
    run(Command::Build, &["resource_type:seed"], &["resource_type:test"])?;
    let mut first = measure("all marts, from nothing", || run(Command::Run, &[], &[]).map(|()| EVENTS))?;
    first.note = format!("{} rows of hourly metrics", HOURS * GROUPS);
    let again = measure("all marts, again", || run(Command::Run, &[], &[]).map(|()| EVENTS))?;
    Ok(vec![first, again])
}

/// Hourly metrics with skewed dimensions: a few sites and apps have most of the traffic.
fn fill(warehouse: &dyn Warehouse) -> anyhow::Result<()> {
    let mut dice = 42_u64;
    let mut roll = |sides: u64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (dice >> 33) % sides
    };
    let mut groups = std::collections::BTreeSet::new();
    while (groups.len() as u64) < GROUPS {
        let skewed = |roll: &mut dyn FnMut(u64) -> u64, sides: u64| {
            let limit = roll(sides) + 1;
            roll(limit)
        };
        let device = [0, 1, 4, 5][roll(4) as usize];
        let connection = [0, 2, 3, 5][roll(4) as usize];
        groups.insert((
            skewed(&mut roll, 8),
            device,
            connection,
            skewed(&mut roll, 26),
            skewed(&mut roll, 36),
        ));
    }
    let mut session = warehouse.session(Schema::Realtime)?;
    let mut transaction = session.begin()?;
    let mean = EVENTS / (HOURS * GROUPS);
    for hour in 0..HOURS {
        let time = format!("2014-10-{:02} {:02}:00:00", 21 + hour / 24, hour % 24);
        let rows: Vec<String> = groups
            .iter()
            .map(|(position, device, connection, site, app)| {
                let impressions = 1 + roll(2 * mean);
                let clicks = roll(impressions / 3 + 1);
                format!("('{time}', {position}, {device}, {connection}, 'site{site:02}', 'app{app:02}', {impressions}, {clicks})")
            })
            .collect();
        for rows in rows.chunks(ROWS_AT_ONCE) {
            transaction.script(&format!("insert into realtime.metrics_hourly values {}", rows.join(",")))?;
        }
    }
    transaction.commit()?;
    Ok(())
}
