//! Replies as a client reads them: every byte is accounted for, or the test fails.

use wire::nfs4::*;
use wire::rpc::{Accepted, ReplyBody, ReplyHeader};
use wire::xdr::{Decode, Decoder, Error, Opaque, Payload};

/// One operation's result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpResult {
    pub operation: u32,
    pub status: Status,
    body: Vec<u8>,
}

/// The results of a compound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: Status,
    pub tag: Vec<u8>,
    pub results: Vec<OpResult>,
    /// Bytes of the whole message.
    pub bytes: usize,
}

impl Reply {
    /// Reads a whole RPC reply.
    ///
    /// # Errors
    /// What of it is not as the protocol has it.
    pub fn read(message: &[u8]) -> Result<Self, String> {
        let explain = |error: Error| format!("{error} in {}", message.escape_ascii());
        let mut decoder = Decoder::new(message);
        let header: ReplyHeader<'_> = decoder.get().map_err(explain)?;
        let ReplyBody::Accepted { status: Accepted::Success, .. } = header.body else {
            return Err(format!("{header:?}"));
        };
        let frame: CompoundResult<'_> = decoder.get().map_err(explain)?;
        let mut results = Vec::new();
        for _ in 0..frame.results {
            let head: ResultHead = decoder.get().map_err(explain)?;
            let from = decoder.head_index();
            skip_body(&head, &mut decoder).map_err(|error| format!("{head:?}: {}", explain(error)))?;
            let body = message[from..decoder.head_index()].to_vec();
            results.push(OpResult { operation: head.operation, status: head.status, body });
        }
        decoder.finish().map_err(explain)?;
        let failures = results.iter().filter(|result| result.status != Status::Ok).count();
        let last = results.last().map_or(frame.status, |result| result.status);
        if last != frame.status || failures > 1 {
            return Err(format!("the compound ends with {}, its results are {results:?}", frame.status));
        }
        Ok(Self { status: frame.status, tag: frame.tag.to_vec(), results, bytes: message.len() })
    }

    /// Expects success.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.status, Status::Ok, "{:?}", self.results.last());
        self
    }

    /// Expects that the last operation fails so.
    #[track_caller]
    pub fn fails(self, status: Status) -> Self {
        assert_eq!(self.status, status, "{:?}", self.results.last());
        self
    }

    /// The body of the last result of `operation`.
    #[track_caller]
    pub fn body<'a, T: Decode<'a>>(&'a self, operation: Operation) -> T {
        let found = self.results.iter().rfind(|result| result.operation == operation.number());
        let found = found.unwrap_or_else(|| panic!("no {operation} in {:?}", self.results));
        Decoder::new(&found.body).get().expect("the body was read before")
    }

    /// The body of the last result, whatever its status.
    #[track_caller]
    pub fn last<'a, T: Decode<'a>>(&'a self) -> T {
        let found = self.results.last().expect("the compound has a result");
        Decoder::new(&found.body).get().expect("the body was read before")
    }

    #[track_caller]
    pub fn handle(&self) -> FileHandle {
        self.body::<GetFhResult>(Operation::Getfh).object
    }

    #[track_caller]
    pub fn attributes(&self) -> Attributes<'_> {
        self.body::<RawAttributes<'_>>(Operation::Getattr).decode_values().expect("attributes we know")
    }

    #[track_caller]
    pub fn opened(&self) -> OpenResult<'_> {
        self.body(Operation::Open)
    }

    #[track_caller]
    pub fn locked(&self) -> Stateid {
        self.body::<LockResult>(Operation::Lock).stateid
    }

    #[track_caller]
    pub fn written(&self) -> WriteResult {
        self.body(Operation::Write)
    }

    #[track_caller]
    pub fn sequence(&self) -> SequenceResult {
        self.body(Operation::Sequence)
    }

    /// The last READ: its data, and whether the file ends behind it.
    #[track_caller]
    pub fn data(&self) -> (Vec<u8>, bool) {
        let read: ReadResult = self.body(Operation::Read);
        let found = self.results.iter().rfind(|result| result.operation == Operation::Read.number());
        let Payload::Inline(range) = read.data else { panic!("nothing was cut out of a reply") };
        (found.expect("found before").body[range].to_vec(), read.eof)
    }

    /// The last READ_PLUS: its segments with data for what is no hole, and whether the file ends behind them.
    #[track_caller]
    pub fn segments(&self) -> (Vec<Segment>, bool) {
        let plus: ReadPlusResult = self.body(Operation::ReadPlus);
        let found = self.results.iter().rfind(|result| result.operation == Operation::ReadPlus.number());
        let body = &found.expect("found before").body;
        let segments = plus.contents.iter().map(|content| match content {
            ReadPlusContent::Hole(hole) => Segment::Hole(hole.offset, hole.length),
            ReadPlusContent::Data(data) => match &data.data {
                Payload::Inline(range) => Segment::Data(data.offset, body[range.clone()].to_vec()),
                Payload::Cut { .. } => panic!("nothing was cut out of a reply"),
            },
        });
        (segments.collect(), plus.eof)
    }

    /// The last READDIR: cookies and names, attributes, and whether the directory ends.
    #[track_caller]
    pub fn entries(&self) -> (Vec<Listing>, bool) {
        let found = self.results.iter().rfind(|result| result.operation == Operation::Readdir.number());
        let mut decoder = Decoder::new(&found.expect("a READDIR").body);
        let reader = DirectoryReader::begin(&mut decoder).unwrap();
        let mut entries = Vec::new();
        loop {
            match reader.next(&mut decoder).unwrap() {
                Listed::End(end) => return (entries, end),
                Listed::Entry(entry) => {
                    let told = entry.attributes.decode_values().unwrap();
                    entries.push(Listing {
                        cookie: entry.cookie,
                        name: String::from_utf8(entry.name.to_vec()).unwrap(),
                        fileid: told.fileid,
                        mounted_on_fileid: told.mounted_on_fileid,
                        error: told.rdattr_error,
                    });
                }
            }
        }
    }

    /// Names of the last READDIR.
    #[track_caller]
    pub fn names(&self) -> Vec<String> {
        self.entries().0.into_iter().map(|entry| entry.name).collect()
    }
}

/// A part of a file as READ_PLUS tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Offset and bytes.
    Data(u64, Vec<u8>),
    /// Offset and length.
    Hole(u64, u64),
}

/// An entry as READDIR tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    pub cookie: u64,
    pub name: String,
    pub fileid: Option<u64>,
    pub mounted_on_fileid: Option<u64>,
    pub error: Option<Status>,
}

/// Reads over the body that the published XDR has behind this head.
fn skip_body(head: &ResultHead, decoder: &mut Decoder<'_>) -> Result<(), Error> {
    let Some(operation) = Operation::from_u32(head.operation) else { return Err(Error::Value) };
    match (operation, head.status) {
        // RFC 8881 §18.30.2: whatever the status.
        (Operation::Setattr, _) => return decoder.get::<Bitmap>().map(drop),
        (Operation::Lock | Operation::Lockt, Status::Denied) => {
            return decoder.get::<LockDenied<'_>>().map(drop);
        }
        (_, Status::Ok) => {}
        _ => return Ok(()),
    }
    match operation {
        Operation::Access => decoder.get::<AccessResult>().map(drop),
        Operation::Close | Operation::Locku => decoder.get::<Stateid>().map(drop),
        Operation::Commit => decoder.get::<CommitResult>().map(drop),
        Operation::Create => decoder.get::<CreateResult>().map(drop),
        Operation::Getattr => decoder.get::<RawAttributes<'_>>().map(drop),
        Operation::Getfh => decoder.get::<GetFhResult>().map(drop),
        Operation::Link | Operation::Remove => decoder.get::<ChangeInfo>().map(drop),
        Operation::Lock => decoder.get::<LockResult>().map(drop),
        Operation::Open => decoder.get::<OpenResult<'_>>().map(drop),
        Operation::OpenDowngrade => decoder.get::<OpenDowngradeResult>().map(drop),
        Operation::Read => decoder.get::<ReadResult>().map(drop),
        Operation::Readdir => skip_directory(decoder),
        Operation::Readlink => decoder.get::<Opaque<'_, LINK_TEXT_MAX>>().map(drop),
        Operation::Rename => decoder.get::<RenameResult>().map(drop),
        Operation::Secinfo | Operation::SecinfoNoName => decoder.get::<SecinfoResult<'_>>().map(drop),
        Operation::Write => decoder.get::<WriteResult>().map(drop),
        Operation::BindConnToSession => decoder.get::<BindConnToSessionResult>().map(drop),
        Operation::ExchangeId => decoder.get::<ExchangeIdResult<'_>>().map(drop),
        Operation::CreateSession => decoder.get::<CreateSessionResult>().map(drop),
        Operation::GetDirDelegation => decoder.get::<GetDirDelegationResult>().map(drop),
        Operation::Sequence => decoder.get::<SequenceResult>().map(drop),
        Operation::TestStateid => decoder.get::<TestStateidResult>().map(drop),
        Operation::Copy => decoder.get::<CopyResult>().map(drop),
        Operation::IoAdvise => decoder.get::<IoAdviseResult>().map(drop),
        Operation::OffloadStatus => decoder.get::<OffloadStatusResult>().map(drop),
        Operation::ReadPlus => decoder.get::<ReadPlusResult>().map(drop),
        Operation::Seek => decoder.get::<SeekResult>().map(drop),
        Operation::Getxattr => decoder.get::<XattrValue<'_>>().map(drop),
        Operation::Setxattr | Operation::Removexattr => decoder.get::<ChangeInfo>().map(drop),
        Operation::Listxattrs => decoder.get::<ListXattrsResult<'_>>().map(drop),
        _ => Ok(()),
    }
}

fn skip_directory(decoder: &mut Decoder<'_>) -> Result<(), Error> {
    let reader = DirectoryReader::begin(decoder)?;
    while let Listed::Entry(entry) = reader.next(decoder)? {
        entry.attributes.decode_values().map_err(|_| Error::Value)?;
    }
    Ok(())
}
