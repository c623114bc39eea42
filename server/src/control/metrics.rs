//! The metrics: gathered from the shards when somebody asks, in the text format of OpenMetrics.

use std::fmt;
use std::sync::Arc;

use engine::{Remote, Shard};
use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use metric::{Kind, Metric};
use nfs_ops::{AnnotationCounts, CopiesSnapshot, Shared};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use tokio::sync::Mutex;
use transport_tcp::StatsSnapshot;
use vfs_local::{File, ReadStats};

use super::ask::Question;
use super::http::{self, Answer};
use crate::shard;

/// What the text is (OpenMetrics 1.0, "Overall Structure").
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

metric::metrics! {
    /// What the metrics are of.
    pub struct Scrape {
        /// Shards that are there.
        pub shards: Gauge,
        /// Shards left out because they did not answer in time, over all times the metrics were asked for.
        pub unanswered: Counter,
    }
}

metric::metrics! {
    /// Payload memory of one shard.
    pub struct Payload {
        /// Bytes of payload memory.
        pub memory_bytes: Gauge,
        /// Bytes of payload memory that hold payload.
        pub taken_bytes: Gauge,
        /// Requests that wait for payload memory.
        pub waiting: Gauge,
    }
}

/// What only a shard itself can tell.
#[derive(Clone, Copy)]
struct OfShard {
    transport: StatsSnapshot,
    payload: Payload,
    copies: CopiesSnapshot,
    annotations: AnnotationCounts,
    reads: ReadStats,
}

impl OfShard {
    /// Of the calling shard, while it serves.
    fn here(shard: &Shard) -> Option<Self> {
        let (server, endpoint) = (shard::server()?, shard::endpoint()?);
        let pool = shard.pool();
        Some(Self {
            transport: endpoint.stats().snapshot(),
            payload: Payload {
                memory_bytes: pool.bytes() as u64,
                taken_bytes: pool.bytes_taken() as u64,
                waiting: pool.waiting() as u64,
            },
            copies: server.copies.snapshot(),
            annotations: server.annotations.snapshot(),
            reads: server.exports().iter().map(|export| export.storage.read_stats()).sum(),
        })
    }
}

/// Gathers the metrics.
pub struct Gatherer {
    remote: Remote,
    shared: Arc<Shared<File>>,
    /// One at a time asks the shards.
    of_shards: Mutex<Question<OfShard>>,
}

impl Gatherer {
    /// Of these shards.
    pub fn new(remote: Remote, shared: Arc<Shared<File>>) -> Self {
        let of_shards = Mutex::new(Question::new(remote.clone(), OfShard::here));
        Self { remote, shared, of_shards }
    }

    /// Answers who asks for the metrics.
    pub async fn answer(&self, request: Request<Incoming>) -> Answer {
        let plain = |status, text| http::answer(status, "text/plain; charset=utf-8", text);
        match request.uri().path() {
            "/metrics" if [Method::GET, Method::HEAD].contains(request.method()) => {
                http::answer(StatusCode::OK, CONTENT_TYPE, self.text().await)
            }
            "/metrics" => http::allowing(plain(StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD\n"), "GET, HEAD"),
            _ => plain(StatusCode::NOT_FOUND, "the metrics are at /metrics\n"),
        }
    }

    /// The metrics now, without those of shards that do not answer.
    async fn text(&self) -> String {
        let mut registry = Registry::with_prefix("penstock");
        registry.register_collector(Box::new(self.gather().await));
        let mut text = String::new();
        text::encode(&mut text, &registry).expect("a string takes all text");
        text
    }

    async fn gather(&self) -> Gathered {
        let (of_shards, unanswered) = {
            let mut question = self.of_shards.lock().await;
            (question.ask().await, question.unanswered())
        };
        let shards = self.remote.shards();
        let mut gathered = Gathered::default();
        gathered.add("scrape", &Scrape { shards: shards as u64, unanswered }.metrics());
        gathered.add("state", &self.shared.state.totals().metrics());
        gathered.add("duplicate_requests", &self.shared.state.duplicates().counts().metrics());
        for shard in 0..shards {
            gathered.add_of(shard, "engine", &self.remote.stats(shard).metrics());
        }
        for (shard, of) in of_shards {
            gathered.add_of(shard, "tcp", &of.transport.metrics());
            gathered.add_of(shard, "payload", &of.payload.metrics());
            gathered.add_of(shard, "copied", &of.copies.metrics());
            gathered.add_of(shard, "annotation", &of.annotations.metrics());
            gathered.add_of(shard, "read", &of.reads.metrics());
        }
        gathered
    }
}

/// What is shown, family by family.
#[derive(Debug, Default)]
struct Gathered(Vec<Family>);

#[derive(Debug)]
struct Family {
    name: String,
    help: &'static str,
    kind: Kind,
    values: Values,
}

#[derive(Debug)]
enum Values {
    OfServer(u64),
    /// Each behind the number of its shard.
    OfShards(Vec<(usize, u64)>),
}

impl Gathered {
    fn add(&mut self, of: &str, metrics: &[Metric]) {
        for &Metric { name, help, kind, value } in metrics {
            self.0.push(Family { name: format!("{of}_{name}"), help, kind, values: Values::OfServer(value) });
        }
    }

    fn add_of(&mut self, shard: usize, of: &str, metrics: &[Metric]) {
        for &Metric { name, help, kind, value } in metrics {
            let name = format!("{of}_{name}");
            match self.0.iter_mut().find(|family| family.name == name).map(|family| &mut family.values) {
                Some(Values::OfShards(values)) => values.push((shard, value)),
                Some(Values::OfServer(_)) => unreachable!("{name} is of shards or of the server"),
                None => {
                    self.0.push(Family { name, help, kind, values: Values::OfShards(vec![(shard, value)]) })
                }
            }
        }
    }
}

impl Collector for Gathered {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for Family { name, help, kind, values } in &self.0 {
            let metric_type = match kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
            };
            let mut family = encoder.encode_descriptor(name, help, None, metric_type)?;
            let encode = |encoder: MetricEncoder<'_>, value| match kind {
                Kind::Counter => ConstCounter::new(value).encode(encoder),
                Kind::Gauge => ConstGauge::new(value).encode(encoder),
            };
            match values {
                Values::OfServer(value) => encode(family, *value)?,
                Values::OfShards(values) => {
                    for (shard, value) in values {
                        encode(family.encode_family(&[("shard", *shard as u64)])?, *value)?;
                    }
                }
            }
        }
        Ok(())
    }
}
