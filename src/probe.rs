//! Asking servers whether they are well. One attempt, one answer: when to ask and what an answer means is
//! decided by who asks. What a server sends is never trusted with memory or with time.

mod backend;
mod connects;
mod datagram;
mod dns;
mod error;
pub mod http;
mod kit;
mod ping;
mod read;
mod smtp;
mod socket;
pub mod talk;
mod tcp;
mod tls;
mod udp;

pub use connects::{Answer, Connects};
pub use error::ProbeError;
pub use kit::Kit;

use crate::config::model::CheckerKind;
use crate::health::{CheckOutcome, Question};

/// Asks one question over the network. `TCP_CHECK` is asked by [`Connects`], scripts are run elsewhere, and what is
/// only told of is not asked.
pub async fn ask(question: &Question, kit: &Kit) -> CheckOutcome {
    let result = match question.kind() {
        // In boxes: each has room for itself only.
        CheckerKind::Udp(check) => Box::pin(udp::ask(check)).await,
        CheckerKind::Dns(check) => Box::pin(dns::ask(check)).await,
        CheckerKind::Ping(options) => Box::pin(ping::ask(options)).await,
        CheckerKind::Smtp(check) => Box::pin(smtp::ask(check)).await,
        CheckerKind::Http(check) => match Box::pin(http::ask(kit, check, question.stage())).await {
            Ok(None) => Ok(()),
            Ok(Some(odd)) => return CheckOutcome::PassedBut(odd),
            Err(error) => Err(error),
        },
        CheckerKind::Backend(check) => match Box::pin(backend::ask(kit, check)).await {
            Ok(outcome) => return outcome,
            Err(error) => Err(error),
        },
        CheckerKind::Tcp(_) | CheckerKind::Misc(_) | CheckerKind::Bfd(_) | CheckerKind::File(_) => {
            let keyword = question.kind().keyword();
            return CheckOutcome::NotAsked(format!("{keyword} is not asked in this way"));
        }
    };
    outcome(result)
}

/// What an attempt makes of a check.
fn outcome(result: Result<(), ProbeError>) -> CheckOutcome {
    match result {
        Ok(()) => CheckOutcome::Passed,
        Err(error) if error.is_local() => CheckOutcome::NotAsked(error.to_string()),
        Err(error) => CheckOutcome::Failed(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use crate::config::model::ConnectOptions;
    use crate::net::Endpoint;

    /// To this address, within this time, nothing else asked for.
    pub(super) fn local(to: SocketAddr, connect_timeout: Duration) -> ConnectOptions {
        ConnectOptions {
            destination: Endpoint::new(to.ip(), to.port()),
            bind_to: None,
            bind_port: 0,
            bind_if: None,
            mark: None,
            connect_timeout,
        }
    }

    pub(super) fn run<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.expect("a runtime").block_on(future)
    }
}
