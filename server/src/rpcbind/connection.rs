//! A few RPC calls one after another over a stream, waited for, and not for long.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rustix::io::Errno;
use rustix::net::addr::SocketAddrArg;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use wire::record::{Assembler, Limits, MARK_LEN, Mark, Need};
use wire::rpc::{Accepted, CallHeader, Credential, OpaqueAuth, ReplyBody, ReplyHeader};
use wire::rpcbind;
use wire::xdr::{self, Decode, Decoder, Encode, Encoder};

/// Where rpcbind listens for programs of its own machine, who are known to it by their user.
const SOCKET: &str = "/run/rpcbind.sock";

/// Ports that only root may send from, as rpcbind demands of who changes registrations over TCP. Those below belong to
/// services.
const PRIVILEGED_PORTS: std::ops::Range<u16> = 600..1024;

/// How long one step may take; who is asked is on this machine.
const STEP_MAX: Duration = Duration::from_secs(1);

/// How long all calls of a connection may take.
const TIME_MAX: Duration = Duration::from_secs(2);

/// Bytes of a call: a binding of longest strings.
const CALL_BYTES_MAX: usize = 4096;

/// What is accepted as a reply: some thousands of bindings.
const REPLY: Limits = Limits { record_max: 1 << 20, fragments_max: 1024 };

/// Bytes received at a time.
const CHUNK_BYTES: usize = 4096;

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The program is not there in this version.
    #[error("the program is not served there")]
    NotServed,
    /// The call was not executed.
    #[error("the call is refused")]
    Refused,
    /// The reply makes no sense.
    #[error("the reply makes no sense")]
    Malformed,
}

impl From<xdr::Error> for Error {
    fn from(_: xdr::Error) -> Self {
        Error::Malformed
    }
}

/// A connection to who answers calls.
pub struct Connection {
    stream: File,
    deadline: Instant,
    xid: u32,
}

/// The reply to a call that was executed.
pub struct Reply {
    record: Vec<u8>,
    results_at: usize,
}

impl Reply {
    /// Its results.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn results<'a, T: Decode<'a>>(&'a self) -> Result<T, Error> {
        let mut decoder = Decoder::new(&self.record[self.results_at..]);
        let results = decoder.get()?;
        decoder.finish()?;
        Ok(results)
    }
}

impl Connection {
    /// To the rpcbind of this machine.
    ///
    /// # Errors
    /// When none runs, as far as can be told.
    pub fn to_rpcbind() -> io::Result<Self> {
        to_socket(Path::new(SOCKET)).or_else(|_| from_privileged_port()).map(Self::over)
    }

    /// To any program.
    ///
    /// # Errors
    /// As `connect`.
    pub fn to(address: SocketAddr) -> io::Result<Self> {
        let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
        let socket = socket(family)?;
        connect(&socket, &address)?;
        Ok(Self::over(socket))
    }

    fn over(socket: OwnedFd) -> Self {
        Self { stream: File::from(socket), deadline: Instant::now() + TIME_MAX, xid: 0 }
    }

    /// Calls, and waits for the reply.
    ///
    /// # Errors
    /// [`Error`].
    pub fn call(
        &mut self,
        program: u32,
        version: u32,
        procedure: u32,
        arguments: &impl Encode,
    ) -> Result<Reply, Error> {
        self.xid += 1;
        let header = CallHeader {
            xid: self.xid,
            program,
            version,
            procedure,
            credential: Credential::None,
            verifier: OpaqueAuth::NONE,
        };
        let mut encoder = Encoder::new(BytesMut::new(), CALL_BYTES_MAX);
        encoder.put(&header).and_then(|()| encoder.put(arguments)).map_err(|_| Error::Refused)?;
        let call = encoder.finish().head;
        let mark = Mark::whole_record(call.len()).expect("a call is short");
        self.stream.write_all(&[&mark.to_bytes()[..], &call].concat())?;
        self.reply()
    }

    fn reply(&mut self) -> Result<Reply, Error> {
        let record = self.record()?;
        let mut decoder = Decoder::new(&record);
        let header: ReplyHeader<'_> = decoder.get()?;
        if header.xid != self.xid {
            return Err(Error::Malformed);
        }
        match header.body {
            ReplyBody::Accepted { status: Accepted::Success, .. } => {}
            ReplyBody::Accepted { status: Accepted::ProgUnavail | Accepted::ProgMismatch(_), .. } => {
                return Err(Error::NotServed);
            }
            ReplyBody::Accepted { .. } | ReplyBody::Denied(_) => return Err(Error::Refused),
        }
        let results_at = decoder.head_index();
        Ok(Reply { record, results_at })
    }

    fn record(&mut self) -> Result<Vec<u8>, Error> {
        let mut assembler = Assembler::new(REPLY);
        let (mut record, mut chunk) = (Vec::new(), [0; CHUNK_BYTES]);
        loop {
            match assembler.need() {
                Need::Mark(count) => {
                    let got = self.receive(&mut chunk[..count.min(MARK_LEN)])?;
                    assembler.feed_mark(&chunk[..got]).map_err(|_| Error::Malformed)?;
                }
                Need::Body(left) => {
                    let got = self.receive(&mut chunk[..left.min(CHUNK_BYTES)])?;
                    record.extend_from_slice(&chunk[..got]);
                    assembler.advance(got);
                }
                Need::Nothing => return Ok(record),
            }
        }
    }

    /// Receives some bytes, at least one.
    fn receive(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if Instant::now() > self.deadline {
            return Err(no_answer());
        }
        match self.stream.read(into) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Err(no_answer()),
            received => received,
        }
    }
}

fn no_answer() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, "there is no answer in time")
}

/// A socket on which nothing takes longer than a step.
fn socket(family: AddressFamily) -> io::Result<OwnedFd> {
    let socket = rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    for direction in [Timeout::Send, Timeout::Recv] {
        set_socket_timeout(&socket, direction, Some(STEP_MAX))?;
    }
    Ok(socket)
}

fn connect(socket: &OwnedFd, address: &impl SocketAddrArg) -> io::Result<()> {
    rustix::net::connect(socket, address).map_err(|errno| match errno {
        // What the kernel says when the step is over.
        Errno::INPROGRESS | Errno::AGAIN => no_answer(),
        errno => errno.into(),
    })
}

fn to_socket(path: &Path) -> io::Result<OwnedFd> {
    let socket = socket(AddressFamily::UNIX)?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket)
}

fn from_privileged_port() -> io::Result<OwnedFd> {
    let rpcbind = SocketAddrV4::new(Ipv4Addr::LOCALHOST, rpcbind::PORT);
    for port in PRIVILEGED_PORTS.rev() {
        let socket = socket(AddressFamily::INET)?;
        let bound = rustix::net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port));
        match bound.map_err(io::Error::from).and_then(|()| connect(&socket, &rpcbind)) {
            Err(error) if matches!(error.kind(), ErrorKind::AddrInUse | ErrorKind::AddrNotAvailable) => {}
            outcome => return outcome.map(|()| socket),
        }
    }
    Err(ErrorKind::AddrInUse.into())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// What comes of a call to somebody who sends `answer` and then nothing.
    fn call(answer: Vec<u8>) -> Result<Reply, Error> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let (done, end) = std::sync::mpsc::channel::<()>();
        let answering = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            stream.write_all(&answer).expect("it is taken");
            // Until the other side has seen what it waits for.
            let _ = end.recv();
        });
        let outcome = Connection::to(address).expect("it listens").call(7, 1, 0, &());
        drop(done);
        answering.join().expect("it ends");
        outcome
    }

    fn record(header: &ReplyHeader<'_>, results: &[u8]) -> Vec<u8> {
        let mut encoder = Encoder::new(BytesMut::new(), 1024);
        encoder.put(header).expect("room");
        let body = [&encoder.finish().head[..], results].concat();
        [&Mark { last: true, length: body.len() as u32 }.to_bytes()[..], &body].concat()
    }

    #[test]
    fn a_reply_is_what_answers_the_call() {
        let good = record(&ReplyHeader::accepted(1, Accepted::Success), &[0, 0, 0, 1]);
        assert!(call(good.clone()).expect("a reply").results::<bool>().expect("a result"));
        assert!(matches!(call(good).expect("a reply").results::<u64>(), Err(Error::Malformed)));
        for (header, named) in [
            (ReplyHeader::accepted(1, Accepted::ProgUnavail), "the program is not served there"),
            (ReplyHeader::accepted(1, Accepted::ProgMismatch((2, 2))), "the program is not served there"),
            (ReplyHeader::accepted(1, Accepted::SystemErr), "the call is refused"),
            (ReplyHeader::accepted(2, Accepted::Success), "the reply makes no sense"),
        ] {
            let error = call(record(&header, &[])).err().expect("no reply");
            assert_eq!(error.to_string(), named);
        }
    }

    #[test]
    fn who_sends_too_much_or_nothing_is_not_waited_for() {
        let endless = Mark { last: false, length: 1 << 30 }.to_bytes().to_vec();
        assert!(matches!(call(endless), Err(Error::Malformed)));
        let begun = Instant::now();
        let error = call(vec![0x80]).err().expect("no reply");
        assert_eq!(error.to_string(), "there is no answer in time");
        assert!(begun.elapsed() < 2 * TIME_MAX);
    }
}
