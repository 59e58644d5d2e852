//! Traces: one for each turn, linked to the spans of the webhooks that brought its
//! messages. They leave the process only if it was built with the feature `otlp` and
//! an endpoint is configured.
//!
//! Ids are derived from what the store holds anyway, so a turn's spans meet and its
//! links lead somewhere whichever process sends them.

#[cfg(feature = "otlp")]
mod encode;
#[cfg(feature = "otlp")]
mod export;
mod span;

use crate::config::TraceTarget;
pub use span::{Kind, Span, SpanContext};

/// Takes spans; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Traces {
    #[cfg(feature = "otlp")]
    exporter: Option<std::sync::Arc<export::Exporter>>,
}

impl Traces {
    /// Sends what it is given to `target`, if there is one.
    ///
    /// # Errors
    /// Fails if TLS can't be set up.
    #[cfg(feature = "otlp")]
    pub fn begin(target: Option<&TraceTarget>) -> anyhow::Result<Self> {
        let exporter = target.map(export::Exporter::begin).transpose()?;
        Ok(Self {
            exporter: exporter.map(std::sync::Arc::new),
        })
    }

    /// Sends nothing, and says so where somebody expects it.
    ///
    /// # Errors
    /// None: it has to look like the other one.
    #[cfg(not(feature = "otlp"))]
    pub fn begin(target: Option<&TraceTarget>) -> anyhow::Result<Self> {
        if target.is_some() {
            tracing::warn!(
                "OTEL_EXPORTER_OTLP_ENDPOINT is set, but this relay was built without traces; build it with --features otlp"
            );
        }
        Ok(Self::default())
    }

    /// Hands over a span. It never waits: a span that finds no room is dropped.
    pub fn record(&self, span: impl FnOnce() -> Span) {
        #[cfg(feature = "otlp")]
        if let Some(exporter) = &self.exporter {
            exporter.record(span());
        }
        #[cfg(not(feature = "otlp"))]
        drop(span);
    }

    /// Sends what is left. To be bounded by whoever calls it.
    pub async fn end(&self) {
        #[cfg(feature = "otlp")]
        if let Some(exporter) = &self.exporter {
            exporter.end().await;
        }
        #[cfg(not(feature = "otlp"))]
        std::future::ready(()).await;
    }
}
