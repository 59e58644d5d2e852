//! nginx or Caddy with the shipped configuration, a certificate of a test
//! authority, and whatever upstream a test names.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::{read, replaced};
use crate::support::{IDENTIFIER, free_port, program, soon, succeed};

pub(super) const HOST: &str = "relay.example.com";

/// The programs that may stand before the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Nginx,
    Caddy,
}

impl Kind {
    fn program(self) -> Option<PathBuf> {
        match self {
            Self::Nginx => program("nginx"),
            Self::Caddy => program("caddy"),
        }
    }
}

/// A proxy that runs. Dropping it kills it.
pub(super) struct Proxy {
    pub(super) address: SocketAddr,
    pub(super) openssl: PathBuf,
    folder: TempDir,
    log: PathBuf,
    _child: Child,
}

impl Proxy {
    /// Starts it before this relay; none if it is not installed.
    pub(super) async fn start(kind: Kind, upstream: SocketAddr) -> Option<Self> {
        let (program, openssl) = (kind.program()?, program("openssl")?);
        let folder = TempDir::new().unwrap();
        certify(&openssl, folder.path()).await;
        let port = free_port();
        let upstream = upstream.to_string();
        let (child, log) = match kind {
            Kind::Nginx => {
                let site = nginx_before_one(folder.path(), port, &upstream);
                nginx(&program, folder.path(), &site)
            }
            Kind::Caddy => {
                let site = caddy_before_one(folder.path());
                let host = format!("https://{HOST}:{port}");
                let environment = [("RELAY_HOST", host), ("RELAY_UPSTREAM", upstream)];
                caddy(&program, folder.path(), &site, environment)
            }
        };
        Some(Self::of(port, openssl, folder, child, log).await)
    }

    /// Starts it before two relays, without TLS: the simulated Gladly knows no test
    /// authority.
    pub(super) async fn start_before_two(kind: Kind, upstreams: [SocketAddr; 2]) -> Option<Self> {
        let (program, openssl) = (kind.program()?, program("openssl")?);
        let (folder, port) = (TempDir::new().unwrap(), free_port());
        let upstreams = upstreams.map(|upstream| upstream.to_string());
        let (child, log) = match kind {
            Kind::Nginx => {
                let site = nginx_before_two(folder.path(), port, &upstreams);
                nginx(&program, folder.path(), &site)
            }
            Kind::Caddy => {
                let site = caddy_site(&read("several/Caddyfile"), folder.path());
                let host = format!("http://127.0.0.1:{port}");
                let environment = [
                    ("RELAY_HOST", host),
                    ("RELAY_UPSTREAMS", upstreams.join(" ")),
                ];
                caddy(&program, folder.path(), &site, environment)
            }
        };
        Some(Self::of(port, openssl, folder, child, log).await)
    }

    async fn of(port: u16, openssl: PathBuf, folder: TempDir, child: Child, log: PathBuf) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        soon(listens(address)).await;
        Self {
            address,
            openssl,
            folder,
            log,
            _child: child,
        }
    }

    /// As Gladly comes: over TLS, with the identifier.
    pub(super) fn client(&self) -> reqwest::Client {
        let authority = std::fs::read(self.authority()).unwrap();
        let authority = reqwest::Certificate::from_pem(&authority).unwrap();
        reqwest::Client::builder()
            .tls_certs_only([authority])
            .resolve(HOST, self.address)
            .build()
            .unwrap()
    }

    pub(super) fn authority(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    /// Posts a webhook.
    pub(super) fn post(&self, client: &reqwest::Client, body: String) -> reqwest::RequestBuilder {
        client
            .post(self.url("/webhooks/gladly"))
            .header("X-Account-Identifier", IDENTIFIER)
            .body(body)
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("https://{HOST}:{}{path}", self.address.port())
    }

    /// What it has logged.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

/// A test authority, and a certificate by it.
async fn certify(openssl: &Path, folder: &Path) {
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (authority, authority_key) = (path("authority.pem"), path("authority.key"));
    let (request, key, certificate) = (path("request.pem"), path("key.pem"), path("cert.pem"));
    let new_key = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
    ];
    let arguments = ["req", "-x509", "-days", "2", "-subj", "/CN=Test authority"];
    let files = ["-keyout", &authority_key, "-out", &authority];
    let may_certify = ["-addext", "keyUsage=critical,keyCertSign"];
    succeed(
        openssl,
        &[&arguments[..], &new_key, &files, &may_certify].concat(),
    )
    .await;
    let (subject, names) = (format!("/CN={HOST}"), format!("subjectAltName=DNS:{HOST}"));
    let arguments = ["req", "-subj", &subject, "-addext", &names];
    let files = ["-keyout", &key, "-out", &request];
    succeed(openssl, &[&arguments[..], &new_key, &files].concat()).await;
    let arguments = ["x509", "-req", "-days", "2", "-copy_extensions", "copy"];
    let files = [
        "-in",
        &request,
        "-CA",
        &authority,
        "-CAkey",
        &authority_key,
        "-out",
        &certificate,
    ];
    succeed(openssl, &[&arguments[..], &files].concat()).await;
}

fn nginx_before_one(folder: &Path, port: u16, upstream: &str) -> String {
    let here = folder.to_str().unwrap();
    replaced(
        &read("nginx.conf"),
        &[
            ("listen 443 ssl;", &format!("listen 127.0.0.1:{port} ssl;")),
            ("listen [::]:443 ssl;", ""),
            (
                "/etc/ssl/relay.example.com/fullchain.pem",
                &format!("{here}/cert.pem"),
            ),
            (
                "/etc/ssl/relay.example.com/privkey.pem",
                &format!("{here}/key.pem"),
            ),
            (
                "/var/log/nginx/gladly-relay.log",
                &format!("{here}/access.log"),
            ),
            ("server 127.0.0.1:8080;", &format!("server {upstream};")),
            // Nobody waits ten seconds for a test.
            ("client_header_timeout 10s;", "client_header_timeout 1s;"),
            ("client_body_timeout   10s;", "client_body_timeout 1s;"),
        ],
    )
}

fn nginx_before_two(folder: &Path, port: u16, [one, two]: &[String; 2]) -> String {
    let here = folder.to_str().unwrap();
    replaced(
        &read("several/nginx.conf"),
        &[
            ("listen 443 ssl;", &format!("listen 127.0.0.1:{port};")),
            ("listen [::]:443 ssl;", ""),
            (
                "ssl_certificate     /etc/ssl/relay.example.com/fullchain.pem;",
                "",
            ),
            (
                "ssl_certificate_key /etc/ssl/relay.example.com/privkey.pem;",
                "",
            ),
            (
                "/var/log/nginx/gladly-relay.log",
                &format!("{here}/access.log"),
            ),
            ("server 10.0.0.11:8080 ", &format!("server {one} ")),
            ("server 10.0.0.12:8080 ", &format!("server {two} ")),
        ],
    )
}

fn nginx(program: &Path, folder: &Path, site: &str) -> (Child, PathBuf) {
    let here = folder.to_str().unwrap();
    std::fs::write(folder.join("site.conf"), site).unwrap();
    let whole = format!(
        "daemon off; master_process off; pid {here}/pid; error_log {here}/error.log; user root;\n\
         events {{ worker_connections 512; }}\n\
         http {{ client_body_temp_path {here}/body; proxy_temp_path {here}/proxy;\n\
         fastcgi_temp_path {here}/fastcgi; uwsgi_temp_path {here}/uwsgi; scgi_temp_path {here}/scgi;\n\
         access_log off; include {here}/site.conf; }}\n"
    );
    std::fs::write(folder.join("nginx.conf"), whole).unwrap();
    let mut command = Command::new(program);
    command.args(["-e", "stderr", "-p", here, "-c", "nginx.conf"]);
    (spawn(command, Stdio::inherit()), folder.join("access.log"))
}

fn caddy_before_one(folder: &Path) -> String {
    let here = folder.to_str().unwrap();
    replaced(
        &caddy_site(&read("Caddyfile"), folder),
        &[
            (
                "{$RELAY_HOST:relay.example.com} {",
                &format!(
                    "{{$RELAY_HOST:relay.example.com}} {{\n\ttls {here}/cert.pem {here}/key.pem"
                ),
            ),
            ("read_header 10s", "read_header 1s"),
            ("read_body 20s", "read_body 11s"),
        ],
    )
}

/// With its files in the folder, and nothing else than the site listening.
fn caddy_site(site: &str, folder: &Path) -> String {
    let global = format!(
        "{{\n\tadmin off\n\tauto_https disable_redirects\n\tstorage file_system {}\n\tservers {{",
        folder.display()
    );
    replaced(site, &[("{\n\tservers {", &global)])
}

fn caddy(
    program: &Path,
    folder: &Path,
    site: &str,
    environment: [(&str, String); 2],
) -> (Child, PathBuf) {
    let path = folder.join("Caddyfile");
    std::fs::write(&path, site).unwrap();
    let mut command = Command::new(program);
    command.args(["run", "--adapter", "caddyfile", "--config"]);
    command.arg(path).env("HOME", folder).envs(environment);
    let log = folder.join("caddy.log");
    let output = File::create(&log).unwrap();
    (spawn(command, output.into()), log)
}

fn spawn(mut command: Command, output: Stdio) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(output).kill_on_drop(true).spawn().unwrap()
}

/// Until somebody listens there.
async fn listens(address: SocketAddr) {
    while TcpStream::connect(address).await.is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
