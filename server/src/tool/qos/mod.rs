//! `penstock qos`: limits of a running server.

mod apply;
mod ask;
mod place;
mod rate;
mod show;
mod usage;

use std::io::{IsTerminal, stdout};
use std::net::IpAddr;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

use self::apply::{ApplyArguments, apply};
use self::ask::{Answer, ask, encoded};
use self::place::Server;
use super::display::printable;
use super::print;
use super::unit::Time;
use crate::fatal::Fatal;

/// For how long it can be looked at a time.
const INTERVAL_MIN: Duration = Duration::from_millis(10);
const INTERVAL_MAX: Duration = Duration::from_secs(10);

const ENTITIES: &str = "\
What can have a limit:
  server                  all requests
  export:/data            what goes to an export, by its place in the name space or by its directory
  fileset:/data/scratch   what lies below a directory of an export
  client:192.0.2.7        what comes from an address
  group:batch             what a [[qos.rule]] of the configuration puts together

A request is held to the limits of all of them that it belongs to. Limits are kept over restarts, also of a server that was
killed.";

const EXAMPLES: &str = "\
Examples:
  A client may move 10 MB a second, and 5000 operations:
      penstock qos set client:192.0.2.7 --bytes 10MB/s --ops 5k
  For the next two hours an export is written at half the speed:
      penstock qos set export:/data --write-bytes 500MB/s --ttl 2h
  Of all that the server may move, one client gets 200 MB/s whatever others want:
      penstock qos set server --bytes 1GB/s
      penstock qos set client:192.0.2.7 --reserve 200MB/s
  No limit on operations any more; what else is limited stays so:
      penstock qos set client:192.0.2.7 --ops none
  Only if nobody has changed it since it was looked at:
      penstock qos get export:/data
      penstock qos set export:/data --bytes 2GB/s --if-generation 7
  What is in force, and for whom:
      penstock qos list
  Why a client is as slow as it is, and why a file is:
      penstock qos explain 192.0.2.7
      penstock qos explain /data/results/one.h5
  Rates against limits as they change, of one and of those that use most:
      penstock qos watch client:192.0.2.7
      penstock qos top
  No limit at all:
      penstock qos rm client:192.0.2.7
  Of a server elsewhere:
      penstock qos list --server https://filer:9470 --token-file ~/filer.token --ca ~/filer.crt";

/// Arguments of `penstock qos`.
#[derive(Args, Debug)]
#[command(after_help = ENTITIES, after_long_help = format!("{ENTITIES}\n\n{EXAMPLES}"))]
pub struct QosArguments {
    #[command(subcommand)]
    command: QosCommand,
}

#[derive(Debug, Subcommand)]
enum QosCommand {
    /// Limit something, or change its limit: what is not named stays as it is.
    #[command(after_help = ENTITIES, after_long_help = format!("{ENTITIES}\n\n{EXAMPLES}"))]
    Set(Box<SetArguments>),
    /// Set all limits that a file names, as `list --json` prints them. What it does not name stays as it is.
    #[command(after_help = APPLYING)]
    Apply(ApplyArguments),
    /// Show what is in force for one.
    #[command(after_help = ENTITIES)]
    Get(GetArguments),
    /// Show all limits.
    List(ListArguments),
    /// Take a limit away.
    #[command(after_help = ENTITIES)]
    Rm(RemoveArguments),
    /// Show all limits that concern the requests of a client or for a file, and which of them they wait for now.
    #[command(after_help = READING)]
    Explain(ExplainArguments),
    /// Show rates against limits of one, again and again.
    #[command(after_help = format!("{READING}\n\n{REPEATING}\n\n{ENTITIES}"))]
    Watch(WatchArguments),
    /// Show rates against limits of those that use most of theirs, again and again.
    #[command(after_help = format!("{READING}\n\n{REPEATING}"))]
    Top(TopArguments),
}

const APPLYING: &str = "\
A thousand limits are set at a time, all of them or none; at the first that is refused it ends. To keep the limits of a server
and to set them again, here or elsewhere:
    penstock qos list --json >limits.json
    penstock qos apply limits.json";

const READING: &str = "\
What the columns say:
  BYTES, OPS ..   what is used each second, and of which limit
  USED            the part of the limit that is used, of the rate that binds first
  PARKED          requests that wait now because nothing is left of this limit
  WAIT            how long those who had to wait for it did so, in the mean; the time in which they are served is no part of it
  REFUSED         requests that were told to come again, for their turn would have come after more than 20 seconds, or they took
                  the slots and connections that other work of their session needs

Only what has a limit is counted, and the server as soon as an export or a file set has one.";

const REPEATING: &str = "\
On a terminal what is shown is drawn anew; elsewhere each interval adds its lines, and with --json one line of JSON. It ends
after --count intervals, else with Ctrl-C.";

#[derive(Args, Debug)]
struct SetArguments {
    /// Who is limited: server, export:PLACE, fileset:PLACE, client:ADDRESS, group:NAME.
    entity: String,
    /// Payload of reads and writes together: 10MB/s, 64MiB/s, none.
    #[arg(long, value_name = "RATE", value_parser = setting(rate::bytes))]
    bytes: Option<Setting>,
    /// Payload of reads.
    #[arg(long, value_name = "RATE", value_parser = setting(rate::bytes))]
    read_bytes: Option<Setting>,
    /// Payload of writes.
    #[arg(long, value_name = "RATE", value_parser = setting(rate::bytes))]
    write_bytes: Option<Setting>,
    /// Operations of all kinds a second: 5000, 5k, none. A large one counts once for each io_unit_kib of its payload.
    #[arg(long, value_name = "RATE", value_parser = setting(rate::operations))]
    ops: Option<Setting>,
    /// Operations that read.
    #[arg(long, value_name = "RATE", value_parser = setting(rate::operations))]
    read_ops: Option<Setting>,
    /// Operations that change something.
    #[arg(long, value_name = "RATE", value_parser = setting(rate::operations))]
    write_ops: Option<Setting>,
    /// Payload that it gets of the limit of the server whatever others want: 100MB/s, none. All reservations together are at
    /// most nine tenths of the --bytes of the server, which must have a limit of them unless `pace` in [qos] is "latency".
    #[arg(long, value_name = "RATE", value_parser = setting(rate::bytes))]
    reserve: Option<Setting>,
    /// For how long what is not used is saved up: 1ms, 2s; none is 1ms.
    #[arg(long, value_name = "TIME", value_parser = setting(microseconds))]
    burst: Option<Setting>,
    /// The share beside others of the tier, from 1 to 10000; none is that of the group or 100.
    #[arg(long, value_name = "N", value_parser = setting(count))]
    weight: Option<Setting>,
    /// In which order those who wait are served.
    #[arg(long)]
    tier: Option<TierWord>,
    /// The whole limit goes by itself after this time: 90s, 10m, 2h; none: it stays.
    #[arg(long, value_name = "TIME", value_parser = setting(seconds))]
    ttl: Option<Setting>,
    /// Only if the limit still has this generation; 0: only if there is none.
    #[arg(long, value_name = "N")]
    if_generation: Option<u64>,
    #[command(flatten)]
    server: Server,
}

#[derive(Args, Debug)]
struct GetArguments {
    /// Who: server, export:PLACE, fileset:PLACE, client:ADDRESS, group:NAME.
    entity: String,
    #[command(flatten)]
    server: Server,
}

#[derive(Args, Debug)]
struct ListArguments {
    #[command(flatten)]
    server: Server,
}

#[derive(Args, Debug)]
struct RemoveArguments {
    /// Whose limit: server, export:PLACE, fileset:PLACE, client:ADDRESS, group:NAME.
    entity: String,
    /// Only if the limit still has this generation.
    #[arg(long, value_name = "N")]
    if_generation: Option<u64>,
    #[command(flatten)]
    server: Server,
}

#[derive(Args, Debug)]
struct ExplainArguments {
    /// Whose requests: the address of a client, or the path of a file, in the name space or on the server.
    #[arg(value_name = "ADDRESS|PATH")]
    subject: String,
    /// Where the subject is a file: only requests from this address.
    #[arg(long, value_name = "ADDRESS")]
    client: Option<String>,
    /// The number of the user who asks, for rules that look at it.
    #[arg(long, value_name = "UID")]
    user: Option<u32>,
    /// Where the subject is a client: only requests to this export, by its place in the name space or its directory.
    #[arg(long, value_name = "PLACE")]
    export: Option<String>,
    /// For how long it is looked: 10ms to 10s.
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = interval)]
    interval: u64,
    #[command(flatten)]
    server: Server,
}

#[derive(Args, Debug)]
struct WatchArguments {
    /// Who: server, export:PLACE, fileset:PLACE, client:ADDRESS, group:NAME.
    entity: String,
    #[command(flatten)]
    again: Again,
    #[command(flatten)]
    server: Server,
}

#[derive(Args, Debug)]
struct TopArguments {
    /// How many are shown, 1 to 1000.
    #[arg(short, long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rows: u16,
    #[command(flatten)]
    again: Again,
    #[command(flatten)]
    server: Server,
}

/// How often it is looked.
#[derive(Args, Clone, Copy, Debug)]
struct Again {
    /// The time over which rates are measured, and after which there are new ones: 10ms to 10s.
    #[arg(short, long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    interval: u64,
    /// End after so many intervals.
    #[arg(short = 'n', long, value_name = "N")]
    count: Option<u64>,
}

/// A number, or `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Setting(Option<u64>);

#[derive(Clone, Copy, Debug, ValueEnum)]
enum TierWord {
    Protected,
    Normal,
    Background,
    /// That of its group, or normal.
    None,
}

/// Reads what `read` does, and `none`.
fn setting(
    read: impl Fn(&str) -> Result<u64, String> + Clone + Send + Sync + 'static,
) -> impl Fn(&str) -> Result<Setting, String> + Clone + Send + Sync + 'static {
    move |text| if text == "none" { Ok(Setting(None)) } else { read(text).map(|value| Setting(Some(value))) }
}

fn microseconds(text: &str) -> Result<u64, String> {
    let Time(time) = text.parse()?;
    if time.subsec_nanos().is_multiple_of(1000) {
        Ok(time.as_micros() as u64)
    } else {
        Err("write whole microseconds, as 0.5ms or 2s".to_owned())
    }
}

fn seconds(text: &str) -> Result<u64, String> {
    let Time(time) = text.parse()?;
    if time.subsec_nanos() == 0 {
        Ok(time.as_secs())
    } else {
        Err("write whole seconds, as 90s, 10m or 2h".to_owned())
    }
}

/// In milliseconds, as the server takes it.
fn interval(text: &str) -> Result<u64, String> {
    let Time(time) = text.parse()?;
    if (INTERVAL_MIN..=INTERVAL_MAX).contains(&time) {
        Ok(time.as_millis() as u64)
    } else {
        Err("give 10ms to 10s".to_owned())
    }
}

fn count(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "write a whole number".to_owned())
}

/// Asks a server, and shows what it answers; whether it did what was asked.
pub fn run(arguments: QosArguments) -> bool {
    let (server, outcome) = match arguments.command {
        QosCommand::Set(arguments) => {
            let outcome = set(&arguments);
            (arguments.server, outcome)
        }
        QosCommand::Apply(arguments) => {
            let outcome = apply(&arguments);
            (arguments.server, outcome)
        }
        QosCommand::Get(GetArguments { entity, server }) => {
            let outcome = ask(&server, "GET", &limit_of(&entity, None), None);
            (server, outcome)
        }
        QosCommand::List(ListArguments { server }) => {
            let outcome = ask(&server, "GET", "/v1/limits", None);
            (server, outcome)
        }
        QosCommand::Rm(RemoveArguments { entity, if_generation, server }) => {
            let outcome = ask(&server, "DELETE", &limit_of(&entity, if_generation), None);
            (server, outcome)
        }
        QosCommand::Explain(arguments) => {
            let outcome = path_of(&arguments).and_then(|path| ask(&arguments.server, "GET", &path, None));
            (arguments.server, outcome)
        }
        QosCommand::Watch(WatchArguments { entity, again, server }) => {
            return look(&server, again, &format!("&entity={}", encoded(&entity)), false);
        }
        QosCommand::Top(TopArguments { rows, again, server }) => {
            return look(&server, again, &format!("&top={rows}"), true);
        }
    };
    match outcome {
        Ok(answer) => {
            tell(&answer, server.json);
            answer.is_good
        }
        Err(error) => complain(&error),
    }
}

fn complain(error: &Fatal) -> bool {
    eprintln!("penstock: {error}");
    false
}

/// Shows usage again and again. Heads come with every table, or once.
fn look(server: &Server, again: Again, query: &str, is_table: bool) -> bool {
    let target = format!("/v1/usage?interval_ms={}{query}", again.interval);
    let is_drawn = !server.json && stdout().is_terminal();
    let mut rounds = 0;
    while again.count.is_none_or(|count| rounds < count) {
        let answer = match ask(server, "GET", &target, None) {
            Ok(answer) if answer.is_good => answer,
            Ok(answer) => {
                tell(&answer, server.json);
                return false;
            }
            Err(error) => return complain(&error),
        };
        let usage = answer.body["usage"].as_array().map_or(&[][..], Vec::as_slice);
        let mut lines = usage::table(usage);
        if server.json {
            lines = vec![answer.body.to_string()];
        } else if is_drawn {
            let more = answer.body["counted"].as_u64().unwrap_or(0).saturating_sub(usage.len() as u64);
            lines.extend((more > 0 && is_table).then(|| format!("and {more} more")));
        } else if is_table {
            lines.extend((rounds + 1 < again.count.unwrap_or(u64::MAX)).then(String::new));
        } else if rounds > 0 {
            lines.remove(0);
        }
        print(&if is_drawn { drawn(&lines) } else { lines.join("\n") + "\n" });
        rounds += 1;
    }
    true
}

/// The lines from the top of the terminal on, in place of what was there (ECMA-48: CUP, EL, ED).
fn drawn(lines: &[String]) -> String {
    let lines: String = lines.iter().map(|line| format!("{line}\x1b[K\n")).collect();
    format!("\x1b[H{lines}\x1b[J")
}

fn set(arguments: &SetArguments) -> Result<Answer, Fatal> {
    let change = change(arguments);
    if change.is_empty() {
        return Err(Fatal::new(
            format!("nothing is said that {} should be limited to", arguments.entity),
            "say it with --bytes, --ops or another of the options that `penstock qos set --help` shows",
        ));
    }
    let target = limit_of(&arguments.entity, arguments.if_generation);
    ask(&arguments.server, "PATCH", &target, Some(&change.into()))
}

/// The fields that are to change.
fn change(arguments: &SetArguments) -> Map<String, Value> {
    let numbers = [
        ("bytes_per_second", arguments.bytes),
        ("read_bytes_per_second", arguments.read_bytes),
        ("write_bytes_per_second", arguments.write_bytes),
        ("operations_per_second", arguments.ops),
        ("read_operations_per_second", arguments.read_ops),
        ("write_operations_per_second", arguments.write_ops),
        ("reserve_bytes_per_second", arguments.reserve),
        ("burst_microseconds", arguments.burst),
        ("weight", arguments.weight),
        ("ttl_seconds", arguments.ttl),
    ];
    let said = numbers.into_iter().filter_map(|(field, setting)| Some((field.to_owned(), setting?.0.into())));
    let tier = arguments.tier.map(|tier| match tier {
        TierWord::Protected => json!("protected"),
        TierWord::Normal => json!("normal"),
        TierWord::Background => json!("background"),
        TierWord::None => Value::Null,
    });
    said.chain(tier.map(|tier| ("tier".to_owned(), tier))).collect()
}

fn limit_of(entity: &str, if_generation: Option<u64>) -> String {
    let condition =
        if_generation.map_or_else(String::new, |generation| format!("?if_generation={generation}"));
    format!("/v1/limits/{}{condition}", encoded(entity))
}

fn path_of(arguments: &ExplainArguments) -> Result<String, Fatal> {
    let ExplainArguments { subject, client, user, export, interval, .. } = arguments;
    let is_file = subject.starts_with('/');
    if !is_file && subject.parse::<IpAddr>().is_err() {
        return Err(Fatal::new(
            format!("{subject:?} is neither the address of a client nor the path of a file"),
            "write an address as 192.0.2.7 or 2001:db8::7; the path of a file begins with /",
        ));
    }
    if !is_file && client.is_some() {
        return Err(Fatal::new(
            format!("{subject} is a client, and --client is for the requests to a file"),
            "leave --client out, or explain the path of a file",
        ));
    }
    let subject = (if is_file { "file" } else { "client" }, Some(subject.clone()));
    let user = ("user", user.map(|user| user.to_string()));
    let said = [subject, ("client", client.clone()), user, ("export", export.clone())];
    let said = said.into_iter().filter_map(|(name, value)| Some(format!("&{name}={}", encoded(&value?))));
    Ok(format!("/v1/path?interval_ms={interval}{}", said.collect::<String>()))
}

/// Shows an answer: what is asked for on standard output, what is wrong on the other.
fn tell(Answer { is_good, body }: &Answer, json: bool) {
    if json {
        print(&format!("{body:#}\n"));
    }
    if !is_good {
        let reason = body["error"].as_str().unwrap_or("the server does not say why it refuses");
        eprintln!("penstock: {}", printable(reason.as_bytes()));
        if let Some(in_force) = body.get("in_force") {
            let entity = printable(in_force["entity"].as_str().unwrap_or_default().as_bytes());
            eprintln!("  in force for {entity}: {}", show::brief(in_force));
        }
    } else if !json {
        print(&match (body["limits"].as_array(), body["path"].as_array()) {
            (Some(limits), _) => show::table(limits),
            (None, Some(path)) => {
                let used = usage::table(path).join("\n");
                format!("{}\n{used}\n\n{}\n", show::table(path), usage::verdict(body))
            }
            (None, None) => match body["changed"].as_u64() {
                Some(changed) => format!("{changed} limits set\n"),
                None => show::one(body),
            },
        });
    }
}
