//! Which roles of this process have stopped, and why: for `/metrics`, `/readyz` and the console.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Role;

/// Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct RoleStates(Arc<Mutex<BTreeMap<&'static str, String>>>);

impl RoleStates {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn stopped(&self, role: Role, reason: &str) {
        self.lock().insert(role.name(), reason.to_owned());
    }

    pub fn works(&self, role: Role) {
        self.lock().remove(role.name());
    }

    pub fn is_stopped(&self, role: Role) -> bool {
        self.lock().contains_key(role.name())
    }

    pub fn all_stopped(&self) -> Vec<(&'static str, String)> {
        self.lock().iter().map(|(role, reason)| (*role, reason.clone())).collect()
    }
}
