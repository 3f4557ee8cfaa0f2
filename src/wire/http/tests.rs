use super::*;
use proptest::prelude::*;

/// What an answer was taken for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Read {
    status: Option<u16>,
    head: Vec<u8>,
    body: Vec<u8>,
    wire: Vec<u8>,
    whole: bool,
    fault: Option<Fault>,
    ending: Option<Ending>,
}

/// Reads an answer that comes in pieces of these lengths, over and over.
fn read(bytes: &[u8], lengths: &[usize]) -> Read {
    let mut answer = Answer::default();
    let mut read = Read::default();
    let mut rest = bytes;
    let mut lengths = lengths.iter().cycle();
    while !rest.is_empty() && !read.whole && read.fault.is_none() {
        let length = lengths.next().map_or(1, |l| (*l).max(1)).min(rest.len());
        let (piece, behind) = rest.split_at(length);
        rest = behind;
        let (head, body, wire) = (&mut read.head, &mut read.body, &mut read.wire);
        let mut sink = |part: Part<'_>| match part {
            Part::Head(bytes) => head.extend(bytes),
            Part::Body(bytes) => body.extend(bytes),
            Part::Wire(bytes) => wire.extend(bytes),
        };
        match answer.read(piece, &mut sink) {
            Ok(progress) => read.whole = progress == Progress::Whole,
            Err(fault) => read.fault = Some(fault),
        }
    }
    read.status = answer.status();
    read.ending = Some(answer.ended());
    read
}

fn body(text: &str) -> (String, bool, Ending) {
    let read = read(text.as_bytes(), &[text.len()]);
    let body = String::from_utf8(read.body).unwrap();
    (body, read.whole, read.ending.unwrap())
}

#[test]
fn requests_are_keepalived_s() {
    let asked = |path, host, (one_one, close)| Request {
        method: "GET",
        path,
        host,
        version: Version { one_one, close },
    };
    assert_eq!(
        request(asked("/a?b", "10.1.0.1:80", (false, false)), &[]),
        b"GET /a?b HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nHost: 10.1.0.1:80\r\n\r\n"
    );
    assert_eq!(
        request(asked("/", "www.example.org", (true, true)), &[]),
        b"GET / HTTP/1.1\r\nUser-Agent: KeepAliveClient\r\nConnection: close\r\nHost: www.example.org\r\n\r\n"
    );
    let lines = [("Accept", "text/html, */*"), ("user-agent", "probe")];
    let head = Request {
        method: "HEAD",
        ..asked("/", "www", (true, false))
    };
    assert_eq!(
        request(head, &lines),
        b"HEAD / HTTP/1.1\r\nHost: www\r\nAccept: text/html, */*\r\nuser-agent: probe\r\n\r\n"
    );
}

#[test]
fn an_answer_to_head_ends_with_its_header() {
    for more in ["Content-Length: 500", "Transfer-Encoding: chunked"] {
        let text = format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n{more}\r\n\r\n");
        let mut answer = Answer::to("HEAD");
        let progress = answer.read(text.as_bytes(), &mut |_| {});
        assert_eq!(progress, Ok(Progress::Whole), "{more}");
        assert_eq!(
            (answer.status(), answer.ended()),
            (Some(200), Ending::Whole)
        );
    }
}

#[test]
fn a_body_ends_where_its_header_says() {
    let long = "HTTP/1.1 200 OK\r\nCONTENT-LENGTH : 3\r\n\r\nabcdef";
    assert_eq!(body(long), ("abc".to_owned(), true, Ending::Whole));
    let short = Ending::Short {
        came: 3,
        announced: 5,
    };
    let text = "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nabc";
    assert_eq!(body(text), ("abc".to_owned(), false, short));
    let close = "HTTP/1.0 200\nServer: old\n\nabc";
    assert_eq!(body(close), ("abc".to_owned(), false, Ending::Whole));
    let none = "HTTP/1.1 204 No Content\r\n\r\n";
    assert_eq!(body(none), (String::new(), true, Ending::Whole));
    let empty = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(body(empty), (String::new(), true, Ending::Whole));
    let odd = "HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\nabcd";
    assert_eq!(body(odd), ("abcd".to_owned(), false, Ending::Whole));
}

#[test]
fn chunks_are_put_together_and_the_bytes_as_they_came_are_told_too() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\nContent-Length: 7\r\n\r\n";
    let wire = "4;x=\"y\"\r\nWiki\r\n00005 \r\npedia\r\n0\r\nA: b\r\n\r\n";
    let text = format!("{head}{wire}HTTP/1.1 500 next");
    for length in [1, 2, 3, 7, 1000] {
        let read = read(text.as_bytes(), &[length]);
        assert_eq!(read.body, b"Wikipedia");
        assert_eq!(read.wire, wire.as_bytes());
        assert_eq!((read.whole, read.ending), (true, Some(Ending::Whole)));
    }
    for broken in [
        "",
        "4\r\nWi",
        "4\r\nWikix",
        "x\r\n",
        "-1\r\n",
        "11111111111111111\r\n",
        "0\r\nA: b\r\n",
    ] {
        let text = format!("{head}{broken}");
        let read = read(text.as_bytes(), &[3]);
        assert_eq!(read.ending, Some(Ending::BrokenChunks), "{broken:?}");
        assert_eq!(read.wire, broken.as_bytes());
    }
}

#[test]
fn interim_answers_are_passed_over() {
    let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n\
                HTTP/1.1 503 Busy\r\nContent-Length: 1\r\n\r\nx";
    let read = read(text.as_bytes(), &[5]);
    assert_eq!((read.status, read.whole), (Some(503), true));
    assert!(read.head.starts_with(b"HTTP/1.1 503"));
}

#[test]
fn half_an_answer_is_told_apart_from_none() {
    assert_eq!(read(b"", &[1]).ending, Some(Ending::Nothing));
    let half = read(b"HTTP/1.1 200 OK\r\nServer: x\r\n", &[9]);
    assert_eq!(half.ending, Some(Ending::InHead));
    assert_eq!(half.status, None);
}

#[test]
fn other_protocols_and_endless_headers_are_refused() {
    let fault = |bytes: &[u8]| read(bytes, &[16]).fault.map(|f| f.to_string());
    assert_eq!(
        fault(b"SSH-2.0-x\x00\r\n").unwrap(),
        "the answer is not HTTP, it begins with `SSH-2.0-x\\x00`"
    );
    assert_eq!(
        fault(b"HTTP/1.1 2xx OK\r\n\r\n").unwrap(),
        "the answer is not HTTP, it begins with `HTTP/1.1 2xx OK`"
    );
    let mut endless = b"HTTP/1.1 200 OK\r\n".to_vec();
    endless.extend(b"X: y\r\n".repeat(HEAD_MAX));
    assert_eq!(
        fault(&endless).unwrap(),
        "the header of the answer is longer than 64 KiB"
    );
    let interim = b"HTTP/1.1 102 Processing\r\n\r\n".repeat(HEAD_MAX);
    assert_eq!(read(&interim, &[1000]).fault, Some(Fault::HeadTooLong));
}

proptest! {
    #[test]
    fn any_bytes_are_read_the_same_however_they_are_cut(
        start in prop_oneof![
            Just("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"),
            Just("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
            Just("HTTP/1.1 100 C\r\n\r\nHTTP/1.0 200\n"),
            Just(""),
        ],
        rest in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'\n'), Just(b'\r'), Just(b'0')], 0..60),
        lengths in prop::collection::vec(1_usize..20, 1..5),
    ) {
        let mut bytes = start.as_bytes().to_vec();
        bytes.extend(rest);
        // How much of the beginning is shown depends on how much came at once.
        let blank = |mut read: Read| {
            if let Some(Fault::NotHttp(start)) = &mut read.fault {
                start.clear();
                read.ending = None;
            }
            read
        };
        prop_assert_eq!(blank(read(&bytes, &lengths)), blank(read(&bytes, &[bytes.len()])));
    }
}
