//! A headless Chromium: opens a page in a host's network, looks at it, presses keys, takes pictures. It is
//! driven over a pair of pipes (`--remote-debugging-pipe`: JSON messages that end with a zero byte).

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::check::{Doing as _, Failure, Outcome, ensure};
use super::net::Host;
use super::prepare::which;
use super::process::Process;

/// How long it may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// A browser with one page.
pub(crate) struct Browser {
    process: Process,
    orders: File,
    answers: Receiver<Value>,
    session: Option<String>,
    number: u64,
    /// What the page's scripts failed with.
    faults: Vec<String>,
}

impl Browser {
    /// Starts one on `host`, with its files under the host's directory.
    pub(crate) fn start(host: &Host) -> Outcome<Self> {
        let names = ["chromium-headless-shell", "chromium"];
        let program = names.iter().find_map(|name| which(name));
        let program = program.ok_or_else(|| Failure::skipped("there is no Chromium here"))?;
        let dir = host.dir().join("browser");
        std::fs::create_dir_all(&dir)?;
        let (orders, answers) = (dir.join("orders"), dir.join("answers"));
        for fifo in [&orders, &answers] {
            let made = Command::new("mkfifo").arg(fifo).status()?;
            ensure!(made.success(), "mkfifo {}", fifo.display());
        }
        // For both directions, so that neither end waits for the other.
        let open = |path: &Path| File::options().read(true).write(true).open(path);
        let (to, from) = (open(&orders)?, open(&answers)?);
        let line = format!(
            "exec {} --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
             --disable-extensions --disable-background-networking --disable-component-update \
             --disable-sync --hide-scrollbars --lang=en-GB --user-data-dir={} --remote-debugging-pipe \
             about:blank 3<{} 4>{}",
            program.display(),
            dir.join("profile").display(),
            orders.display(),
            answers.display()
        );
        let process = host.spawn("browser", &["sh", "-c", &line])?;
        let (tell, heard) = channel();
        std::thread::spawn(move || follow(from, &tell));
        let mut browser = Self {
            process,
            orders: to,
            answers: heard,
            session: None,
            number: 0,
            faults: Vec::new(),
        };
        let made = browser.order("Target.createTarget", json!({"url": "about:blank"}))?;
        let target = json!({"targetId": made["targetId"], "flatten": true});
        let attached = browser.order("Target.attachToTarget", target)?;
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Runtime.enable", "Page.enable", "Log.enable"] {
            browser.order(domain, json!({}))?;
        }
        Ok(browser)
    }

    /// Gives an order and waits for what comes of it.
    fn order(&mut self, method: &str, params: Value) -> Outcome<Value> {
        self.number += 1;
        let number = self.number;
        let mut order = json!({"id": number, "method": method, "params": params});
        if let Some(session) = &self.session {
            order["sessionId"] = json!(session);
        }
        let mut text = serde_json::to_vec(&order)?;
        text.push(0);
        self.orders.write_all(&text)?;
        let until = Instant::now() + ANSWER_MAX;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let said = match self.answers.recv_timeout(left) {
                Ok(said) => said,
                Err(RecvTimeoutError::Timeout) => {
                    let log = self.process.log();
                    return Err(format!("the browser did not answer {method}:\n{log}").into());
                }
                Err(RecvTimeoutError::Disconnected) => return Err("the browser has gone".into()),
            };
            if said["id"] == json!(number) {
                ensure!(said["error"].is_null(), "{method}: {}", said["error"]);
                return Ok(said["result"].clone());
            }
            self.note(&said);
        }
    }

    fn note(&mut self, said: &Value) {
        let fault = match said["method"].as_str() {
            Some("Runtime.exceptionThrown") => &said["params"]["exceptionDetails"],
            Some("Log.entryAdded") if said["params"]["entry"]["level"] == "error" => {
                &said["params"]["entry"]["text"]
            }
            _ => return,
        };
        self.faults.push(fault.to_string());
    }

    /// Opens an address, with a window of so many pixels.
    pub(crate) fn open(&mut self, url: &str, (width, height): (u32, u32)) -> Outcome {
        self.resize((width, height))?;
        self.order("Page.navigate", json!({"url": url})).map(drop)
    }

    /// Makes the window another size; one that is narrow is a phone's.
    pub(crate) fn resize(&mut self, (width, height): (u32, u32)) -> Outcome {
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500
        });
        self.order("Emulation.setDeviceMetricsOverride", size)
            .map(drop)
    }

    /// What an expression is in the page.
    pub(crate) fn look(&mut self, expression: &str) -> Outcome<Value> {
        let what = json!({"expression": expression, "returnByValue": true});
        let said = self.order("Runtime.evaluate", what)?;
        let thrown = &said["exceptionDetails"];
        ensure!(thrown.is_null(), "{expression}: {thrown}");
        Ok(said["result"]["value"].clone())
    }

    /// Waits until an expression is true.
    pub(crate) fn wait(&mut self, what: &str, expression: &str, limit: Duration) -> Outcome {
        let until = Instant::now() + limit;
        while self.look(expression)? != json!(true) {
            if Instant::now() > until {
                let text = self.look("document.body.innerText")?;
                let shown = text.as_str().unwrap_or_default();
                return Err(format!("{what}: not within {limit:?}; the page:\n{shown}").into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Presses a key; `text`: what it types.
    pub(crate) fn press(&mut self, key: &str) -> Outcome {
        let code = match key {
            "Escape" => 27,
            "Tab" => 9,
            "Enter" => 13,
            _ => 0,
        };
        let text = match key {
            "Enter" => "\r",
            key if key.chars().count() == 1 => key,
            _ => "",
        };
        let down =
            json!({"type": "keyDown", "key": key, "text": text, "windowsVirtualKeyCode": code});
        self.order("Input.dispatchKeyEvent", down)?;
        let up = json!({"type": "keyUp", "key": key, "windowsVirtualKeyCode": code});
        self.order("Input.dispatchKeyEvent", up).map(drop)
    }

    /// Takes a picture.
    pub(crate) fn picture(&mut self, file: &Path) -> Outcome {
        let taken = self.order("Page.captureScreenshot", json!({"format": "png"}))?;
        let data = taken["data"].as_str().unwrap_or_default();
        std::fs::write(file, from_base64(data)).doing(file.display())
    }

    /// What the page's scripts failed with, and what it could not load.
    pub(crate) fn faults(&self) -> &[String] {
        &self.faults
    }

    /// Ends it.
    pub(crate) fn close(mut self) -> Outcome {
        self.process.signal_tree(libc::SIGKILL)?;
        self.process.wait(ANSWER_MAX).map(drop)
    }
}

/// Cuts what comes into messages.
fn follow(mut from: File, tell: &std::sync::mpsc::Sender<Value>) {
    let mut rest = Vec::new();
    let mut piece = [0; 65536];
    while let Ok(read) = from.read(&mut piece) {
        rest.extend_from_slice(piece.get(..read).unwrap_or_default());
        while let Some(end) = rest.iter().position(|byte| *byte == 0) {
            let message: Vec<u8> = rest.drain(..=end).collect();
            let said = serde_json::from_slice(
                message
                    .trim_ascii_end()
                    .split_last()
                    .map_or(&[], |(_, m)| m),
            );
            if tell.send(said.unwrap_or_default()).is_err() {
                return;
            }
        }
    }
}

/// RFC 4648 section 4.
fn from_base64(text: &str) -> Vec<u8> {
    let value = |letter: u8| match letter {
        b'A'..=b'Z' => Some(letter - b'A'),
        b'a'..=b'z' => Some(letter - b'a' + 26),
        b'0'..=b'9' => Some(letter - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let (mut bits, mut count, mut out) = (0u32, 0, Vec::new());
    for six in text.bytes().filter_map(value) {
        bits = bits << 6 | u32::from(six);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count & 0xff) as u8);
        }
    }
    out
}
