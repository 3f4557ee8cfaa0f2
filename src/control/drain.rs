//! Servers that an operator takes out, and lets in again.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::sync::oneshot;

use crate::daemon::balancer_thread::Order;
use crate::engine::balancer::Whom;

use super::desk::{Desk, Stuck};
use super::model::{Done, Draining};
use super::orders::Refused;
use super::routes::answered;

/// How long the balancer's thread may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// The longest time that connections may be given, in seconds: a day.
const TIME_MAX: u64 = 86_400;

/// `?for=SECONDS`.
#[derive(Debug, Deserialize)]
pub(super) struct Limit {
    #[serde(rename = "for")]
    seconds: Option<u64>,
}

/// Takes a server out.
pub(super) async fn drain(
    State(desk): State<Desk>,
    Path(server): Path<String>,
    Query(limit): Query<Limit>,
) -> Response {
    answered(take_out(&desk, &server, limit.seconds).await)
}

/// Lets it in again.
pub(super) async fn undrain(State(desk): State<Desk>, Path(server): Path<String>) -> Response {
    answered(let_in(&desk, &server).await)
}

/// How far that is.
pub(super) async fn look(State(desk): State<Desk>, Path(server): Path<String>) -> Response {
    match progress(&desk, &server).await {
        Ok(draining) => Json(draining).into_response(),
        Err(refused) => answered::<Done>(Err(refused)),
    }
}

async fn take_out(desk: &Desk, server: &str, seconds: Option<u64>) -> Result<Done, Refused> {
    let whom = whom(server)?;
    if seconds.is_some_and(|seconds| !(1..=TIME_MAX).contains(&seconds)) {
        let text = format!("drain {server}: the time is from 1 s to a day");
        return Err((StatusCode::BAD_REQUEST, text));
    }
    known(desk, whom).await?;
    let limit = seconds.map(Duration::from_secs);
    let count = order(desk, |reply| Order::Drain(whom, limit, reply)).await?;
    let done = format!(
        "{whom} takes no new connections in {count} virtual servers, until `vipd undrain {whom}`"
    );
    Ok(Done { done })
}

async fn let_in(desk: &Desk, server: &str) -> Result<Done, Refused> {
    let whom = whom(server)?;
    let count = order(desk, |reply| Order::Undrain(whom, reply)).await?;
    let done =
        format!("{whom} takes connections again in {count} virtual servers, where its checks pass");
    Ok(Done { done })
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
        if server.drained && server.weight_in_kernel.is_some() {
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
    let text = format!("drain {whom}: no virtual server has such a server; see `vipd status`");
    Err((StatusCode::NOT_FOUND, text))
}

async fn order(
    desk: &Desk,
    order: impl FnOnce(oneshot::Sender<usize>) -> Order,
) -> Result<usize, Refused> {
    let (reply, answer) = oneshot::channel();
    desk.order(order(reply));
    match tokio::time::timeout(ANSWER_MAX, answer).await {
        Ok(Ok(count)) => Ok(count),
        Ok(Err(_)) | Err(_) => Err(Stuck("balancer").into()),
    }
}
