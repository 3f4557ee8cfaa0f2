//! `DNS_CHECK`: a name server answers a question, and without an error.

use std::sync::atomic::{AtomicU16, Ordering};

use crate::config::model::DnsCheck;
use crate::wire::dns::{code_name, query, response_code};

use super::ProbeError;
use super::datagram::exchange;

/// Only the header is looked at.
const ANSWER_MAX: usize = 512;

/// # Errors
/// No answer, or one with an error code.
pub(super) async fn ask(check: &DnsCheck) -> Result<(), ProbeError> {
    // The socket is connected and new for each question; the number tells late answers from ours.
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    let question = query(id, &check.name, check.record_type)
        .map_err(|error| ProbeError::Answer(format!("`{}` is {error}", check.name)))?;
    let accept = |bytes: &[u8]| {
        let code = response_code(id, bytes)?;
        Some(match code {
            0 => Ok(()),
            _ => Err(format!("the answer is {} ({code})", code_name(code))),
        })
    };
    let mut answer = [0; ANSWER_MAX];
    match exchange(&check.connect, &question, &mut answer, accept).await? {
        Some(()) => Ok(()),
        None => Err(ProbeError::Timeout(check.connect.connect_timeout)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests::{local, run};
    use std::net::UdpSocket;
    use std::time::Duration;

    /// A name server that answers one question with what `change` makes of it.
    fn server(change: fn(&mut Vec<u8>)) -> DnsCheck {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut bytes = vec![0; 600];
            let (length, from) = server.recv_from(&mut bytes).unwrap();
            bytes.truncate(length);
            bytes[2] |= 0x80;
            change(&mut bytes);
            server.send_to(&bytes, from).unwrap();
        });
        DnsCheck {
            connect: local(address, Duration::from_millis(300)),
            record_type: 6,
            name: "example.".to_owned(),
        }
    }

    #[test]
    fn a_server_that_answers_without_an_error_is_well() {
        run(ask(&server(|_| {}))).unwrap();
        let error = run(ask(&server(|bytes| bytes[3] = 2))).unwrap_err();
        assert_eq!(error.to_string(), "the answer is SERVFAIL (2)");
    }

    #[test]
    fn half_an_answer_is_none() {
        let error = run(ask(&server(|bytes| bytes.truncate(11)))).unwrap_err();
        assert_eq!(error.to_string(), "no answer within 300ms");
    }

    #[test]
    fn an_answer_to_somebody_else_is_none() {
        let error = run(ask(&server(|bytes| bytes[0] ^= 0xff))).unwrap_err();
        assert_eq!(error.to_string(), "no answer within 300ms");
    }
}
