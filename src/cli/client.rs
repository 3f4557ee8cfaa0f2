//! Asks the vipd that runs, over its control socket.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use crate::control::model::Refusal;
use crate::daemon::run_dir::RunDir;

/// How long an answer may take: a reload may take a minute.
const ANSWER_MAX: Duration = Duration::from_secs(70);
/// How long the daemon may take to accept.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// How often it is looked whether it has ended.
const END_STEP: Duration = Duration::from_millis(20);

/// Which vipd is asked.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Whom {
    /// The run directory of the vipd that is asked
    #[arg(long, value_name = "DIR", default_value = "/run/vipd")]
    run_dir: PathBuf,
}

/// An answer as a whole.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

impl Answer {
    /// What it means as JSON.
    pub(super) fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, String> {
        serde_json::from_slice(&self.body).map_err(|error| {
            format!("the answer is not understood: is vipd of another version? ({error})")
        })
    }

    /// The same, where anything but success is a refusal.
    pub(super) fn done<T: serde::de::DeserializeOwned>(&self) -> Result<T, String> {
        if self.status.is_success() {
            return self.json();
        }
        Err(match self.json::<Refusal>() {
            Ok(refusal) => refusal.error,
            Err(_) => format!("vipd answers {}", self.status),
        })
    }
}

impl Whom {
    fn socket(&self) -> PathBuf {
        self.run_dir.join("control.sock")
    }

    /// Where that vipd keeps what it needs.
    pub(super) fn run_dir(&self) -> &Path {
        &self.run_dir
    }

    /// Asks and waits for the whole answer.
    ///
    /// # Errors
    /// Nobody answers: who should, and what to do.
    pub(super) fn ask(&self, method: Method, path: &str) -> Result<Answer, String> {
        run(async {
            let answered = tokio::time::timeout(ANSWER_MAX, async {
                let response = self.send(method, path).await?;
                let status = response.status();
                let body = response
                    .into_body()
                    .collect()
                    .await
                    .map_err(|e| self.broken(&e))?;
                Ok(Answer {
                    status,
                    body: body.to_bytes(),
                })
            });
            answered.await.unwrap_or_else(|_| {
                let (path, limit) = (self.socket(), ANSWER_MAX.as_secs());
                Err(format!(
                    "vipd at {} has not answered for {limit} s",
                    path.display()
                ))
            })
        })
    }

    /// Whether a vipd has this run directory.
    pub(super) fn is_there(&self) -> bool {
        RunDir::in_use(&self.run_dir)
    }

    /// Waits until the vipd that has this run directory has ended.
    ///
    /// # Errors
    /// It has not within `limit`.
    pub(super) fn wait_end(&self, limit: Duration) -> Result<(), String> {
        run(async {
            let ended = async {
                while self.is_there() {
                    tokio::time::sleep(END_STEP).await;
                }
            };
            let ended = tokio::time::timeout(limit, ended).await;
            ended.map_err(|_| {
                let (dir, limit) = (self.run_dir.display(), limit.as_secs());
                format!("the vipd of {dir} has not ended within {limit} s: look into its log")
            })
        })
    }

    /// Asks and hands over each line of the answer as it comes, until `take` does not want more.
    ///
    /// # Errors
    /// As [`Whom::ask`].
    pub(super) fn follow(
        &self,
        path: &str,
        mut take: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), String> {
        run(async {
            let response = self.send(Method::GET, path).await?;
            if !response.status().is_success() {
                return Err(format!("vipd answers {}", response.status()));
            }
            let mut body = response.into_body();
            let mut rest = Vec::new();
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| self.broken(&error))?;
                rest.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
                while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = rest.drain(..=end).collect();
                    if !take(line.trim_ascii_end()) {
                        return Ok(());
                    }
                }
            }
            Ok(())
        })
    }

    async fn send(&self, method: Method, path: &str) -> Result<Response<Incoming>, String> {
        let socket = self.socket();
        let stream = tokio::time::timeout(CONNECT_MAX, UnixStream::connect(&socket)).await;
        let stream = stream
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|error| nobody(&socket, &error))?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| self.broken(&error))?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(hyper::header::HOST, "vipd")
            .body(Empty::<Bytes>::new())
            .map_err(|error| format!("ask for {path}: {error}"))?;
        sender
            .send_request(request)
            .await
            .map_err(|error| self.broken(&error))
    }

    fn broken(&self, error: &hyper::Error) -> String {
        let path = self.socket();
        format!("vipd at {} broke off: {error}; did it end?", path.display())
    }
}

/// Why nobody is there, and what to do.
fn nobody(socket: &Path, error: &io::Error) -> String {
    let path = socket.display();
    let words = crate::errno::Words(error);
    let what = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            "no vipd runs with this run directory: start it (systemctl start vipd, or vipd -f FILE), or \
             name the directory of the one that runs with --run-dir"
        }
        io::ErrorKind::PermissionDenied => {
            "ask as root, or let a group look with `@vipd control_group GROUP` in global_defs"
        }
        _ => "is vipd busy? look into its log",
    };
    format!("control socket {path}: {words}; {what}")
}

fn run<T>(task: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| format!("start: {error}"))?;
    runtime.block_on(task)
}

/// A name within a path (RFC 3986 section 2.1).
pub(super) fn quoted(name: &str) -> String {
    let mut out = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_is_not_there_says_what_to_do() {
        let whom = Whom {
            run_dir: "/nonexistent/vipd".into(),
        };
        let error = whom.ask(Method::GET, "/v1/status").unwrap_err();
        assert!(error.contains("/nonexistent/vipd/control.sock"), "{error}");
        assert!(
            error.contains("start it") && error.contains("--run-dir"),
            "{error}"
        );
    }

    #[test]
    fn names_in_paths_cannot_lead_elsewhere() {
        assert_eq!(quoted("VI_1"), "VI_1");
        assert_eq!(quoted("../a b/ü"), "..%2Fa%20b%2F%C3%BC");
    }
}
