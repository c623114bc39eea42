//! Spans of what storage does for traced calls, as children of the span that is current, which is an operation's.

use tracing::Span;
use vfs::Stability;

/// The span of a read, disabled when nobody traces the call.
pub fn read(offset: u64, bytes: usize) -> Span {
    if !is_traced() {
        return Span::none();
    }
    tracing::debug_span!("storage.read", offset, bytes)
}

/// The span of an attempt to answer a read with pages in a pipe.
pub fn pipe(offset: u64, bytes: usize) -> Span {
    if !is_traced() {
        return Span::none();
    }
    tracing::debug_span!("storage.pipe", offset, bytes)
}

/// The span of a write.
pub fn write(offset: u64, bytes: usize, stability: Stability) -> Span {
    if !is_traced() {
        return Span::none();
    }
    tracing::debug_span!("storage.write", offset, bytes, stability = ?stability)
}

/// The span of bringing what was written to stable storage, alone or with others.
pub fn commit() -> Span {
    if !is_traced() {
        return Span::none();
    }
    tracing::debug_span!("storage.commit")
}

/// The span of one submission to the ring, or to a helper thread in its stead: what is left is the kernel's.
pub fn submission(operation: &'static str) -> Span {
    if !is_traced() {
        return Span::none();
    }
    tracing::debug_span!("submission", otel.name = operation)
}

fn is_traced() -> bool {
    vfs::trace::is_recorded() && !Span::current().is_none()
}
