//! What the actions on alerts work with.

use std::sync::Arc;

use adpipe_monitor::rules::Rules;
use adpipe_warehouse::Warehouse;

use crate::config::Config;
use crate::services::Services;
use crate::warehouse_place::WarehousePlace;

/// The table of alerts, and what is known of them.
pub struct AlertAccess {
    pub rules: Rules,
    pub warehouse: Arc<dyn Warehouse>,
}

impl AlertAccess {
    pub fn open(config: &Config) -> anyhow::Result<AlertAccess> {
        let rules = crate::alerts::rules(config)?;
        let place = WarehousePlace::of(config)?;
        place.must_have_data()?;
        Ok(AlertAccess { rules, warehouse: Services::open_warehouse(config)? })
    }
}
