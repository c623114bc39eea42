//! One call of a client, followed through the server to the disk, by what the server exports.

mod support;

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use client::{Client, ClientOptions, Compound, OpenHow, Session, Trace, nfs3, within_trace};
use engine::{EngineConfig, block_on};
use serde_json::Value;
use support::{Scratch, Server, is_root, penstock};
use transport_tcp::{Endpoint, Limits};
use wire::nfs3::{CreateHow, SetAttributes};
use wire::nfs4::StableHow;

const TRACE_ID: [u8; 16] = [0x4b; 16];
const SPAN_ID: [u8; 8] = [0xa9; 8];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A span as it was exported.
#[derive(Clone, Debug)]
struct Exported {
    name: String,
    trace: String,
    id: String,
    parent: String,
    attributes: String,
}

/// All spans in a file of lines of OTLP JSON.
fn spans(path: &Path) -> Vec<Exported> {
    let text = std::fs::read_to_string(path).expect("the file is there");
    let mut found = Vec::new();
    for line in text.lines() {
        let batch: Value = serde_json::from_str(line).expect("a line is JSON");
        let scopes = batch["resourceSpans"].as_array().expect("resources").iter();
        let scopes = scopes.flat_map(|resource| resource["scopeSpans"].as_array().expect("scopes"));
        for span in scopes.flat_map(|scope| scope["spans"].as_array().expect("spans")) {
            let text = |key: &str| span[key].as_str().unwrap_or_default().to_owned();
            found.push(Exported {
                name: text("name"),
                trace: text("traceId"),
                id: text("spanId"),
                parent: text("parentSpanId"),
                attributes: span["attributes"].to_string(),
            });
        }
    }
    found
}

/// The span of this name below another; there must be one.
fn below<'s>(spans: &'s [Exported], parent: &Exported, name: &str) -> &'s Exported {
    let found = spans.iter().find(|span| span.parent == parent.id && span.name == name);
    found.unwrap_or_else(|| panic!("no {name} below {parent:?} in {spans:#?}"))
}

/// Runs `work` beside a server with this configuration, whose address it is told, and stops the server, which then has
/// exported everything.
fn serve(config: &str, scratch: &Scratch, work: impl FnOnce(SocketAddr)) {
    let data = scratch.directory("data");
    let text = format!("{config}\n[[export]]\npath = {data:?}\nsquash = \"none\"\n");
    let config = scratch.config(&text);
    let mut server = Server::start(scratch, ["--config".as_ref(), config.as_os_str()]);
    work(SocketAddr::from((Ipv4Addr::LOCALHOST, server.port)));
    server.signal(rustix::process::Signal::TERM);
    assert!(server.child.wait().expect("it ends").success());
}

/// Runs `work` with a session of a client with these options.
fn ask<F, W>(config: &str, options: ClientOptions, scratch: &Scratch, work: W)
where
    W: FnOnce(Session) -> F + Send + 'static,
    F: Future<Output = ()> + 'static,
{
    serve(config, scratch, |address| {
        let asked = block_on(EngineConfig::small(), move |shard| async move {
            let endpoint = Endpoint::new(&shard, Limits::default());
            let client = Client::connect(&endpoint, address, options).await.expect("a client");
            work(client.session().clone()).await;
            client.destroy().await.expect("the client goes");
        });
        asked.expect("a ring for the client");
    });
}

/// Writes, brings to disk and reads a file, in one call each, all but OPEN and CLOSE as a part of a trace.
async fn write_and_read(session: Session, trace: Trace) {
    let root = session.lookup("/").await.expect("the root");
    let file = session.open(root, "a", &OpenHow::create(0o640)).await.expect("an open");
    let content = vec![7; 100_000];
    let traced = async {
        session.write(&file, 4096, &content, StableHow::Unstable).await.expect("a write");
        session.commit(file.handle).await.expect("a commit");
        session.read(&file, 4096, 100_000).await.expect("a read");
        let wrong = Compound::new().put_root().lookup("missing");
        session.call(wrong).await.expect("a reply").skip(2).expect_err("nothing is there");
    };
    within_trace(trace, traced).await;
    session.close(&file).await.expect("a close");
}

/// The spans of the four traced compounds are there, down to what was submitted.
fn check_followed(spans: &[Exported]) {
    assert!(spans.iter().all(|span| span.trace == hex(&TRACE_ID)), "{spans:#?}");
    let compounds: Vec<_> = spans.iter().filter(|span| span.name == "COMPOUND").collect();
    assert_eq!(compounds.len(), 4, "{spans:#?}");
    let pid = format!("\"{}\"", std::process::id());
    for compound in &compounds {
        assert_eq!(compound.parent, hex(&SPAN_ID));
        let all = ["peer", "pid", "comm", "127.0.0.1:", pid.as_str()];
        assert!(all.iter().all(|text| compound.attributes.contains(text)), "{compound:?}");
    }
    for (compound, (operation, storage, submission)) in compounds.iter().zip([
        ("WRITE", "storage.write", Some("write")),
        ("COMMIT", "storage.commit", Some("sync")),
        // What is in the page cache goes from there into a pipe, and is not asked of the disk.
        ("READ", "storage.pipe", None),
    ]) {
        below(spans, compound, "OP_SEQUENCE");
        below(spans, compound, "OP_PUTFH");
        let operation = below(spans, compound, &format!("OP_{operation}"));
        let storage = below(spans, operation, storage);
        if let Some(submission) = submission {
            below(spans, storage, submission);
        }
    }
    let failed = below(spans, compounds[3], "OP_LOOKUP");
    assert!(failed.attributes.contains("NFS4ERR_NOENT"), "{failed:?}");
}

#[test]
fn a_traced_call_is_found_down_to_the_disk() {
    if !is_root() {
        eprintln!("not root: nothing can be served");
        return;
    }
    let annotated = ClientOptions { annotations: true, ..ClientOptions::default() };
    let tagged = ClientOptions { trace_in_tag: true, ..ClientOptions::default() };
    for (name, options, config) in [
        ("annotated", annotated.clone(), ""),
        ("tagged", tagged.clone(), ""),
        // Where the server has them switched off, the client does what it is told to do with foreign servers.
        ("refused", ClientOptions { annotations: true, ..tagged }, "[server]\nannotations = false\n"),
    ] {
        let scratch = Scratch::new(name);
        let traces = scratch.0.join("traces.jsonl");
        let config = format!("{config}[tracing]\notlp_file = {traces:?}\n");
        ask(&config, options, &scratch, move |session| async move {
            let is_annotated = session.channels()[0].is_annotated();
            assert_eq!(is_annotated, name == "annotated");
            write_and_read(session, Trace::recorded(TRACE_ID, SPAN_ID)).await;
        });
        check_followed(&spans(&traces));
    }
}

#[test]
fn what_nobody_records_is_not_exported() {
    if !is_root() {
        eprintln!("not root: nothing can be served");
        return;
    }
    let scratch = Scratch::new("unrecorded");
    let traces = scratch.0.join("traces.jsonl");
    // Spans of every call in the log are no reason to export them.
    let config = format!("[log]\nlevel = \"info,nfs_ops::trace=debug\"\n[tracing]\notlp_file = {traces:?}\n");
    let options = ClientOptions { annotations: true, ..ClientOptions::default() };
    ask(&config, options, &scratch, |session| async move {
        write_and_read(session, Trace::recorded(TRACE_ID, SPAN_ID).not_recorded()).await;
    });
    assert!(spans(&traces).is_empty());
}

#[test]
fn commands_are_a_part_of_the_trace_in_their_environment() {
    if !is_root() {
        eprintln!("not root: nothing can be served");
        return;
    }
    let scratch = Scratch::new("commands");
    let traces = scratch.0.join("traces.jsonl");
    let (source, back) = (scratch.0.join("source"), scratch.0.join("back"));
    let content: Vec<u8> = (0..300_000).map(|index| (index % 253) as u8).collect();
    std::fs::write(&source, &content).expect("a file");
    serve(&format!("[tracing]\notlp_file = {traces:?}\n"), &scratch, |address| {
        let url = format!("nfs://{address}/file");
        let (source, back) = (source.display().to_string(), back.display().to_string());
        let run = |arguments: &[&str], parent: &str| {
            let output =
                penstock().args(arguments).env("TRACEPARENT", parent).output().expect("the program runs");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{said}");
            said
        };
        let parent = format!("00-{}-{}-01", hex(&TRACE_ID), hex(&SPAN_ID));
        assert_eq!(run(&["put", "-q", "--annotate", &source, &url], &parent), "");
        assert_eq!(run(&["get", "-q", &url, &back], &parent), "", "nobody asked for annotations");
        assert!(run(&["stat", "--annotate", &url], "somewhere").contains("TRACEPARENT"));
    });
    assert!(std::fs::read(&back).expect("it came back") == content);
    let spans = spans(&traces);
    assert!(spans.iter().any(|span| span.name == "OP_WRITE"), "{spans:#?}");
    assert!(spans.iter().all(|span| span.trace == hex(&TRACE_ID) && span.name != "OP_READ"), "{spans:#?}");
}

#[test]
fn a_traced_call_of_nfsv3_is_found_too() {
    if !is_root() {
        eprintln!("not root: nothing can be served");
        return;
    }
    let scratch = Scratch::new("procedures");
    let traces = scratch.0.join("traces.jsonl");
    let config = format!("[tracing]\notlp_file = {traces:?}\n");
    serve(&config, &scratch, |address| {
        let asked = block_on(EngineConfig::small(), move |shard| async move {
            let endpoint = Endpoint::new(&shard, Limits::default());
            let options = ClientOptions { annotations: true, ..ClientOptions::default() };
            let client = nfs3::Client::connect(&endpoint, address, options).await.expect("a client");
            let root = client.mount("/").await.expect("the root");
            let how = CreateHow::Guarded(SetAttributes::default());
            let file = client.create(root, "a", how).await.expect("a file");
            let traced = async {
                client.write(file, 4096, &[7; 100_000], StableHow::FileSync).await.expect("a write");
                client.lookup(root, "missing").await.expect_err("nothing is there");
            };
            within_trace(Trace::recorded(TRACE_ID, SPAN_ID), traced).await;
            client.close();
        });
        asked.expect("a ring for the client");
    });
    let spans = spans(&traces);
    let call = |name| {
        let found = spans.iter().find(|span| span.name == name && span.parent == hex(&SPAN_ID));
        found.unwrap_or_else(|| panic!("no {name} in {spans:#?}"))
    };
    below(&spans, below(&spans, call("NFSPROC3_WRITE"), "storage.write"), "write");
    assert!(!call("NFSPROC3_WRITE").attributes.contains("status"));
    assert!(call("NFSPROC3_LOOKUP").attributes.contains("NFS3ERR_NOENT"));
}
