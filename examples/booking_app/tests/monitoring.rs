//! The alerts and the dashboard of `examples/monitoring` ask for what this application reports.
//!
//! Prometheus's own `promtool` judges them.

mod salon;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
};

use booking_app::exporter;
use reqwest::Method;
use salon::{Salon, cut, settings, soon};
use saphyr::{LoadableYamlNode, Yaml};
use serde_json::{Value, json};
use tempfile::TempDir;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../monitoring");

/// A series, as in `name{label="value"}`.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Series {
    name: String,
    labels: BTreeMap<String, String>,
}

impl Series {
    /// Reads one whose labels have no commas in them.
    fn of(text: &str) -> Self {
        let (name, labels) = text.split_once('{').unwrap_or((text, ""));
        let labels = labels.trim_end_matches('}').split(',');
        let labels = labels.filter_map(|label| {
            let (label, value) = label.split_once('=')?;
            Some((label.trim().to_owned(), value.trim_matches('"').to_owned()))
        });
        Self {
            name: name.to_owned(),
            labels: labels.collect(),
        }
    }

    /// As Prometheus has it, once it has said whom it has asked.
    fn scraped(&self) -> String {
        let labels = self.labels.iter();
        let labels = labels.map(|(label, value)| format!(", {label}=\"{value}\""));
        let labels: String = labels.collect();
        format!("{}{{job=\"salon\", instance=\"one\"{labels}}}", self.name)
    }
}

/// What the application reports after a booking that everybody has heard of.
async fn reported() -> BTreeSet<Series> {
    let recorder = exporter().expect("there are buckets").build_recorder();
    let _recorder = metrics::set_default_local_recorder(&recorder);
    let salon = Salon::open_with(settings(), recorder.handle()).await;
    let mut events = salon.events().await;
    salon.book(&cut(9, "k")).await;
    let mut left = BTreeSet::from(["slots.invalidate", "confirmation"]);
    while !left.is_empty() {
        let told = events.until("lane", |told| told["outcome"] == "done").await;
        left.retain(|listener| told["listener"] != *listener);
    }
    let response = salon.request(Method::GET, "/metrics").send();
    let text = soon(soon(response).await.expect("it answers").text())
        .await
        .expect("a text");
    drop(events);
    salon.close().await;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let series = lines.filter_map(|line| line.rsplit_once(' '));
    series.map(|(series, _)| Series::of(series)).collect()
}

fn promtool(arguments: &[&str]) {
    let mut promtool = Command::new("promtool");
    let output = promtool.args(arguments).current_dir(FOLDER).output();
    let output = output.expect("promtool is installed; it comes with Prometheus");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn every_alert_fires_when_it_should_and_not_before() {
    promtool(&["check", "rules", "alerts.yml"]);
    promtool(&["test", "rules", "alerts.test.yml"]);
}

fn read(file: &str) -> String {
    fs::read_to_string(format!("{FOLDER}/{file}")).expect("the file is there")
}

fn list<'a>(yaml: &'a Yaml<'_>, key: &str) -> impl Iterator<Item = &'a Yaml<'a>> {
    let list = yaml.as_mapping_get(key).and_then(Yaml::as_sequence);
    list.into_iter().flatten()
}

fn text<'a>(yaml: &'a Yaml<'_>, key: &str) -> &'a str {
    let text = yaml.as_mapping_get(key).and_then(Yaml::as_str);
    text.unwrap_or_else(|| panic!("no {key} in {yaml:?}"))
}

/// An alert that fires over made-up series would never fire over real ones.
#[tokio::test]
async fn every_alert_is_tested_both_ways_and_over_series_that_are_reported() {
    let reported = reported().await;
    let (rules, tests) = (read("alerts.yml"), read("alerts.test.yml"));
    let rules = Yaml::load_from_str(&rules).unwrap();
    let tests = Yaml::load_from_str(&tests).unwrap();
    let (mut fires, mut is_silent) = (BTreeSet::new(), BTreeSet::new());
    for test in list(&tests[0], "tests") {
        for series in list(test, "input_series") {
            let mut series = Series::of(text(series, "series"));
            for of_the_scrape in ["job", "instance"] {
                assert!(series.labels.remove(of_the_scrape).is_some(), "{series:?}");
            }
            assert!(reported.contains(&series), "{series:?} is not reported");
        }
        for alert in list(test, "alert_rule_test") {
            let fired = list(alert, "exp_alerts").next().is_some();
            let seen = if fired { &mut fires } else { &mut is_silent };
            seen.insert(text(alert, "alertname"));
        }
    }
    let alerts = list(&rules[0], "groups").flat_map(|group| list(group, "rules"));
    let alerts: BTreeSet<_> = alerts.map(|rule| text(rule, "alert")).collect();
    assert_eq!(fires, alerts);
    assert_eq!(is_silent, alerts);
}

/// The expressions of the panels, and of the lists that one chooses from.
fn expressions(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"]
        .as_array()
        .expect("there are panels")
        .iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array());
    let panels = targets
        .flatten()
        .map(|target| target["expr"].as_str().expect("a query"));
    let variables = dashboard["templating"]["list"]
        .as_array()
        .expect("there are variables")
        .iter();
    let variables = variables.filter_map(|variable| variable["definition"].as_str());
    let variables = variables.map(|variable| {
        let inner = variable
            .strip_prefix("label_values(")
            .expect("a list of values");
        inner.rsplit_once(", ").expect("a metric and a label").0
    });
    panels
        .chain(variables)
        .map(|expression| {
            expression
                .replace("$__rate_interval", "5m")
                .replace("$job", ".+")
                .replace("$event", ".+")
        })
        .collect()
}

/// Every expression is asked of every series that is reported, had each grown; one that names a metric
/// or a label that is not there has no answer.
#[tokio::test]
async fn every_expression_of_the_dashboard_has_an_answer() {
    let reported = reported().await;
    let dashboard: Value = serde_json::from_str(&read("dashboard.json")).unwrap();
    let expressions = expressions(&dashboard);
    assert!(expressions.len() > 20, "{expressions:?}");
    for expression in &expressions {
        // An answer of either side would hide that the other has none.
        for word in expression.split_whitespace() {
            assert!(!["or", "unless"].contains(&word), "{expression}");
        }
        assert!(!expression.contains('$'), "{expression}");
    }
    let asked = json!({
        "evaluation_interval": "1m",
        "tests": [{
            "interval": "1m",
            "input_series": reported
                .iter()
                .map(|series| json!({"series": series.scraped(), "values": "0+1x15"}))
                .collect::<Vec<_>>(),
            "promql_expr_test": expressions
                .iter()
                .map(|expression| json!({
                    "expr": format!("clamp(count({expression}), 1, 1)"),
                    "eval_time": "10m",
                    "exp_samples": [{"labels": "{}", "value": 1}],
                }))
                .collect::<Vec<_>>(),
        }],
    });
    let folder = TempDir::new().unwrap();
    // Every JSON is YAML.
    let file = folder.path().join("dashboard.test.yml");
    fs::write(&file, asked.to_string()).unwrap();
    promtool(&["test", "rules", file.to_str().unwrap()]);
}

#[test]
fn no_two_panels_of_the_dashboard_overlap() {
    let dashboard: Value = serde_json::from_str(&read("dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().expect("there are panels");
    let ids: BTreeSet<_> = panels
        .iter()
        .map(|panel| panel["id"].as_u64().unwrap())
        .collect();
    assert_eq!(ids.len(), panels.len());
    let mut taken = BTreeSet::new();
    for panel in panels {
        let at = |side: &str| panel["gridPos"][side].as_u64().unwrap();
        for x in at("x")..at("x") + at("w") {
            assert!(x < 24, "{}", panel["title"]);
            for y in at("y")..at("y") + at("h") {
                assert!(taken.insert((x, y)), "{}", panel["title"]);
            }
        }
    }
}
