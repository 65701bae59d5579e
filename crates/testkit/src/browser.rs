//! Chromium, driven by its own protocol over a pipe: for tests of pages as people meet them.
//!
//! The protocol is <https://chromedevtools.github.io/devtools-protocol/>; over a pipe a message is JSON
//! with a zero byte after it, so no more than this file is needed.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// How long anything may take; a page that needs longer is broken.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks at a condition.
const LOOK: Duration = Duration::from_millis(30);

/// A browser with one page, without a window.
pub struct Browser {
    child: Child,
    commands: ChildStdin,
    messages: Receiver<Value>,
    /// How many pages were loaded so far.
    loaded: u64,
    session: Option<String>,
    next_id: u64,
    requests: Vec<String>,
    errors: Vec<String>,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts it; what is wrong when there is no Chromium on this machine.
    ///
    /// # Errors
    /// For [`crate::skip`].
    pub fn start() -> Result<Browser, String> {
        let profile = tempfile::tempdir().expect("a temporary folder");
        let found = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| {
            let said =
                Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
            said.is_ok_and(|status| status.success())
        });
        let program = found.ok_or("chromium is not installed")?;
        // It reads commands from descriptor 3 and answers on 4, which only a shell can hand on.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1", program])
            .args(["--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu"])
            .args(["--disable-dev-shm-usage", "--no-first-run", "--disable-extensions", "--disable-sync"])
            .args(["--disable-background-networking", "--disable-component-update", "--lang=en"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let commands = child.stdin.take().expect("it is piped");
        let answers = child.stdout.take().expect("it is piped");
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            for message in BufReader::new(answers).split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).expect("chromium sends JSON");
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let mut browser = Browser {
            child,
            commands,
            messages,
            loaded: 0,
            session: None,
            next_id: 0,
            requests: Vec::new(),
            errors: Vec::new(),
            _profile: profile,
        };
        let target = browser.command("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.command("Target.attachToTarget", attach);
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Network", "Log"] {
            browser.command(&format!("{domain}.enable"), json!({}));
        }
        Ok(browser)
    }

    /// Opens an address and waits until the page and its scripts are loaded.
    pub fn open(&mut self, address: &str) {
        let before = self.loaded;
        let opened = self.command("Page.navigate", json!({ "url": address }));
        assert!(opened["errorText"].is_null(), "{address}: {}", opened["errorText"]);
        let until = Instant::now() + PATIENCE;
        while self.loaded == before {
            self.listen(until, address);
        }
    }

    /// What an expression gives in the page; a promise is waited for.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let result = self.command("Runtime.evaluate", params);
        assert!(result["exceptionDetails"].is_null(), "{expression}: {}", result["exceptionDetails"]);
        result["result"]["value"].clone()
    }

    /// Waits until an expression, which may have an `await`, is true in the page.
    pub fn wait_for(&mut self, expression: &str) {
        let until = Instant::now() + PATIENCE;
        let wrapped = format!("(async () => Boolean({expression}))()");
        let params = json!({ "expression": wrapped, "awaitPromise": true, "returnByValue": true });
        loop {
            // Between two pages there is nothing to look at.
            let found = self.attempt("Runtime.evaluate", params.clone());
            if found.is_ok_and(|found| found["result"]["value"] == true) {
                return;
            }
            if Instant::now() > until {
                let said = self.evaluate("document.body.innerText");
                let (said, errors) = (said.as_str().unwrap_or_default(), &self.errors);
                panic!("{expression} does not come true; errors: {errors:?}; the page says:\n{said}");
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Waits until the element is there and shows `text`.
    pub fn wait_for_text(&mut self, selector: &str, text: &str) {
        self.wait_for(&format!(
            "document.querySelector({})?.innerText.includes({})",
            quoted(selector),
            quoted(text)
        ));
    }

    /// The text of an element as it is shown.
    pub fn text(&mut self, selector: &str) -> String {
        let shown =
            self.evaluate(&format!("document.querySelector({})?.innerText ?? null", quoted(selector)));
        shown.as_str().unwrap_or_else(|| panic!("there is no {selector}")).to_owned()
    }

    /// Presses the mouse on the middle of an element, wherever that is: what lies over it is hit
    /// instead, as it would be by a person.
    pub fn click(&mut self, selector: &str) {
        self.wait_for(&format!("document.querySelector({})?.checkVisibility()", quoted(selector)));
        let (x, y) = self.place_in(selector, 0.5, 0.5);
        for kind in ["mousePressed", "mouseReleased"] {
            let params = json!({ "type": kind, "x": x, "y": y, "button": "left", "clickCount": 1 });
            self.command("Input.dispatchMouseEvent", params);
        }
    }

    /// Moves the mouse over an element, to the place that is `across` and `down` of its size (0 to 1).
    pub fn hover(&mut self, selector: &str, across: f64, down: f64) {
        let (x, y) = self.place_in(selector, across, down);
        self.command("Input.dispatchMouseEvent", json!({ "type": "mouseMoved", "x": x, "y": y }));
    }

    /// Presses the mouse in the middle of an element's height and moves it sideways before it is let go.
    pub fn drag(&mut self, selector: &str, from: f64, to: f64) {
        let mut mouse = |kind: &str, across: f64, buttons: u32| {
            let (x, y) = self.place_in(selector, across, 0.5);
            let params = json!({ "type": kind, "x": x, "y": y, "button": "left", "buttons": buttons, "clickCount": 1 });
            self.command("Input.dispatchMouseEvent", params);
        };
        mouse("mousePressed", from, 1);
        for part in 1..=8 {
            mouse("mouseMoved", from + (to - from) * f64::from(part) / 8.0, 1);
        }
        mouse("mouseReleased", to, 0);
    }

    /// A place in an element that is scrolled into view, in px of the window.
    fn place_in(&mut self, selector: &str, across: f64, down: f64) -> (f64, f64) {
        let place = self.evaluate(&format!(
            "(() => {{ const found = document.querySelector({}); found.scrollIntoView({{ block: 'center', behavior: 'instant' }}); \
             const box = found.getBoundingClientRect(); return [box.x + box.width * {across}, box.y + box.height * {down}]; }})()",
            quoted(selector)
        ));
        let length = |index: usize| place[index].as_f64().unwrap_or_else(|| panic!("there is no {selector}"));
        (length(0), length(1))
    }

    /// Puts the cursor into a field and types over what it holds.
    pub fn fill(&mut self, selector: &str, text: &str) {
        self.click(selector);
        self.evaluate(&format!("document.querySelector({}).select?.()", quoted(selector)));
        self.command("Input.insertText", json!({ "text": text }));
    }

    /// Presses a key: `Tab`, `Enter`, `Escape`, one that moves the cursor, or a letter; after
    /// `Shift+` while Shift is held.
    pub fn press(&mut self, key: &str) {
        const SHIFT: u32 = 8;
        let (key, modifiers) = key.strip_prefix("Shift+").map_or((key, 0), |key| (key, SHIFT));
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            "Escape" => (27, ""),
            " " => (32, " "),
            "PageUp" => (33, ""),
            "PageDown" => (34, ""),
            "End" => (35, ""),
            "Home" => (36, ""),
            "ArrowLeft" => (37, ""),
            "ArrowUp" => (38, ""),
            "ArrowRight" => (39, ""),
            "ArrowDown" => (40, ""),
            letter => (letter.to_uppercase().bytes().next().unwrap_or(0), letter),
        };
        let kind = if text.is_empty() { "rawKeyDown" } else { "keyDown" };
        for (kind, text) in [(kind, text), ("keyUp", "")] {
            let params = json!({
                "type": kind, "key": key, "text": text, "windowsVirtualKeyCode": code, "modifiers": modifiers,
            });
            self.command("Input.dispatchKeyEvent", params);
        }
    }

    /// The size of the page in its own pixels, and whether it is to be dark.
    pub fn look(&mut self, width: u32, height: u32, is_dark: bool) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.command("Emulation.setDeviceMetricsOverride", size);
        let scheme = if is_dark { "dark" } else { "light" };
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.command("Emulation.setEmulatedMedia", features);
    }

    /// True when the page can be moved sideways, which it should not.
    pub fn overflows_sideways(&mut self) -> bool {
        self.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth") == true
    }

    /// A picture of the whole page, as PNG.
    pub fn picture(&mut self, file: &Path) {
        let params = json!({ "format": "png", "captureBeyondViewport": true });
        let picture = self.command("Page.captureScreenshot", params);
        let bytes = STANDARD.decode(picture["data"].as_str().expect("a picture")).expect("base64");
        std::fs::write(file, bytes).expect("the picture can be written");
    }

    /// Every address that was asked for so far.
    pub fn requests(&self) -> &[String] {
        &self.requests
    }

    /// What went wrong in pages so far: exceptions, and what the browser complained about.
    pub fn errors(&self) -> &[String] {
        &self.errors
    }

    fn command(&mut self, method: &str, params: Value) -> Value {
        self.attempt(method, params).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// What comes of a command, or why nothing does.
    fn attempt(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        self.next_id += 1;
        let id = self.next_id;
        let mut message = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = serde_json::to_vec(&message).expect("JSON");
        bytes.push(0);
        self.commands.write_all(&bytes).expect("chromium reads commands");
        let until = Instant::now() + PATIENCE;
        loop {
            let Some(answer) = self.listen(until, method).filter(|answer| answer["id"] == id) else {
                continue;
            };
            return match &answer["error"] {
                Value::Null => Ok(answer["result"].clone()),
                error => Err(error.clone()),
            };
        }
    }

    /// Takes the next message; gives it when it is an answer.
    fn listen(&mut self, until: Instant, what: &str) -> Option<Value> {
        let message = match self.messages.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(message) => message,
            Err(RecvTimeoutError::Timeout) => panic!("chromium did not come to an end with {what}"),
            Err(RecvTimeoutError::Disconnected) => panic!("chromium ended during {what}"),
        };
        let params = &message["params"];
        match message["method"].as_str() {
            None => return Some(message),
            Some("Network.requestWillBeSent") => {
                self.requests.push(params["request"]["url"].as_str().unwrap_or_default().to_owned());
            }
            Some("Runtime.exceptionThrown") => self.errors.push(params["exceptionDetails"].to_string()),
            Some("Log.entryAdded") if params["entry"]["level"] == "error" => {
                self.errors.push(params["entry"].to_string());
            }
            Some("Page.loadEventFired") => self.loaded += 1,
            Some(_) => {}
        }
        None
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its helpers end with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
