//! A real Chromium without a window, driven over pipes by the protocol of its developer tools: messages
//! are JSON, each ended by a zero byte (`--remote-debugging-pipe`).

use std::collections::HashMap;
use std::future::Future;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{Mutex as AsyncMutex, Semaphore, SemaphorePermit, oneshot, watch};

use super::{program, soon};

/// Browsers at a time: each takes all that a small machine has while it starts.
static PLACES: Semaphore = Semaphore::const_new(2);

/// What a page of ours must never do is noted from its very beginning.
const WATCH: &str = "window.violations = []; addEventListener('securitypolicyviolation', \
    (e) => window.violations.push(e.violatedDirective + ' ' + e.blockedURI));";

/// A browser that nobody else uses. Dropping it kills it.
pub(crate) struct Browser {
    pipe: Arc<Pipe>,
    _child: Child,
    _profile: TempDir,
    _place: SemaphorePermit<'static>,
}

struct Pipe {
    to: AsyncMutex<ChildStdin>,
    next: AtomicU64,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Value>>>,
    /// All that has happened in it.
    events: watch::Sender<Vec<Value>>,
}

/// A tab.
pub(crate) struct Page {
    pipe: Arc<Pipe>,
    session: String,
    runs_scripts: AtomicBool,
}

impl Browser {
    /// Starts one; none if there is no Chromium here. `names` lead to this machine.
    pub(crate) async fn start(names: &str) -> Option<Self> {
        let chromium = program("chromium")?;
        let place = PLACES.acquire().await.unwrap();
        let profile = tempfile::tempdir().unwrap();
        let mut shell = Command::new("sh");
        shell.args([
            "-c",
            "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1",
            "sh",
        ]);
        shell.arg(chromium).args([
            "--headless=new",
            "--remote-debugging-pipe",
            // Tests run as root in containers, and open pages of their own alone.
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--no-first-run",
            "--no-proxy-server",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-extensions",
            "--disable-sync",
            "--hide-scrollbars",
            "--force-color-profile=srgb",
        ]);
        shell.arg(format!("--host-resolver-rules=MAP {names} 127.0.0.1"));
        shell.arg(format!("--user-data-dir={}", profile.path().display()));
        shell.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = shell.kill_on_drop(true).spawn().unwrap();
        let pipe = Arc::new(Pipe {
            to: AsyncMutex::new(child.stdin.take().unwrap()),
            next: AtomicU64::new(1),
            waiting: Mutex::default(),
            events: watch::channel(Vec::new()).0,
        });
        tokio::spawn(pipe.clone().read(child.stdout.take().unwrap()));
        Some(Self {
            pipe,
            _child: child,
            _profile: profile,
            _place: place,
        })
    }

    /// An empty tab, 1280 pixels wide.
    pub(crate) async fn page(&self) -> Page {
        let target = self
            .pipe
            .call(None, "Target.createTarget", json!({"url": "about:blank"}));
        let target = target.await["targetId"].clone();
        let attach = json!({"targetId": target, "flatten": true});
        let attached = self.pipe.call(None, "Target.attachToTarget", attach).await;
        let page = Page {
            pipe: self.pipe.clone(),
            session: attached["sessionId"].as_str().unwrap().to_owned(),
            runs_scripts: AtomicBool::new(true),
        };
        for domain in ["Page", "Runtime", "Network", "Log"] {
            page.call(&format!("{domain}.enable"), json!({})).await;
        }
        let watch = json!({"source": WATCH});
        page.call("Page.addScriptToEvaluateOnNewDocument", watch)
            .await;
        page.size(1280, 900).await;
        page
    }
}

impl Pipe {
    async fn read(self: Arc<Self>, from: ChildStdout) {
        let (mut from, mut message) = (BufReader::new(from), Vec::new());
        while from
            .read_until(0, &mut message)
            .await
            .is_ok_and(|read| read > 0)
        {
            let told: Value = serde_json::from_slice(message.strip_suffix(&[0]).unwrap()).unwrap();
            message.clear();
            match told["id"].as_u64() {
                Some(id) => {
                    if let Some(waiting) = self.waiting.lock().unwrap().remove(&id) {
                        // Whoever has asked may have gone.
                        let _: Result<(), Value> = waiting.send(told);
                    }
                }
                None => self.events.send_modify(|events| events.push(told)),
            }
        }
    }

    async fn call(&self, session: Option<&str>, method: &str, params: Value) -> Value {
        let id = self.next.fetch_add(1, Ordering::SeqCst);
        let mut message = json!({"id": id, "method": method, "params": params});
        if let Some(session) = session {
            message["sessionId"] = json!(session);
        }
        let (answer, answered) = oneshot::channel();
        self.waiting.lock().unwrap().insert(id, answer);
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.to.lock().await.write_all(&bytes).await.unwrap();
        let told = soon(answered).await.expect("the browser lives");
        assert!(told.get("error").is_none(), "{method}: {told}");
        told["result"].clone()
    }
}

impl Page {
    pub(crate) async fn call(&self, method: &str, params: Value) -> Value {
        self.pipe.call(Some(&self.session), method, params).await
    }

    /// What has happened in it, by the name of the event.
    fn events(&self, method: &str) -> Vec<Value> {
        let events = self.pipe.events.borrow();
        let mine = events.iter().filter(|event| {
            event["method"] == method && event["sessionId"] == self.session.as_str()
        });
        mine.map(|event| event["params"].clone()).collect()
    }

    /// Waits until something has happened more often than before.
    async fn happens_after(&self, method: &str, before: usize) {
        let mut seen = self.pipe.events.subscribe();
        let happened = seen.wait_for(|events| {
            let is_it = |event: &&Value| {
                event["method"] == method && event["sessionId"] == self.session.as_str()
            };
            events.iter().filter(is_it).count() > before
        });
        drop(soon(happened).await.unwrap());
    }

    /// Opens an address and waits until it is there.
    pub(crate) async fn open(&self, url: &str) {
        let before = self.events("Page.loadEventFired").len();
        let came = self.call("Page.navigate", json!({"url": url})).await;
        assert!(came.get("errorText").is_none(), "{url}: {came}");
        self.happens_after("Page.loadEventFired", before).await;
    }

    /// What an expression is, once its promise is kept.
    pub(crate) async fn eval(&self, expression: &str) -> Value {
        let params = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let came = self.call("Runtime.evaluate", params).await;
        assert!(
            came.get("exceptionDetails").is_none(),
            "{expression}: {came}"
        );
        came["result"]["value"].clone()
    }

    /// Waits until an expression is true: it is asked again whenever the page changes.
    pub(crate) async fn until(&self, expression: &str) {
        self.eval(&format!(
            "new Promise((done) => {{
                const look = () => {{ if ({expression}) {{ observer.disconnect(); done(true); }} }};
                const observer = new MutationObserver(look);
                observer.observe(document, {{subtree: true, childList: true, attributes: true, characterData: true}});
                look();
            }})"
        ))
        .await;
    }

    /// All that can be read on it.
    pub(crate) async fn text(&self) -> String {
        let text = self.eval("document.body.innerText").await;
        text.as_str().unwrap().to_owned()
    }

    /// Waits until it is painted: what is pressed on a page before is dropped.
    async fn painted(&self) {
        self.to_front().await;
        if self.runs_scripts.load(Ordering::SeqCst) {
            let frames = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))";
            self.eval(frames).await;
        }
    }

    /// Presses the mouse's button on the first element that a selector finds.
    pub(crate) async fn click(&self, selector: &str) {
        self.painted().await;
        let place = self
            .eval(&format!(
                "(() => {{ const e = document.querySelector({selector:?}); e.scrollIntoView({{block: 'center'}});
                const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; }})()"
            ))
            .await;
        for kind in ["mousePressed", "mouseReleased"] {
            let params = json!({"type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1});
            self.call("Input.dispatchMouseEvent", params).await;
        }
    }

    /// Presses it where that leads to another page.
    pub(crate) async fn follow(&self, selector: &str) {
        self.leaves(self.click(selector)).await;
    }

    /// Does something and waits until another page is there.
    pub(crate) async fn leaves(&self, by: impl Future<Output = ()>) {
        let before = self.events("Page.loadEventFired").len();
        by.await;
        self.happens_after("Page.loadEventFired", before).await;
    }

    /// Types into a field.
    pub(crate) async fn fill(&self, selector: &str, text: &str) {
        self.painted().await;
        self.eval(&format!("document.querySelector({selector:?}).focus()"))
            .await;
        self.call("Input.insertText", json!({"text": text})).await;
    }

    /// Presses a key, such as `Tab` or `Enter`.
    pub(crate) async fn press(&self, key: &str) {
        self.painted().await;
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            other => panic!("{other}"),
        };
        for kind in ["keyDown", "keyUp"] {
            let params = json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text});
            self.call("Input.dispatchKeyEvent", params).await;
        }
    }

    /// As if somebody chose its tab.
    pub(crate) async fn to_front(&self) {
        self.call("Page.bringToFront", json!({})).await;
    }

    pub(crate) async fn size(&self, width: u32, height: u32) {
        let params =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", params)
            .await;
    }

    /// `dark` or `light`.
    pub(crate) async fn colours(&self, scheme: &str) {
        let feature = json!({"name": "prefers-color-scheme", "value": scheme});
        self.call("Emulation.setEmulatedMedia", json!({"features": [feature]}))
            .await;
    }

    /// From the next page on, scripts run or not.
    pub(crate) async fn scripts(&self, run: bool) {
        self.runs_scripts.store(run, Ordering::SeqCst);
        let params = json!({"value": !run});
        self.call("Emulation.setScriptExecutionDisabled", params)
            .await;
    }

    /// A picture of all of it.
    pub(crate) async fn picture(&self, file: &Path) {
        let params = json!({"format": "png", "captureBeyondViewport": true});
        let taken = self.call("Page.captureScreenshot", params).await;
        let bytes = BASE64.decode(taken["data"].as_str().unwrap()).unwrap();
        std::fs::write(file, bytes).unwrap();
    }

    /// Every address it has asked for so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        let requests = self.events("Network.requestWillBeSent");
        let urls = requests
            .iter()
            .map(|request| request["request"]["url"].as_str().unwrap());
        urls.map(str::to_owned).collect()
    }

    /// What the browser has complained of.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let logged = self.events("Log.entryAdded");
        let thrown = self.events("Runtime.exceptionThrown");
        let told = logged.iter().chain(&thrown).map(ToString::to_string);
        told.collect()
    }
}
