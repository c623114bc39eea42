//! One row per operation: since which minor version there is one, which file handles it needs, whether it
//! changes anything, and how much room its reply may need. Policy lives here, not in operation bodies.

use qos::Kind;
use wire::nfs4::Operation;

/// Which file handles an operation needs before it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// None.
    Nothing,
    /// The current one (else `NFS4ERR_NOFILEHANDLE`).
    Current,
    /// The current and the saved one.
    Both,
}

/// Whether an operation changes anything on stable storage or in the tables of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It only looks. Its reply is checked against the room while it is written.
    Looks,
    /// It changes something: room for the largest reply it may give is made sure of before it runs.
    Changes,
}

/// Where an operation may stand in a compound (RFC 8881 §2.10.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Behind SEQUENCE.
    InSession,
    /// Alone.
    Alone,
    /// First and alone, or behind SEQUENCE.
    AloneOrInSession,
    /// First.
    First,
}

/// One operation's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The operation.
    pub operation: Operation,
    /// The first minor version that has it.
    pub since_minor: u32,
    /// Where it may stand.
    pub position: Position,
    /// The file handles it needs.
    pub needs: Needs,
    /// What it does to the world.
    pub effect: Effect,
    /// Whether it is admitted as a whole before it runs. READ, WRITE and COMMIT take their buffers first and are admitted by
    /// themselves, so is OPEN where it reclaims nothing, and COPY step by step; what [is never held](is_never_held) is not. Of
    /// what only looks a call waits for the first.
    pub admitted: Option<Kind>,
    /// The most bytes its result takes behind operation number and status.
    pub room_bytes: usize,
}

/// Bytes of a `change_info4`.
const CHANGE: usize = 20;
/// Bytes of a `stateid4`.
const STATEID: usize = 16;
/// Bytes of the attribute bitmap that SETATTR, CREATE and OPEN answer: a count and three words.
const BITMAP: usize = 16;
/// Bytes of a LOCK that is denied: range, type, owner of up to 1024 bytes.
const DENIED: usize = 8 + 8 + 4 + 8 + 4 + 1024;
/// Bytes of an OPEN: stateid, change, flags, bitmap, and why there is no delegation.
const OPENED: usize = STATEID + CHANGE + 4 + BITMAP + 12;
/// Bytes of an EXCHANGE_ID: the server's owner and scope are short and ours.
const EXCHANGED: usize = 8 + 4 + 4 + 4 + 8 + 4 + 256 + 4 + 256 + 512;
/// Bytes of a CREATE_SESSION: session, sequence, flags and two channels.
const SESSION: usize = 16 + 4 + 4 + 2 * 32;
/// Bytes of a COPY: an asynchronous write response.
const COPIED: usize = 4 + STATEID + 8 + 4 + 8 + 8;

macro_rules! rows {
    ($($operation:ident $minor:literal $position:ident $needs:ident $effect:ident $room:expr, $admitted:expr;)*) => {
        /// The row of `operation`, if any minor version served here knows it.
        pub const fn row(operation: Operation) -> Option<Row> {
            match operation {
                $(Operation::$operation => Some(Row {
                    operation: Operation::$operation,
                    since_minor: $minor,
                    position: Position::$position,
                    needs: Needs::$needs,
                    effect: Effect::$effect,
                    admitted: $admitted,
                    room_bytes: $room,
                }),)*
                _ => None,
            }
        }
    };
}

rows! {
    Access             1 InSession        Current Looks   8, Some(Kind::Look);
    Close              1 InSession        Current Changes STATEID, None;
    Commit             1 InSession        Current Looks   8, None;
    Create             1 InSession        Current Changes CHANGE + BITMAP, Some(Kind::Change);
    Delegpurge         1 InSession        Nothing Looks   0, None;
    Delegreturn        1 InSession        Current Looks   0, None;
    Getattr            1 InSession        Current Looks   0, Some(Kind::Look);
    Getfh              1 InSession        Current Looks   0, None;
    Link               1 InSession        Both    Changes CHANGE, Some(Kind::Change);
    Lock               1 InSession        Current Changes DENIED, None;
    Lockt              1 InSession        Current Looks   0, None;
    Locku              1 InSession        Current Changes STATEID, None;
    Lookup             1 InSession        Current Looks   0, Some(Kind::Look);
    Lookupp            1 InSession        Current Looks   0, Some(Kind::Look);
    Nverify            1 InSession        Current Looks   0, Some(Kind::Look);
    Open               1 InSession        Current Changes OPENED, None;
    Openattr           1 InSession        Current Looks   0, None;
    OpenDowngrade      1 InSession        Current Changes STATEID, None;
    Putfh              1 InSession        Nothing Looks   0, None;
    Putpubfh           1 InSession        Nothing Looks   0, None;
    Putrootfh          1 InSession        Nothing Looks   0, None;
    Read               1 InSession        Current Looks   0, None;
    Readdir            1 InSession        Current Looks   0, Some(Kind::Look);
    Readlink           1 InSession        Current Looks   0, Some(Kind::Look);
    Remove             1 InSession        Current Changes CHANGE, Some(Kind::Change);
    Rename             1 InSession        Both    Changes 2 * CHANGE, Some(Kind::Change);
    Restorefh          1 InSession        Nothing Looks   0, None;
    Savefh             1 InSession        Current Looks   0, None;
    Secinfo            1 InSession        Current Looks   0, None;
    Setattr            1 InSession        Current Changes BITMAP, Some(Kind::Change);
    Verify             1 InSession        Current Looks   0, Some(Kind::Look);
    Write              1 InSession        Current Changes 16, None;
    BackchannelCtl     1 InSession        Nothing Changes 0, None;
    BindConnToSession  1 Alone            Nothing Changes 24, None;
    ExchangeId         1 AloneOrInSession Nothing Changes EXCHANGED, None;
    CreateSession      1 AloneOrInSession Nothing Changes SESSION, None;
    DestroySession     1 AloneOrInSession Nothing Changes 0, None;
    FreeStateid        1 InSession        Nothing Changes 0, None;
    GetDirDelegation   1 InSession        Current Looks   0, None;
    Getdeviceinfo      1 InSession        Nothing Looks   0, None;
    Getdevicelist      1 InSession        Current Looks   0, None;
    Layoutcommit       1 InSession        Current Looks   0, None;
    Layoutget          1 InSession        Current Looks   0, None;
    Layoutreturn       1 InSession        Current Looks   0, None;
    SecinfoNoName      1 InSession        Current Looks   0, None;
    Sequence           1 First            Nothing Looks   0, None;
    SetSsv             1 InSession        Nothing Looks   0, None;
    TestStateid        1 InSession        Nothing Looks   0, None;
    WantDelegation     1 InSession        Current Looks   0, None;
    DestroyClientid    1 AloneOrInSession Nothing Changes 0, None;
    ReclaimComplete    1 InSession        Nothing Changes 0, None;
    Allocate           2 InSession        Current Changes 0, Some(Kind::Change);
    Copy               2 InSession        Both    Changes COPIED, None;
    CopyNotify         2 InSession        Current Looks   0, None;
    Deallocate         2 InSession        Current Changes 0, Some(Kind::Change);
    IoAdvise           2 InSession        Current Looks   0, None;
    Layouterror        2 InSession        Current Looks   0, None;
    Layoutstats        2 InSession        Current Looks   0, None;
    OffloadCancel      2 InSession        Nothing Changes 0, None;
    OffloadStatus      2 InSession        Nothing Looks   0, None;
    ReadPlus           2 InSession        Current Looks   0, None;
    Seek               2 InSession        Current Looks   0, Some(Kind::Look);
    WriteSame          2 InSession        Current Looks   0, None;
    Clone              2 InSession        Both    Changes 0, Some(Kind::Change);
    Getxattr           2 InSession        Current Looks   0, Some(Kind::Look);
    Setxattr           2 InSession        Current Changes CHANGE, Some(Kind::Change);
    Listxattrs         2 InSession        Current Looks   0, Some(Kind::Look);
    Removexattr        2 InSession        Current Changes CHANGE, Some(Kind::Change);
}

/// Whether an operation keeps a client alive or gives something back. Nothing holds it up, nor what only looks in the same
/// call: its client may lose what it has, or others wait for it.
pub const fn is_never_held(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::Close
            | Operation::Delegpurge
            | Operation::Delegreturn
            | Operation::Lock
            | Operation::Lockt
            | Operation::Locku
            | Operation::OpenDowngrade
            | Operation::BackchannelCtl
            | Operation::BindConnToSession
            | Operation::ExchangeId
            | Operation::CreateSession
            | Operation::DestroySession
            | Operation::FreeStateid
            | Operation::Layoutreturn
            | Operation::TestStateid
            | Operation::DestroyClientid
            | Operation::ReclaimComplete
            | Operation::OffloadCancel
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_holds_up_what_keeps_a_client_alive_or_gives_back() {
        let never = |operation: &Operation| is_never_held(*operation);
        let all = Operation::ALL.iter().filter(|(operation, _)| never(operation));
        let names: Vec<&str> = all.map(|(_, name)| name.trim_start_matches("OP_")).collect();
        let list = "CLOSE DELEGPURGE DELEGRETURN LOCK LOCKT LOCKU OPEN_DOWNGRADE BACKCHANNEL_CTL \
                    BIND_CONN_TO_SESSION EXCHANGE_ID CREATE_SESSION DESTROY_SESSION FREE_STATEID LAYOUTRETURN \
                    TEST_STATEID DESTROY_CLIENTID RECLAIM_COMPLETE OFFLOAD_CANCEL";
        assert_eq!(names.join(" "), list);
        for (operation, name) in Operation::ALL.iter().filter(|(operation, _)| never(operation)) {
            assert_eq!(row(*operation).and_then(|row| row.admitted), None, "{name}");
        }
        assert_eq!(row(Operation::Sequence).and_then(|row| row.admitted), None);
    }

    #[test]
    fn every_operation_of_the_minor_versions_has_a_row() {
        // RFC 8881 §17: operations of NFSv4.0 that 4.1 must not implement.
        let gone = [
            Operation::OpenConfirm,
            Operation::Renew,
            Operation::Setclientid,
            Operation::SetclientidConfirm,
            Operation::ReleaseLockowner,
            Operation::Illegal,
        ];
        for (operation, name) in Operation::ALL {
            assert_eq!(row(*operation).is_none(), gone.contains(operation), "{name}");
        }
    }
}
