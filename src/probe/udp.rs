//! `UDP_CHECK`: a datagram is sent; it must not be refused, or it must be answered.

use crate::config::model::UdpCheck;
use crate::health::reply;

use super::ProbeError;
use super::datagram::exchange;

/// # Errors
/// The port is closed; or an answer is required, and none came, or not the right one.
pub(super) async fn ask(check: &UdpCheck) -> Result<(), ProbeError> {
    let options = &check.connect;
    // One byte more than is wanted tells that there are too many.
    let mut answer = vec![0; usize::from(check.max_reply_length) + 1];
    let required = check.require_reply.as_deref();
    let lengths = (check.min_reply_length, check.max_reply_length);
    let judge = |bytes: &[u8]| match required {
        Some(wanted) => reply::judge(lengths, wanted, bytes),
        None => Ok(()),
    };
    let accept = |bytes: &[u8]| Some(judge(bytes));
    match exchange(options, &check.payload, &mut answer, accept).await? {
        Some(()) => Ok(()),
        // Silence is what a server says to a datagram that it does not understand.
        None if required.is_none() => Ok(()),
        None => Err(ProbeError::Timeout(options.connect_timeout)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::MaskedByte;
    use crate::probe::tests::{local, run};
    use std::net::UdpSocket;
    use std::time::Duration;

    fn check(server: &UdpSocket, reply: Option<&[(u8, u8)]>) -> UdpCheck {
        let masked = |&(value, mask): &(u8, u8)| MaskedByte { value, mask };
        UdpCheck {
            connect: local(server.local_addr().unwrap(), Duration::from_millis(300)),
            payload: b"hello".to_vec(),
            require_reply: reply.map(|bytes| bytes.iter().map(masked).collect()),
            min_reply_length: 2,
            max_reply_length: 4,
        }
    }

    /// Answers one datagram.
    fn answers(bytes: &'static [u8]) -> UdpSocket {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let other = server.try_clone().unwrap();
        std::thread::spawn(move || {
            let (_, from) = other.recv_from(&mut [0; 10]).unwrap();
            other.send_to(bytes, from).unwrap();
        });
        server
    }

    #[test]
    fn silence_is_well_where_no_reply_is_required_and_a_closed_port_never() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let silent = check(&server, None);
        run(ask(&silent)).unwrap();
        let required = check(&server, Some(&[]));
        let error = run(ask(&required)).unwrap_err();
        assert_eq!(error.to_string(), "no answer within 300ms");
        drop(server);
        let error = run(ask(&silent)).unwrap_err();
        assert_eq!(error.to_string(), "connection refused (ECONNREFUSED)");
    }

    #[test]
    fn a_required_reply_is_compared_where_its_mask_says() {
        let wanted: &[(u8, u8)] = &[(0x61, 0xff), (0x60, 0xf0)];
        run(ask(&check(&answers(b"abc"), Some(wanted)))).unwrap();
        let said = |bytes| {
            run(ask(&check(&answers(bytes), Some(wanted))))
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            said(b"a!"),
            "the reply differs from `require_reply` at byte 1"
        );
        assert_eq!(said(b"a"), "the reply has 1 bytes, not 2 to 4");
        assert_eq!(said(b"abcde"), "the reply has 5 bytes or more, not 2 to 4");
    }
}
