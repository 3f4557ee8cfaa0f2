//! What an operator orders instead of what the configuration says: servers that are taken out, weights,
//! checks that are not made; and taken back.

use std::time::{Duration, SystemTime};

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use tokio::sync::oneshot;

use crate::daemon::balancer_thread::Order;
use crate::engine::balancer::{Kind, Override, Scope, Set, Whom};
use crate::kernel::clock;

use super::desk::{Desk, Stuck};
use super::model::{self, Done, Draining};
use super::orders::Refused;
use super::routes::{Client, answered};
use super::status::ToStamp;

/// How long the balancer's thread may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// The longest time that connections may be given, in seconds: a day.
const GRACE_MAX: u64 = 86_400;
/// The longest time that an order may have, in seconds: a year. Beyond that it has none.
const TIME_MAX: u64 = 366 * 86_400;
/// The largest weight, as in the configuration.
const WEIGHT_MAX: u32 = 65_535;
/// Bytes of a reason, and of a name.
const TEXT_MAX: usize = 500;

/// `?for=SECONDS&reason=TEXT&by=NAME`.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Terms {
    #[serde(rename = "for")]
    seconds: Option<u64>,
    reason: Option<String>,
    by: Option<String>,
    /// Of a drain: seconds that connections may last.
    grace: Option<u64>,
    /// Of a weight.
    weight: Option<u32>,
}

/// Takes a server out.
pub(super) async fn drain(
    State(desk): State<Desk>,
    Extension(client): Extension<Client>,
    Path(server): Path<String>,
    Query(terms): Query<Terms>,
) -> Response {
    answered(take_out(&desk, client, &server, terms).await)
}

/// Lets it in again.
pub(super) async fn undrain(
    State(desk): State<Desk>,
    Extension(client): Extension<Client>,
    Path(server): Path<String>,
    Query(terms): Query<Terms>,
) -> Response {
    answered(let_in(&desk, client, &server, terms).await)
}

/// Gives a server another weight, or takes that back.
pub(super) async fn weight(
    State(desk): State<Desk>,
    Extension(client): Extension<Client>,
    Path(server): Path<String>,
    Query(terms): Query<Terms>,
) -> Response {
    answered(weigh(&desk, client, &server, terms).await)
}

/// Has servers not checked.
pub(super) async fn pause(
    State(desk): State<Desk>,
    Extension(client): Extension<Client>,
    Path(name): Path<String>,
    Query(terms): Query<Terms>,
) -> Response {
    answered(stop_checks(&desk, client, &name, terms).await)
}

/// Has them checked again.
pub(super) async fn resume(
    State(desk): State<Desk>,
    Extension(client): Extension<Client>,
    Path(name): Path<String>,
    Query(terms): Query<Terms>,
) -> Response {
    answered(begin_checks(&desk, client, &name, terms).await)
}

/// How far a server is that was taken out.
pub(super) async fn look(State(desk): State<Desk>, Path(server): Path<String>) -> Response {
    match progress(&desk, &server).await {
        Ok(draining) => Json(draining).into_response(),
        Err(refused) => answered::<Done>(Err(refused)),
    }
}

async fn take_out(
    desk: &Desk,
    client: Client,
    server: &str,
    terms: Terms,
) -> Result<Done, Refused> {
    let whom = whom(server)?;
    let grace = terms.grace;
    if grace.is_some_and(|seconds| !(1..=GRACE_MAX).contains(&seconds)) {
        let text = format!("drain {server}: the time of connections is from 1 s to a day");
        return Err((StatusCode::BAD_REQUEST, text));
    }
    known(desk, whom).await?;
    let set = Set::Drain(grace.map(Duration::from_secs));
    let (count, until) = give(desk, client, Scope::Server(whom), set, terms).await?;
    let until = until.unwrap_or_else(|| format!("until `vipd undrain {whom}`"));
    let done = format!("{whom} takes no new connections in {count} virtual servers, {until}");
    Ok(Done { done })
}

async fn let_in(desk: &Desk, client: Client, server: &str, terms: Terms) -> Result<Done, Refused> {
    let whom = whom(server)?;
    let count = lift(desk, client, (Kind::Drain, Scope::Server(whom)), terms).await?;
    let done =
        format!("{whom} takes connections again in {count} virtual servers, where its checks pass");
    Ok(Done { done })
}

async fn weigh(desk: &Desk, client: Client, server: &str, terms: Terms) -> Result<Done, Refused> {
    let whom = whom(server)?;
    let scope = Scope::Server(whom);
    let Some(weight) = terms.weight else {
        let count = lift(desk, client, (Kind::Weight, scope), terms).await?;
        let done = format!("{whom} has its configured weight again in {count} virtual servers");
        return Ok(Done { done });
    };
    if weight > WEIGHT_MAX {
        let text = format!("weight of {server}: it is from 0 to {WEIGHT_MAX}");
        return Err((StatusCode::BAD_REQUEST, text));
    }
    known(desk, whom).await?;
    let (count, until) = give(desk, client, scope, Set::Weight(weight), terms).await?;
    let until = until.unwrap_or_else(|| format!("until `vipd weight {whom} configured`"));
    let done = format!("{whom} has weight {weight} in {count} virtual servers, {until}");
    Ok(Done { done })
}

async fn stop_checks(
    desk: &Desk,
    client: Client,
    name: &str,
    terms: Terms,
) -> Result<Done, Refused> {
    let scope = scope(desk, name).await?;
    let (count, until) = give(desk, client, scope.clone(), Set::Pause, terms).await?;
    let until = until.unwrap_or_else(|| format!("until `vipd resume {scope}`"));
    let done = format!(
        "{count} servers of {scope} are not checked, {until}: what their checks said last holds"
    );
    Ok(Done { done })
}

async fn begin_checks(
    desk: &Desk,
    client: Client,
    name: &str,
    terms: Terms,
) -> Result<Done, Refused> {
    // What was paused may be gone from the configuration.
    let scope = match scope(desk, name).await {
        Ok(scope) => scope,
        Err(refused) => {
            let view = desk.balancer_now().await?;
            let mut paused = view.overrides.iter().map(|(scope, _)| scope);
            let there = paused.find(|scope| scope.to_string() == name);
            there.cloned().ok_or(refused)?
        }
    };
    let count = lift(desk, client, (Kind::Pause, scope.clone()), terms).await?;
    let done = format!("{count} servers of {scope} are checked again");
    Ok(Done { done })
}

/// A server or a virtual server, whichever has this name.
async fn scope(desk: &Desk, name: &str) -> Result<Scope, Refused> {
    let view = desk.balancer().await?;
    if let Ok(whom) = name.parse::<Whom>() {
        let mut all = view.services.iter().flat_map(|service| &service.servers);
        if all.any(|server| whom.means(server.endpoint)) {
            return Ok(Scope::Server(whom));
        }
    }
    let called = view.services.iter().find_map(|service| {
        if let Some(group) = &service.group {
            return (group == name).then(|| group.clone());
        }
        let full = service.key.to_string();
        (full == name || full.split('/').next() == Some(name)).then_some(full)
    });
    called.map(Scope::Service).ok_or_else(|| {
        let text =
            format!("{name}: no server and no virtual server is called so; see `vipd status`");
        (StatusCode::NOT_FOUND, text)
    })
}

async fn progress(desk: &Desk, server: &str) -> Result<Draining, Refused> {
    let whom = whom(server)?;
    let view = desk.balancer_now().await?;
    let all = view.services.iter().flat_map(|service| &service.servers);
    let meant = all.filter(|server| whom.means(server.endpoint));
    let mut draining = Draining {
        servers: 0,
        left: 0,
        connections: Some(0),
    };
    for server in meant {
        draining.servers += 1;
        if server.is_drained() && server.weight_in_kernel.is_some() {
            draining.left += 1;
            let more = server.connections.map(u64::from);
            draining.connections = draining.connections.zip(more).map(|(sum, more)| sum + more);
        }
    }
    Ok(draining)
}

fn whom(server: &str) -> Result<Whom, Refused> {
    server
        .parse()
        .map_err(|error| (StatusCode::BAD_REQUEST, error))
}

/// A server that no virtual server has is a slip of the pen.
async fn known(desk: &Desk, whom: Whom) -> Result<(), Refused> {
    let view = desk.balancer().await?;
    let mut all = view.services.iter().flat_map(|service| &service.servers);
    if all.any(|server| whom.means(server.endpoint)) {
        return Ok(());
    }
    let text = format!("{whom}: no virtual server has such a server; see `vipd status`");
    Err((StatusCode::NOT_FOUND, text))
}

/// A line of text, as it may stand in logs and tables.
fn line(text: Option<String>) -> Result<Option<String>, Refused> {
    let text = text.map(|text| text.trim().to_owned());
    let text = text.filter(|text| !text.is_empty());
    if text
        .as_ref()
        .is_some_and(|text| text.len() > TEXT_MAX || text.chars().any(char::is_control))
    {
        let text = format!("a reason and a name are one line of at most {TEXT_MAX} bytes");
        return Err((StatusCode::BAD_REQUEST, text));
    }
    Ok(text)
}

/// Who orders, as it is told.
fn by(client: Client, said: Option<String>) -> Result<String, Refused> {
    Ok(line(said)?.unwrap_or_else(|| client.to_string()))
}

/// Has an order hold; how many servers it is about, and until when, if it ends by itself.
async fn give(
    desk: &Desk,
    client: Client,
    scope: Scope,
    set: Set,
    terms: Terms,
) -> Result<(usize, Option<String>), Refused> {
    if terms
        .seconds
        .is_some_and(|seconds| !(1..=TIME_MAX).contains(&seconds))
    {
        let text = "the time of an order is from 1 s to a year".to_owned();
        return Err((StatusCode::BAD_REQUEST, text));
    }
    let now = clock::now();
    let until = terms.seconds.map(|s| now + Duration::from_secs(s));
    let order = Override {
        set,
        by: by(client, terms.by)?,
        reason: line(terms.reason)?,
        since: super::desk::epoch(now).as_secs(),
        until,
    };
    let (reply, answer) = oneshot::channel();
    let count = ask(desk, Order::Override(scope, order, reply), answer).await?;
    let until = until.map(|until| format!("until {}", super::desk::stamp(until)));
    Ok((count, until))
}

/// Takes orders back.
async fn lift(
    desk: &Desk,
    client: Client,
    (kind, scope): (Kind, Scope),
    terms: Terms,
) -> Result<usize, Refused> {
    let by = by(client, terms.by)?;
    let (reply, answer) = oneshot::channel();
    ask(desk, Order::Lift(kind, scope, by, reply), answer).await
}

async fn ask(
    desk: &Desk,
    order: Order,
    answer: oneshot::Receiver<usize>,
) -> Result<usize, Refused> {
    desk.order(order);
    match tokio::time::timeout(ANSWER_MAX, answer).await {
        Ok(Ok(count)) => Ok(count),
        Ok(Err(_)) | Err(_) => Err(Stuck("balancer").into()),
    }
}

/// An order as it is told.
pub(super) fn told((scope, order): &(Scope, Override), stamp: ToStamp<'_>) -> model::Override {
    let (what, weight) = match order.set {
        Set::Drain(_) => ("drain", None),
        Set::Weight(weight) => ("weight", Some(weight)),
        Set::Pause => ("pause", None),
    };
    let since = SystemTime::UNIX_EPOCH + Duration::from_secs(order.since);
    let mut told = model::Override {
        what: what.to_owned(),
        whom: scope.to_string(),
        weight,
        by: order.by.clone(),
        reason: order.reason.clone(),
        since: super::desk::stamp_of(since),
        until: order.until.map(stamp),
        says: String::new(),
    };
    told.says = super::words::ordered(&told);
    told
}
