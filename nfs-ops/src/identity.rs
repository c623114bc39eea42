//! From a credential to the identity an operation runs with.

use std::cell::RefCell;
use std::hash::{Hash, Hasher};
use std::rc::Rc;

use foldhash::HashMap;
use vfs::Identity;
use wire::rpc::{Credential, Gids};

use crate::env::Env;
use crate::export::{ExportSettings, Squash};
use crate::handle::ExportId;

/// Callers kept ready per core. Enough for the users at work at one time; past it the table starts anew.
const CALLERS_MAX: usize = 1024;

/// Who a call says it comes from, before any squashing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// AUTH_NONE: nobody in particular.
    Anonymous,
    /// AUTH_SYS: user, group and up to 16 further groups.
    Sys { uid: u32, gid: u32, groups: Gids },
}

impl Hash for Who {
    fn hash<H: Hasher>(&self, state: &mut H) {
        if let Who::Sys { uid, gid, groups } = self {
            (uid, gid, groups.as_slice()).hash(state);
        }
    }
}

/// A caller, and whom the exports it used take it for.
#[derive(Debug)]
pub struct Caller {
    who: Who,
    identities: RefCell<Vec<(ExportId, Identity)>>,
}

/// Callers are told apart by who they are.
impl Hash for Caller {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.who.hash(state);
    }
}

impl Caller {
    /// Who it is, as bytes that are equal exactly when flavor and user are: owns client ids (RFC 8881 §2.4).
    pub fn principal(&self) -> Vec<u8> {
        match self.who {
            Who::Anonymous => b"none".to_vec(),
            Who::Sys { uid, .. } => format!("sys:{uid}").into_bytes(),
        }
    }

    /// The user it says it is.
    pub fn uid(&self) -> Option<u32> {
        match self.who {
            Who::Anonymous => None,
            Who::Sys { uid, .. } => Some(uid),
        }
    }

    /// The identity it has on an export.
    pub async fn identity<E: Env>(&self, env: &E, export: &ExportSettings) -> Identity {
        if let Some(identity) = self.ready(export.id) {
            return identity;
        }
        let identity = resolve(env, export, &self.who).await;
        let mut identities = self.identities.borrow_mut();
        if !identities.iter().any(|(id, _)| *id == export.id) {
            identities.push((export.id, identity.clone()));
        }
        identity
    }

    fn ready(&self, export: ExportId) -> Option<Identity> {
        let identities = self.identities.borrow();
        identities.iter().find(|(id, _)| *id == export).map(|(_, identity)| identity.clone())
    }
}

/// Callers seen lately, so that a call of one of them allocates nothing. One table per core.
#[derive(Debug, Default)]
pub struct Callers {
    known: RefCell<HashMap<Who, Rc<Caller>>>,
}

impl Callers {
    /// The caller a credential names; none for a flavor that is not served.
    pub fn of(&self, credential: &Credential<'_>) -> Option<Rc<Caller>> {
        let who = match credential {
            Credential::None => Who::Anonymous,
            Credential::Sys(sys) => Who::Sys { uid: sys.uid, gid: sys.gid, groups: sys.gids },
            Credential::Other(_) => return None,
        };
        let mut known = self.known.borrow_mut();
        if let Some(caller) = known.get(&who) {
            return Some(caller.clone());
        }
        if known.len() >= CALLERS_MAX {
            known.clear();
        }
        let caller = Rc::new(Caller { who, identities: RefCell::default() });
        known.insert(who, caller.clone());
        Some(caller)
    }

    /// Forgets everything, for exports and name services that changed.
    pub fn forget(&self) {
        self.known.borrow_mut().clear();
    }
}

async fn resolve<E: Env>(env: &E, export: &ExportSettings, who: &Who) -> Identity {
    let anonymous = || Identity::new(export.anonymous_uid, export.anonymous_gid, &[]);
    let Who::Sys { uid, gid, groups } = who else { return anonymous() };
    if export.squash == Squash::All || (export.squash == Squash::Root && *uid == 0) {
        return anonymous();
    }
    let looked_up = if export.lookup_groups { env.groups_of(*uid).await } else { None };
    let groups = looked_up.as_deref().unwrap_or(groups.as_slice());
    // A squashed superuser must not come back as a member of group 0 (exports(5), root_squash).
    let keep =
        |group: u32| if export.squash == Squash::Root && group == 0 { export.anonymous_gid } else { group };
    let groups: Vec<u32> = groups.iter().map(|group| keep(*group)).collect();
    Identity::new(*uid, keep(*gid), &groups)
}
