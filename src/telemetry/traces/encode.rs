//! Spans as a collector reads them: OTLP's JSON (OpenTelemetry protocol, "JSON
//! Protobuf encoding": ids in hexadecimal, 64-bit numbers as strings, enumerations as
//! numbers).

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Kind, Span, SpanContext};

/// The body of one request.
pub(super) fn request(resource: &[(String, String)], spans: &[Span]) -> Value {
    let attribute = |(name, value): &(String, String)| attribute(name, value);
    let version = (
        "service.version".to_owned(),
        env!("CARGO_PKG_VERSION").to_owned(),
    );
    let resource: Vec<Value> = resource.iter().chain([&version]).map(attribute).collect();
    let spans: Vec<Value> = spans.iter().map(span).collect();
    json!({
        "resourceSpans": [{
            "resource": { "attributes": resource },
            "scopeSpans": [{
                "scope": { "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION") },
                "spans": spans,
            }],
        }],
    })
}

fn span(span: &Span) -> Value {
    let attributes = span.attributes.iter();
    let attributes: Vec<Value> = attributes
        .map(|(name, value)| attribute(name, value))
        .collect();
    let links: Vec<Value> = span.links.iter().map(|link| ids(*link)).collect();
    let mut encoded = ids(span.context);
    encoded["name"] = json!(span.name);
    encoded["kind"] = json!(match span.kind {
        Kind::Internal => 1,
        Kind::Server => 2,
        Kind::Client => 3,
    });
    encoded["startTimeUnixNano"] = nanoseconds(span.start);
    encoded["endTimeUnixNano"] = nanoseconds(span.end.max(span.start));
    encoded["attributes"] = json!(attributes);
    encoded["links"] = json!(links);
    if let Some(parent) = span.parent {
        encoded["parentSpanId"] = json!(format!("{:016x}", parent.span_id));
    }
    if span.failed {
        encoded["status"] = json!({ "code": 2 });
    }
    encoded
}

fn ids(context: SpanContext) -> Value {
    json!({
        "traceId": format!("{:032x}", context.trace_id),
        "spanId": format!("{:016x}", context.span_id),
    })
}

fn attribute(name: &str, value: &str) -> Value {
    json!({ "key": name, "value": { "stringValue": value } })
}

fn nanoseconds(time: Timestamp) -> Value {
    json!(time.as_nanosecond().max(0).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_written_as_the_protocol_has_it() {
        let [context, parent, link] = [1, 2, 3].map(|number| SpanContext {
            trace_id: number,
            span_id: 16,
        });
        let span = Span {
            context,
            parent: Some(parent),
            name: "turn",
            kind: Kind::Internal,
            start: Timestamp::from_second(2).unwrap(),
            end: Timestamp::from_second(1).unwrap(),
            attributes: vec![("account", "acme".to_owned())],
            links: vec![link],
            failed: true,
        };
        let resource = [("service.name".to_owned(), "relay".to_owned())];
        let request = request(&resource, &[span]);
        let of_resource = &request["resourceSpans"][0];
        assert_eq!(
            of_resource["resource"]["attributes"][0],
            json!({"key": "service.name", "value": {"stringValue": "relay"}})
        );
        assert_eq!(
            of_resource["scopeSpans"][0]["spans"][0],
            json!({
                "traceId": "00000000000000000000000000000001",
                "spanId": "0000000000000010",
                "parentSpanId": "0000000000000010",
                "name": "turn",
                "kind": 1,
                "startTimeUnixNano": "2000000000",
                "endTimeUnixNano": "2000000000",
                "attributes": [{"key": "account", "value": {"stringValue": "acme"}}],
                "links": [{"traceId": "00000000000000000000000000000003", "spanId": "0000000000000010"}],
                "status": {"code": 2},
            })
        );
    }
}
