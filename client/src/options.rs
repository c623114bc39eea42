//! How a client presents itself and what it asks for.

use std::time::Duration;

use bytes::Bytes;
use wire::{
    nfs4::{ChannelAttributes, ChannelDirectionArgs, Verifier},
    rpc::{AuthSys, Credential, Gids},
};

/// Bytes around the data of the largest READ or WRITE.
const MESSAGE_OVERHEAD: u32 = 4096;

/// Who calls, by AUTH_SYS.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Name of the client machine.
    pub machine_name: String,
    /// Effective user.
    pub uid: u32,
    /// Effective group.
    pub gid: u32,
    /// Supplementary groups, at most 16.
    pub gids: Vec<u32>,
}

impl Identity {
    /// A user with one group.
    pub fn new(uid: u32, gid: u32) -> Self {
        Self { machine_name: "penstock".to_owned(), uid, gid, gids: Vec::new() }
    }

    /// As a credential.
    ///
    /// # Panics
    /// With more than 16 supplementary groups: the caller's mistake.
    pub(crate) fn credential(&self) -> Credential<'_> {
        Credential::Sys(AuthSys {
            stamp: 0,
            machine_name: self.machine_name.as_str().into(),
            uid: self.uid,
            gid: self.gid,
            gids: Gids::new(&self.gids).expect("AUTH_SYS carries at most 16 groups"),
        })
    }
}

/// How long a client waits for a server that cannot do something yet.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How long one call is tried.
    pub time: Duration,
    /// Called once for each session that has to wait for the end of the server's grace period.
    pub tell: fn(),
}

/// What a client is to be.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// 1 or 2.
    pub minor_version: u32,
    /// The client's name for the server (`co_ownerid`): the same over restarts, different for each client.
    pub owner: Bytes,
    /// Changes with every start of the client (`co_verifier`).
    pub verifier: Verifier,
    /// Who calls.
    pub identity: Identity,
    /// Flags of EXCHANGE_ID.
    pub exchange_flags: u32,
    /// What is asked of the fore channel.
    pub fore_channel: ChannelAttributes,
    /// What is offered for the back channel; `None` asks for none.
    pub back_channel: Option<ChannelAttributes>,
    /// Program number of callbacks.
    pub callback_program: u32,
    /// Channels asked for when a further connection is bound.
    pub bind_direction: ChannelDirectionArgs,
    /// Whether to declare, after the first session, that nothing will be reclaimed.
    pub reclaim_complete: bool,
    /// Time a call may take.
    pub timeout: Duration,
    /// How often a call is sent again, on a new connection, when its connection breaks.
    pub retries: u32,
    /// Whether calls are annotated (docs/ANNOTATIONS.md) when the server understands that, which every connection asks for:
    /// with where their bulk data lies, and with the trace that they are a part of. Off unless asked for, since traces tell
    /// an observer more than calls do.
    pub annotations: bool,
    /// Whether compounds without a tag carry their trace in it, where calls are not annotated.
    pub trace_in_tag: bool,
    /// Whether a compound in which an operation fails with `NFS4ERR_GRACE` or `NFS4ERR_DELAY`, before anything was changed,
    /// is tried again, and for how long; likewise a procedure that fails with `NFS3ERR_JUKEBOX`.
    pub patience: Option<Patience>,
    /// The port of MOUNT, where it is not that of NFSv3.
    pub mount_port: Option<u16>,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            minor_version: 2,
            owner: Bytes::from_static(b"penstock client"),
            verifier: Verifier([1; 8]),
            identity: Identity::new(0, 0),
            exchange_flags: 0,
            fore_channel: channel(1024 * 1024 + MESSAGE_OVERHEAD, 32, 64),
            back_channel: Some(channel(4096, 8, 4)),
            callback_program: 0x4000_0000,
            bind_direction: ChannelDirectionArgs::ForeOrBoth,
            reclaim_complete: true,
            timeout: Duration::from_secs(60),
            retries: 5,
            annotations: false,
            trace_in_tag: false,
            patience: None,
            mount_port: None,
        }
    }
}

impl ClientOptions {
    /// The defaults, for a client of its own name.
    pub fn named(owner: &str) -> Self {
        Self { owner: Bytes::copy_from_slice(owner.as_bytes()), ..Self::default() }
    }

    /// The same with another minor version.
    #[must_use]
    pub fn minor_version(mut self, minor_version: u32) -> Self {
        self.minor_version = minor_version;
        self
    }

    /// The same with so many slots.
    #[must_use]
    pub fn slots(mut self, slots: u32) -> Self {
        self.fore_channel.requests_max = slots;
        self
    }

    /// The same for another caller.
    #[must_use]
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = identity;
        self
    }
}

/// A channel with messages of up to `bytes` each way.
fn channel(bytes: u32, operations_max: u32, slots: u32) -> ChannelAttributes {
    ChannelAttributes {
        header_pad_size: 0,
        request_size_max: bytes,
        response_size_max: bytes,
        response_size_max_cached: bytes.min(8192),
        operations_max,
        requests_max: slots,
        rdma_ird: None,
    }
}
