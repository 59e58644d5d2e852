//! Where traces go: the standard variables of OpenTelemetry (OpenTelemetry
//! specification, "OTLP exporter" and "Environment variables"), with which every
//! collector is documented.

use std::time::Duration;

use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};

use super::environment::Environment;
use super::reader::Mistakes;

/// Where spans go, and what is said beside them.
#[derive(Debug, Clone)]
pub struct TraceTarget {
    /// `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, or `OTEL_EXPORTER_OTLP_ENDPOINT` with
    /// `/v1/traces`.
    pub url: Url,
    /// `OTEL_EXPORTER_OTLP_HEADERS`: marked as sensitive, so `Debug` shows no value.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// `OTEL_EXPORTER_OTLP_TIMEOUT`: for one batch.
    pub timeout: Duration,
    /// `OTEL_BSP_SCHEDULE_DELAY`: the longest that a span waits for others.
    pub delay: Duration,
    /// `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME`.
    pub resource: Vec<(String, String)>,
}

/// Reads it; none if no endpoint is set or the operator wants no traces.
pub(super) fn read_trace_target(
    environment: &Environment,
    mistakes: &Mistakes,
) -> Option<TraceTarget> {
    let is = |name, word: &str| {
        let value = environment.get(name);
        value.is_some_and(|value| value.trim().eq_ignore_ascii_case(word))
    };
    if is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none") {
        return None;
    }
    let url = read_url(environment, mistakes)?;
    if of_traces(environment, "PROTOCOL").is_some_and(|(_, protocol)| protocol == "grpc") {
        mistakes.add(
            "OTEL_EXPORTER_OTLP_PROTOCOL: this relay speaks http/json only; write that, and the collector's HTTP port (usually 4318)"
                .to_owned(),
        );
    }
    let timeout = of_traces(environment, "TIMEOUT");
    let delay = environment.get("OTEL_BSP_SCHEDULE_DELAY");
    let delay = delay.map(|value| ("OTEL_BSP_SCHEDULE_DELAY".to_owned(), value));
    Some(TraceTarget {
        url,
        headers: read_headers(environment, mistakes),
        timeout: milliseconds(timeout, 10_000, mistakes),
        delay: milliseconds(delay, 5_000, mistakes),
        resource: read_resource(environment, mistakes),
    })
}

/// A variable of the exporter: what is said of traces wins over what is said of all.
fn of_traces<'a>(environment: &'a Environment, name: &str) -> Option<(String, &'a str)> {
    let variables = ["TRACES_", ""].map(|part| format!("OTEL_EXPORTER_OTLP_{part}{name}"));
    variables.into_iter().find_map(|variable| {
        let value = environment.get(&variable)?.trim();
        Some((variable, value))
    })
}

fn read_url(environment: &Environment, mistakes: &Mistakes) -> Option<Url> {
    let (variable, text) = of_traces(environment, "ENDPOINT")?;
    let whole = variable.contains("_TRACES_");
    let url = if whole {
        text.to_owned()
    } else {
        format!("{}/v1/traces", text.trim_end_matches('/'))
    };
    let url = Url::parse(&url).ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if url.is_none() {
        mistakes.add(format!(
            "{variable}: not an address; write a collector's, such as http://127.0.0.1:4318"
        ));
    }
    url
}

fn milliseconds(given: Option<(String, &str)>, usual: u64, mistakes: &Mistakes) -> Duration {
    let number = given.and_then(|(variable, text)| {
        let number = text.trim().parse().ok().filter(|number| *number > 0);
        if number.is_none() {
            mistakes.add(format!(
                "{variable}: not a number; write milliseconds, such as {usual}"
            ));
        }
        number
    });
    Duration::from_millis(number.unwrap_or(usual))
}

fn read_headers(environment: &Environment, mistakes: &Mistakes) -> Vec<(HeaderName, HeaderValue)> {
    let Some((variable, text)) = of_traces(environment, "HEADERS") else {
        return Vec::new();
    };
    let header = |(name, value): (String, String)| {
        let name: HeaderName = name.parse().ok()?;
        let mut value: HeaderValue = value.parse().ok()?;
        value.set_sensitive(true);
        Some((name, value))
    };
    let headers = pairs(text).map(|pairs| pairs.into_iter().map(header).collect());
    headers.flatten().unwrap_or_else(|| {
        mistakes.add(format!(
            "{variable}: not a list of headers; write name=value,name=value"
        ));
        Vec::new()
    })
}

fn read_resource(environment: &Environment, mistakes: &Mistakes) -> Vec<(String, String)> {
    const VARIABLE: &str = "OTEL_RESOURCE_ATTRIBUTES";
    let text = environment.get(VARIABLE).unwrap_or_default();
    let mut resource = pairs(text).unwrap_or_else(|| {
        mistakes.add(format!(
            "{VARIABLE}: not a list; write name=value,name=value"
        ));
        Vec::new()
    });
    let named = environment.get("OTEL_SERVICE_NAME");
    let is_name = |(name, _): &(String, String)| name == "service.name";
    if named.is_some() || !resource.iter().any(is_name) {
        resource.retain(|pair| !is_name(pair));
        let name = named.unwrap_or(env!("CARGO_PKG_NAME")).to_owned();
        resource.insert(0, ("service.name".to_owned(), name));
    }
    resource
}

/// `name=value,name=value`, with the values percent-encoded (W3C Baggage).
fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let pairs = text.split(',').map(str::trim);
    let pairs = pairs.filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=')?;
        Some((name.trim().to_owned(), decoded(value.trim())?))
    });
    pairs.collect()
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let code = digit()? * 16 + digit()?;
                u8::try_from(code).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> (Option<TraceTarget>, Vec<String>) {
        let mistakes = Mistakes::default();
        let environment: Environment = variables.iter().copied().collect();
        let target = read_trace_target(&environment, &mistakes);
        (target, mistakes.into_vec())
    }

    const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

    #[test]
    fn without_an_endpoint_or_switched_off_nothing_is_exported() {
        let endpoint = (ENDPOINT, "http://127.0.0.1:4318");
        assert!(read(&[("OTEL_SERVICE_NAME", "x")]).0.is_none());
        assert!(read(&[endpoint, ("OTEL_SDK_DISABLED", "true")]).0.is_none());
        assert!(
            read(&[endpoint, ("OTEL_TRACES_EXPORTER", "none")])
                .0
                .is_none()
        );
        assert!(read(&[endpoint]).0.is_some());
    }

    #[test]
    fn the_standard_variables_are_read_and_the_one_for_traces_wins() {
        let all = [
            (ENDPOINT, "https://collector.example/base/"),
            (
                "OTEL_EXPORTER_OTLP_HEADERS",
                "authorization=Bearer%20s3cret, x-team=relay",
            ),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
            ("OTEL_BSP_SCHEDULE_DELAY", "200"),
            (
                "OTEL_RESOURCE_ATTRIBUTES",
                "service.name=other,deployment.environment=prod",
            ),
            ("OTEL_SERVICE_NAME", "relay-eu"),
        ];
        let (target, mistakes) = read(&all);
        let target = target.unwrap();
        assert!(mistakes.is_empty());
        assert_eq!(
            target.url.as_str(),
            "https://collector.example/base/v1/traces"
        );
        assert_eq!(target.headers[0].1, "Bearer s3cret");
        assert_eq!(target.timeout, Duration::from_millis(1_500));
        assert_eq!(target.delay, Duration::from_millis(200));
        let named = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let expected = [
            named("service.name", "relay-eu"),
            named("deployment.environment", "prod"),
        ];
        assert_eq!(target.resource, expected);
        assert!(!format!("{target:?}").contains("s3cret"));
        let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t:1/here");
        let (target, _) = read(&[all[0], traces]);
        assert_eq!(target.unwrap().url.as_str(), "http://t:1/here");
    }

    #[test]
    fn what_cannot_be_used_is_a_mistake_that_shows_no_value() {
        for (variable, value) in [
            (ENDPOINT, "collector:4318"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "s3cret"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a b=s3cret"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=%s3cret"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
            ("OTEL_BSP_SCHEDULE_DELAY", "0"),
            ("OTEL_RESOURCE_ATTRIBUTES", "s3cret"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ] {
            let (_, mistakes) = read(&[(ENDPOINT, "http://127.0.0.1:4318"), (variable, value)]);
            assert_eq!(mistakes.len(), 1, "{variable}={value}");
            assert!(mistakes[0].starts_with(variable), "{mistakes:?}");
            assert!(!mistakes[0].contains("s3cret"), "{mistakes:?}");
        }
    }
}
