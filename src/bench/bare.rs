//! The baseline of acks: a web server that reads the same JSON, answers the same
//! and does nothing else.

use std::net::SocketAddr;
use std::path::Path;

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::Json;
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::server::{Launch, Server, free_ports};

/// Starts it in a process of its own, as the relay is; returns its port.
pub(super) async fn start(binary: &Path, folder: &Path) -> anyhow::Result<(Server, u16)> {
    let [port, _] = free_ports()?;
    let server = Server::start(Launch {
        binary: binary.to_owned(),
        arguments: ["bench", "bare", &format!("127.0.0.1:{port}")]
            .map(Into::into)
            .to_vec(),
        log: folder.join("bare.log"),
        port,
        trace: None,
    });
    Ok((server.await?, port))
}

/// Serves it: the command of that process.
pub async fn serve_bare(listen: SocketAddr) -> std::io::Result<()> {
    let router = Router::new()
        .route("/webhooks/gladly", post(receive))
        .route("/readyz", get(async || StatusCode::OK));
    axum::serve(TcpListener::bind(listen).await?, router).await
}

async fn receive(body: Bytes) -> Result<Json<Value>, StatusCode> {
    let body: Value = serde_json::from_slice(&body).map_err(|_| StatusCode::BAD_REQUEST)?;
    body["type"].as_str().ok_or(StatusCode::BAD_REQUEST)?;
    Ok(Json(json!({ "status": "accepted" })))
}
