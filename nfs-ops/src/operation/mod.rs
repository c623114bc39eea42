//! The operations: one file for each, or for a few that share one subject.

mod access;
mod attributes;
mod backchannel;
mod client;
mod close;
mod copy;
mod create;
mod data;
mod destroy;
mod file_handle;
mod lock;
mod lookup;
mod namespace;
mod open;
mod open_file;
mod read_directory;
mod read_plus;
mod security;
mod session;
mod space;
mod stateid;
mod unsupported;
mod xattr;

use vfs::Vfs;
use wire::nfs4::{self, Operation, SecinfoStyle, Status};
use wire::xdr::{Decoder, Encoder};

use crate::annotation;
use crate::compound::Compound;
use crate::env::{Backchannel, Env};
use crate::failure::Failure;
use crate::sequence;

/// Reads the operation's arguments, runs it and writes its result's body.
#[allow(clippy::too_many_lines, reason = "one line per operation, in the order of their numbers")]
pub async fn run<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    operation: Operation,
    decoder: &mut Decoder<'_>,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    match operation {
        Operation::Access => access::run(compound, decoder.get()?, reply).await,
        Operation::Close => close::run(compound, decoder.get()?, reply),
        Operation::Commit => data::commit(compound, decoder.get()?, reply).await,
        Operation::Create => create::run(compound, decoder.get()?, reply).await,
        Operation::Delegpurge => unsupported::optional::<nfs4::DelegPurgeArgs>(decoder),
        Operation::Delegreturn => unsupported::refuse::<nfs4::DelegReturnArgs>(decoder, Status::BadStateid),
        Operation::Getattr => attributes::get(compound, decoder.get()?, reply).await,
        Operation::Getfh => file_handle::get(compound, reply),
        Operation::Link => namespace::link(compound, decoder.get()?, reply).await,
        Operation::Lock => lock::lock(compound, decoder.get()?, reply).await,
        Operation::Lockt => lock::test(compound, decoder.get()?, reply).await,
        Operation::Locku => lock::unlock(compound, decoder.get()?, reply),
        Operation::Lookup => lookup::lookup(compound, decoder.get()?).await,
        Operation::Lookupp => lookup::lookup_parent(compound).await,
        Operation::Nverify => {
            attributes::verify(compound, decoder.get::<nfs4::NverifyArgs<'_>>()?.attributes, false).await
        }
        Operation::Open => open::run(compound, decoder.get()?, reply).await,
        Operation::Openattr => unsupported::optional::<nfs4::OpenAttrArgs>(decoder),
        Operation::OpenDowngrade => close::downgrade(compound, decoder.get()?, reply),
        Operation::Putfh => file_handle::put(compound, decoder.get()?).await,
        Operation::Putpubfh | Operation::Putrootfh => file_handle::put_root(compound).await,
        Operation::Read => {
            let arguments = decoder.get()?;
            let next = Operation::decode_or_illegal(&mut decoder.clone()).ok();
            data::read(compound, &arguments, next, reply).await
        }
        Operation::Readdir => read_directory::run(compound, decoder.get()?, reply).await,
        Operation::Readlink => namespace::read_link(compound, reply).await,
        Operation::Remove => namespace::remove(compound, decoder.get()?, reply).await,
        Operation::Rename => namespace::rename(compound, decoder.get()?, reply).await,
        Operation::Restorefh => file_handle::restore(compound),
        Operation::Savefh => file_handle::save(compound),
        Operation::Secinfo => security::by_name(compound, decoder.get()?, reply).await,
        Operation::Setattr => attributes::set(compound, decoder.get()?, reply).await,
        Operation::Verify => {
            attributes::verify(compound, decoder.get::<nfs4::VerifyArgs<'_>>()?.attributes, true).await
        }
        Operation::Write => {
            let arguments: nfs4::WriteArgs = decoder.get()?;
            annotation::seen(&mut compound.request, decoder, &arguments.data);
            data::write(compound, arguments, reply).await
        }
        Operation::BackchannelCtl => backchannel::control(compound, decoder.get()?),
        Operation::BindConnToSession => session::bind_connection(compound, decoder.get()?, reply),
        Operation::ExchangeId => client::exchange_id(compound, decoder.get()?, reply),
        Operation::CreateSession => session::create(compound, decoder.get()?, reply).await,
        Operation::DestroySession => destroy::session(compound, decoder.get()?),
        Operation::FreeStateid => stateid::free(compound, decoder.get()?),
        Operation::GetDirDelegation => unsupported::directory_delegation(decoder, reply),
        Operation::Getdeviceinfo => unsupported::optional::<nfs4::GetDeviceInfoArgs>(decoder),
        Operation::Getdevicelist => unsupported::optional::<nfs4::GetDeviceListArgs>(decoder),
        Operation::Layoutcommit => unsupported::optional::<nfs4::LayoutCommitArgs<'_>>(decoder),
        Operation::Layoutget => unsupported::optional::<nfs4::LayoutGetArgs>(decoder),
        Operation::Layoutreturn => unsupported::optional::<nfs4::LayoutReturnArgs<'_>>(decoder),
        Operation::SecinfoNoName => {
            security::without_name(compound, decoder.get::<SecinfoStyle>()?, reply).await
        }
        Operation::Sequence => sequence::begin(compound, decoder, reply),
        Operation::SetSsv => unsupported::optional::<nfs4::SetSsvArgs<'_>>(decoder),
        Operation::TestStateid => stateid::test(compound, decoder.get()?, reply),
        Operation::WantDelegation => unsupported::optional::<nfs4::WantDelegationArgs>(decoder),
        Operation::DestroyClientid => destroy::client(compound, decoder.get()?).await,
        Operation::ReclaimComplete => client::reclaim_complete(compound, decoder.get()?).await,
        Operation::Allocate => space::allocate(compound, decoder.get()?).await,
        Operation::Copy => copy::copy(compound, decoder.get()?, reply).await,
        Operation::CopyNotify => unsupported::optional::<nfs4::CopyNotifyArgs<'_>>(decoder),
        Operation::Deallocate => space::deallocate(compound, decoder.get()?).await,
        Operation::IoAdvise => space::advise(compound, decoder.get()?, reply).await,
        Operation::Layouterror => unsupported::optional::<nfs4::LayoutErrorArgs>(decoder),
        Operation::Layoutstats => unsupported::optional::<nfs4::LayoutStatsArgs<'_>>(decoder),
        Operation::OffloadCancel => copy::cancel(compound, decoder.get()?),
        Operation::OffloadStatus => copy::status(compound, decoder.get()?, reply),
        Operation::ReadPlus => read_plus::run(compound, decoder.get()?, reply).await,
        Operation::Seek => space::seek(compound, decoder.get()?, reply).await,
        Operation::WriteSame => unsupported::optional::<nfs4::WriteSameArgs<'_>>(decoder),
        Operation::Clone => copy::clone(compound, decoder.get()?).await,
        Operation::Getxattr => xattr::get(compound, decoder.get()?, reply).await,
        Operation::Setxattr => xattr::set(compound, decoder.get()?, reply).await,
        Operation::Listxattrs => xattr::list(compound, decoder.get()?, reply).await,
        Operation::Removexattr => xattr::remove(compound, decoder.get()?, reply).await,
        Operation::OpenConfirm
        | Operation::Renew
        | Operation::Setclientid
        | Operation::SetclientidConfirm
        | Operation::ReleaseLockowner => Err(Status::Notsupp.into()),
        Operation::Illegal => Err(Status::OpIllegal.into()),
    }
}
