//! What the simulators' own tests share: a bare HTTP client for each, and a
//! receiver of webhooks.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::routing::post;
use gladly_relay::sim::{Gladly, GladlyOptions};
use serde_json::{Value, json};

/// Fails a test that waits for what never comes.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), future)
        .await
        .unwrap()
}

/// A simulated Gladly and an API client of it. No rate limit unless asked for.
pub(crate) struct Api {
    pub(crate) gladly: Gladly,
    http: reqwest::Client,
}

/// A status, the headers and the body, JSON or `null`.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Api {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut GladlyOptions)) -> Self {
        let mut options = GladlyOptions {
            requests_per_second: None,
            ..GladlyOptions::default()
        };
        change(&mut options);
        let gladly = Gladly::start(options).await.unwrap();
        Self {
            gladly,
            http: plain_client(),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await.unwrap()
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PATCH, path, Some(body)).await.unwrap()
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, None).await.unwrap()
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> reqwest::Result<Answer> {
        let options = self.gladly.options();
        let url = format!("{}/api/v1{path}", self.gladly.url());
        let mut request = self
            .http
            .request(method, url)
            .basic_auth(options.username, Some(options.api_token));
        if let Some(body) = body {
            request = request.json(&body);
        }
        Answer::of(request).await
    }

    /// Replies to a chat message.
    pub(crate) async fn reply(&self, item: &str, body: &str) -> Answer {
        let content = json!({ "type": "CHAT_MESSAGE", "messageType": "TEXT", "body": body });
        self.post(
            &format!("/conversation-items/{item}/reply"),
            json!({ "content": content }),
        )
        .await
    }
}

impl Answer {
    pub(crate) async fn of(request: reqwest::RequestBuilder) -> reqwest::Result<Self> {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = serde_json::from_str(&response.text().await?).unwrap_or_default();
        Ok(Self {
            status,
            headers,
            body,
        })
    }

    /// Asserts a 400 with this attribute and code, and returns its detail.
    pub(crate) fn refused(&self, attr: &str, code: &str) -> &str {
        assert_eq!(self.status, 400, "{}", self.body);
        let error = &self.body["errors"][0];
        assert_eq!(
            (error["attr"].as_str(), error["code"].as_str()),
            (Some(attr), Some(code))
        );
        error["detail"].as_str().unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The id at the end of `Location`.
    pub(crate) fn created_id(&self) -> String {
        assert_eq!(self.status, 201, "{}", self.body);
        self.header("Location")
            .unwrap()
            .rsplit('/')
            .next()
            .unwrap()
            .to_owned()
    }
}

/// Follows no redirect, keeps no connection: each call stands for itself.
pub(crate) fn plain_client() -> reqwest::Client {
    let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    builder
        .no_proxy()
        // Loading the platform's roots is most of making a client.
        .tls_certs_only([])
        .pool_max_idle_per_host(0)
        .build()
        .unwrap()
}

/// Receives webhooks and answers each as told, 200 if nothing was.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) url: String,
    state: Arc<Mutex<Received>>,
}

#[derive(Default)]
struct Received {
    calls: Vec<(HeaderMap, Value)>,
    statuses: Vec<u16>,
}

impl Receiver {
    /// Answers with these statuses in turn, the last of them for ever.
    pub(crate) async fn answering(statuses: &[u16]) -> Self {
        let received = Received {
            calls: Vec::new(),
            statuses: statuses.to_vec(),
        };
        let state = Arc::new(Mutex::new(received));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/hook", post(receive))
            .with_state(Arc::clone(&state));
        tokio::spawn(async { axum::serve(listener, router).await });
        Self { url, state }
    }

    pub(crate) fn calls(&self) -> Vec<(HeaderMap, Value)> {
        self.state.lock().unwrap().calls.clone()
    }
}

async fn receive(
    State(state): State<Arc<Mutex<Received>>>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let mut state = state.lock().unwrap();
    state
        .calls
        .push((headers, serde_json::from_slice(&body).unwrap()));
    let status = match state.statuses.len() {
        0 => 200,
        1 => state.statuses[0],
        _ => state.statuses.remove(0),
    };
    StatusCode::from_u16(status).unwrap()
}
