//! The status page: what a browser is shown. It asks for the same status and events as everybody else, and
//! can change nothing.

use axum::Router;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::response::IntoResponse;
use axum::routing::get;

use super::desk::Desk;

/// Nothing is loaded from anywhere else, and no text of a configuration can become a script.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Where each file of it is, what it is, and its text.
const FILES: [(&str, &str, &str); 3] = [
    (
        "/",
        "text/html; charset=utf-8",
        include_str!("page/page.html"),
    ),
    (
        "/page.css",
        "text/css; charset=utf-8",
        include_str!("page/page.css"),
    ),
    (
        "/page.js",
        "text/javascript; charset=utf-8",
        include_str!("page/page.js"),
    ),
];

/// Adds the page to what is served.
pub(super) fn add(router: Router<Desk>) -> Router<Desk> {
    FILES.iter().fold(router, |router, (path, kind, text)| {
        router.route(path, get(async || file(kind, text)))
    })
}

fn file(kind: &'static str, text: &'static str) -> impl IntoResponse {
    let headers: [(HeaderName, &str); 6] = [
        (CONTENT_TYPE, kind),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        // The next version has another.
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a file would have to be had from somewhere else.
    #[test]
    fn nothing_is_loaded_from_outside() {
        for (path, _, text) in FILES {
            for outside in ["http://", "https://", "//cdn", "@import", "innerHTML"] {
                assert!(!text.contains(outside), "{path} has {outside}");
            }
        }
    }

    /// What the policy would refuse, the page must not have.
    #[test]
    fn no_script_and_no_style_stands_in_the_page_itself() {
        let (_, _, html) = FILES[0];
        assert!(!html.contains("<style") && !html.contains(" style="));
        assert!(!html.contains(" onclick=") && html.matches("<script").count() == 1);
        assert!(html.contains("<script src=\"page.js\"") && html.contains("href=\"page.css\""));
    }
}
