//! BACKCHANNEL_CTL (RFC 8881 §18.33).

use vfs::Vfs;
use wire::nfs4::BackchannelCtlArgs;

use super::session::callback_credential;
use crate::compound::Compound;
use crate::env::{Backchannel, Env};
use crate::failure::Failure;

/// Replaces the callback program and credential of the session.
pub fn control<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: BackchannelCtlArgs<'_>,
) -> Result<(), Failure> {
    let credential = callback_credential(&arguments.callback_security)?;
    compound.session()?.session.set_backchannel(arguments.callback_program, credential);
    Ok(())
}
