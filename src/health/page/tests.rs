use super::search::WINDOW;
use super::*;

fn url() -> HttpUrl {
    HttpUrl::new("/")
}

fn matching(pattern: &str) -> HttpUrl {
    HttpUrl {
        regex: Some(pattern.to_owned()),
        ..url()
    }
}

/// The verdict on a page that comes in pieces of `step` bytes.
fn read(url: &HttpUrl, status: u16, body: &[u8], step: usize) -> Result<Option<String>, String> {
    let regex = url.regex.as_deref();
    let pattern = regex.map(|p| Arc::new(Pattern::new(p, &url.regex_options).unwrap()));
    let mut page = Page::new(url, pattern);
    for piece in body.chunks(step) {
        page.take(Part::Body(piece));
    }
    page.judge(Some(status), Ending::Whole)
}

#[test]
fn the_status_decides_and_two_hundreds_are_well_where_nothing_is_said() {
    assert_eq!(read(&url(), 204, b"", 1), Ok(None));
    let error = read(&url(), 301, b"", 1).unwrap_err();
    assert_eq!(error, "status 301, not 200-299");
    let codes = HttpUrl {
        status_codes: vec![(200, 200), (400, 499)],
        ..url()
    };
    assert_eq!(read(&codes, 418, b"", 1), Ok(None));
    let error = read(&codes, 201, b"", 1).unwrap_err();
    assert_eq!(error, "status 201, not 200, 400-499");
}

#[test]
fn half_a_page_is_remarked_on_and_half_a_header_is_a_failure() {
    let judge = |status, ending| Page::new(&url(), None).judge(status, ending);
    let short = Ending::Short {
        came: 3,
        announced: 9,
    };
    let remark = judge(Some(200), short).unwrap().unwrap();
    assert_eq!(remark, "the page ended after 3 of 9 bytes (Content-Length)");
    let remark = judge(Some(200), Ending::BrokenChunks).unwrap().unwrap();
    assert_eq!(remark, "the page ended without its last chunk");
    let error = judge(None, Ending::Nothing).unwrap_err();
    assert_eq!(error, "the connection was closed without an answer");
    let error = judge(None, Ending::InHead).unwrap_err();
    assert_eq!(
        error,
        "the connection was closed within the header of the answer"
    );
}

#[test]
fn a_digest_is_of_the_page_or_of_its_bytes_on_the_wire() {
    // echo -n abc | md5sum
    let abc = [
        0x90, 0x01, 0x50, 0x98, 0x3c, 0xd2, 0x4f, 0xb0, 0xd6, 0x96, 0x3f, 0x7d, 0x28, 0xe1, 0x7f,
        0x72,
    ];
    let url = HttpUrl {
        digest: Some(abc),
        ..url()
    };
    assert_eq!(read(&url, 200, b"abc", 1), Ok(None));
    let error = read(&url, 200, b"", 1).unwrap_err();
    assert_eq!(
        error,
        "the digest of the page is d41d8cd98f00b204e9800998ecf8427e, not 900150983cd24fb0d6963f7d28e17f72"
    );
    let mut page = Page::new(&url, None);
    page.take(Part::Wire(b"abc"));
    page.take(Part::Body(b"x"));
    assert_eq!(page.judge(Some(200), Ending::Whole), Ok(None));
}

#[test]
fn a_pattern_is_found_wherever_the_page_is_cut() {
    let long = [
        &b"x".repeat(3 * WINDOW)[..],
        b"needle",
        &b"y".repeat(WINDOW),
    ]
    .concat();
    for step in [1000, WINDOW - 1, WINDOW, 5 * WINDOW] {
        assert_eq!(read(&matching("need+le"), 200, &long, step), Ok(None));
    }
    for at in WINDOW - 8..WINDOW + 8 {
        let page = [&b"x".repeat(at)[..], b"needle"].concat();
        assert_eq!(
            read(&matching("needle"), 200, &page, 4096),
            Ok(None),
            "at {at}"
        );
    }
    let error = read(&matching("noodle"), 200, &long, 4096).unwrap_err();
    assert_eq!(error, "the page does not match `regex`");
    let none = HttpUrl {
        regex_no_match: true,
        ..matching("needle")
    };
    let error = read(&none, 200, &long, 4096).unwrap_err();
    assert_eq!(error, "the page matches `regex`");
}

#[test]
fn anchors_mean_the_page_and_not_what_is_held_of_it() {
    let page = b"x".repeat(2 * WINDOW + 100);
    assert!(read(&matching("^x{5}$"), 200, &page, 4096).is_err());
    let ok_at = |at: usize| {
        let mut page = page.clone();
        page[at..at + 2].copy_from_slice(b"OK");
        page
    };
    // Wherever a piece ends: the page does not begin or end there.
    for at in [WINDOW / 2 - 1, WINDOW / 2, WINDOW - 2, WINDOW - 1, WINDOW] {
        assert!(read(&matching("^OK"), 200, &ok_at(at), 1).is_err(), "{at}");
        assert!(read(&matching("OK$"), 200, &ok_at(at), 1).is_err(), "{at}");
        assert!(
            read(&matching("xOK\\b"), 200, &ok_at(at), 1).is_err(),
            "{at}"
        );
        assert_eq!(
            read(&matching("xOKx"), 200, &ok_at(at), 1),
            Ok(None),
            "{at}"
        );
    }
    assert_eq!(
        read(&matching("OK$"), 200, &ok_at(page.len() - 2), 999),
        Ok(None)
    );
    assert_eq!(read(&matching("^OK"), 200, &ok_at(0), 999), Ok(None));
}

#[test]
fn offsets_say_where_a_match_may_begin() {
    let page = [&b"a".repeat(WINDOW)[..], b"OK", &b"b".repeat(WINDOW)].concat();
    let at = u32::try_from(WINDOW).unwrap();
    let between = |from: Option<u32>, to: Option<u32>| HttpUrl {
        regex_min_offset: from,
        regex_max_offset: to,
        ..matching("OK")
    };
    for (from, to, well) in [
        (None, None, true),
        (Some(at), None, true),
        (Some(at + 1), None, false),
        (None, Some(at), true),
        (None, Some(at - 1), false),
        (Some(at), Some(at), true),
        (Some(at * 3), None, false),
    ] {
        for step in [7, 4096, WINDOW * 4] {
            let verdict = read(&between(from, to), 200, &page, step);
            assert_eq!(verdict.is_ok(), well, "{from:?} {to:?} {step}");
        }
    }
    // One that lies across the end of what is held, and begins where it may at the latest.
    let across = [&b"a".repeat(WINDOW - 1)[..], b"OK"].concat();
    assert_eq!(
        read(&between(None, Some(at - 1)), 200, &across, 4096),
        Ok(None)
    );
    let first = HttpUrl {
        regex_options: vec!["firstline".to_owned()],
        ..matching("OK")
    };
    assert!(read(&first, 200, b"head\nOK", 1).is_err());
    assert_eq!(read(&first, 200, b"head OK\n", 1), Ok(None));
}
