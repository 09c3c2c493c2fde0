//! What it costs to type a payload, as a part of what it costs to parse it to a
//! `serde_json::Value`: payloads of 1, 16 and 256 KB, and two that are large in one
//! value.
//!
//! ```text
//! cargo bench --bench typing
//! ```

use serde_json::{Value, json};
use support::bench::Bench;
use tower_conductorone::event::Payload;
use tower_conductorone::testing::Fixture;

const LARGE: usize = 256 << 10;

/// The payload of this name, and its event.
fn fixture(name: &str) -> (&'static str, Value) {
    let fixture = Fixture::named(name).expect("a fixture");
    (fixture.event(), fixture.payload())
}

/// The payload, with the items of this list repeated until the list is large.
fn grown(name: &str, list: &str) -> (&'static str, Value) {
    let (event, mut payload) = fixture(name);
    let items = payload.pointer_mut(list).and_then(Value::as_array_mut);
    let items = items.expect("a list");
    let times = LARGE / json!(items).to_string().len() + 1;
    *items = vec![items.clone(); times].concat();
    (event, payload)
}

/// The payload with this member in its task.
fn with(member: &str, value: Value) -> (&'static str, Value) {
    let (event, mut payload) = fixture("provision_step/grant.minimal");
    payload["taskView"]["task"][member] = value;
    (event, payload)
}

fn main() {
    let mut payloads: Vec<(String, (&str, Value))> = [
        "policy_post_action/grant.denied",
        "policy_approval_step/action.tool_call",
        "finding_dispatch/unpopulated",
        "provision_step/grant.unpopulated",
        "provision_step/grant.full",
        "policy_approval_step/certify.full",
        "policy_approval_step/action.full",
        "policy_post_action/offboarding.full",
    ]
    .map(|name| (name.to_owned(), fixture(name)))
    .into();
    for (what, name, list) in [
        ("objects", "provision_step/grant.full", "/expanded"),
        (
            "objects and a review",
            "policy_approval_step/certify.full",
            "/expanded",
        ),
        (
            "approvals",
            "policy_post_action/certify.full",
            "/taskView/task/policy/history",
        ),
        (
            "a policy",
            "policy_approval_step/action.full",
            "/taskView/task/policy/policy/policySteps/default/steps",
        ),
        (
            "a form",
            "policy_approval_step/action.full",
            "/taskView/task/form/fields",
        ),
        (
            "a finding",
            "finding_dispatch/full",
            "/finding/riskScore/riskFactors",
        ),
    ] {
        payloads.push((format!("{what} of 256 KB"), grown(name, list)));
    }
    let (text, later) = ("text ".repeat(LARGE / 5), json!({ "a": ["b", 1, null] }));
    payloads.push(("a text of 256 KB".into(), with("description", text.into())));
    payloads.push((
        "an unknown member of 256 KB".into(),
        with("later", vec![later; LARGE / 20].into()),
    ));

    let mut bench = Bench::new("typing");
    for (name, (event, payload)) in payloads {
        // As on the wire, without the white space that is for people.
        let json = payload.to_string();
        bench
            .group(name)
            .bytes(json.len())
            .case("typed", || {
                Payload::from_json(event, json.as_bytes()).expect("typed")
            })
            .case("Value", || {
                serde_json::from_slice::<Value>(json.as_bytes()).expect("JSON")
            })
            .measure("Value");
    }
    bench.finish();
}
