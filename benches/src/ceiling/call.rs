//! Measured calls, recognized by the places of their words in the record (RFC 8881 §18.46, §18.22, §18.32, RFC 1813 §3.3.1,
//! §3.3.6, §3.3.7; one credential, one handle length and one tag length per place).

/// What a measured call asks for: of NFSv4 behind SEQUENCE and PUTFH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The NULL procedure.
    Null,
    /// GETATTR.
    Attributes,
    /// READ.
    Read,
    /// WRITE.
    Write,
}

/// A measured call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) kind: Kind,
    pub(super) xid: [u8; 4],
    /// Sequence id and slot, as they come back in the reply; NFSv3 has none.
    pub(super) sequence_and_slot: Option<[u8; 8]>,
    /// Offset in the file.
    pub(super) offset: u64,
    /// Bytes read or written.
    pub(super) length: usize,
    /// Where in the record the bytes of a WRITE begin.
    pub(super) data_at: usize,
    /// Tells objects apart whose attributes are asked for: the end of the handle, which authenticates it.
    pub(super) object: u64,
}

const SEQUENCE: u32 = 53;
const PUTFH: u32 = 22;
const GETATTR: u32 = 9;
const READ: u32 = 25;
const WRITE: u32 = 38;

/// The program; MOUNT has the same version.
const NFS: u32 = 100_003;

const NFS3_GETATTR: u32 = 1;
const NFS3_READ: u32 = 6;
const NFS3_WRITE: u32 = 7;

/// Bytes of the SEQUENCE operation with its code.
const SEQUENCE_BYTES: usize = 36;

/// The word at a place of the record.
pub(super) fn word(record: &[u8], at: usize) -> Option<u32> {
    record.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
}

/// A length as XDR pads it.
fn padded(length: u32) -> usize {
    (length as usize).next_multiple_of(4)
}

/// Two words as one number.
fn double_word(record: &[u8], at: usize) -> Option<u64> {
    Some(u64::from(word(record, at)?) << 32 | u64::from(word(record, at + 4)?))
}

/// Where the arguments of a call begin.
fn arguments_at(record: &[u8]) -> Option<usize> {
    let verifier_at = 32 + padded(word(record, 28)?);
    Some(verifier_at + 8 + padded(word(record, verifier_at + 4)?))
}

/// Where the compound's first operation stands, if the record is a COMPOUND call.
pub(super) fn operations_at(record: &[u8]) -> Option<usize> {
    let arguments_at = arguments_at(record)?;
    let is_compound = word(record, 4)? == 0 && word(record, 16)? == 4 && word(record, 20)? == 1;
    let tag = word(record, arguments_at)?;
    is_compound.then_some(arguments_at + 4 + padded(tag) + 8)
}

/// Where the session id of a compound that begins with SEQUENCE stands.
pub(super) fn session_at(record: &[u8]) -> Option<usize> {
    let at = operations_at(record)?;
    (word(record, at)? == SEQUENCE).then_some(at + 4)
}

impl Call {
    /// The measured call at the front of the record, of which at least the head is here.
    pub(super) fn recognize(record: &[u8]) -> Option<Self> {
        let xid = record.get(..4)?.try_into().ok()?;
        if word(record, 4)? == 0 && word(record, 20)? == 0 {
            let kind = Kind::Null;
            return Some(Self {
                kind,
                xid,
                sequence_and_slot: None,
                offset: 0,
                length: 0,
                data_at: 0,
                object: 0,
            });
        }
        if word(record, 4)? == 0 && word(record, 12)? == NFS && word(record, 16)? == 3 {
            return Self::recognize_nfs3(xid, record);
        }
        let session_at = session_at(record)?;
        let sequence_and_slot = record.get(session_at + 16..session_at + 24)?.try_into().ok()?;
        let handle_at = session_at - 4 + SEQUENCE_BYTES;
        // Three operations and no more: what else there is, is not measured.
        if word(record, session_at - 8)? != 3 || word(record, handle_at)? != PUTFH {
            return None;
        }
        let at = handle_at + 8 + padded(word(record, handle_at + 4)?);
        let offset_at = at + 20;
        let offset = || double_word(record, offset_at);
        let (kind, offset, length, data_at) = match word(record, at)? {
            GETATTR => (Kind::Attributes, 0, 0, 0),
            READ => (Kind::Read, offset()?, word(record, offset_at + 8)? as usize, 0),
            WRITE => (Kind::Write, offset()?, word(record, offset_at + 12)? as usize, offset_at + 16),
            _ => return None,
        };
        let object = double_word(record, at - 8)?;
        Some(Self { kind, xid, sequence_and_slot: Some(sequence_and_slot), offset, length, data_at, object })
    }

    fn recognize_nfs3(xid: [u8; 4], record: &[u8]) -> Option<Self> {
        let handle_at = arguments_at(record)?;
        let offset_at = handle_at + 4 + padded(word(record, handle_at)?);
        let offset = || double_word(record, offset_at);
        let length = || word(record, offset_at + 8).map(|length| length as usize);
        let (kind, offset, length, data_at) = match word(record, 20)? {
            NFS3_GETATTR => (Kind::Attributes, 0, 0, 0),
            NFS3_READ => (Kind::Read, offset()?, length()?, 0),
            // Behind the count come how stable it is to be, and the count again.
            NFS3_WRITE => (Kind::Write, offset()?, length()?, offset_at + 20),
            _ => return None,
        };
        let object = double_word(record, offset_at - 8)?;
        Some(Self { kind, xid, sequence_and_slot: None, offset, length, data_at, object })
    }
}
