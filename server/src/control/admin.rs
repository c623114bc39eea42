//! The admin API: JSON over HTTP. `openapi.json` beside this file describes it, and is served.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::str::FromStr;
use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};
use tokio::sync::{Mutex, Notify};

use super::http::{self, Answer};
use super::usage::{Meter, Parked};
use crate::limits::{Asked, Cause, Change, Keeper, Refused};

/// The description of the API (OpenAPI 3.1).
const DESCRIPTION: &str = include_str!("openapi.json");

/// Bytes of a request's body: a limit is far below.
const BODY_BYTES_MAX: usize = 16 * 1024;

/// Limits that are changed in one request.
pub const CHANGES_MAX: usize = 1000;

/// Bytes of its body.
const CHANGES_BYTES_MAX: usize = 1024 * 1024;

/// Longest time between two looks for limits whose time is up: the machine's clock may be set.
const EXPIRY_LOOK: Duration = Duration::from_secs(10);

/// How long it can be looked what is used, in milliseconds.
const INTERVAL_MS: RangeInclusive<u64> = 10..=10_000;

/// How long it is looked where nothing is said.
const INTERVAL_MS_DEFAULT: u64 = 1000;

/// Of how many it can be told what they use.
const TOP: RangeInclusive<usize> = 1..=1000;

/// Of how many it is told where nothing is said.
const TOP_DEFAULT: usize = 20;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Describe,
    List,
    ChangeAll,
    Get,
    Change,
    Remove,
    Explain,
    Usage,
}

/// A path as the description has it. What is in braces is the rest of it.
type Route = (Method, &'static str, Operation);

const ROUTES: [Route; 8] = [
    (Method::GET, "/v1/openapi.json", Operation::Describe),
    (Method::GET, "/v1/limits", Operation::List),
    (Method::PATCH, "/v1/limits", Operation::ChangeAll),
    (Method::GET, "/v1/limits/{entity}", Operation::Get),
    (Method::PATCH, "/v1/limits/{entity}", Operation::Change),
    (Method::DELETE, "/v1/limits/{entity}", Operation::Remove),
    (Method::GET, "/v1/path", Operation::Explain),
    (Method::GET, "/v1/usage", Operation::Usage),
];

/// Answers operators. Clones are the same.
#[derive(Clone)]
pub struct Admin {
    /// One at a time, so that what is stored and what is in force have one order.
    keeper: Rc<Mutex<Keeper>>,
    meter: Rc<Meter>,
    changed: Rc<Notify>,
}

impl Admin {
    /// Of these limits, and what is used of them.
    pub fn new(keeper: Rc<Mutex<Keeper>>, meter: Meter) -> Self {
        Self { keeper, meter: Rc::new(meter), changed: Rc::default() }
    }

    /// Takes limits away when their time is up.
    pub async fn expire(self) {
        loop {
            let left = self.keeper.lock().await.expire().await.unwrap_or(EXPIRY_LOOK);
            let _ = tokio::time::timeout(left.min(EXPIRY_LOOK), self.changed.notified()).await;
        }
    }

    /// Answers a request.
    pub async fn answer(&self, request: Request<Incoming>) -> Answer {
        self.follow(request).await.unwrap_or_else(|wrong| *wrong)
    }

    async fn follow(&self, request: Request<Incoming>) -> Result<Answer, Box<Answer>> {
        let (head, body) = request.into_parts();
        let path = decoded(head.uri.path())?;
        let (operation, entity) = route(&head.method, &path)?;
        let entity = entity.to_owned();
        let query = head.uri.query();
        let outcome = match operation {
            Operation::Describe => {
                return Ok(http::answer(StatusCode::OK, "application/json", DESCRIPTION));
            }
            Operation::List => Ok(self.keeper.lock().await.list()),
            Operation::ChangeAll => {
                parameters(query, [])?;
                let changes = changes(collect(body, CHANGES_BYTES_MAX).await?)?;
                self.to_the_end(async move |keeper: &mut Keeper| keeper.change_all(&changes).await).await
            }
            Operation::Get => self.keeper.lock().await.get(&entity),
            Operation::Explain => self.explain(query).await?,
            Operation::Usage => self.usage(query).await?,
            Operation::Change => {
                let [if_generation] = parameters(query, ["if_generation"])?;
                let if_generation = number("if_generation", if_generation)?;
                let patch = collect(body, BODY_BYTES_MAX).await?;
                let change =
                    async move |keeper: &mut Keeper| keeper.change(&entity, &patch, if_generation).await;
                self.to_the_end(change).await
            }
            Operation::Remove => {
                let [if_generation] = parameters(query, ["if_generation"])?;
                let if_generation = number("if_generation", if_generation)?;
                self.to_the_end(async move |keeper: &mut Keeper| keeper.remove(&entity, if_generation).await)
                    .await
            }
        };
        outcome.map(|value| json_answer(StatusCode::OK, &value)).map_err(refused)
    }

    /// The inner error is that of the shards or the names, the outer one that of the query.
    async fn explain(&self, query: Option<&str>) -> Result<Result<Value, Refused>, Box<Answer>> {
        let names = ["client", "user", "export", "file", "interval_ms"];
        let [client, user, export, file, interval_ms] = parameters(query, names)?;
        let user = number("user", user)?;
        let interval_ms = within("interval_ms", interval_ms, INTERVAL_MS)?.unwrap_or(INTERVAL_MS_DEFAULT);
        let route = self.keeper.lock().await.route(&Asked { client, user, export, file });
        let route = route.map_err(refused)?;
        let seats: Vec<_> = route.watched.iter().map(|one| one.seat).collect();
        // Meanwhile limits can be changed.
        let time = Duration::from_millis(interval_ms);
        let explained = self.meter.explain(&route.leaves, &seats, time).await;
        let keeper = self.keeper.lock().await;
        Ok(explained.map(|(spans, Parked { all, at })| keeper.show_route(&route, &spans, all, &at)))
    }

    async fn usage(&self, query: Option<&str>) -> Result<Result<Value, Refused>, Box<Answer>> {
        let [entity, interval_ms, top] = parameters(query, ["entity", "interval_ms", "top"])?;
        let interval_ms = within("interval_ms", interval_ms, INTERVAL_MS)?.unwrap_or(INTERVAL_MS_DEFAULT);
        let top = within("top", top, TOP)?.unwrap_or(TOP_DEFAULT);
        let watched = self.keeper.lock().await.watched(entity.as_deref()).map_err(refused)?;
        let seats: Vec<_> = watched.iter().map(|one| one.seat).collect();
        let spans = self.meter.measure(&seats, Duration::from_millis(interval_ms)).await;
        let keeper = self.keeper.lock().await;
        Ok(spans.map(|spans| keeper.show_usage(&watched, &spans, top)))
    }

    /// Makes a change that is not left half done when who asked for it has gone.
    async fn to_the_end(
        &self,
        change: impl AsyncFnOnce(&mut Keeper) -> Result<Value, Refused> + 'static,
    ) -> Result<Value, Refused> {
        let Self { keeper, changed, .. } = self.clone();
        let changing = tokio::task::spawn_local(async move {
            let outcome = change(&mut *keeper.lock().await).await;
            changed.notify_one();
            outcome
        });
        changing.await.expect("a panic has ended the process")
    }
}

/// For who has not said the token, or a wrong one.
pub fn without_token() -> Answer {
    let reason = "whoever asks over TCP has to send the token: Authorization: Bearer TOKEN";
    http::asking_for_token(*error(StatusCode::UNAUTHORIZED, reason, None))
}

/// What is asked for, and of whom.
fn route<'a>(method: &Method, path: &'a str) -> Result<(Operation, &'a str), Box<Answer>> {
    let rest = |template: &str| match template.split_once('{') {
        Some((before, _)) => path.strip_prefix(before).filter(|rest| !rest.is_empty()),
        None => (path == template).then_some(""),
    };
    let found = ROUTES.iter().filter_map(|(of, template, operation)| Some((of, *operation, rest(template)?)));
    let found: Vec<_> = found.collect();
    if let Some((_, operation, rest)) = found.iter().find(|(of, ..)| of == method) {
        return Ok((*operation, rest));
    }
    if found.is_empty() {
        let reason = format!("there is nothing at {path}; /v1/openapi.json says what there is");
        return Err(error(StatusCode::NOT_FOUND, &reason, None));
    }
    let methods: Vec<_> = found.iter().map(|(of, ..)| of.as_str()).collect();
    let methods = methods.join(", ");
    let reason = format!("{method} is not done here, but {methods}");
    let refused = error(StatusCode::METHOD_NOT_ALLOWED, &reason, None);
    Err(Box::new(http::allowing(*refused, &methods)))
}

fn decoded(text: &str) -> Result<String, Box<Answer>> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(|text| text.into_owned()).map_err(|_| wrong("the address is not UTF-8"))
}

/// The values of the parameters `names` in a query that has no others, and none twice.
fn parameters<const N: usize>(
    query: Option<&str>,
    names: [&str; N],
) -> Result<[Option<String>; N], Box<Answer>> {
    let mut values = [const { None }; N];
    for part in query.unwrap_or_default().split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        match names.iter().position(|known| *known == name) {
            Some(place) if values[place].is_none() => values[place] = Some(decoded(value)?),
            Some(_) => return Err(wrong(&format!("{name} is given twice"))),
            None => return Err(wrong(&format!("{name:?} is no parameter here, but {}", names.join(", ")))),
        }
    }
    Ok(values)
}

fn number<T: FromStr>(name: &str, text: Option<String>) -> Result<Option<T>, Box<Answer>> {
    let Some(text) = text else { return Ok(None) };
    let number =
        text.parse().map_err(|_| wrong(&format!("{name} is {text:?}, which is no number that it can be")));
    number.map(Some)
}

fn within<T: FromStr + PartialOrd + Display>(
    name: &str,
    text: Option<String>,
    range: RangeInclusive<T>,
) -> Result<Option<T>, Box<Answer>> {
    let number = number(name, text)?;
    let beyond = number.as_ref().filter(|number| !range.contains(number));
    let reason =
        beyond.map(|number| format!("{name} is {number}: give {} to {}", range.start(), range.end()));
    reason.map_or(Ok(number), |reason| Err(wrong(&reason)))
}

/// The object in a request's body.
async fn collect(body: Incoming, bytes_max: usize) -> Result<Map<String, Value>, Box<Answer>> {
    let body = Limited::new(body, bytes_max).collect().await.map_err(|failure| {
        if failure.is::<LengthLimitError>() {
            let reason = format!("the body has more than {bytes_max} bytes");
            error(StatusCode::PAYLOAD_TOO_LARGE, &reason, None)
        } else {
            wrong("the body does not come")
        }
    })?;
    serde_json::from_slice(&body.to_bytes())
        .map_err(|error| wrong(&format!("the body is no JSON object: {error}")))
}

/// Who is changed and how, of a body that has a list of it.
fn changes(mut body: Map<String, Value>) -> Result<Vec<Change>, Box<Answer>> {
    let (Some(Value::Array(list)), true) = (body.remove("limits"), body.is_empty()) else {
        return Err(wrong("the body has to be an object with the field limits, an array, and no other"));
    };
    if list.len() > CHANGES_MAX {
        return Err(wrong(&format!("{} limits are sent: at most {CHANGES_MAX} go together", list.len())));
    }
    let change = |(number, change): (usize, Value)| match change {
        Value::Object(mut patch) => match patch.remove("entity") {
            Some(Value::String(entity)) => Ok((entity, patch)),
            _ => Err(wrong(&format!("limit {} of the list has no entity", number + 1))),
        },
        _ => Err(wrong(&format!("limit {} of the list is no object", number + 1))),
    };
    list.into_iter().enumerate().map(change).collect()
}

fn refused(refused: Refused) -> Box<Answer> {
    let status = match refused.cause {
        Cause::Unknown => StatusCode::NOT_FOUND,
        Cause::Wrong => StatusCode::BAD_REQUEST,
        Cause::Conflict => StatusCode::CONFLICT,
        Cause::Unable => StatusCode::SERVICE_UNAVAILABLE,
    };
    error(status, &refused.reason, refused.in_force)
}

fn wrong(reason: &str) -> Box<Answer> {
    error(StatusCode::BAD_REQUEST, reason, None)
}

/// What is wrong, and what is in force; boxed, for it is larger than what goes well.
fn error(status: StatusCode, reason: &str, in_force: Option<Value>) -> Box<Answer> {
    let mut value = json!({ "error": reason });
    if let Some(in_force) = in_force {
        value["in_force"] = in_force;
    }
    Box::new(json_answer(status, &value))
}

fn json_answer(status: StatusCode, value: &Value) -> Answer {
    http::answer(status, "application/json", format!("{value}\n"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::num::NonZeroU64;

    use qos::limits::{Limit, Rates};

    use super::*;
    use crate::limits::{Span, TTL_SECONDS, fields};

    fn description() -> Value {
        serde_json::from_str(DESCRIPTION).expect("JSON")
    }

    #[test]
    fn the_description_has_all_routes_and_no_others() {
        let description = description();
        assert!(description["openapi"].as_str().unwrap().starts_with("3.1."));
        let described: BTreeSet<(String, String)> = description["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, methods)| {
                let methods = methods.as_object().unwrap().keys().filter(|key| *key != "parameters");
                methods.map(move |method| (path.clone(), method.to_uppercase()))
            })
            .collect();
        let routes =
            ROUTES.iter().map(|(method, path, _)| ((*path).to_owned(), method.to_string())).collect();
        assert_eq!(described, routes);
    }

    #[test]
    fn the_description_has_all_fields_and_no_others() {
        let schemas = &description()["components"]["schemas"];
        let keys = |schema: &str| -> BTreeSet<String> {
            schemas[schema]["properties"].as_object().unwrap().keys().cloned().collect()
        };
        let names = |more: &[&str]| -> BTreeSet<String> {
            fields::names().map(str::to_owned).chain(more.iter().map(|name| (*name).to_owned())).collect()
        };
        assert_eq!(keys("Change"), names(&[TTL_SECONDS]));
        assert_eq!(keys("Limit"), names(&["entity", "generation", "expires_in_seconds", "usage", "waiting"]));
        let limit =
            Limit { bytes: Rates { together: NonZeroU64::new(1), ..Rates::default() }, ..Limit::default() };
        let shown = Span::default().show(&limit);
        assert_eq!(keys("Usage"), shown.as_object().unwrap().keys().cloned().collect());
    }

    #[test]
    fn paths_lead_where_the_description_says() {
        let to = |method: Method, path: &str| {
            route(&method, path)
                .map(|(operation, rest)| (operation, rest.to_owned()))
                .map_err(|wrong| wrong.status())
        };
        assert_eq!(to(Method::GET, "/v1/limits"), Ok((Operation::List, String::new())));
        let entity = "export:/data/x".to_owned();
        assert_eq!(to(Method::PATCH, "/v1/limits/export:/data/x"), Ok((Operation::Change, entity)));
        assert_eq!(to(Method::GET, "/v1/limits/"), Err(StatusCode::NOT_FOUND));
        assert_eq!(to(Method::PUT, "/v1/limits/server"), Err(StatusCode::METHOD_NOT_ALLOWED));
        assert_eq!(to(Method::GET, "/"), Err(StatusCode::NOT_FOUND));
    }
}
