//! Arguments of NFSv3's procedures, whole and with the payload cut out of the stream.

use wire::nfs3::{Arguments, Procedure, WriteArgs};
use wire::xdr::{Cut, Decoder, Error, Payload};

use crate::round_trip::{encode, expect_same};

/// The first byte is the procedure, the next two say where a cut could be; the rest is the stream.
pub fn check(data: &[u8]) {
    let Some(([procedure, numbers @ ..], stream)) = data.split_first_chunk::<3>() else { return };
    let (procedure, _) = Procedure::ALL[usize::from(*procedure) % Procedure::ALL.len()];
    let decoded = decode(procedure, stream, &[]);
    if let Ok(arguments) = &decoded {
        check_arguments(arguments);
    }
    if procedure == Procedure::Write {
        let [position, length] = numbers.map(usize::from);
        check_arbitrary_cut(&decoded, stream, position, length);
    }
    if let Ok(Arguments::Write(write)) = &decoded {
        check_cut_out(write, stream);
    }
}

/// Decodes as the server does.
fn decode<'a>(procedure: Procedure, head: &'a [u8], cuts: &'a [Cut]) -> Result<Arguments<'a>, Error> {
    let mut decoder = Decoder::with_cuts(head, cuts);
    let arguments = Arguments::decode(procedure, &mut decoder)?;
    assert_eq!(arguments.procedure(), procedure);
    decoder.finish()?;
    let cut_out: usize = cuts.iter().map(|cut| cut.length).sum();
    assert_eq!(decoder.position(), head.len() + cut_out);
    Ok(arguments)
}

/// What decodes must encode and decode to the same, and from nothing shorter.
fn check_arguments(arguments: &Arguments<'_>) {
    let (head, cuts) = encode(arguments);
    let again = decode(arguments.procedure(), &head, &cuts).expect("what was encoded decodes");
    assert_eq!(encode(&again), (head.clone(), cuts.clone()));
    match (arguments, &again) {
        (Arguments::Write(sent), Arguments::Write(received)) => expect_same_write(sent, received),
        _ => expect_same(arguments, &again),
    }
    if let Some(end) = head.len().checked_sub(1) {
        assert!(decode(arguments.procedure(), &head[..end], &cuts).is_err());
    }
}

/// But for where the data is.
fn expect_same_write(sent: &WriteArgs, received: &WriteArgs) {
    assert_eq!((sent.file, sent.offset, sent.count), (received.file, received.offset, received.count));
    assert_eq!((sent.stable, sent.data.len()), (received.stable, received.data.len()));
}

/// What the decoder reads while the payload is elsewhere is what it reads when it is not.
fn check_cut_out(write: &WriteArgs, stream: &[u8]) {
    let Payload::Inline(range) = &write.data else { unreachable!("nothing was cut out") };
    if range.is_empty() {
        return;
    }
    let cuts = [Cut { position: range.start, length: range.len() }];
    let head = [&stream[..range.start], &stream[range.end..]].concat();
    let Ok(Arguments::Write(again)) = decode(Procedure::Write, &head, &cuts) else {
        panic!("{write:?} is not read without its data");
    };
    expect_same_write(write, &again);
    assert_eq!(again.data, Payload::Cut { index: 0, length: range.len() });
    for end in 0..head.len() {
        assert!(decode(Procedure::Write, &head[..end], &cuts).is_err());
    }
}

/// Where a transport never cuts, nothing is read that is not there.
fn check_arbitrary_cut(whole: &Result<Arguments<'_>, Error>, stream: &[u8], position: usize, length: usize) {
    let Some(left) = stream.len().checked_sub(position) else { return };
    let cuts = [Cut { position, length: length.min(left) }];
    let head = [&stream[..position], &stream[position + cuts[0].length..]].concat();
    if let Ok(Arguments::Write(cut)) = decode(Procedure::Write, &head, &cuts) {
        let Ok(Arguments::Write(whole)) = whole else { panic!("{cut:?} is read from {whole:?}") };
        expect_same_write(whole, &cut);
    }
}
