//! Spans of traced calls: one for the call, and one for each of a compound's operations. Storage adds its own.
//!
//! A call is traced when its caller says that it records its part of the trace, or when the log's filter lets spans of
//! this module pass (`nfs_ops::trace=debug`), which traces every call. No span is made of any other.

use std::fmt;

use rpc::Peer;
use tracing::{Level, Span};
use wire::nfs3;
use wire::nfs4::Operation;
use wire::rpc::TraceContext;
use wire::xdr::Decoder;

use crate::env::Env;
use crate::failure::Failure;

/// The span of a call of the procedure of this name, disabled when it is not traced.
pub fn of_call<E: Env>(
    env: &E,
    peer: &Peer,
    procedure: &'static str,
    context: Option<TraceContext<'_>>,
) -> Span {
    if !vfs::trace::is_recorded() {
        return Span::none();
    }
    let Some(context) = context.filter(TraceContext::is_sampled) else {
        return every_call(peer);
    };
    let span = tracing::debug_span!(
        parent: None,
        "call",
        otel.name = procedure,
        otel.kind = "server",
        rpc.system = "onc_rpc",
        rpc.service = "nfs",
        peer = %peer.address,
        trace_id = %Hex(&context.trace_id),
        parent_span_id = %Hex(&context.span_id),
        pid = context.process_id,
        comm = %Printable(context.command.bytes()),
        status = tracing::field::Empty,
    );
    env.join_trace(&span, &context);
    span
}

/// The span of a call whose caller does not ask for one, but perhaps the log's filter.
fn every_call(peer: &Peer) -> Span {
    // A hint, which the export of traces does not answer to: it takes the spans of traced calls only.
    if tracing::enabled!(Level::DEBUG) {
        tracing::debug_span!(parent: None, "CALL", peer = %peer.address)
    } else {
        Span::none()
    }
}

/// The span of an operation, disabled when its call is not traced.
pub fn of_operation(operation: Operation) -> Span {
    if !vfs::trace::is_recorded() || Span::current().is_none() {
        return Span::none();
    }
    tracing::debug_span!("operation", otel.name = operation.name(), status = tracing::field::Empty)
}

/// Notes on the span of an operation how it failed.
pub fn failed(span: &Span, failure: &Failure) {
    let (Failure::Status(status) | Failure::WithBody(status)) = failure;
    span.record("status", status.name());
}

/// Notes on the span of a call of NFSv3 how it failed, if it did, which the first word of its `results` says.
pub fn answered(span: &Span, results: &[u8]) {
    if span.is_disabled() {
        return;
    }
    if let Ok(status) = Decoder::new(results).get::<nfs3::Status>()
        && !status.is_ok()
    {
        span.record("status", status.name());
    }
}

/// Bytes as lower-case hexadecimal.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// What a peer calls a command, with nothing in it that a terminal would obey.
struct Printable<'a>(&'a [u8]);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0.escape_ascii())
    }
}
