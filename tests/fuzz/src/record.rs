//! Records out of a stream of fragments, however the stream is cut into pieces.

use wire::record::{Assembler, FRAGMENT_MAX, Limits, MARK_LEN, Mark, Need, RecordError};

/// What a stream holds: the bodies of its whole records, the beginning of one more, and why it ended, if it
/// is no acceptable stream.
#[derive(Debug, Default, PartialEq, Eq)]
struct Content {
    records: Vec<Vec<u8>>,
    rest: Vec<u8>,
    fault: Option<RecordError>,
}

/// The first bytes are limits, sizes of pieces and how to read what follows: as a stream, or as instructions
/// to build one.
pub fn check(data: &[u8]) {
    let Some((control, rest)) = data.split_at_checked(8) else { return };
    let limits = Limits {
        record_max: usize::from(u16::from_be_bytes([control[0], control[1]])),
        fragments_max: u32::from(control[2]),
    };
    let pieces = &control[4..];
    let stream = if control[3] % 2 == 0 { rest.to_vec() } else { build(rest) };
    let expected = content_of(&stream, limits);
    assert_eq!(taken(&stream, limits, pieces), expected);
    assert_eq!(received(&stream, limits, pieces), expected);
}

/// Fragments as instructed: each instruction is a byte with the length and whether it is the last, then the
/// contents, as far as there are any. The highest length stands for the longest that a mark can announce.
fn build(mut instructions: &[u8]) -> Vec<u8> {
    let mut stream = Vec::new();
    while let Some((&instruction, rest)) = instructions.split_first() {
        let (last, length) = (instruction & 0x80 != 0, instruction & 0x7f);
        let (contents, rest) = rest.split_at(usize::from(length).min(rest.len()));
        let announced = if length == 0x7f { FRAGMENT_MAX } else { u32::from(length) };
        stream.extend(Mark { last, length: announced }.to_bytes());
        stream.extend_from_slice(contents);
        instructions = rest;
    }
    stream
}

/// The same as the assembler does, with the whole stream at hand and without states.
fn content_of(mut stream: &[u8], limits: Limits) -> Content {
    let mut content = Content::default();
    let mut fragments = 0;
    while let Some((mark, rest)) = stream.split_first_chunk::<MARK_LEN>() {
        let word = u32::from_be_bytes(*mark);
        let (last, length) = (word >> 31 == 1, (word & 0x7fff_ffff) as usize);
        fragments += 1;
        let fault = if fragments > limits.fragments_max {
            Some(RecordError::TooManyFragments)
        } else if content.rest.len() + length > limits.record_max {
            Some(RecordError::TooLong)
        } else if length == 0 && (!last || content.rest.is_empty()) {
            Some(RecordError::Empty)
        } else {
            None
        };
        if fault.is_some() {
            content.fault = fault;
            break;
        }
        let (body, rest) = rest.split_at(length.min(rest.len()));
        content.rest.extend_from_slice(body);
        stream = rest;
        if last && body.len() == length {
            content.records.push(std::mem::take(&mut content.rest));
            fragments = 0;
        }
    }
    content
}

/// Cuts the stream into pieces of the given sizes, over and over.
fn pieces_of<'a>(mut stream: &'a [u8], sizes: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    sizes.iter().cycle().map_while(move |size| {
        let (piece, rest) = stream.split_at(stream.len().min(1 + usize::from(*size)));
        stream = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

/// As a receiver that holds bytes already.
fn taken(stream: &[u8], limits: Limits, sizes: &[u8]) -> Content {
    let mut assembler = Assembler::new(limits);
    let mut content = Content::default();
    for mut piece in pieces_of(stream, sizes) {
        while !piece.is_empty() {
            match assembler.take(&mut piece) {
                Ok(Some(body)) => content.rest.extend_from_slice(body),
                Ok(None) => {}
                Err(fault) => {
                    content.fault = Some(fault);
                    return content;
                }
            }
            expect_bounds(&assembler, &content, limits);
            end_record(&mut assembler, &mut content);
        }
    }
    content
}

/// As a receiver that asks for the bytes it wants where it wants them.
fn received(stream: &[u8], limits: Limits, sizes: &[u8]) -> Content {
    let mut assembler = Assembler::new(limits);
    let mut content = Content::default();
    for mut piece in pieces_of(stream, sizes) {
        while !piece.is_empty() {
            let used = match assembler.need() {
                Need::Mark(missing) => match assembler.feed_mark(piece) {
                    Ok(used) => {
                        assert_eq!(used, missing.min(piece.len()));
                        used
                    }
                    Err(fault) => {
                        content.fault = Some(fault);
                        return content;
                    }
                },
                Need::Body(left) => {
                    let used = left.min(piece.len());
                    content.rest.extend_from_slice(&piece[..used]);
                    assembler.advance(used);
                    used
                }
                Need::Nothing => unreachable!("a complete record was ended"),
            };
            piece = &piece[used..];
            expect_bounds(&assembler, &content, limits);
            end_record(&mut assembler, &mut content);
        }
    }
    content
}

fn expect_bounds(assembler: &Assembler, content: &Content, limits: Limits) {
    assert_eq!(assembler.received(), content.rest.len());
    assert!(assembler.received() <= assembler.announced());
    assert!(assembler.announced() <= limits.record_max);
    assert!(assembler.record_len().is_none_or(|length| length == assembler.announced()));
}

fn end_record(assembler: &mut Assembler, content: &mut Content) {
    if assembler.need() == Need::Nothing {
        assert_eq!(assembler.record_len(), Some(content.rest.len()));
        assert!(assembler.is_between_records());
        content.records.push(std::mem::take(&mut content.rest));
        assembler.restart();
    }
}
