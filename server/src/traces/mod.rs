//! Traces of calls, exported as OpenTelemetry.
//!
//! The operations and storage open spans of the crate `tracing` for calls whose callers record a trace. A layer of the
//! log's registry makes spans of OpenTelemetry of them, and a thread of its own encodes them as OTLP JSON, in batches, and
//! hands them to a collector or appends them to a file. Between the shards and that thread is a queue with a bound: a
//! shard never waits for it, and what does not fit is dropped and counted, which the log says.

mod collector;
mod file;

use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use opentelemetry::trace::{TracerProvider, noop::NoopTracer};
use opentelemetry_http::HttpClient;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, Tracer};
use tracing::{Metadata, Span};
use tracing_opentelemetry::{OpenTelemetryLayer, OpenTelemetrySpanExt};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{FilterFn, LevelFilter};
use tracing_subscriber::registry::LookupSpan;
use wire::rpc::TraceContext;

use crate::config::{Destination, TracingSettings};
use crate::fatal::Fatal;
use collector::Collector;
use file::LineFile;

/// Who the spans are of, for those who look at them.
const SERVICE: &str = "penstock";

/// The modules whose spans are of traces. Other spans are for the log.
const TARGETS: [&str; 2] = ["nfs_ops::trace", "vfs_local::trace"];

/// How long spans wait for others to leave with.
const BATCH_DELAY: Duration = Duration::from_secs(1);

/// Spans that leave together at most.
const BATCH_SPANS: usize = 512;

/// How long one batch may take to be delivered, with all attempts.
const DELIVERY_MAX: Duration = Duration::from_secs(10);

/// How long the end of the process waits for the last batch.
const LAST_BATCH_MAX: Duration = Duration::from_secs(3);

/// The export, until it is dropped: then what waits is delivered, if that does not take long.
pub struct Export {
    provider: SdkTracerProvider,
}

impl Export {
    /// Begins to export as the settings say; nothing, if they say nothing.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn start(settings: &TracingSettings) -> Result<Option<Self>, Fatal> {
        let Some(destination) = &settings.destination else { return Ok(None) };
        let exporter = match destination {
            Destination::Endpoint(endpoint) => exporter(&endpoint.url, Collector::new(endpoint.clone())),
            // The exporter demands an address, which the file has no use for.
            Destination::File(path) => exporter("http://localhost/v1/traces", LineFile::open(path)?),
        }?;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(settings.queue_spans)
            .with_max_export_batch_size(settings.queue_spans.min(BATCH_SPANS))
            .with_scheduled_delay(BATCH_DELAY)
            .build();
        let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(processor)
            .with_resource(Resource::builder_empty().with_service_name(SERVICE).build())
            // What no caller has asked for is not exported.
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOff)))
            .build();
        Ok(Some(Self { provider }))
    }

    /// The layer through which spans come.
    pub fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: tracing::Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        let layer: OpenTelemetryLayer<S, NoopTracer> = tracing_opentelemetry::layer();
        let tracer: Tracer = self.provider.tracer(SERVICE);
        let of_traces = |metadata: &Metadata<'_>| metadata.is_span() && TARGETS.contains(&metadata.target());
        layer
            .with_tracer(tracer)
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            // Nothing of ours reads the context of OpenTelemetry.
            .with_context_activation(false)
            .with_filter(FilterFn::new(of_traces).with_max_level_hint(LevelFilter::DEBUG))
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        if let Err(error) = self.provider.shutdown_with_timeout(LAST_BATCH_MAX) {
            tracing::warn!(%error, "the last spans were not delivered");
        }
    }
}

fn exporter(url: &str, client: impl HttpClient + 'static) -> Result<SpanExporter, Fatal> {
    let builder = SpanExporter::builder().with_http().with_http_client(client);
    let builder = builder.with_protocol(Protocol::HttpJson).with_endpoint(url).with_timeout(DELIVERY_MAX);
    builder.build().map_err(|error| {
        Fatal::new(
            format!("traces cannot be exported: {error}"),
            "correct [tracing], or the variables OTEL_*",
        )
    })
}

/// Makes `span`, which was just created, a child of the caller's.
pub fn join(span: &Span, caller: &TraceContext<'_>) {
    let remote = SpanContext::new(
        TraceId::from_bytes(caller.trace_id),
        SpanId::from_bytes(caller.span_id),
        TraceFlags::new(caller.flags),
        true,
        TraceState::NONE,
    );
    // Without an export there is no layer to tell, and the log has the ids as fields.
    let _ = span.set_parent(Context::new().with_remote_span_context(remote));
}
