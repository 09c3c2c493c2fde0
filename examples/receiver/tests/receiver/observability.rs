//! The dashboard and the alert rules: that they are sound, and speak of the metrics that
//! there are.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::prometheus::{folder, promtool};

fn read(name: &str) -> String {
    fs::read_to_string(folder().join(name)).expect(name)
}

/// The panels of the dashboard that show something.
pub(crate) fn panels() -> Vec<Value> {
    let dashboard: Value = serde_json::from_str(&read("dashboard.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    panels
        .filter(|panel| panel["type"] != "row")
        .cloned()
        .collect()
}

/// The expressions of a panel, with what Grafana puts in place of its variables.
pub(crate) fn expressions(panel: &Value) -> Vec<String> {
    let targets = panel["targets"].as_array().expect("targets").iter();
    let expressions = targets.map(|target| target["expr"].as_str().expect("an expression"));
    expressions
        .map(|text| {
            let text = text.replace("$__rate_interval", "1m");
            text.replace("$tenant", ".*")
        })
        .collect()
}

/// Each metric in the table of the documentation, and whether it is a histogram.
fn documented() -> Vec<(&'static str, bool)> {
    let docs = include_str!("../../../../src/observe/mod.rs");
    let rows = docs
        .lines()
        .filter_map(|line| line.strip_prefix("//! | `c1_webhook_"));
    rows.map(|row| {
        let (name, rest) = row.split_once("` | ").expect("a type");
        (name, rest.starts_with("histogram"))
    })
    .collect()
}

/// The metrics in a text, without `c1_webhook_`, and without what Prometheus adds to the
/// names of histograms.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let is_of_a_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let names = text.split(|letter| !is_of_a_name(letter));
    names
        .filter_map(|name| name.strip_prefix("c1_webhook_"))
        .map(|name| {
            let base = ["_bucket", "_count", "_sum"];
            let base = base.into_iter().find_map(|end| name.strip_suffix(end));
            let base = base.filter(|base| documented().contains(&(base, true)));
            base.unwrap_or(name).to_owned()
        })
        .collect()
}

#[test]
fn the_dashboard_shows_each_documented_metric_and_no_other() {
    let expressions: Vec<_> = panels().iter().flat_map(expressions).collect();
    let documented = documented().into_iter().map(|(name, _)| name.to_owned());
    assert_eq!(metrics_in(&expressions.join("\n")), documented.collect());
}

#[test]
fn the_alerts_use_documented_metrics_only_and_the_page_tells_what_to_do() {
    let (rules, page) = (read("alerts.yml"), read("README.md"));
    let documented: BTreeSet<_> = documented()
        .into_iter()
        .map(|(name, _)| name.to_owned())
        .collect();
    for text in [&rules, &read("alerts_test.yml"), &page] {
        let used = metrics_in(text);
        let unknown: Vec<_> = used.difference(&documented).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
    let alerts = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    let headings = page.lines().filter_map(|line| line.strip_prefix("### "));
    assert_eq!(alerts.collect::<Vec<_>>(), headings.collect::<Vec<_>>());
}

#[test]
fn the_dashboard_can_be_imported_with_any_data_source() {
    let dashboard: Value = serde_json::from_str(&read("dashboard.json")).expect("JSON");
    let variables = dashboard["templating"]["list"].as_array().expect("a list");
    let kinds: Vec<_> = variables
        .iter()
        .map(|variable| (&variable["name"], &variable["type"]))
        .collect();
    assert_eq!(kinds[0], (&"datasource".into(), &"datasource".into()));
    assert!(dashboard["id"].is_null());
    let mut taken = BTreeSet::new();
    for panel in dashboard["panels"].as_array().expect("panels") {
        let title = panel["title"].as_str().expect("a title");
        assert!(taken.insert(panel["id"].as_u64()), "{title}: the same id");
        if panel["type"] == "row" {
            continue;
        }
        for target in panel["targets"].as_array().expect("targets") {
            for source in [&panel["datasource"], &target["datasource"]] {
                assert_eq!(source["uid"], "${datasource}", "{title}");
                assert_eq!(source["type"], "prometheus", "{title}");
            }
        }
        assert!(panel["fieldConfig"]["defaults"]["unit"].is_string());
        let place = |name: &str| panel["gridPos"][name].as_u64().expect("a number");
        assert!(place("x") + place("w") <= 24, "{title}");
    }
}

#[tokio::test]
async fn promtool_takes_the_rules_and_their_tests() {
    for arguments in [
        &["check", "rules", "alerts.yml"],
        &["test", "rules", "alerts_test.yml"],
    ] {
        let output = promtool(arguments).await;
        let told =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {told}");
        assert!(told.contains("SUCCESS"), "{told}");
    }
}
