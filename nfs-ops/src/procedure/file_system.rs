//! FSSTAT, FSINFO, PATHCONF (RFC 1813 §3.3.18 to §3.3.20).

use vfs::Vfs;
use wire::nfs3::file_system_property::{CAN_SET_TIME, HOMOGENEOUS, LINK, SYMLINK};
use wire::nfs3::{
    FsinfoArgs, FsinfoResult, FsstatArgs, FsstatResult, NfsTime, Outcome, PathconfArgs, PathconfResult,
    PostOpAttributes,
};

use super::place::{after, bare, place, with};
use super::read_directory::REPLY_BYTES_MAX;
use crate::env::{Backchannel, Env};
use crate::request::Request;

/// READs and WRITEs should be multiples of this: a page.
const MULTIPLE_BYTES: u32 = 4096;

/// FSSTAT.
pub async fn stat<V: Vfs, E: Env + Backchannel>(
    request: &Request<V, E>,
    arguments: FsstatArgs,
) -> Outcome<FsstatResult, PostOpAttributes> {
    let place = place(request, &arguments.root).await.map_err(bare)?;
    let space = place.storage().space(&place.node, &place.identity).await;
    let attributes = after(&place).await;
    let space = space.map_err(|error| with(error.into(), attributes))?;
    Ok(FsstatResult {
        attributes,
        bytes_total: space.total_bytes,
        bytes_free: space.free_bytes,
        bytes_available: space.available_bytes,
        files_total: space.total_files,
        files_free: space.free_files,
        files_available: space.available_files,
        unchanged_seconds: 0,
    })
}

/// FSINFO.
pub async fn info<V: Vfs, E: Env + Backchannel>(
    request: &Request<V, E>,
    arguments: FsinfoArgs,
) -> Outcome<FsinfoResult, PostOpAttributes> {
    let place = place(request, &arguments.root).await.map_err(bare)?;
    let capabilities = place.storage().capabilities();
    let payload = request.server.shared.settings.payload_bytes_max;
    Ok(FsinfoResult {
        attributes: after(&place).await,
        read_max: payload,
        read_preferred: payload,
        read_multiple: MULTIPLE_BYTES,
        write_max: payload,
        write_preferred: payload,
        write_multiple: MULTIPLE_BYTES,
        directory_preferred: REPLY_BYTES_MAX,
        file_size_max: capabilities.file_bytes_max,
        time_delta: NfsTime {
            seconds: (capabilities.time_delta_ns / 1_000_000_000) as u32,
            nanoseconds: (capabilities.time_delta_ns % 1_000_000_000) as u32,
        },
        properties: LINK | SYMLINK | HOMOGENEOUS | CAN_SET_TIME,
    })
}

/// PATHCONF.
pub async fn configuration<V: Vfs, E: Env + Backchannel>(
    request: &Request<V, E>,
    arguments: PathconfArgs,
) -> Outcome<PathconfResult, PostOpAttributes> {
    let place = place(request, &arguments.object).await.map_err(bare)?;
    let capabilities = place.storage().capabilities();
    Ok(PathconfResult {
        attributes: after(&place).await,
        links_max: capabilities.links_max,
        name_max: capabilities.name_bytes_max,
        no_truncation: true,
        chown_restricted: true,
        case_insensitive: false,
        case_preserving: true,
    })
}
