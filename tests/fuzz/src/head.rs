//! The search for a WRITE's payload in the beginning of a record.

use wire::head::{Located, locate};
use wire::nfs4::{Arguments, CompoundArgs, Operation, PROCEDURE_COMPOUND, PROGRAM, VERSION};
use wire::rpc::{CallHeader, Credential, RPCSEC_GSS};
use wire::xdr::{Cut, Decoder, Error, Payload};

/// Bytes of a record that the search may ask for, and operations that it looks at.
const PREFIX_MAX: usize = 16 * 1024;
const OPERATIONS_MAX: usize = 16;

/// The first bytes decide how long the record is said to be; the rest is its beginning.
pub fn check(data: &[u8]) {
    let Some((control, prefix)) = data.split_first_chunk::<4>() else { return };
    let number = u32::from_be_bytes(*control);
    // Any length at all, before anything is known.
    check_bounds(prefix, number);
    // A record that is longer than what has arrived: what follows would be zeros.
    let more = if number % 2 == 0 { 0 } else { usize::from(control[1]) * 8 };
    let mut record = prefix.to_vec();
    record.resize(prefix.len() + more, 0);
    check_record(&record);
}

fn check_bounds(prefix: &[u8], record_len: u32) -> Located {
    let located = locate(prefix, record_len);
    let record_len = record_len as usize;
    match located {
        Located::None => {}
        Located::NeedMore(bytes) => {
            assert!(bytes > prefix.len().min(record_len), "{bytes} of {} here", prefix.len());
            assert!(bytes <= record_len.min(PREFIX_MAX), "{bytes} of {record_len}");
        }
        Located::At { offset, length, .. } => {
            assert!(offset <= prefix.len().min(record_len) && length > 0);
            assert!(length <= record_len - offset);
        }
    }
    located
}

fn check_record(record: &[u8]) {
    let record_len = record.len() as u32;
    let located = check_bounds(record, record_len);
    let mut here = 0;
    let stepwise = loop {
        match check_bounds(&record[..here], record_len) {
            Located::NeedMore(bytes) => here = bytes,
            end => break end,
        }
    };
    // Only a record longer than what may be asked for can be understood less well from its beginning.
    if record.len() <= PREFIX_MAX {
        assert_eq!(stepwise, located);
    }
    if let Ok(Some(expected)) = first_write(&mut Decoder::new(record)) {
        assert_eq!(located, expected);
    }
    if let Located::At { offset, length, .. } = located {
        let cuts = [Cut { position: offset, length }];
        let head = [&record[..offset], &record[offset + length..]].concat();
        let found = first_write(&mut Decoder::with_cuts(&head, &cuts));
        // The pad behind the payload may be missing; nothing else may differ.
        assert!(found == Ok(Some(located)) || found == Err(Error::Short), "{found:?} for {located:?}");
    }
}

/// The first WRITE as the full decoder finds it, where the search is meant to find one too.
fn first_write(decoder: &mut Decoder<'_>) -> Result<Option<Located>, Error> {
    let Ok(call) = CallHeader::decode(decoder) else { return Ok(None) };
    let wrapped = matches!(call.credential, Credential::Other(auth) if auth.flavor == RPCSEC_GSS);
    if (call.program, call.version, call.procedure) != (PROGRAM, VERSION, PROCEDURE_COMPOUND) || wrapped {
        return Ok(None);
    }
    let compound: CompoundArgs<'_> = decoder.get()?;
    for _ in 0..OPERATIONS_MAX.min(compound.operations as usize) {
        let operation = Operation::decode_or_illegal(decoder)?;
        match Arguments::decode(operation, decoder)? {
            Arguments::Unserved(_) => return Ok(None),
            Arguments::Write(write) => {
                let length = write.data.len();
                let offset = match write.data {
                    Payload::Inline(range) => range.start,
                    Payload::Cut { .. } => decoder.position() - length - wire::xdr::pad_len(length),
                };
                let found = Located::At { offset, length, file_offset: write.offset };
                return Ok((length > 0).then_some(found));
            }
            _ => {}
        }
    }
    Ok(None)
}
