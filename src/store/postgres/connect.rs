//! Connecting, and what an error of the database means for what was being done.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use rustls_platform_verifier::Verifier;
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, Client, Error, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::store::StoreError;
use crate::store::address::{PostgresAddress, Verify};

/// How long connecting may take, unless the URL says otherwise.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// When a server that went away without a word is given up.
const SILENT_FOR: Duration = Duration::from_secs(10);

/// Makes connections to one database.
#[derive(Clone)]
pub(super) struct Connector {
    config: tokio_postgres::Config,
    tls: Option<MakeRustlsConnect>,
}

impl Connector {
    /// Reads what TLS needs.
    pub(super) fn new(address: &PostgresAddress) -> Result<Self, StoreError> {
        let mut config = address.config.clone();
        config.application_name("gladly-relay");
        config.keepalives_idle(SILENT_FOR);
        config.tcp_user_timeout(SILENT_FOR);
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_WITHIN);
        }
        let tls = (config.get_ssl_mode() != tokio_postgres::config::SslMode::Disable)
            .then(|| tls(address))
            .transpose()?;
        Ok(Self {
            config,
            tls: tls.map(MakeRustlsConnect::new),
        })
    }

    /// A new connection. It ends when the client is dropped.
    pub(super) async fn connect(&self) -> Result<Client, Error> {
        self.connect_and_hear(|_| ()).await
    }

    /// A new connection that tells of every notification.
    pub(super) async fn connect_and_hear(
        &self,
        heard: impl Fn(&str) + Send + 'static,
    ) -> Result<Client, Error> {
        if let Some(tls) = &self.tls {
            let (client, connection) = self.config.connect(tls.clone()).await?;
            tokio::spawn(serve(connection, heard));
            Ok(client)
        } else {
            let (client, connection) = self.config.connect(NoTls).await?;
            tokio::spawn(serve(connection, heard));
            Ok(client)
        }
    }
}

/// Does the connection's work until it ends; whoever uses the client hears why.
async fn serve<S, T>(
    mut connection: tokio_postgres::Connection<S, T>,
    heard: impl Fn(&str) + Send + 'static,
) where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
        if let AsyncMessage::Notification(notification) = message {
            heard(notification.channel());
        }
    }
}

fn tls(address: &PostgresAddress) -> Result<ClientConfig, StoreError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let wrong = |what: String| StoreError::Database(format!("its TLS: {what}"));
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(error.to_string()))?;
    let inner: Option<Arc<dyn ServerCertVerifier>> = match (address.verify, &address.root) {
        (Verify::Nothing, _) => None,
        (_, Some(path)) => {
            let unreadable = |error: rustls::pki_types::pem::Error| {
                wrong(format!(
                    "the authority in {} can't be read: {error}",
                    path.display()
                ))
            };
            let mut roots = RootCertStore::empty();
            for root in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
                let root = root.map_err(unreadable)?;
                roots.add(root).map_err(|error| wrong(error.to_string()))?;
            }
            let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(
                Arc::new(roots),
                provider.clone(),
            );
            Some(verifier.build().map_err(|error| wrong(error.to_string()))?)
        }
        (_, None) => {
            let verifier = Verifier::new(provider.clone());
            Some(Arc::new(
                verifier.map_err(|error| wrong(error.to_string()))?,
            ))
        }
    };
    let verifier = Verifying {
        inner,
        name_matters: address.verify == Verify::AuthorityAndName,
        provider,
    };
    Ok(builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

/// What libpq's `sslmode` asks of a server's certificate.
#[derive(Debug)]
struct Verifying {
    /// None believes whoever answers.
    inner: Option<Arc<dyn ServerCertVerifier>>,
    name_matters: bool,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifying {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(inner) = &self.inner else {
            return Ok(ServerCertVerified::assertion());
        };
        let verified =
            inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            // The name is looked at last, so all else was right.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.name_matters => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

/// What an error means for the batch in which it came (PostgreSQL documentation,
/// "PostgreSQL Error Codes").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Another transaction was first: the same again finds out what it did.
    Collision,
    /// The statement can't be done with these values.
    Values,
    /// The database is away, full, or refuses the relay.
    Away,
}

/// Sorts an error by what to do next.
pub(super) fn meaning(error: &Error) -> Meaning {
    let Some(code) = error.code() else {
        return Meaning::Away;
    };
    let collisions = [
        &SqlState::UNIQUE_VIOLATION,
        &SqlState::T_R_SERIALIZATION_FAILURE,
        &SqlState::T_R_DEADLOCK_DETECTED,
    ];
    if collisions.contains(&code) {
        return Meaning::Collision;
    }
    match code.code().get(..2) {
        // Data exceptions, and what a limit of the program refuses.
        Some("22" | "54") => Meaning::Values,
        _ => Meaning::Away,
    }
}

impl From<Error> for StoreError {
    /// What the database says, without the values that stand in its details.
    fn from(error: Error) -> Self {
        let what = if let Some(error) = error.as_db_error() {
            format!("{} ({})", error.message(), error.code().code())
        } else {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            format!("{error}{}", cause.unwrap_or_default())
        };
        Self::Database(what)
    }
}
