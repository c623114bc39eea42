//! What peers tell each other when they connect (RFC 8797).

/// Bytes of it.
pub const PRIVATE_DATA_LEN: usize = 8;

/// What it begins with.
const MAGIC: [u8; 4] = 0xf6ab_0e18_u32.to_be_bytes();
const FORMAT: u8 = 1;
const REMOTE_INVALIDATION: u8 = 1;

/// Lengths are told in units of so many bytes, less one.
const SIZE_UNIT: u32 = 1024;

/// Bytes of one Send that need not be agreed on (RFC 8166 §3.3.2).
const INLINE_DEFAULT: u32 = 1024;

/// What one peer can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrivateData {
    /// Whether a Send of the other may end the registration of memory here.
    pub remote_invalidation: bool,
    /// Bytes that it sends in one Send, at most: from 1024 to 262144, in steps of 1024.
    pub send_bytes: u32,
    /// Bytes that it takes of one Send.
    pub receive_bytes: u32,
}

impl PrivateData {
    /// As it is sent. What is no whole number of steps is told as the next lower one.
    pub fn to_bytes(self) -> [u8; PRIVATE_DATA_LEN] {
        let size = |bytes: u32| u8::try_from((bytes / SIZE_UNIT).saturating_sub(1)).unwrap_or(u8::MAX);
        let [one, two, three, four] = MAGIC;
        let flags = if self.remote_invalidation { REMOTE_INVALIDATION } else { 0 };
        [one, two, three, four, FORMAT, flags, size(self.send_bytes), size(self.receive_bytes)]
    }

    /// What a peer has told, wherever in its private data: adapters of iWARP put something before it.
    pub fn find(private: &[u8]) -> Option<Self> {
        let told = private.windows(PRIVATE_DATA_LEN).find(|window| window.starts_with(&MAGIC))?;
        let bytes = |size: u8| (u32::from(size) + 1) * SIZE_UNIT;
        (told[4] == FORMAT).then(|| Self {
            remote_invalidation: told[5] & REMOTE_INVALIDATION != 0,
            send_bytes: bytes(told[6]),
            receive_bytes: bytes(told[7]),
        })
    }
}

/// What holds for a connection as long as it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inline {
    /// Bytes of a Send with a call.
    pub call_bytes: u32,
    /// Bytes of a Send with a reply.
    pub reply_bytes: u32,
    /// Whether a reply may end the registration of memory that its call named.
    pub remote_invalidation: bool,
}

impl Inline {
    /// Between a client and a server, each of which has told what it can, or nothing.
    pub fn between(client: Option<PrivateData>, server: Option<PrivateData>) -> Self {
        let silent = PrivateData {
            remote_invalidation: false,
            send_bytes: INLINE_DEFAULT,
            receive_bytes: INLINE_DEFAULT,
        };
        let (client, server) = (client.unwrap_or(silent), server.unwrap_or(silent));
        Self {
            call_bytes: client.send_bytes.min(server.receive_bytes),
            reply_bytes: server.send_bytes.min(client.receive_bytes),
            remote_invalidation: client.remote_invalidation && server.remote_invalidation,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINUX: PrivateData =
        PrivateData { remote_invalidation: true, send_bytes: 4096, receive_bytes: 4096 };

    #[test]
    fn what_linux_tells_is_found_wherever_it_is() {
        let told = [0xf6, 0xab, 0x0e, 0x18, 1, 1, 3, 3];
        assert_eq!(LINUX.to_bytes(), told);
        for before in 0..9 {
            let private = [&vec![0xf6; before][..], &told, &[0; 40]].concat();
            assert_eq!(PrivateData::find(&private), Some(LINUX), "behind {before} bytes");
        }
        assert_eq!(PrivateData::find(&told[..7]), None);
        assert_eq!(PrivateData::find(&[0xf6, 0xab, 0x0e, 0x18, 2, 1, 3, 3]), None, "another format");
        assert_eq!(PrivateData::find(&[]), None);
        let most = PrivateData { send_bytes: 262_144, receive_bytes: 1024, ..LINUX };
        assert_eq!(PrivateData::find(&most.to_bytes()), Some(most));
        assert_eq!(PrivateData { send_bytes: 1 << 30, receive_bytes: 1, ..most }.to_bytes(), most.to_bytes());
    }

    #[test]
    fn a_connection_has_what_both_can() {
        let large = PrivateData { remote_invalidation: true, send_bytes: 8192, receive_bytes: 65_536 };
        let between = Inline { call_bytes: 4096, reply_bytes: 4096, remote_invalidation: true };
        assert_eq!(Inline::between(Some(LINUX), Some(large)), between);
        let silent = Inline { call_bytes: 1024, reply_bytes: 1024, remote_invalidation: false };
        assert_eq!(Inline::between(Some(LINUX), None), silent);
        assert_eq!(Inline::between(None, Some(large)), silent);
    }
}
