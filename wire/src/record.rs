//! Record marking on byte streams (RFC 5531 §11), without the stream: a record is one or more fragments,
//! each behind a word with its length and whether it is the last.

/// Bytes of a fragment's mark.
pub const MARK_LEN: usize = 4;
/// Longest fragment that a mark can announce, in bytes.
pub const FRAGMENT_MAX: u32 = 0x7fff_ffff;
const LAST: u32 = 0x8000_0000;

/// The mark of one fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Whether the record ends with this fragment.
    pub last: bool,
    /// Bytes of the fragment, at most [`FRAGMENT_MAX`].
    pub length: u32,
}

impl Mark {
    /// The mark of a record that is sent as one fragment, or `None` when it is too long for one.
    pub fn whole_record(length: usize) -> Option<Self> {
        let length = u32::try_from(length).ok().filter(|length| *length <= FRAGMENT_MAX)?;
        Some(Mark { last: true, length })
    }

    /// The mark with these bytes on the wire.
    pub const fn from_bytes(bytes: [u8; MARK_LEN]) -> Self {
        let word = u32::from_be_bytes(bytes);
        Mark { last: word & LAST != 0, length: word & FRAGMENT_MAX }
    }

    /// The bytes on the wire.
    pub const fn to_bytes(self) -> [u8; MARK_LEN] {
        let last = if self.last { LAST } else { 0 };
        (last | (self.length & FRAGMENT_MAX)).to_be_bytes()
    }
}

/// Bounds on what a peer may send as one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a record, marks not counted.
    pub record_max: usize,
    /// Fragments of a record.
    pub fragments_max: u32,
}

/// Why a stream is no sequence of acceptable records. There is no way to find the next record, so the
/// connection must be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordError {
    /// The record is longer than the limit; known from the marks, before its bytes arrive.
    TooLong,
    /// The record has more fragments than the limit.
    TooManyFragments,
    /// A fragment carries nothing although more follow, or the whole record is empty.
    Empty,
}

impl std::fmt::Display for RecordError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            RecordError::TooLong => "record exceeds the size limit",
            RecordError::TooManyFragments => "record has too many fragments",
            RecordError::Empty => "record or fragment is empty",
        })
    }
}

impl std::error::Error for RecordError {}

/// What the next bytes of the stream are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// This many bytes of a mark, for [`Assembler::feed_mark`].
    Mark(usize),
    /// This many bytes of the record, to be placed at [`Assembler::received`], then reported to
    /// [`Assembler::advance`].
    Body(usize),
    /// None: the record is complete. [`Assembler::restart`] begins the next.
    Nothing,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Mark { bytes: [u8; MARK_LEN], filled: usize },
    Body { left: usize, last: bool },
    Complete,
}

const EXPECT_MARK: State = State::Mark { bytes: [0; MARK_LEN], filled: 0 };

/// Puts fragments together to records. It sees marks and byte counts only; the bytes go wherever the
/// transport wants them.
#[derive(Debug, Clone)]
pub struct Assembler {
    limits: Limits,
    state: State,
    received: usize,
    fragments: u32,
}

impl Assembler {
    /// Expects the first mark of a stream.
    pub fn new(limits: Limits) -> Self {
        Assembler { limits, state: EXPECT_MARK, received: 0, fragments: 0 }
    }

    /// What to read next.
    pub fn need(&self) -> Need {
        match self.state {
            State::Mark { filled, .. } => Need::Mark(MARK_LEN - filled),
            State::Body { left, .. } => Need::Body(left),
            State::Complete => Need::Nothing,
        }
    }

    /// Record bytes received so far, without marks: the offset in the record of the next body byte.
    pub fn received(&self) -> usize {
        self.received
    }

    /// Bytes of the whole record, once its last fragment's mark has arrived.
    pub fn record_len(&self) -> Option<usize> {
        match self.state {
            State::Body { left, last: true } => Some(self.received + left),
            State::Complete => Some(self.received),
            _ => None,
        }
    }

    /// Bytes of the record that its marks have announced so far.
    pub fn announced(&self) -> usize {
        match self.state {
            State::Body { left, .. } => self.received + left,
            _ => self.received,
        }
    }

    /// Whether nothing of a record has arrived, so that the peer may end the stream here.
    pub fn is_between_records(&self) -> bool {
        match self.state {
            State::Mark { filled, .. } => filled == 0 && self.fragments == 0,
            State::Body { .. } => false,
            State::Complete => true,
        }
    }

    /// Takes as many bytes of `input` as the mark needs and returns how many those are; 0 when no mark is
    /// expected.
    ///
    /// # Errors
    /// [`RecordError`] when the completed mark breaks a limit.
    pub fn feed_mark(&mut self, input: &[u8]) -> Result<usize, RecordError> {
        let State::Mark { bytes, filled } = &mut self.state else { return Ok(0) };
        let taken = input.len().min(MARK_LEN - *filled);
        bytes[*filled..*filled + taken].copy_from_slice(&input[..taken]);
        *filled += taken;
        if *filled == MARK_LEN {
            let mark = Mark::from_bytes(*bytes);
            self.begin_fragment(mark)?;
        }
        Ok(taken)
    }

    /// Notes that `count` body bytes have been received.
    ///
    /// # Panics
    /// When `count` exceeds what [`Assembler::need`] asked for: the caller's mistake.
    pub fn advance(&mut self, count: usize) {
        let State::Body { left, last } = &mut self.state else {
            assert!(count == 0, "body bytes while none are expected");
            return;
        };
        assert!(count <= *left, "more body bytes than the fragment has");
        *left -= count;
        self.received += count;
        if *left == 0 {
            self.state = if *last { State::Complete } else { EXPECT_MARK };
        }
    }

    /// Expects the next record.
    ///
    /// # Panics
    /// When the present record is not complete.
    pub fn restart(&mut self) {
        assert!(matches!(self.state, State::Complete), "restart inside a record");
        *self = Assembler::new(self.limits);
    }

    /// Eats marks from the front of `input` and returns the next piece of the record's body, or `None` when
    /// `input` is used up or the record is complete. For receivers that hold bytes already.
    ///
    /// # Errors
    /// As [`Assembler::feed_mark`].
    pub fn take<'b>(&mut self, input: &mut &'b [u8]) -> Result<Option<&'b [u8]>, RecordError> {
        loop {
            match self.need() {
                Need::Mark(_) if !input.is_empty() => {
                    let taken = self.feed_mark(input)?;
                    *input = &input[taken..];
                }
                Need::Body(left) if !input.is_empty() => {
                    let (piece, rest) = input.split_at(left.min(input.len()));
                    self.advance(piece.len());
                    *input = rest;
                    return Ok(Some(piece));
                }
                _ => return Ok(None),
            }
        }
    }

    fn begin_fragment(&mut self, mark: Mark) -> Result<(), RecordError> {
        let length = mark.length as usize;
        self.fragments += 1;
        if self.fragments > self.limits.fragments_max {
            return Err(RecordError::TooManyFragments);
        }
        if length > self.limits.record_max - self.received {
            return Err(RecordError::TooLong);
        }
        // An empty last fragment is odd but ends a record unambiguously; any other is only good for
        // keeping us busy.
        if length == 0 && (!mark.last || self.received == 0) {
            return Err(RecordError::Empty);
        }
        self.state =
            if length == 0 { State::Complete } else { State::Body { left: length, last: mark.last } };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { record_max: 10, fragments_max: 3 };

    fn fragment(last: bool, body: &[u8]) -> Vec<u8> {
        let mark = Mark { last, length: body.len() as u32 };
        [&mark.to_bytes()[..], body].concat()
    }

    fn assemble(stream: &[u8], piece_len: usize) -> Result<Vec<Vec<u8>>, RecordError> {
        let mut assembler = Assembler::new(LIMITS);
        let (mut records, mut record) = (Vec::new(), Vec::new());
        for mut piece in stream.chunks(piece_len) {
            while !piece.is_empty() {
                while let Some(body) = assembler.take(&mut piece)? {
                    record.extend_from_slice(body);
                }
                if assembler.need() == Need::Nothing {
                    assert_eq!(assembler.record_len(), Some(record.len()));
                    records.push(std::mem::take(&mut record));
                    assembler.restart();
                }
            }
        }
        assert!(assembler.is_between_records());
        Ok(records)
    }

    #[test]
    fn records_come_out_whole_however_the_stream_is_cut() {
        let stream = [
            fragment(true, b"whole"),
            fragment(false, b"in"),
            fragment(false, b"th"),
            fragment(true, b"ree"),
            fragment(false, b"odd"),
            fragment(true, b""),
        ]
        .concat();
        for piece_len in 1..stream.len() {
            assert_eq!(assemble(&stream, piece_len).unwrap(), [&b"whole"[..], b"inthree", b"odd"]);
        }
    }

    #[test]
    fn limits_hold_before_the_bytes_arrive() {
        let too_long =
            [fragment(false, b"12345"), Mark { last: true, length: 6 }.to_bytes().to_vec()].concat();
        assert_eq!(assemble(&too_long, 3), Err(RecordError::TooLong));
        let huge = Mark { last: true, length: FRAGMENT_MAX }.to_bytes();
        assert_eq!(assemble(&huge, 4), Err(RecordError::TooLong));
        let many =
            [fragment(false, b"1"), fragment(false, b"2"), fragment(false, b"3"), fragment(true, b"4")];
        assert_eq!(assemble(&many.concat(), 2), Err(RecordError::TooManyFragments));
        assert_eq!(assemble(&fragment(false, b""), 4), Err(RecordError::Empty));
        assert_eq!(assemble(&fragment(true, b""), 4), Err(RecordError::Empty));
    }

    #[test]
    fn the_mark_is_what_rfc_5531_says() {
        assert_eq!(Mark::whole_record(0x1_0203).unwrap().to_bytes(), [0x80, 1, 2, 3]);
        assert_eq!(Mark::from_bytes([0, 0, 1, 0]), Mark { last: false, length: 256 });
        assert_eq!(Mark::whole_record(1 << 31), None);
    }
}
