//! Alerts and dashboard: every metric in them exists, every alert fires when it should,
//! every query of the dashboard shows something of a real relay.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use gladly_relay::sim::WebhookSpec;
use regex::Regex;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::{read, shipped};
use crate::support::{Door, IDENTIFIER, Setup, TestRelay, free_port, program, soon, succeed};

const TESTS: &str = include_str!("../../../fixtures/alerts_test.yml");

fn found<'a>(pattern: &str, text: &'a str) -> BTreeSet<&'a str> {
    let pattern = Regex::new(pattern).unwrap();
    let all = pattern.captures_iter(text);
    all.map(|found| found.get(1).unwrap().as_str()).collect()
}

/// A relay that has looked for missed events and at its webhook.
async fn sweeping() -> (TestRelay, Door) {
    let mut relay = Setup::default().start_without_relay().await;
    let door = Door::build().await;
    let off = "sweep_interval = \"0s\"";
    assert!(relay.toml.contains(off));
    let on = format!("sweep_interval = \"5m\"\npublic_url = \"{}\"", door.url);
    relay.toml = relay.toml.replace(off, &on);
    let spec = WebhookSpec::relay(&door.url, IDENTIFIER);
    relay.gladly.register_webhook(spec);
    relay.boot_without_webhook().await;
    door.lead_to(&relay.running().url);
    soon(relay.running().store.swept_often(1)).await;
    (relay, door)
}

/// What every relay has to do with: an answer, a handoff, a skip, a webhook that can't
/// be used, a stranger.
async fn story(relay: &TestRelay) {
    let mut ended = relay.running().store.outcomes(0).await.len();
    for text in ["hello", "agent please"] {
        relay.says(&relay.conversation(), text);
        ended += 1;
        relay.outcomes(ended).await;
    }
    let taken = relay.conversation();
    relay.gladly.take_over(&taken);
    relay.says(&taken, "hello");
    relay.outcomes(ended + 1).await;
    let unusable = json!({"id": format!("u{ended}"), "type": "CONTACT/MESSAGE_RECEIVED"});
    assert_eq!(relay.post(unusable.to_string()).await.status(), 200);
    let url = format!("{}/webhooks/gladly", relay.running().url);
    let stranger = reqwest::Client::new().post(url).send();
    assert_eq!(soon(stranger).await.unwrap().status(), 401);
}

#[tokio::test]
async fn every_metric_of_the_alerts_and_the_dashboard_is_one_that_the_relay_has() {
    let (relay, _door) = sweeping().await;
    story(&relay).await;
    let metrics = relay.metrics().await;
    let shown = found(r"(?m)^(gladly_relay_\w+)[ {]", &metrics);
    for file in ["alerts.yml", "grafana.json"] {
        let text = read(file);
        let named = found(r"\b(gladly_relay_\w+)", &text);
        assert!(named.len() > 10, "{named:?}");
        for name in named {
            assert!(
                shown.contains(name),
                "{file} names {name}, which no relay shows"
            );
        }
    }
    relay.finish().await;
}

#[tokio::test]
async fn an_account_that_has_done_nothing_shows_zeros_and_when_it_began() {
    let relay = TestRelay::start().await;
    let metrics = relay.metrics().await;
    for zero in [
        "turns_total{account=\"acme\",outcome=\"dead\"} 0",
        "handoffs_total{account=\"acme\",reason=\"deadline\"} 0",
        "skips_total{account=\"acme\",reason=\"not_ai_inbox\"} 0",
        "upstream_throttled_total{account=\"acme\"} 0",
    ] {
        assert!(
            metrics.contains(&format!("\ngladly_relay_{zero}\n")),
            "{zero}"
        );
    }
    let began = last_event(&metrics);
    assert!(number(&metrics, "store_disk_free_bytes{}") > 1.0);

    relay.clock.advance(Duration::from_hours(1));
    assert!((last_event(&relay.metrics().await) - began).abs() < 1.0);
    story(&relay).await;
    let metrics = relay.metrics().await;
    assert!(last_event(&metrics) >= began + 3_600.0);
    let skipped = "gladly_relay_skips_total{account=\"acme\",reason=\"human_assigned\"} 1\n";
    assert!(metrics.contains(skipped), "{metrics}");
    relay.finish().await;
}

fn last_event(metrics: &str) -> f64 {
    number(metrics, "last_event_timestamp_seconds{account=\"acme\"}")
}

fn number(metrics: &str, name: &str) -> f64 {
    let name = format!("gladly_relay_{name} ");
    let value = metrics.lines().find_map(|line| line.strip_prefix(&name));
    value.expect(&name).parse().unwrap()
}

#[tokio::test]
async fn every_alert_fires_when_it_should_and_on_no_good_day() {
    let Some(promtool) = program("promtool") else {
        return;
    };
    succeed(
        &promtool,
        &["check", "rules", shipped("alerts.yml").to_str().unwrap()],
    )
    .await;
    let tests = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/alerts_test.yml");
    succeed(&promtool, &["test", "rules", tests]).await;
    let alerts = read("alerts.yml");
    let alerts = found(r"- alert: (\w+)", &alerts);
    assert!(alerts.len() > 9);
    let fired = found(
        r"- alertname: (\w+)\n +eval_time: \w+\n +exp_alerts:\n",
        TESTS,
    );
    assert_eq!(alerts, fired, "each is shown firing");
    let (_, good_day) = TESTS.split_once("name: a good day").unwrap();
    let (good_day, _) = good_day.split_once("- name:").unwrap();
    let silent = found(r"alertname: (\w+), eval_time: 24h", good_day);
    assert_eq!(alerts, silent, "each is silent on a good day");
}

/// A Prometheus that scrapes one relay.
struct Prometheus {
    url: String,
    _folder: TempDir,
    _child: Child,
}

impl Prometheus {
    fn start(program: &Path, relay: &TestRelay) -> Self {
        let folder = TempDir::new().unwrap();
        let target = relay.running().admin_url.trim_start_matches("http://");
        let config = json!({
            "global": {"scrape_interval": "200ms", "scrape_timeout": "200ms"},
            "rule_files": [shipped("alerts.yml")],
            "scrape_configs": [{"job_name": "relay", "static_configs": [{"targets": [target]}]}],
        });
        let path = folder.path().join("prometheus.yml");
        // JSON is YAML.
        std::fs::write(&path, config.to_string()).unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let mut command = Command::new(program);
        command.arg(format!("--config.file={}", path.display()));
        let data = folder.path().join("data");
        command.arg(format!("--storage.tsdb.path={}", data.display()));
        command.arg(format!("--web.listen-address={address}"));
        command.args(["--log.level=error", "--storage.tsdb.min-block-duration=2h"]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.kill_on_drop(true).spawn().unwrap();
        Self {
            url: format!("http://{address}/api/v1/query"),
            _folder: folder,
            _child: child,
        }
    }

    /// What a query finds now; nothing while Prometheus starts.
    async fn ask(&self, query: &str) -> Vec<Value> {
        let url = reqwest::Url::parse_with_params(&self.url, [("query", query)]).unwrap();
        let Ok(answer) = reqwest::get(url).await else {
            return Vec::new();
        };
        let status = answer.status();
        let answer: Value = answer.json().await.unwrap_or_default();
        assert!(status != 400, "{query}: {answer}");
        let found = answer["data"]["result"].as_array();
        found.cloned().unwrap_or_default()
    }

    /// Waits until a query finds something.
    async fn finds(&self, query: &str) {
        while self.ask(query).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// The dashboard's queries, with what Grafana puts in.
fn queries() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&read("grafana.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array());
    let queries = targets.flatten().map(|target| {
        let query = target["expr"].as_str().unwrap();
        let query = query.replace("$account", ".*").replace("$__range", "1h");
        query.replace("$__rate_interval", "1m")
    });
    queries.collect()
}

#[tokio::test]
async fn every_query_of_the_dashboard_shows_something_of_a_real_relay() {
    let Some(program) = program("prometheus") else {
        return;
    };
    let (relay, _door) = sweeping().await;
    let prometheus = Prometheus::start(&program, &relay);
    // What has happened between two looks is what is counted.
    soon(prometheus.finds("gladly_relay_build_info")).await;
    story(&relay).await;
    let queries = queries();
    assert!(queries.len() > 20);
    for query in queries {
        assert!(!query.contains('$'), "{query}");
        let found = tokio::time::timeout(Duration::from_secs(30), prometheus.finds(&query));
        assert!(found.await.is_ok(), "nothing is shown by {query}");
    }
    relay.finish().await;
}
