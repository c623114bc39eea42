//! The trace a call is a part of (W3C Trace Context), as an annotation and as the tag of a COMPOUND.

use crate::xdr::{Decode, Decoder, Encode, Encoder, Error, NoRoom, Opaque, UNIT, pad_len};

/// Longest command name in bytes: what Linux keeps of it.
pub const COMMAND_MAX: usize = 16;

/// Longest tag that is written, in bytes: knfsd takes 128.
pub const TRACE_TAG_MAX: usize = 100;

/// Longest tag that is looked at for a trace context; what is longer is somebody's prose.
const TAG_LOOKED_AT_MAX: usize = 128;

/// The flag that says that the caller records its part of the trace.
const SAMPLED: u8 = 1;

/// `tp=00-`, the trace id, `-`, the span id, `-`, the flags.
const TRACE_PARENT_LEN: usize = 6 + 32 + 1 + 16 + 1 + 2;

/// Of which trace a call is a part, and who calls. Nothing follows from it but what is written into traces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext<'a> {
    /// The trace; not all zero.
    pub trace_id: [u8; 16],
    /// The caller's span, parent of what the call causes; not all zero.
    pub span_id: [u8; 8],
    /// W3C trace flags.
    pub flags: u8,
    /// The process that calls, or 0.
    pub process_id: u32,
    /// The command it runs, or nothing.
    pub command: Opaque<'a, COMMAND_MAX>,
}

impl<'a> TraceContext<'a> {
    /// Whether the caller records its part of the trace.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// Bytes it takes as the body of an annotation.
    pub fn encoded_len(&self) -> usize {
        16 + 8 + 3 * UNIT + self.command.len() + pad_len(self.command.len())
    }

    /// W3C Trace Context §3.2.2: all zero is no id.
    fn is_valid(&self) -> bool {
        self.trace_id != [0; 16] && self.span_id != [0; 8]
    }

    /// The trace context that a COMPOUND's tag carries: `tp=00-TRACE-SPAN-FLAGS;pid=N;c=COMMAND`. The two fields behind
    /// the first may be missing, and unknown ones are skipped. A tag that is anything else carries none.
    pub fn from_tag(tag: &'a [u8]) -> Option<Self> {
        let (parent, fields) = tag.split_at_checked(TRACE_PARENT_LEN)?;
        if tag.len() > TAG_LOOKED_AT_MAX {
            return None;
        }
        let parent = parent.strip_prefix(b"tp=00-")?;
        let (trace_id, parent) = hex(parent)?;
        let (span_id, parent) = hex(parent.strip_prefix(b"-")?)?;
        let ([flags], _) = hex(parent.strip_prefix(b"-")?)?;
        let mut context = TraceContext { trace_id, span_id, flags, process_id: 0, command: Opaque(&[]) };
        if !fields.is_empty() {
            for field in fields.strip_prefix(b";")?.split(|byte| *byte == b';') {
                context.take_field(field)?;
            }
        }
        context.is_valid().then_some(context)
    }

    fn take_field(&mut self, field: &'a [u8]) -> Option<()> {
        if let Some(digits) = field.strip_prefix(b"pid=") {
            self.process_id = decimal(digits)?;
        } else if let Some(command) = field.strip_prefix(b"c=") {
            if command.len() > COMMAND_MAX {
                return None;
            }
            self.command = Opaque(command);
        }
        Some(())
    }

    /// The tag that carries this, at most [`TRACE_TAG_MAX`] bytes of ASCII. Of the command, bytes that are not printable
    /// or would end the field become `_`.
    pub fn to_tag(&self) -> String {
        let mut tag = String::with_capacity(TRACE_TAG_MAX);
        tag.push_str("tp=00-");
        push_hex(&mut tag, &self.trace_id);
        tag.push('-');
        push_hex(&mut tag, &self.span_id);
        tag.push('-');
        push_hex(&mut tag, &[self.flags]);
        tag.push_str(&format!(";pid={};c=", self.process_id));
        let printable = |byte: &u8| (b' '..=b'~').contains(byte) && *byte != b';';
        let command = self.command.iter().take(COMMAND_MAX);
        tag.extend(command.map(|byte| if printable(byte) { char::from(*byte) } else { '_' }));
        tag
    }
}

impl Encode for TraceContext<'_> {
    fn encode(&self, encoder: &mut Encoder) -> Result<(), NoRoom> {
        encoder.put_fixed(&self.trace_id)?;
        encoder.put_fixed(&self.span_id)?;
        encoder.put_u32(self.flags.into())?;
        encoder.put_u32(self.process_id)?;
        self.command.encode(encoder)
    }
}

impl<'a> Decode<'a> for TraceContext<'a> {
    fn decode(decoder: &mut Decoder<'a>) -> Result<Self, Error> {
        let (trace_id, span_id) = (decoder.array()?, decoder.array()?);
        let flags = u8::try_from(decoder.u32()?).map_err(|_| Error::Value)?;
        let context =
            TraceContext { trace_id, span_id, flags, process_id: decoder.u32()?, command: decoder.get()? };
        if context.is_valid() { Ok(context) } else { Err(Error::Value) }
    }
}

/// The first `N` bytes that `text` says in lower-case hexadecimal, and what follows.
fn hex<const N: usize>(text: &[u8]) -> Option<([u8; N], &[u8])> {
    let (digits, rest) = text.split_at_checked(2 * N)?;
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some((bytes, rest))
}

fn digit(letter: u8) -> Option<u8> {
    match letter {
        b'0'..=b'9' => Some(letter - b'0'),
        b'a'..=b'f' => Some(letter - b'a' + 10),
        _ => None,
    }
}

fn decimal(digits: &[u8]) -> Option<u32> {
    // A sign, which the standard parser would take, is none.
    let plain = digits.iter().all(u8::is_ascii_digit);
    plain.then(|| std::str::from_utf8(digits).ok()?.parse().ok()).flatten()
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
        }
    }
}
