//! Setting many limits from a file.

use std::io::{Read, stdin};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::ask::{Answer, ask};
use super::place::Server;
use crate::control::CHANGES_MAX;
use crate::fatal::Fatal;

/// What is told of a limit and is no part of it.
const TOLD: [&str; 2] = ["generation", "usage"];

/// Arguments of `penstock qos apply`.
#[derive(Args, Debug)]
pub struct ApplyArguments {
    /// A file of JSON as `penstock qos list --json` prints it, {"limits": [{"entity": "client:192.0.2.7", "bytes_per_second":
    /// 10000000}]}; - reads standard input.
    file: PathBuf,
    #[command(flatten)]
    pub server: Server,
}

/// Sets all limits of the file, a thousand at a time.
///
/// # Errors
/// When the file cannot be read, or no answer comes.
pub fn apply(arguments: &ApplyArguments) -> Result<Answer, Fatal> {
    let name = arguments.file.display();
    let limits = limits(&arguments.file).map_err(|reason| {
        Fatal::new(format!("{name}: {reason}"), "write it as `penstock qos list --json` prints it")
    })?;
    let (mut changed, mut generation) = (0, Value::Null);
    for some in limits.chunks(CHANGES_MAX) {
        let mut answer = ask(&arguments.server, "PATCH", "/v1/limits", Some(&json!({ "limits": some })))?;
        if !answer.is_good {
            let reason = answer.body["error"].as_str().unwrap_or_default();
            let note =
                format!("{reason} (of the {} limits in {name} the first {changed} are set)", limits.len());
            answer.body["error"] = note.into();
            return Ok(answer);
        }
        changed += some.len();
        generation = answer.body["generation"].take();
    }
    Ok(Answer { is_good: true, body: json!({ "changed": changed, "generation": generation }) })
}

fn limits(file: &Path) -> Result<Vec<Value>, String> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        stdin().read_to_string(&mut text).map(|_| ())
    } else {
        std::fs::read_to_string(file).map(|read| text = read)
    };
    read.map_err(|error| error.to_string())?;
    let mut told: Value = serde_json::from_str(&text).map_err(|error| format!("that is no JSON: {error}"))?;
    let Some(Value::Array(limits)) = told.get_mut("limits").map(Value::take) else {
        return Err("there is no list `limits`".to_owned());
    };
    let set = limits.into_iter().enumerate().filter(|(_, limit)| is_set(limit));
    let mut changes = set.map(change).collect::<Result<Vec<_>, _>>()?;
    // Others reserve a part of what the server has.
    changes.sort_by_key(|change| change["entity"] != "server");
    Ok(changes)
}

/// Whether it has been set, and is not what the configuration alone says.
fn is_set(limit: &Value) -> bool {
    limit["generation"] != 0
}

/// What a limit that was told is set by.
fn change((number, limit): (usize, Value)) -> Result<Value, String> {
    let Value::Object(mut fields) = limit else {
        return Err(format!("limit {} of the list is no object", number + 1));
    };
    TOLD.iter().for_each(|told| drop(fields.remove(*told)));
    if let Some(seconds) = fields.remove("expires_in_seconds") {
        fields.insert("ttl_seconds".to_owned(), seconds);
    }
    Ok(fields.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_list_prints_is_taken_again() {
        let told =
            json!({ "entity": "server", "generation": 7, "bytes_per_second": 5, "expires_in_seconds": 60 });
        assert_eq!(
            change((0, told)),
            Ok(json!({ "entity": "server", "bytes_per_second": 5, "ttl_seconds": 60 }))
        );
        assert_eq!(change((2, json!(7))), Err("limit 3 of the list is no object".to_owned()));
    }
}
