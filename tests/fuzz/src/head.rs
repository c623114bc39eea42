//! The search for the payloads of WRITEs in a record that arrives.

use wire::head::{Located, Locator, OPERATIONS_MAX, PREFIX_MAX};
use wire::nfs3::{self, Procedure};
use wire::nfs4::{self, Arguments, CompoundArgs, Operation, PROCEDURE_COMPOUND, PROGRAM};
use wire::rpc::{CallHeader, Credential, RPCSEC_GSS};
use wire::xdr::{Cut, Decoder, Error, Payload, pad_len};

/// The first bytes decide how long the record is said to be; the rest is its beginning.
pub fn check(data: &[u8]) {
    let Some((control, prefix)) = data.split_first_chunk::<4>() else { return };
    let number = u32::from_be_bytes(*control);
    // Any length at all, before anything is known.
    check_bounds(&mut Locator::new(number), prefix, number as usize);
    // A record that is longer than what has arrived: what follows would be zeros.
    let more = if number % 2 == 0 { 0 } else { usize::from(control[1]) * 8 };
    let mut record = prefix.to_vec();
    record.resize(prefix.len() + more, 0);
    check_record(&record);
}

/// One step of the search, with the record's first bytes at hand.
fn check_bounds(locator: &mut Locator, here: &[u8], record_len: usize) -> Located {
    let from = locator.position().min(here.len());
    let located = locator.find(&here[from..]);
    match located {
        Located::None => assert_eq!(locator.find(&here[from..]), Located::None),
        Located::NeedMore(bytes) => {
            assert!(bytes > here.len().min(record_len), "{bytes} of {} here", here.len());
            assert!(bytes <= record_len, "{bytes} of {record_len}");
        }
        Located::At { offset, length, .. } => {
            assert!(offset >= from && offset <= here.len().min(record_len) && length > 0);
            assert!(length <= record_len - offset);
            assert_eq!(locator.position(), offset + length + pad_len(length));
        }
    }
    located
}

/// All payloads that the search finds with the whole record at hand.
fn found_at_once(record: &[u8]) -> Vec<Located> {
    let mut locator = Locator::new(record.len() as u32);
    let mut found = Vec::new();
    loop {
        match check_bounds(&mut locator, record, record.len()) {
            at @ Located::At { .. } => found.push(at),
            end => {
                assert_eq!(end, Located::None, "the whole record is here");
                return found;
            }
        }
    }
}

/// All payloads that the search finds when it is given no more than it asks for, payloads being elsewhere.
fn found_stepwise(record: &[u8]) -> Vec<Located> {
    let mut locator = Locator::new(record.len() as u32);
    let (mut found, mut here, mut payload_bytes) = (Vec::new(), 0, 0);
    loop {
        // What is behind a payload that is elsewhere is here only when it was asked for.
        let until = here.max(locator.position().min(record.len()));
        match check_bounds(&mut locator, &record[..until], record.len()) {
            Located::NeedMore(bytes) => {
                assert!(bytes - payload_bytes <= PREFIX_MAX);
                here = bytes;
            }
            Located::None => return found,
            at @ Located::At { offset, length, .. } => {
                assert!(here <= offset, "what was asked for does not reach into the payload");
                payload_bytes += length;
                found.push(at);
            }
        }
    }
}

fn check_record(record: &[u8]) {
    let found = found_at_once(record);
    // Only a record longer than what may be asked for can be understood less well from its beginning.
    if record.len() <= PREFIX_MAX {
        assert_eq!(found_stepwise(record), found);
    } else {
        found_stepwise(record);
    }
    let (expected, end) = writes(&mut Decoder::new(record));
    assert!(found.starts_with(&expected), "{found:?} instead of {expected:?}");
    if end.is_ok() {
        assert_eq!(found, expected);
    }
    if !found.is_empty() {
        check_cut_out(record, &found);
    }
}

/// The decoder finds the same payloads when they were cut out.
fn check_cut_out(record: &[u8], found: &[Located]) {
    let (mut cuts, mut head, mut from) = (Vec::new(), Vec::new(), 0);
    for located in found {
        let Located::At { offset, length, .. } = *located else { unreachable!("only payloads are kept") };
        head.extend_from_slice(&record[from..offset]);
        from = offset + length;
        cuts.push(Cut { position: offset, length });
    }
    head.extend_from_slice(&record[from..]);
    let (again, end) = writes(&mut Decoder::with_cuts(&head, &cuts));
    // The pad behind the last payload may be missing, or what follows it broken; nothing else may differ.
    assert!(again == found || (end.is_err() && found.starts_with(&again)), "{again:?} for {found:?}");
    assert!(again.len() + 1 >= found.len(), "{again:?} for {found:?}");
}

/// The WRITEs with data as the full decoder finds them, where the search is meant to find them too, and whether it
/// could read to the end.
fn writes(decoder: &mut Decoder<'_>) -> (Vec<Located>, Result<(), Error>) {
    let mut found = Vec::new();
    let end = read_writes(decoder, &mut found);
    (found, end)
}

fn read_writes(decoder: &mut Decoder<'_>, found: &mut Vec<Located>) -> Result<(), Error> {
    let Ok(call) = CallHeader::decode(decoder) else { return Ok(()) };
    let wrapped = matches!(call.credential, Credential::Other(auth) if auth.flavor == RPCSEC_GSS);
    if call.program != PROGRAM || wrapped {
        return Ok(());
    }
    if (call.version, call.procedure) == (nfs3::VERSION, Procedure::Write.number()) {
        let write: nfs3::WriteArgs = decoder.get()?;
        found.extend(located(&write.data, write.offset, decoder));
        return Ok(());
    }
    if (call.version, call.procedure) != (nfs4::VERSION, PROCEDURE_COMPOUND) {
        return Ok(());
    }
    let compound: CompoundArgs<'_> = decoder.get()?;
    for _ in 0..compound.operations.min(OPERATIONS_MAX) {
        let operation = Operation::decode_or_illegal(decoder)?;
        match Arguments::decode(operation, decoder)? {
            Arguments::Unserved(_) => return Ok(()),
            Arguments::Write(write) => found.extend(located(&write.data, write.offset, decoder)),
            _ => {}
        }
    }
    Ok(())
}

/// Where the data is that the decoder has just read, unless there is none.
fn located(data: &Payload, file_offset: u64, decoder: &Decoder<'_>) -> Option<Located> {
    let length = data.len();
    let offset = match data {
        Payload::Inline(range) => range.start,
        Payload::Cut { .. } => decoder.position() - length - pad_len(length),
    };
    (length > 0).then_some(Located::At { offset, length, file_offset })
}
