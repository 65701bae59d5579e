//! `adpipe stores`: whether log and warehouse belong together, and what to do when they do not.

use std::process::ExitCode;

use adpipe_stores::{Standing, State, Store, Stores, lost_in_words};

use crate::actor::actor;
use crate::cli::stores::{StoresAction, StoresArgs};
use crate::config::{Config, ConfigError};
use crate::output;
use crate::services::Services;
use crate::warehouse_place::WarehousePlace;

/// Shows the stores, or accepts one. Exit code 1 when one is stopped or records are lost.
pub fn run(config: Config, args: &StoresArgs) -> anyhow::Result<ExitCode> {
    WarehousePlace::of(&config)?.must_have_data()?;
    // A log that is gone is begun: how the others stand to it is what is asked.
    let services = Services::open_unsettled(config)?;
    let stores = match &args.action {
        None => services.look_at_stores()?,
        Some(StoresAction::Accept { name }) => {
            let Some(store) = Store::from_name(name) else {
                let names = Store::ALL.map(Store::name).join(", ");
                anyhow::bail!(ConfigError::Flag(format!("there is no store {name:?}; they are {names}")));
            };
            let stores = services.accept_store(store, &actor())?;
            output::note(&format!("accepted {name} as it is"));
            stores
        }
    };
    print(&stores, args.json)?;
    Ok(if stores.complaints().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(stores: &Stores, json: bool) -> anyhow::Result<()> {
    if json {
        let standings: Vec<serde_json::Value> = stores.standings.iter().map(as_json).collect();
        let lost: Vec<serde_json::Value> = stores
            .lost
            .iter()
            .map(|lost| {
                serde_json::json!({
                    "topic": lost.topic, "partition": lost.partition, "first_offset": lost.first_offset,
                    "next_offset": lost.next_offset, "since": lost.since,
                })
            })
            .collect();
        return output::json(&serde_json::json!({ "stores": standings, "lost": lost }));
    }
    for standing in &stores.standings {
        let id = standing.store_id.as_deref().unwrap_or("-");
        output::line(&format!(
            "{:8}  {:7}  epoch {}, at {}  {id}  {}",
            standing.store.name(),
            standing.state.name(),
            standing.epoch,
            output::grouped(standing.how_far),
            standing.place
        ))?;
        for known in &standing.known {
            let by = known.by.name();
            let (far, at) = (output::grouped(known.how_far), &known.seen_at);
            output::line(&format!(
                "          {by} has seen it at {far} (epoch {}) on {at} UTC",
                known.epoch
            ))?;
        }
        if standing.state != State::Sound {
            output::line(&format!("          {}", standing.state.message()))?;
        }
    }
    for lost in &stores.lost {
        output::line(&format!("lost      {}", lost_in_words(lost)))?;
    }
    Ok(())
}

fn as_json(standing: &Standing) -> serde_json::Value {
    let known = standing.known.iter().map(|known| {
        serde_json::json!({
            "by": known.by.name(), "id": known.store_id, "epoch": known.epoch, "how_far": known.how_far,
            "seen_at": known.seen_at,
        })
    });
    serde_json::json!({
        "store": standing.store.name(), "where": standing.place, "data_id": standing.data_id,
        "id": standing.store_id, "epoch": standing.epoch, "how_far": standing.how_far,
        "state": standing.state.name(), "message": standing.state.message(),
        "known": known.collect::<Vec<_>>(),
    })
}
