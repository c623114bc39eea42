//! COMPOUND calls, whole and with payloads cut out of the stream.

use wire::nfs4::{Arguments, CompoundArgs, Operation};
use wire::xdr::{Cut, Decoder, Error, Payload};

use crate::round_trip::{encode, expect_same};

/// One operation as a decoder saw it.
#[derive(Debug)]
struct Step<'a> {
    arguments: Arguments<'a>,
    /// Offset in the stream of what follows it.
    end: usize,
}

/// Operations until the end, a fault or one behind which nothing can be decoded.
#[derive(Debug)]
struct Walk<'a> {
    steps: Vec<Step<'a>>,
    fault: Option<Error>,
}

/// The first bytes say what to cut out; the rest is the stream.
pub fn check(data: &[u8]) {
    let Some((control, stream)) = data.split_first_chunk::<5>() else { return };
    let [kind, numbers @ ..] = control;
    let (first, second) =
        (u16::from_be_bytes([numbers[0], numbers[1]]), u16::from_be_bytes([numbers[2], numbers[3]]));
    let whole = walk(stream, &[]);
    for step in &whole.steps {
        check_arguments(&step.arguments);
    }
    let payloads = payloads_of(&whole);
    let cuts = match kind % 4 {
        0 => payloads,
        1 => payloads.get(usize::from(first) % payloads.len().max(1)).copied().into_iter().collect(),
        2 => payloads,
        _ => with_arbitrary_cut(&payloads, first.into(), second.into(), stream),
    };
    if cuts.is_empty() {
        return;
    }
    let head = without(stream, &cuts);
    if kind % 4 == 2 {
        // A few ends in a row, so that one falls into a pad.
        for end in (usize::from(first)..head.len()).take(8) {
            compare(&whole, &walk(&head[..end], &cuts), &cuts);
        }
        return;
    }
    let cut = walk(&head, &cuts);
    compare(&whole, &cut, &cuts);
    if kind % 4 < 2 {
        assert_eq!((cut.steps.len(), cut.fault), (whole.steps.len(), whole.fault));
    }
}

/// Decodes as the server does.
fn walk<'a>(head: &'a [u8], cuts: &'a [Cut]) -> Walk<'a> {
    let mut walk = Walk { steps: Vec::new(), fault: None };
    walk.fault = walk_on(head, cuts, &mut walk.steps).err();
    walk
}

fn walk_on<'a>(head: &'a [u8], cuts: &'a [Cut], steps: &mut Vec<Step<'a>>) -> Result<(), Error> {
    let mut decoder = Decoder::with_cuts(head, cuts);
    let compound: CompoundArgs<'_> = decoder.get()?;
    for _ in 0..compound.operations {
        let operation = Operation::decode_or_illegal(&mut decoder)?;
        let arguments = Arguments::decode(operation, &mut decoder)?;
        assert_eq!(arguments.operation(), operation);
        let unserved = matches!(arguments, Arguments::Unserved(_));
        steps.push(Step { arguments, end: decoder.position() });
        if unserved {
            return Ok(());
        }
    }
    decoder.finish()?;
    let cut_out: usize = cuts.iter().map(|cut| cut.length).sum();
    assert_eq!(decoder.position(), head.len() + cut_out);
    Ok(())
}

/// What decodes must encode and decode to the same.
fn check_arguments(arguments: &Arguments<'_>) {
    let (head, cuts) = encode(arguments);
    let mut decoder = Decoder::with_cuts(&head, &cuts);
    let operation = Operation::decode_or_illegal(&mut decoder);
    assert_eq!(operation, Ok(arguments.operation()));
    let again = Arguments::decode(arguments.operation(), &mut decoder).expect("what was encoded decodes");
    assert_eq!(decoder.finish(), Ok(()));
    match (arguments, &again) {
        (Arguments::Write(sent), Arguments::Write(received)) => {
            assert_eq!(sent.data.len(), received.data.len());
            assert_eq!((sent.stateid, sent.offset), (received.stateid, received.offset));
            assert_eq!(sent.stable, received.stable);
        }
        _ => expect_same(arguments, &again),
    }
    assert_eq!(encode(&again), (head, cuts));
}

/// The payloads that a transport could have cut out.
fn payloads_of(whole: &Walk<'_>) -> Vec<Cut> {
    let payload = |step: &Step<'_>| match &step.arguments {
        Arguments::Write(write) => match &write.data {
            Payload::Inline(range) if !range.is_empty() => {
                Some(Cut { position: range.start, length: range.len() })
            }
            _ => None,
        },
        _ => None,
    };
    whole.steps.iter().filter_map(payload).collect()
}

/// One that a transport never makes, anywhere, and before it those that it does make.
fn with_arbitrary_cut(payloads: &[Cut], position: usize, length: usize, stream: &[u8]) -> Vec<Cut> {
    let mut cuts = payloads.to_vec();
    cuts.retain(|cut| cut.position + cut.length <= position);
    if let Some(left) = stream.len().checked_sub(position) {
        cuts.push(Cut { position, length: length.min(left) });
    }
    cuts
}

fn without(stream: &[u8], cuts: &[Cut]) -> Vec<u8> {
    let mut head = Vec::new();
    let mut from = 0;
    for cut in cuts {
        head.extend_from_slice(&stream[from..cut.position]);
        from = cut.position + cut.length;
    }
    head.extend_from_slice(&stream[from..]);
    head
}

/// What the decoder reads while payloads are elsewhere is what it reads when they are not.
fn compare(whole: &Walk<'_>, cut: &Walk<'_>, cuts: &[Cut]) {
    assert!(cut.steps.len() <= whole.steps.len(), "{cut:?} has more than {whole:?}");
    for (with, without) in whole.steps.iter().zip(&cut.steps) {
        assert_eq!(with.end, without.end);
        let (Arguments::Write(with), Arguments::Write(without)) = (&with.arguments, &without.arguments)
        else {
            assert_eq!(with.arguments, without.arguments);
            continue;
        };
        assert_eq!(
            (with.stateid, with.offset, with.stable),
            (without.stateid, without.offset, without.stable)
        );
        assert_eq!(with.data.len(), without.data.len());
        if let Payload::Cut { index, length } = without.data {
            assert_eq!(cuts[index].length, length);
            assert_eq!(with.data, Payload::Inline(cuts[index].position..cuts[index].position + length));
        }
    }
}
