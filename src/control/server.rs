//! Connections: who may connect, how many at once, and for how long nobody may say or take anything.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Extension;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::time::Sleep;
use tracing::{debug, warn};

use super::desk::Desk;
use super::routes::{self, Client, May};

/// How long a client may take to say what it wants, also between two requests.
const ASK_MAX: Duration = Duration::from_secs(10);
/// How long a client may take nothing of its answer.
const TAKE_MAX: Duration = Duration::from_secs(10);
/// Bytes of a request's head.
const HEAD_MAX: usize = 16 * 1024;
/// Connections at once of those who may only look, and of those who may change; more are closed at once.
const READERS_MAX: usize = 64;
const CHANGERS_MAX: usize = 16;
/// After an error of accept(2), which is mostly that there are no more descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Where to be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A socket of the file system.
    Socket {
        /// Its path.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// Number of the group that it belongs to.
        group: Option<u32>,
    },
    /// An address and port, where anybody may look at `/metrics` and `/healthz`.
    Port(SocketAddr),
    /// The same, with the status page.
    Page(SocketAddr),
}

/// A server that ends when this is dropped.
#[derive(Debug)]
pub struct Serving {
    task: tokio::task::JoinHandle<()>,
    socket: Option<(PathBuf, u64)>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
        // Only our own: a successor may have put his in its place.
        if let Some((path, inode)) = &self.socket
            && fs::symlink_metadata(path).is_ok_and(|found| found.ino() == *inode)
        {
            let _ = fs::remove_file(path);
        }
    }
}

/// Starts to serve there, on the runtime of whoever calls.
///
/// # Errors
/// The socket cannot be made, in words.
pub fn start(desk: Desk, at: &Address) -> Result<Serving, String> {
    match at {
        Address::Socket { path, mode, group } => {
            let failed = |error: io::Error| {
                format!(
                    "make control socket {}: {}",
                    path.display(),
                    crate::errno::Words(&error)
                )
            };
            let listener = bind(path, *mode, *group).map_err(failed)?;
            let inode = fs::symlink_metadata(path).map_err(failed)?.ino();
            Ok(Serving {
                task: tokio::spawn(serve_on(desk, listener)),
                socket: Some((path.clone(), inode)),
            })
        }
        Address::Port(address) | Address::Page(address) => {
            let failed =
                |error: io::Error| format!("listen on {address}: {}", crate::errno::Words(&error));
            let listener = std::net::TcpListener::bind(address).map_err(failed)?;
            listener.set_nonblocking(true).map_err(failed)?;
            let listener = TcpListener::from_std(listener).map_err(failed)?;
            let router = match at {
                Address::Page(_) => routes::page(desk),
                _ => routes::open(desk),
            };
            Ok(Serving {
                task: tokio::spawn(serve_port(router, listener)),
                socket: None,
            })
        }
    }
}

/// Made beside its place and moved there when it has its mode, so that nobody can connect before; what
/// a predecessor left there is replaced.
fn bind(path: &Path, mode: u32, group: Option<u32>) -> io::Result<UnixListener> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(beside);
    let _ = fs::remove_file(&beside);
    let listener = std::os::unix::net::UnixListener::bind(&beside)?;
    let placed = listener
        .set_nonblocking(true)
        .and_then(|()| fs::set_permissions(&beside, fs::Permissions::from_mode(0o000)))
        .and_then(|()| chown(&beside, None, group))
        .and_then(|()| fs::set_permissions(&beside, fs::Permissions::from_mode(mode)))
        .and_then(|()| fs::rename(&beside, path));
    if let Err(error) = placed {
        let _ = fs::remove_file(&beside);
        return Err(error);
    }
    UnixListener::from_std(listener)
}

/// Serves whoever connects to a socket of the file system.
pub async fn serve_on(desk: Desk, listener: UnixListener) {
    let readers = Arc::new(Semaphore::new(READERS_MAX));
    let changers = Arc::new(Semaphore::new(CHANGERS_MAX));
    let router = routes::all(desk);
    let own = crate::kernel::spawner::own_user();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                debug!("control socket: {error}");
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        // SO_PEERCRED: who connected, as the kernel knows it.
        let user = stream.peer_cred().map(|peer| peer.uid()).ok();
        let may = match user {
            Some(uid) if uid == 0 || uid == own => May::Change,
            _ => May::Read,
        };
        let seats = match may {
            May::Change => &changers,
            May::Read => &readers,
        };
        let Ok(seat) = Arc::clone(seats).try_acquire_owned() else {
            warn!("control socket: too many connections at once, one is closed");
            continue;
        };
        let router = router.clone().layer(Extension(may));
        let router = router.layer(Extension(Client(user)));
        tokio::spawn(async move {
            connection(stream, router).await;
            drop(seat);
        });
    }
}

async fn serve_port(router: axum::Router, listener: TcpListener) {
    let seats = Arc::new(Semaphore::new(READERS_MAX));
    let router = router.layer(Extension(May::Read));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                debug!("metrics: {error}");
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        let Ok(seat) = Arc::clone(&seats).try_acquire_owned() else {
            continue;
        };
        let router = router.clone();
        tokio::spawn(async move {
            connection(stream, router).await;
            drop(seat);
        });
    }
}

async fn connection<S>(stream: S, router: axum::Router)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let io = TokioIo::new(Patient {
        stream,
        waiting: None,
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(ASK_MAX)
        .max_buf_size(HEAD_MAX)
        .serve_connection(io, TowerToHyperService::new(router))
        .await;
    if let Err(error) = served {
        debug!("control connection: {error}");
    }
}

/// A stream that fails when nothing could be written for [`TAKE_MAX`].
struct Patient<S> {
    stream: S,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S: Unpin> Patient<S> {
    /// What became of a write: with nothing written, the time runs.
    fn judge<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let sleep = || Box::pin(tokio::time::sleep(TAKE_MAX));
        let waiting = self.waiting.get_or_insert_with(sleep);
        ready!(waiting.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.judge(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.judge(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.judge(cx, ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::post;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    #[tokio::test]
    async fn who_may_only_look_changes_nothing() {
        let guarded = axum::Router::new()
            .route("/v1/reload", post(async || "done"))
            .layer(axum::middleware::from_fn(routes::only_who_may));
        for (may, status) in [(May::Read, "403"), (May::Change, "200")] {
            let (mut client, stream) = duplex(4096);
            tokio::spawn(connection(stream, guarded.clone().layer(Extension(may))));
            let request = b"POST /v1/reload HTTP/1.1\r\nHost: v\r\nConnection: close\r\n\r\n";
            client.write_all(request).await.unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status}")),
                "{answer}"
            );
        }
    }
}
