//! From a credential to the identity an operation runs with.

use std::cell::RefCell;
use std::collections::HashMap;

use vfs::Identity;

use crate::env::Env;
use crate::export::{ExportSettings, Squash};
use crate::handle::ExportId;

/// Identities kept ready per core. Enough for the users at work at one time; past it the table starts anew.
const IDENTITIES_MAX: usize = 1024;

/// Who the call says it comes from, before any squashing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Caller {
    /// AUTH_NONE: nobody in particular.
    Anonymous,
    /// AUTH_SYS: user, group and up to 16 further groups.
    Sys {
        /// User id.
        uid: u32,
        /// Group id.
        gid: u32,
        /// Supplementary group ids.
        groups: Vec<u32>,
    },
}

impl Caller {
    /// Who it is, as bytes that are equal exactly when flavor and user are: owns client ids (RFC 8881 §2.4).
    pub fn principal(&self) -> Vec<u8> {
        match self {
            Caller::Anonymous => b"none".to_vec(),
            Caller::Sys { uid, .. } => format!("sys:{uid}").into_bytes(),
        }
    }
}

/// Ready identities, by export and caller. One per core.
#[derive(Debug, Default)]
pub struct Identities {
    ready: RefCell<HashMap<(ExportId, Caller), Identity>>,
}

impl Identities {
    /// The identity `caller` has on an export.
    pub async fn of<E: Env>(&self, env: &E, export: &ExportSettings, caller: &Caller) -> Identity {
        let key = (export.id, caller.clone());
        if let Some(identity) = self.ready.borrow().get(&key) {
            return identity.clone();
        }
        let identity = resolve(env, export, caller).await;
        let mut ready = self.ready.borrow_mut();
        if ready.len() >= IDENTITIES_MAX {
            ready.clear();
        }
        ready.insert(key, identity.clone());
        identity
    }

    /// Forgets everything, for exports and name services that changed.
    pub fn forget(&self) {
        self.ready.borrow_mut().clear();
    }
}

async fn resolve<E: Env>(env: &E, export: &ExportSettings, caller: &Caller) -> Identity {
    let anonymous = || Identity::new(export.anonymous_uid, export.anonymous_gid, &[]);
    let Caller::Sys { uid, gid, groups } = caller else { return anonymous() };
    if export.squash == Squash::All || (export.squash == Squash::Root && *uid == 0) {
        return anonymous();
    }
    let looked_up = if export.lookup_groups { env.groups_of(*uid).await } else { None };
    let groups = looked_up.as_ref().unwrap_or(groups);
    // A squashed superuser must not come back as a member of group 0 (exports(5), root_squash).
    let keep =
        |group: u32| if export.squash == Squash::Root && group == 0 { export.anonymous_gid } else { group };
    let groups: Vec<u32> = groups.iter().map(|group| keep(*group)).collect();
    Identity::new(*uid, keep(*gid), &groups)
}
