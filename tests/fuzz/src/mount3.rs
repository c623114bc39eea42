//! Arguments and results of MOUNT's procedures.

use wire::mount3::{Export, Mount, MountOutcome, Path};
use wire::xdr::Decoder;

use crate::round_trip::{decode_and_return, encode};

/// The first byte says what the rest is.
pub fn check(data: &[u8]) {
    let Some((kind, stream)) = data.split_first() else { return };
    let mut decoder = Decoder::new(stream);
    match kind % 4 {
        0 => {
            decode_and_return!(decoder, Path<'_>);
        }
        1 => {
            decode_and_return!(decoder, MountOutcome);
        }
        2 => {
            while decode_and_return!(decoder.clone(), Option<Mount<'_>>) {
                let Ok(Some(_)) = decoder.get::<Option<Mount<'_>>>() else { return };
            }
        }
        _ => {
            while decode_and_return!(decoder.clone(), Option<Export<'_>>) {
                let Ok(Some(export)) = decoder.get::<Option<Export<'_>>>() else { return };
                check_groups(&export);
            }
        }
    }
}

/// The groups are all that is between an export's path and its end.
fn check_groups(export: &Export<'_>) {
    let groups: usize = export.groups.iter().map(|group| 4 + encode(group).0.len()).sum();
    assert_eq!(encode(export).0.len(), encode(&export.directory).0.len() + groups + 4);
}
