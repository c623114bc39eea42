//! The metrics: gathered from the shards when somebody asks, in the text format of OpenMetrics.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
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
use qos::limits::{Seat, Usage};
use tokio::sync::Mutex;
use transport_tcp::StatsSnapshot;
use vfs_local::{File, ReadStats};

use super::ask::Question;
use super::http::{self, Answer};
use super::usage;
use crate::limits::Keeper;
use crate::shard;

/// What the text is (OpenMetrics 1.0, "Overall Structure").
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Of so many of those that have a limit it is told what they use, so that there are not more series the more have one.
const ENTITIES_MAX: usize = 256;

metric::metrics! {
    /// Who has a limit.
    pub struct Entities {
        /// Clients, exports, file sets and groups that have a limit, and the server if it has one.
        pub entities: Gauge,
        /// Those of them for which there are no series, since there are too many: the clients whose limits are the latest.
        pub unshown: Gauge,
    }
}

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
struct OfShard {
    transport: StatsSnapshot,
    rdma: Option<transport_rdma::StatsSnapshot>,
    payload: Payload,
    copies: CopiesSnapshot,
    annotations: AnnotationCounts,
    reads: ReadStats,
    /// In the order of the seats.
    usage: Vec<Usage>,
}

impl OfShard {
    /// Of the calling shard, while it serves.
    fn here(shard: &Shard, seats: &[Seat]) -> Option<Self> {
        let (server, endpoint) = (shard::server()?, shard::endpoint()?);
        let pool = shard.pool();
        Some(Self {
            transport: endpoint.stats().snapshot(),
            rdma: shard::rdma_endpoint().map(|endpoint| endpoint.stats().snapshot()),
            payload: Payload {
                memory_bytes: pool.bytes() as u64,
                taken_bytes: pool.bytes_taken() as u64,
                waiting: pool.waiting() as u64,
            },
            copies: server.copies.snapshot(),
            annotations: server.annotations.snapshot(),
            reads: server.exports().iter().map(|export| export.storage.read_stats()).sum(),
            usage: usage::here(seats)?,
        })
    }
}

/// Gathers the metrics.
pub struct Gatherer {
    remote: Remote,
    shared: Arc<Shared<File>>,
    keeper: Rc<Mutex<Keeper>>,
    /// One at a time asks the shards.
    of_shards: Mutex<Question<OfShard>>,
    /// What was last told of who has a limit.
    told: Mutex<BTreeMap<Seat, UsageMetrics>>,
}

type UsageMetrics = [Metric; Usage::COUNT];

impl Gatherer {
    /// Of these shards.
    pub fn new(remote: Remote, shared: Arc<Shared<File>>, keeper: Rc<Mutex<Keeper>>) -> Self {
        let of_shards = Mutex::new(Question::new(remote.clone()));
        Self { remote, shared, keeper, of_shards, told: Mutex::default() }
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
        let (entities, first) = self.keeper.lock().await.first(ENTITIES_MAX);
        let seats: Vec<Seat> = first.iter().map(|(_, seat)| *seat).collect();
        let (of_shards, unanswered) = {
            let mut question = self.of_shards.lock().await;
            (question.ask(move |shard| OfShard::here(shard, &seats)).await, question.unanswered())
        };
        let shards = self.remote.shards();
        let mut gathered = Gathered::default();
        gathered.add("scrape", &Scrape { shards: shards as u64, unanswered }.metrics());
        gathered.add("state", &self.shared.state.totals().metrics());
        gathered.add("duplicate_requests", &self.shared.state.duplicates().counts().metrics());
        let unshown = entities.saturating_sub(ENTITIES_MAX) as u64;
        gathered.add("limits", &Entities { entities: entities as u64, unshown }.metrics());
        let used = (0..first.len()).map(|at| of_shards.iter().map(|(_, of)| of.usage[at]).sum::<Usage>());
        let mut told = self.told.lock().await;
        let before = std::mem::take(&mut *told);
        for ((name, seat), usage) in first.into_iter().zip(used) {
            let metrics = not_less(usage.metrics(), before.get(&seat));
            gathered.add_with(&Some(("entity", name)), "limit", &metrics);
            told.insert(seat, metrics);
        }
        for shard in 0..shards {
            gathered.add_with(&of_shard(shard), "engine", &self.remote.stats(shard).metrics());
        }
        for (shard, of) in of_shards {
            let shard = of_shard(shard);
            gathered.add_with(&shard, "tcp", &of.transport.metrics());
            if let Some(rdma) = &of.rdma {
                gathered.add_with(&shard, "rdma", &rdma.metrics());
            }
            gathered.add_with(&shard, "payload", &of.payload.metrics());
            gathered.add_with(&shard, "copied", &of.copies.metrics());
            gathered.add_with(&shard, "annotation", &of.annotations.metrics());
            gathered.add_with(&shard, "read", &of.reads.metrics());
        }
        gathered
    }
}

/// `metrics` where no counter is less than it was `before`: what was given back, and what a shard that does not answer has
/// counted, would else look as if the counter had begun anew.
fn not_less(mut metrics: UsageMetrics, before: Option<&UsageMetrics>) -> UsageMetrics {
    for (metric, before) in metrics.iter_mut().zip(before.into_iter().flatten()) {
        if metric.kind == Kind::Counter {
            metric.value = metric.value.max(before.value);
        }
    }
    metrics
}

/// What is shown, family by family.
#[derive(Debug, Default)]
struct Gathered(Vec<Family>);

#[derive(Debug)]
struct Family {
    name: String,
    help: &'static str,
    kind: Kind,
    /// Without a label that of the server.
    values: Vec<(Option<Label>, u64)>,
}

/// Of what a value is: the kind, and which.
type Label = (&'static str, String);

fn of_shard(shard: usize) -> Option<Label> {
    Some(("shard", shard.to_string()))
}

impl Gathered {
    fn add(&mut self, of: &str, metrics: &[Metric]) {
        self.add_with(&None, of, metrics);
    }

    fn add_with(&mut self, label: &Option<Label>, of: &str, metrics: &[Metric]) {
        for &Metric { name, help, kind, value } in metrics {
            let name = format!("{of}_{name}");
            let value = (label.clone(), value);
            match self.0.iter_mut().find(|family| family.name == name) {
                Some(family) => family.values.push(value),
                None => self.0.push(Family { name, help, kind, values: vec![value] }),
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
            for (label, value) in values {
                let Some((kind, which)) = label else {
                    encode(family, *value)?;
                    break;
                };
                encode(family.encode_family(&[(*kind, &which[..])])?, *value)?;
            }
        }
        Ok(())
    }
}
