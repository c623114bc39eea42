//! Connecting.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use io_uring::{opcode, squeue, types};

use crate::Shard;
use crate::operation::Operation;
use crate::ring::{Completion, Registered, kernel};

/// An address in the kernel's form.
enum Address {
    V4(libc::sockaddr_in),
    V6(libc::sockaddr_in6),
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V4(address) => Self::V4(libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: address.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(address.ip().octets()) },
                sin_zero: [0; 8],
            }),
            SocketAddr::V6(address) => Self::V6(libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: address.port().to_be(),
                sin6_flowinfo: address.flowinfo(),
                sin6_addr: libc::in6_addr { s6_addr: address.ip().octets() },
                sin6_scope_id: address.scope_id(),
            }),
        }
    }
}

struct Connect<F> {
    socket: F,
    /// In a box of its own: the kernel reads it.
    address: Box<Address>,
}

// SAFETY: the address is in a box that the operation owns and does not touch again.
unsafe impl<F: AsFd + 'static> Operation for Connect<F> {
    type Output = io::Result<()>;

    fn entry(&mut self, _registered: Registered) -> squeue::Entry {
        let (address, length) = match &*self.address {
            Address::V4(address) => (std::ptr::from_ref(address).cast(), size_of_val(address)),
            Address::V6(address) => (std::ptr::from_ref(address).cast(), size_of_val(address)),
        };
        opcode::Connect::new(types::Fd(self.socket.as_fd().as_raw_fd()), address, length as u32).build()
    }

    fn complete(self, completion: Completion) -> io::Result<()> {
        completion.outcome().map(drop)
    }
}

impl Shard {
    /// Connects a socket.
    pub async fn connect<F: AsFd + 'static>(&self, socket: F, address: SocketAddr) -> io::Result<()> {
        self.submit(Connect { socket, address: Box::new(address.into()) }).await
    }

    /// Makes a TCP connection, with Nagle's delay off.
    pub async fn connect_tcp(&self, address: SocketAddr) -> io::Result<OwnedFd> {
        let socket = std::rc::Rc::new(kernel::tcp_socket(address.is_ipv6())?);
        self.connect(socket.clone(), address).await?;
        // The operation has ended and given its share up.
        std::rc::Rc::try_unwrap(socket).map_err(|_| io::ErrorKind::Other.into())
    }
}
