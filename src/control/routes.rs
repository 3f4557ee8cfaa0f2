//! What can be asked, and where.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde::Deserialize;

use super::api;
use super::desk::{Desk, Stuck};
use super::events::Log;
use super::metrics;
use super::model::{Missing, Refusal};
use super::orders::{self, Refused};
use super::overrides;
use super::page;

/// What a client may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum May {
    /// Everything.
    Change,
    /// Look.
    Read,
}

/// Who asks, as the kernel knows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client(pub(super) Option<u32>);

impl std::fmt::Display for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(0) => f.write_str("root"),
            Some(user) => write!(f, "user {user}"),
            None => f.write_str("somebody"),
        }
    }
}

/// Events that are read from the log at once.
const BATCH: usize = 256;

/// Everything, for the socket.
pub(super) fn all(desk: Desk) -> Router {
    let orders = Router::new()
        .route("/v1/reload", post(reload))
        .route("/v1/stop", post(stop))
        .route("/v1/plan", post(plan))
        .route("/v1/instances/{name}/failover", post(hand_over))
        .route("/v1/instances/{name}/announce", post(announce))
        .route("/v1/servers/{server}/undrain", post(overrides::undrain))
        .route("/v1/servers/{server}/drain", post(overrides::drain))
        .route("/v1/servers/{server}/weight", post(overrides::weight))
        .route("/v1/checks/{whom}/pause", post(overrides::pause))
        .route("/v1/checks/{whom}/resume", post(overrides::resume))
        .layer(middleware::from_fn_with_state(desk.clone(), ordered))
        .layer(middleware::from_fn(only_who_may));
    looks()
        .route("/v1/status", get(status))
        .route("/v1/events", get(events))
        .route("/v1/servers/{server}/progress", get(overrides::look))
        .route("/v1/openapi.json", get(async || Json(api::document())))
        .merge(orders)
        .fallback(nothing)
        .with_state(desk)
}

/// What anybody may see, for an address.
pub(super) fn open(desk: Desk) -> Router {
    looks().fallback(nothing).with_state(desk)
}

/// The status page and what it shows, for an address.
pub(super) fn page(desk: Desk) -> Router {
    let router = looks()
        .route("/v1/status", get(status))
        .route("/v1/events", get(kept_events));
    page::add(router).fallback(nothing).with_state(desk)
}

fn looks() -> Router<Desk> {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(health))
}

fn refuse(status: StatusCode, error: impl Into<String>) -> Response {
    let error = error.into();
    (status, Json(Refusal { error })).into_response()
}

impl IntoResponse for Stuck {
    fn into_response(self) -> Response {
        refuse(StatusCode::SERVICE_UNAVAILABLE, self.to_string())
    }
}

pub(super) async fn only_who_may(
    Extension(may): Extension<May>,
    request: axum::extract::Request,
    next: Next,
) -> Response {
    if may == May::Change {
        return next.run(request).await;
    }
    refuse(
        StatusCode::FORBIDDEN,
        "this changes the daemon: only root, or the user that it runs as, may",
    )
}

/// Whoever was answered looks at what came of it.
async fn ordered(
    State(desk): State<Desk>,
    request: axum::extract::Request,
    next: Next,
) -> Response {
    let response = next.run(request).await;
    desk.ordered();
    response
}

async fn nothing(uri: Uri) -> Response {
    refuse(
        StatusCode::NOT_FOUND,
        format!("there is nothing at {}", uri.path()),
    )
}

/// `?traffic=true`.
#[derive(Debug, Deserialize)]
struct What {
    #[serde(default)]
    traffic: bool,
}

async fn status(State(desk): State<Desk>, Query(what): Query<What>) -> Result<Response, Stuck> {
    let json = desk.status_json(what.traffic).await?;
    Ok(([(CONTENT_TYPE, "application/json")], json).into_response())
}

async fn metrics(State(desk): State<Desk>) -> Result<Response, Stuck> {
    let text = metrics::text(&desk).await?;
    Ok(([(CONTENT_TYPE, metrics::CONTENT)], text).into_response())
}

async fn health(State(desk): State<Desk>) -> Result<&'static str, Stuck> {
    desk.failover().await?;
    desk.balancer().await?;
    Ok("ok\n")
}

pub(super) fn answered<T: serde::Serialize>(result: Result<T, Refused>) -> Response {
    match result {
        Ok(done) => Json(done).into_response(),
        Err((status, error)) => refuse(status, error),
    }
}

async fn reload(State(desk): State<Desk>) -> Response {
    match orders::reload(&desk).await {
        Ok(reload) if !reload.done => {
            (StatusCode::UNPROCESSABLE_ENTITY, Json(reload)).into_response()
        }
        other => answered(other),
    }
}

/// `?keep=true`.
#[derive(Debug, Deserialize)]
struct How {
    #[serde(default)]
    keep: bool,
}

async fn stop(State(desk): State<Desk>, Query(how): Query<How>) -> Response {
    answered(orders::stop(&desk, how.keep).await)
}

/// `?file=FILE`; without it the one that the daemon runs with.
#[derive(Debug, Deserialize)]
struct Which {
    file: Option<std::path::PathBuf>,
}

/// Whoever asks learns what stands in the lines of a file that are wrong: an order, though it changes nothing.
async fn plan(State(desk): State<Desk>, Query(which): Query<Which>) -> Response {
    match orders::plan(&desk, which.file).await {
        Ok(plan) if !plan.errors.is_empty() => {
            (StatusCode::UNPROCESSABLE_ENTITY, Json(plan)).into_response()
        }
        other => answered(other),
    }
}

async fn hand_over(State(desk): State<Desk>, Path(name): Path<String>) -> Response {
    answered(orders::hand_over(&desk, &name).await)
}

async fn announce(State(desk): State<Desk>, Path(name): Path<String>) -> Response {
    answered(orders::announce(&desk, &name).await)
}

/// `?after=NUMBER&follow=true`.
#[derive(Debug, Deserialize)]
struct Since {
    #[serde(default)]
    after: u64,
    #[serde(default)]
    follow: bool,
}

/// Those that are kept: whoever asks at an address holds no connection open for what may come.
async fn kept_events(desk: State<Desk>, Query(since): Query<Since>) -> Response {
    let kept = Since {
        follow: false,
        ..since
    };
    events(desk, Query(kept)).await
}

async fn events(State(desk): State<Desk>, Query(since): Query<Since>) -> Response {
    let lines = Lines {
        log: desk.log().clone(),
        after: since.after,
        follow: since.follow,
    };
    let body = Body::from_stream(futures(lines));
    ([(CONTENT_TYPE, "application/x-ndjson")], body).into_response()
}

/// Lines of events, as the client takes them.
struct Lines {
    log: Log,
    after: u64,
    follow: bool,
}

impl Lines {
    /// The next lines; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let (missing, events) = self.log.after(self.after, BATCH);
            let Some(last) = events.last() else {
                if !self.follow {
                    return None;
                }
                self.log.beyond(self.after).await;
                continue;
            };
            // From the beginning, nothing is missed that was never asked for.
            let missing = if self.after == 0 { 0 } else { missing };
            self.after = last.number;
            let mut text = String::new();
            if missing > 0 {
                push_line(&mut text, &Missing { missing });
            }
            for event in &events {
                push_line(&mut text, event);
            }
            return Some(Bytes::from(text));
        }
    }
}

fn push_line(text: &mut String, line: &impl serde::Serialize) {
    text.push_str(&serde_json::to_string(line).unwrap_or_default());
    text.push('\n');
}

fn futures(lines: Lines) -> impl futures_util::Stream<Item = Result<Bytes, Infallible>> {
    futures_util::stream::unfold(lines, |mut lines| async move {
        let next = lines.next().await?;
        Some((Ok(next), lines))
    })
}
