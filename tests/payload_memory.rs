//! What a typed payload costs, however it is made: memory as a multiple of its
//! text, time as a multiple of parsing it.

use std::hint::black_box;
use std::time::{Duration, Instant};

use peak_alloc::PeakAlloc;
use serde_json::Value;
use tower_conductorone::event::{ExpandedTask, Payload};
use tower_conductorone::testing::Fixture;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const PROVISION: &str = "c1.webhooks.v1.PayloadProvisionStep";
const SIZE: usize = 1 << 18;
/// Without optimizations, the standard library's part in it weighs more.
const TIMES: u32 = if cfg!(debug_assertions) { 12 } else { 3 };

/// So many times the item that the list has about 256 KiB.
fn list(item: &str) -> String {
    vec![item; SIZE / (item.len() + 1)].join(",")
}

fn of_objects(objects: &str) -> String {
    format!(r#"{{"taskView":{{}},"expanded":[{objects}]}}"#)
}

fn of_type(name: &str, members: &str) -> String {
    format!(r#"{{"@type":"type.googleapis.com/c1.api.{name}",{members}}}"#)
}

fn in_task(members: &str) -> String {
    format!(r#"{{"taskView":{{"appPath":"$.*[0]","task":{{{members}}}}}}}"#)
}

fn payloads() -> Vec<(&'static str, String)> {
    let owners = vec!["{}"; 9_999].join(",");
    let app = of_type("app.v1.App", &format!(r#""appOwners":[{owners}]"#));
    let sources: Vec<_> = (0..SIZE / 12).map(|i| format!(r#""{i:06}":"""#)).collect();
    let sources = format!(r#""sourceConnectorIds":{{{}}}"#, sources.join(","));
    let nested = list(r#"{"approval":{},"x":{"appOwners":[]}}"#);
    vec![
        (
            "apps with empty owners",
            of_objects(&vec![app; 33].join(",")),
        ),
        (
            "blanks",
            of_objects(&list(&format!("{{{}}}", " ".repeat(50)))),
        ),
        ("numbers for objects", of_objects(&list("0"))),
        ("empty objects", of_objects(&list("{}"))),
        ("objects with an empty name", of_objects(&list(r#"{"":0}"#))),
        (
            "objects of an odd type",
            of_objects(&list(r#"{"@type":7}"#)),
        ),
        (
            "objects of an unknown type",
            of_objects(&list(r#"{"@type":"x"}"#)),
        ),
        (
            "empty apps",
            of_objects(&list(&of_type("app.v1.App", r#""id":"""#))),
        ),
        (
            "odd apps",
            of_objects(&list(&of_type("app.v1.App", r#""id":7"#))),
        ),
        (
            "maps of one entry",
            of_objects(&list(&of_type(
                "app.v1.AppEntitlement",
                r#""sourceConnectorIds":{"":""}"#,
            ))),
        ),
        (
            "a long map",
            of_objects(&of_type("app.v1.AppEntitlement", &sources)),
        ),
        (
            "empty references",
            in_task(&format!(r#""externalRefs":[{}]"#, list("{}"))),
        ),
        (
            "nothing for references",
            in_task(&format!(r#""externalRefs":[{}]"#, list("null"))),
        ),
        (
            "empty steps",
            in_task(&format!(r#""policy":{{"next":[{}]}}"#, list("{}"))),
        ),
        (
            "steps",
            in_task(&format!(r#""policy":{{"next":[{nested}]}}"#)),
        ),
        (
            "steps of the past",
            in_task(&format!(
                r#""policy":{{"history":[{}]}}"#,
                list(r#"{"form":{}}"#)
            )),
        ),
        (
            "annotations",
            in_task(&format!(r#""annotations":[{}]"#, list("{}"))),
        ),
        (
            "ids",
            in_task(&format!(r#""insightIds":[{}]"#, list(r#""""#))),
        ),
        (
            "free data",
            in_task(&format!(r#""data":[{}]"#, list(r#"{"":0}"#))),
        ),
        (
            "something new",
            in_task(&format!(r#""later":[{}]"#, list(r#"{"":0}"#))),
        ),
        (
            "something new beside",
            format!(
                r#"{{"":[{}],"taskView":{{"appPath":"$.*[0]"}}}}"#,
                list(r#"{"":0}"#)
            ),
        ),
    ]
}

fn look(payload: &Payload) {
    let Payload::ProvisionStep(step) = payload else {
        panic!("another event")
    };
    let view: &ExpandedTask = step.task_view();
    black_box((view.app(), view.entitlements(), view.task()));
}

/// The shortest of three times.
fn time<T>(work: impl Fn() -> T) -> Duration {
    let times = (0..3).map(|_| {
        let start = Instant::now();
        let made = black_box(work());
        let taken = start.elapsed();
        drop(made);
        taken
    });
    times.min().expect("three times")
}

// One test: all threads of a program share its memory.
#[test]
fn a_payload_costs_a_small_multiple_of_its_text() {
    let fixtures = Fixture::ALL
        .iter()
        .filter(|fixture| fixture.event() == PROVISION)
        .map(|fixture| (fixture.name(), fixture.payload().to_string()));
    for (name, json) in payloads().into_iter().chain(fixtures) {
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        let payload = Payload::from_json(PROVISION, json.as_bytes());
        payload.iter().for_each(look);
        let kept = MEMORY.current_usage() - before;
        let peak = MEMORY.peak_usage() - before;
        let limit = 20 * json.len() + (64 << 10);
        assert!(kept <= limit, "{name}: {kept} bytes are kept");
        assert!(peak <= 2 * limit, "{name}: {peak} bytes are taken");
        drop(payload);

        let typing = time(|| Payload::from_json(PROVISION, json.as_bytes()));
        let parsing = time(|| serde_json::from_str::<Value>(&json));
        assert!(
            typing <= TIMES * parsing,
            "{name}: {typing:?}, and {parsing:?} to parse it"
        );
    }
}
