//! The control socket without root: engines without a kernel behind it, and clients of every kind.

#![expect(
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test that cannot be set up has failed, and it may look at a clock"
)]

#[path = "control/schema.rs"]
mod schema;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use vipd::config::{Config, Files, Options, load};
use vipd::control::api::OPERATIONS;
use vipd::control::{Address, Ask, Desk, Facts, Level, events, model, start};
use vipd::daemon::balancer_thread::Order;
use vipd::daemon::failover_thread::{Caller, Command};
use vipd::engine::balancer::{Balancer, Input};
use vipd::engine::failover::Failover;
use vipd::kernel::clock;
use vipd::lvs::Owned;
use vipd::net::NetPicture;
use vipd::vrrp::Start;

/// A daemon without a kernel: its socket, and threads that answer.
struct Served {
    dir: PathBuf,
    /// Where the status page is.
    page: SocketAddr,
    _end: tokio::sync::oneshot::Sender<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// One virtual server with one server, 10.1.0.1:80.
struct One;

impl Files for One {
    fn read(&self, _: &Path) -> std::io::Result<Vec<u8>> {
        let text = "virtual_server 10.0.0.1 80 {\n protocol TCP\n lb_algo rr\n lb_kind NAT\n \
                    real_server 10.1.0.1 80 {\n }\n}\n";
        Ok(text.as_bytes().to_vec())
    }

    fn exists(&self, _: &Path) -> bool {
        false
    }

    fn glob(&self, _: &Path) -> std::io::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }
}

fn one_server() -> Config {
    let loaded = load(Path::new("one.conf"), &One, &Options::default());
    loaded.config.expect("a configuration")
}

fn refused() -> model::Reload {
    model::Reload {
        at: "2026-01-01T00:00:00.000Z".to_owned(),
        done: false,
        changes: Vec::new(),
        warnings: Vec::new(),
        errors: vec!["one.conf:1: a fault".to_owned()],
        plan: None,
    }
}

/// `answers`: the failover thread does.
fn serve(name: &str, answers: bool) -> Served {
    let dir = std::env::temp_dir().join(format!("vipd-control-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).expect("a scratch directory");
    let path = dir.join("control.sock");
    // A port that nobody has.
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let page = free.local_addr().expect("it has an address");
    drop(free);
    let (end, ended) = tokio::sync::oneshot::channel();
    let (ready, is_ready) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.expect("a runtime").block_on(async {
            let (caller, commands) = Caller::new().expect("an eventfd");
            let engine = Failover::new(
                Config::default(),
                NetPicture::default(),
                |_, _| Start::Fresh,
                false,
                clock::now(),
            );
            std::thread::spawn(move || {
                for command in commands {
                    if let (Command::View(reply), true) = (command, answers) {
                        let _ = reply.send(engine.view(clock::now()));
                    }
                }
            });
            let (orders, mut inbox) = mpsc::unbounded_channel();
            let mut balancer = Balancer::new(Box::new(one_server()), Owned::default(), 1);
            tokio::spawn(async move {
                while let Some(order) = inbox.recv().await {
                    match order {
                        Order::View(reply) => drop(reply.send(balancer.view(clock::now()))),
                        Order::Traffic(reply) => drop(reply.send(None)),
                        Order::Override(scope, order, reply) => {
                            let _ = reply.send(balancer.count(&scope));
                            balancer.handle(Input::Override(scope, order), clock::now());
                        }
                        Order::Lift(kind, scope, by, reply) => {
                            let _ = reply.send(balancer.count(&scope));
                            balancer.handle(Input::Lift(kind, scope, by), clock::now());
                        }
                        Order::Copy(_) | Order::Reload(_) | Order::Stop(_) => {}
                    }
                }
            });
            let (events, log, intake) = events();
            tokio::spawn(intake.run());
            for number in 0..3 {
                events.tell(Level::Info, "vrrp", None, format!("event {number}"));
            }
            let (asks, mut asked) = mpsc::channel(1);
            let (known, facts) = watch::channel(Facts::default());
            // A file that has a fault each time.
            tokio::spawn(async move {
                while let Some(Ask::Reload(reply)) = asked.recv().await {
                    known.send_modify(|facts| facts.reload = Some(refused()));
                    let _ = reply.send(refused());
                }
            });
            let desk = Desk::new(caller, orders, asks, facts, log, Default::default());
            let address = Address::Socket {
                path,
                mode: 0o640,
                group: None,
            };
            let _page = start(desk.clone(), &Address::Page(page)).expect("a port");
            let _serving = start(desk, &address).expect("a socket");
            ready.send(()).expect("the test waits");
            let _ = ended.await;
        });
    });
    is_ready.recv().expect("it is served");
    Served {
        dir,
        page,
        _end: end,
    }
}

impl Served {
    fn connect(&self) -> UnixStream {
        let stream =
            UnixStream::connect(self.dir.join("control.sock")).expect("the socket is there");
        let limit = Some(Duration::from_secs(20));
        stream.set_read_timeout(limit).expect("a limit");
        stream
    }

    fn ask(&self, method: &str, path: &str) -> String {
        let mut stream = self.connect();
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: vipd\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("it is taken");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it is answered");
        answer
    }
}

impl Served {
    /// The same at the address of the page.
    fn ask_page(&self, method: &str, path: &str) -> String {
        let mut stream = TcpStream::connect(self.page).expect("the page is there");
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: vipd\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("it is taken");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it is answered");
        answer
    }
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

#[test]
fn the_socket_has_its_mode_and_answers_with_the_status() {
    let served = serve("status", true);
    let mode = std::fs::metadata(served.dir.join("control.sock")).expect("it is there");
    assert_eq!(mode.permissions().mode() & 0o777, 0o640);
    let answer = served.ask("GET", "/v1/status");
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    let status: model::Status = serde_json::from_str(body(&answer)).expect("it is a status");
    assert_eq!(status.daemon.version, env!("CARGO_PKG_VERSION"));
    assert_eq!(body(&served.ask("GET", "/healthz")), "ok\n");
    let metrics = served.ask("GET", "/metrics");
    assert!(
        metrics.contains("vipd_build_info{version=") && metrics.ends_with("# EOF\n"),
        "{metrics}"
    );
    let nothing = served.ask("GET", "/nothing");
    assert!(
        nothing.starts_with("HTTP/1.1 404") && nothing.contains("there is nothing at /nothing")
    );
    let missing = served.ask("POST", "/v1/instances/VI_9/failover");
    assert!(
        missing.starts_with("HTTP/1.1 404") && missing.contains("no vrrp_instance is called VI_9")
    );
}

#[test]
fn the_page_shows_everything_and_changes_nothing() {
    let served = serve("page", true);
    let page = served.ask_page("GET", "/");
    assert!(
        page.contains("content-security-policy: default-src 'none'") && page.contains("<!doctype"),
        "{page}"
    );
    for (path, kind) in [("/page.js", "text/javascript"), ("/page.css", "text/css")] {
        let file = served.ask_page("GET", path);
        assert!(file.starts_with("HTTP/1.1 200 OK"), "{file}");
        assert!(file.contains(&format!("content-type: {kind}")), "{file}");
    }
    let status = served.ask_page("GET", "/v1/status?traffic=true");
    let status: model::Status = serde_json::from_str(body(&status)).expect("it is a status");
    assert_eq!(status.virtual_servers.len(), 1);
    // Nobody can hold a connection open for what may come.
    let events = served.ask_page("GET", "/v1/events?after=1&follow=true");
    assert_eq!(events.matches("\"event ").count(), 2, "{events}");
    assert_eq!(body(&served.ask_page("GET", "/healthz")), "ok\n");
    for (method, path, status) in [
        ("POST", "/v1/reload", 404),
        ("POST", "/v1/stop", 404),
        ("POST", "/v1/servers/10.1.0.1:80/drain", 404),
        ("GET", "/v1/servers/10.1.0.1:80/progress", 404),
        ("POST", "/v1/status", 405),
        ("POST", "/", 405),
    ] {
        let answer = served.ask_page(method, path);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{method} {path}: {answer}"
        );
    }
}

#[test]
fn the_document_the_manual_and_the_routes_name_the_same() {
    let served = serve("api", true);
    let document = served.ask("GET", "/v1/openapi.json");
    let document: serde_json::Value = serde_json::from_str(body(&document)).expect("JSON");
    let manual = include_str!("../docs/operate.md");
    for operation in OPERATIONS {
        let path = operation.path.replace("{name}", "VI_9");
        let path = path.replace("{server}", "10.1.0.9:80");
        let path = path.replace("{whom}", "10.1.0.9:80");
        // With the other method: what is there says so, and nothing is done.
        let (other, lower) = match operation.method {
            "GET" => ("POST", "get"),
            _ => ("GET", "post"),
        };
        let answer = match operation.on_page {
            true => served.ask_page(other, &path),
            false => served.ask(other, &path),
        };
        assert!(answer.starts_with("HTTP/1.1 405"), "{path}: {answer}");
        assert!(document["paths"][operation.path][lower]["responses"]["200"].is_object());
        let end = operation.path.rsplit('/').next().unwrap_or_default();
        assert!(manual.contains(end), "docs/operate.md does not name {path}");
    }
    let routes = include_str!("../src/control/routes.rs")
        .split(".route(\"")
        .skip(1);
    for route in routes {
        let path = route.split('"').next().unwrap_or_default();
        let known = OPERATIONS.iter().any(|operation| operation.path == path);
        assert!(
            known,
            "{path} is not among the operations of src/control/api.rs"
        );
    }
}

#[test]
fn events_come_one_in_a_line_from_a_number_on() {
    let served = serve("events", true);
    let all = served.ask("GET", "/v1/events?after=1");
    let text = |line: &str| serde_json::from_str::<model::Event>(line).map(|event| event.text);
    let texts: Vec<String> = body(&all)
        .lines()
        .filter_map(|line| text(line).ok())
        .collect();
    assert_eq!(texts, ["event 1", "event 2"], "{all}");
}

#[test]
fn clients_that_are_stuck_keep_nobody_from_an_answer() {
    let served = serve("stuck", true);
    let mut stuck = Vec::new();
    for number in 0..15 {
        let mut stream = served.connect();
        // Nothing at all, half a request, and an answer without end that is not read.
        let said: &[u8] = match number % 3 {
            0 => b"",
            1 => b"GET /v1/status HTTP/1.1\r\nHos",
            _ => b"GET /v1/events?follow=true HTTP/1.1\r\nHost: vipd\r\n\r\n",
        };
        stream.write_all(said).expect("it is taken");
        stuck.push(stream);
    }
    let begun = Instant::now();
    assert!(served.ask("GET", "/v1/status").starts_with("HTTP/1.1 200"));
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    // More than there are seats: closed at once, not kept waiting.
    let _last = served.connect();
    let mut beyond = served.connect();
    let mut none = [0];
    assert!(matches!(beyond.read(&mut none), Ok(0) | Err(_)));
    // Whoever says nothing loses his seat after a while.
    let begun = Instant::now();
    assert_eq!(stuck.swap_remove(0).read(&mut none).unwrap_or(0), 0);
    assert!(
        begun.elapsed() < Duration::from_secs(15),
        "{:?}",
        begun.elapsed()
    );
    assert!(served.ask("GET", "/healthz").starts_with("HTTP/1.1 200"));
}

#[test]
fn a_thread_that_does_not_answer_is_named() {
    let served = serve("mute", false);
    let health = served.ask("GET", "/healthz");
    assert!(health.starts_with("HTTP/1.1 503"), "{health}");
    assert!(
        health.contains("the failover thread has not answered for 2 s"),
        "{health}"
    );
}

#[test]
fn whoever_was_answered_an_order_sees_it_in_the_status() {
    let served = serve("reload", true);
    // What is kept for whoever asks in the same moment.
    let before = served.ask("GET", "/v1/status");
    assert!(!before.contains("a fault"), "{before}");
    let answer = served.ask("POST", "/v1/reload");
    assert!(answer.starts_with("HTTP/1.1 422"), "{answer}");
    let after = served.ask("GET", "/v1/status");
    assert!(after.contains("one.conf:1: a fault"), "{after}");
}

#[test]
fn a_server_is_taken_out_and_let_in_again() {
    let served = serve("drain", true);
    let answer = served.ask("POST", "/v1/servers/10.1.0.1:80/drain?grace=60");
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    let done: model::Done = serde_json::from_str(body(&answer)).expect("it is done");
    assert_eq!(
        done.done,
        "10.1.0.1:80 takes no new connections in 1 virtual servers, until `vipd undrain 10.1.0.1:80`"
    );
    let answer = served.ask("GET", "/v1/servers/10.1.0.1/progress");
    let draining: model::Draining = serde_json::from_str(body(&answer)).expect("an answer");
    // There is no kernel here that it could be in.
    assert_eq!((draining.servers, draining.left), (1, 0));
    let answer = served.ask("POST", "/v1/servers/10.1.0.1:80/undrain");
    assert!(answer.contains("takes connections again"), "{answer}");
    for (path, status) in [
        ("10.1.0.9:80/drain", "404"),
        ("web/drain", "400"),
        ("10.1.0.1/drain?grace=0", "400"),
        ("10.1.0.1/drain?for=0", "400"),
        ("10.1.0.1/drain?for=soon", "400"),
        ("10.1.0.1/drain?reason=a%0Ab", "400"),
        ("10.1.0.1/weight?weight=65536", "400"),
        ("10.1.0.9/weight?weight=1", "404"),
    ] {
        let answer = served.ask("POST", &format!("/v1/servers/{path}"));
        let expected = format!("HTTP/1.1 {status}");
        assert!(answer.starts_with(&expected), "{path}: {answer}");
    }
}

#[test]
fn what_an_operator_orders_is_told_with_who_why_and_until_when() {
    let served = serve("overrides", true);
    let status = || -> model::Status {
        let answer = served.ask("GET", "/v1/status");
        serde_json::from_str(body(&answer)).expect("it is a status")
    };
    for (path, done) in [
        (
            "/v1/servers/10.1.0.1/weight?weight=7&for=3600&reason=warm%20up&by=ann",
            "10.1.0.1 has weight 7 in 1 virtual servers, until 2",
        ),
        (
            "/v1/checks/10.0.0.1:80/pause?reason=page%20moves",
            "1 servers of 10.0.0.1:80/tcp are not checked, until `vipd resume 10.0.0.1:80/tcp`",
        ),
    ] {
        let answer = served.ask("POST", path);
        assert!(answer.contains(done), "{path}: {answer}");
    }
    let told = status();
    let [weight, pause] = told.overrides.as_slice() else {
        panic!("{:?}", told.overrides)
    };
    assert_eq!(
        (weight.what.as_str(), weight.weight, weight.by.as_str()),
        ("weight", Some(7), "ann")
    );
    assert!(
        weight.until.as_ref() > Some(&weight.since) && weight.says.ends_with(": warm up)"),
        "{weight:?}"
    );
    assert_eq!(pause.whom, "10.0.0.1:80/tcp");
    assert_eq!((pause.by.is_empty(), &pause.until), (false, &None));
    let server = &told.virtual_servers[0].real_servers[0];
    assert_eq!(
        (
            server.weight,
            told.virtual_servers[0].weight_up,
            server.overrides.len()
        ),
        (1, 7, 2)
    );
    assert!(
        server.why.contains("not checked by an operator (") && server.why.contains("page moves"),
        "{}",
        server.why
    );
    let metrics = served.ask("GET", "/metrics");
    let line = "vipd_override{what=\"weight\",whom=\"10.1.0.1\",by=\"ann\",reason=\"warm up\"} 1";
    assert!(metrics.contains(line), "{metrics}");
    assert!(
        metrics.contains("vipd_override_end_timestamp_seconds{what=\"weight\""),
        "{metrics}"
    );
    for path in [
        "/v1/servers/10.1.0.1/weight",
        "/v1/checks/10.0.0.1:80%2Ftcp/resume",
    ] {
        let answer = served.ask("POST", path);
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }
    assert!(status().overrides.is_empty());
    let answer = served.ask("POST", "/v1/checks/web/pause");
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
}

#[test]
fn answers_are_as_the_document_says() {
    let served = serve("schema", true);
    let json = |answer: &str| -> serde_json::Value {
        serde_json::from_str(body(answer)).expect("an answer in JSON")
    };
    let document = json(&served.ask("GET", "/v1/openapi.json"));
    served.ask("POST", "/v1/checks/10.1.0.1:80/pause?for=60&reason=why");
    for (method, path, name) in [
        ("GET", "/v1/status", "Status"),
        ("POST", "/v1/reload", "Reload"),
        // With a reload that was refused.
        ("GET", "/v1/status?traffic=true", "Status"),
        ("POST", "/v1/servers/10.1.0.1/drain", "Done"),
        ("GET", "/v1/servers/10.1.0.1/progress", "Draining"),
        ("POST", "/v1/servers/10.1.0.9/drain", "Refusal"),
    ] {
        let answer = json(&served.ask(method, path));
        schema::fits(&document, name, &answer).expect(path);
    }
    for line in body(&served.ask("GET", "/v1/events")).lines() {
        // Chunks have their length in lines between them.
        if let Ok(event) = serde_json::from_str::<serde_json::Value>(line)
            && event.is_object()
        {
            schema::fits(&document, "Event", &event).expect("an event");
        }
    }
    // And what is not is found.
    let mut status = json(&served.ask("GET", "/v1/status"));
    status["daemon"]["pid"] = serde_json::json!(-1);
    assert!(schema::fits(&document, "Status", &status).is_err());
    status["daemon"]["pid"] = serde_json::json!(1);
    assert_eq!(schema::fits(&document, "Status", &status), Ok(()));
    status["more"] = serde_json::json!(1);
    assert!(schema::fits(&document, "Status", &status).is_err());
}
