//! The payloads of all events, as a terse, an eloquent and a newer sender write
//! them, through the layer to what a handler sees.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{DOMAIN, now, receiver, send};
use tower_conductorone::Webhook;
use tower_conductorone::event::action::TaskTypeActionTargetObject;
use tower_conductorone::event::finding::{FindingEvidence, FindingSeverity};
use tower_conductorone::event::review::AccessReviewState;
use tower_conductorone::event::task::TaskKind;
use tower_conductorone::event::{
    Event, FindingDispatch, Object, Payload, PayloadError, PolicyApprovalStep, PolicyPostAction,
    ProvisionStep, Timestamp,
};
use tower_conductorone::testing::{FakeTenant, Fixture};

const PROVISION: &str = "c1.webhooks.v1.PayloadProvisionStep";
const WORKFLOW: &str = "c1.webhooks.v1.PayloadWorkflowStep";

async fn webhook(event: &str, payload: &str) -> Webhook {
    let tenant = FakeTenant::new(DOMAIN);
    let body = format!(
        r#"{{"version":"v1","webhookId":"w","callbackUrl":null,"event":"{event}","payload":{payload}}}"#
    );
    let delivery = tenant
        .delivery(event)
        .webhook_id("w")
        .callback_url(None)
        .issued_at(now())
        .body(body);
    send(&receiver(&tenant), delivery.request())
        .await
        .webhook()
        .clone()
}

async fn error(event: &str, payload: &Value) -> PayloadError {
    webhook(event, &payload.to_string())
        .await
        .payload()
        .expect_err("odd")
}

#[tokio::test]
async fn every_fixture_is_read_and_its_pointers_lead_somewhere() {
    let (mut with_task, mut pointers) = (0, 0);
    for fixture in Fixture::ALL {
        let name = fixture.name();
        let webhook = webhook(fixture.event(), fixture.json()).await;
        let payload = webhook
            .payload()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let json: Value = webhook.deserialize_payload().expect("JSON");
        let Some(view) = payload.task_view() else {
            continue;
        };
        with_task += 1;
        let task = view.task().expect(name);
        assert_eq!(
            json!(task.id.as_str()),
            json["taskView"]["task"]["id"],
            "{name}"
        );
        let kind = task.kind();
        assert_eq!(payload.task(), Some(task), "{name}");
        assert_eq!(view.kind(), kind, "{name}");
        let file = name.rsplit('/').next().expect("a file");
        assert_eq!(kind.name(), file.split('.').next(), "{name}");
        assert!(view.app().is_some(), "{name}");
        if !name.ends_with(".future") {
            assert!(!format!("{:?}", view.view()).contains("Unknown("), "{name}");
            for object in view.objects() {
                let Object::Unknown(object) = object else {
                    continue;
                };
                let class = object.type_name.rsplit('.').next().expect("a name");
                let unpublished = ["Insight", "AppUserLastUsage", "ScopeBinding"];
                assert!(unpublished.contains(&class), "{name}: {object:?}");
            }
        }
        let written = serde_json::to_string(view.view()).expect("JSON");
        assert_eq!(
            *view.view(),
            serde_json::from_str(&written).expect("read again"),
            "{name}"
        );

        let mut led = 0;
        let paths = json["taskView"].as_object().expect("a view");
        let known = |found: bool, path: &str| {
            let set = paths
                .get(path)
                .is_some_and(|path| path.as_str().is_some_and(|p| !p.is_empty()));
            assert_eq!(found, set, "{name}: {path}");
            usize::from(found)
        };
        led += known(view.app().is_some(), "appPath");
        led += known(view.app_user().is_some(), "appUserPath");
        led += known(view.app_user_last_usage().is_some(), "appUserLastUsagePath");
        led += known(view.user().is_some(), "userPath");
        led += known(view.identity_user().is_some(), "identityUserPath");
        led += known(view.created_by_user().is_some(), "createdByUserPath");
        led += known(view.access_review().is_some(), "accessReviewPath");
        led += known(view.role_resource().is_some(), "roleResourcePath");
        led += known(view.scope_resource().is_some(), "scopeResourcePath");
        led += known(view.principal_resource().is_some(), "principalResourcePath");
        led += known(!view.entitlements().is_empty(), "entitlementsPath");
        led += known(!view.step_approvers().is_empty(), "stepApproversPath");
        led += known(!view.approvers().is_empty(), "approversPath");
        led += known(!view.insights().is_empty(), "insightsPath");
        led += known(!view.resource_bindings().is_empty(), "resourceBindingsPath");
        pointers += led;
    }
    assert!(with_task >= 54 && pointers > 200, "{with_task} {pointers}");
}

/// The fixture's payload, as a handler gets it.
async fn dispatch(name: &str) -> Arc<FindingDispatch> {
    let fixture = Fixture::named(name).expect(name);
    let webhook = webhook(fixture.event(), fixture.json()).await;
    let payload = webhook.payload().expect("read");
    Arc::clone(payload.as_event().expect("a dispatch"))
}

#[tokio::test]
async fn a_dispatch_brings_its_finding() {
    let full = dispatch("finding_dispatch/full").await;
    let finding = full.finding.as_ref().expect("a finding");
    assert_eq!(finding.id, full.finding_id);
    assert_eq!(finding.severity, FindingSeverity::Critical);
    assert_eq!(finding.recurrence_count, 2);
    let score = finding.risk_score.as_ref().expect("a score");
    assert_eq!((score.score, score.risk_factors.len()), (97, 2));
    let FindingEvidence::CredentialPubliclyExposed(evidence) = &finding.evidence else {
        panic!("{}", finding.evidence.name().unwrap_or_default())
    };
    assert!(evidence.source_url.starts_with("https://git.example.com/"));
    assert!(full.payload_template.starts_with('{'));

    for fixture in Fixture::ALL {
        let Some(file) = fixture.name().strip_prefix("finding_dispatch/") else {
            continue;
        };
        let dispatch = dispatch(fixture.name()).await;
        assert!(!dispatch.dispatch_id.is_empty(), "{file}");
        let finding = dispatch.finding.as_ref().expect(file);
        let finding_type = finding.finding_type.name().expect(file);
        match file {
            "future" => assert!(!finding.finding_type.is_known()),
            "minimal" | "full" | "unpopulated" => {
                assert_eq!(finding_type, "credentialPubliclyExposed");
            }
            _ => assert_eq!(finding_type.to_lowercase(), file.replace('_', ""), "{file}"),
        }
    }
    let empty = webhook(FindingDispatch::NAME, r#"{"finding":null}"#).await;
    assert!(empty.payload().is_ok());
    let odd = error(FindingDispatch::NAME, &json!({ "finding": { "id": 1 } })).await;
    assert_eq!(odd.path(), "payload.finding.id");
}

/// All texts below a value, with the names of their members.
fn texts<'a>(name: &'a str, value: &'a Value) -> Vec<(&'a str, &'a str)> {
    match value {
        Value::String(text) => vec![(name, text)],
        Value::Array(items) => items.iter().flat_map(|item| texts(name, item)).collect(),
        Value::Object(members) => members
            .iter()
            .flat_map(|(name, value)| texts(name, value))
            .collect(),
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn debug_shows_of_a_finding_what_is_for_logs() {
    // Ids of what is no person, and times.
    const SHOWN: &[&str] = &[
        "@type",
        "dispatchId",
        "findingId",
        "ruleId",
        "id",
        "appId",
        "appOwnerAppId",
        "taskId",
        "decoyId",
        "connectorId",
        "appResourceTypeId",
        "appResourceId",
        "sourceDetectorId",
        "name",
        "severity",
    ];
    for fixture in Fixture::ALL {
        if !fixture.name().starts_with("finding_dispatch/") {
            continue;
        }
        let dispatch = dispatch(fixture.name()).await;
        let finding = dispatch.finding.as_ref().expect("a finding");
        let whole: [&dyn Debug; 4] = [
            &dispatch,
            &finding.risk_score,
            &finding.computed_owner,
            &finding.assigned_owner,
        ];
        let of_known_type: [&dyn Debug; 3] =
            [&finding.finding_type, &finding.target, &finding.evidence];
        let is_newer = fixture.name().ends_with("future");
        let of_known_type = of_known_type.into_iter().filter(|_| !is_newer);
        let all: Vec<_> = whole.into_iter().chain(of_known_type).collect();
        let shown = format!("{all:?}");
        assert!(shown.contains(&dispatch.dispatch_id), "{shown}");
        assert!(shown.contains(&finding.id), "{shown}");
        let payload = fixture.payload();
        let is_time = |text: &str| text.parse::<Timestamp>().is_ok();
        let hidden = texts("", &payload)
            .into_iter()
            .filter(|(name, text)| !SHOWN.contains(name) && !is_time(text) && !text.is_empty());
        for (name, text) in hidden {
            let is_shown = shown.contains(&format!("{text:?}"));
            assert!(!is_shown, "{}: {name}: {shown}", fixture.name());
        }
    }
}

#[test]
fn what_has_no_task_or_a_task_without_a_type_says_so() {
    let read = |event, json: &str| Payload::from_json(event, json.as_bytes()).expect("good");
    let finding = read(FindingDispatch::NAME, "{}");
    assert!(finding.task_view().is_none());
    assert!(finding.task().is_none());
    for event in [
        ProvisionStep::NAME,
        PolicyApprovalStep::NAME,
        PolicyPostAction::NAME,
    ] {
        let without = read(event, "{}");
        assert!(without.task().is_none());
        let view = without.task_view().expect("a task event");
        assert_eq!(*view.kind(), TaskKind::Unset);
        let untyped = read(event, r#"{"taskView":{"task":{"type":null}}}"#);
        assert_eq!(*untyped.task().expect("a task").kind(), TaskKind::Unset);
    }
}

#[tokio::test]
async fn debug_shows_nothing_of_what_an_agent_and_its_tool_say() {
    let call = json!({
        "toolName": "send_payment",
        "toolInput": { "iban": "s3cret-input" },
        "toolOutput": "s3cret-output",
        "toolError": "s3cret-error",
        "inputSizeBytes": 23,
    });
    let payload = json!({ "taskView": { "task": { "type": { "action": { "toolCall": call } } } } });
    let webhook = webhook(PROVISION, &payload.to_string()).await;
    let view = webhook
        .payload()
        .expect("read")
        .task_view()
        .expect("a task event");
    let TaskKind::Action(action) = view.kind() else {
        panic!("no action")
    };
    let TaskTypeActionTargetObject::ToolCall(call) = &action.target_object else {
        panic!("no call")
    };
    assert_eq!(call.tool_output, "s3cret-output");
    assert_eq!(call.input_size_bytes, 23);
    assert!(call.tool_input.is_some());
    let shown = format!("{webhook:?} {:?}", webhook.payload());
    assert!(shown.contains("send_payment"), "{shown}");
    assert!(!shown.contains("s3cret"), "{shown}");
}

#[tokio::test]
async fn the_pointers_of_a_certification_lead_to_its_review_and_its_principal() {
    let payload = json!({
        "taskView": {
            "task": { "type": { "certify": { "resource": { "id": "r", "appId": "a" } } } },
            "accessReviewPath": "$.expanded[1]",
            "principalResourcePath": "$.expanded[0]",
        },
        "expanded": [
            { "@type": "type.googleapis.com/c1.api.app.v1.AppResource", "id": "r" },
            {
                "@type": "type.googleapis.com/c1.api.accessreview.v1.AccessReview",
                "id": "review",
                "state": "ACCESS_REVIEW_STATE_OPEN",
            },
        ],
    });
    let webhook = webhook(PROVISION, &payload.to_string()).await;
    let view = webhook
        .payload()
        .expect("read")
        .task_view()
        .expect("a task event");
    assert_eq!(view.principal_resource().map(|r| &*r.id), Some("r"));
    let review = view.access_review().expect("a review");
    assert_eq!(review.id, "review");
    assert_eq!(review.state, AccessReviewState::Open);
}

#[tokio::test]
async fn what_is_known_of_a_newer_sender_s_payload_is_read() {
    for fixture in Fixture::ALL
        .iter()
        .filter(|fixture| fixture.name().ends_with(".future"))
    {
        let minimal = fixture.name().replace(".future", ".minimal");
        let minimal = Fixture::named(&minimal).expect("the same core");
        let newer = webhook(fixture.event(), fixture.json()).await;
        let terse = webhook(minimal.event(), minimal.json()).await;
        let (newer, terse) = (
            newer.payload().expect("read"),
            terse.payload().expect("read"),
        );
        let (Some(newer), Some(terse)) = (newer.task_view(), terse.task_view()) else {
            continue;
        };
        let (newer_task, terse_task) =
            (newer.task().expect("a task"), terse.task().expect("a task"));
        assert_eq!(newer_task.id, terse_task.id, "{}", fixture.name());
        assert_eq!(
            newer.app().map(|app| &app.id),
            terse.app().map(|app| &app.id)
        );
        let unknown = newer
            .objects()
            .iter()
            .any(|object| matches!(object, Object::Unknown(_)));
        assert!(unknown, "{}", fixture.name());
        assert!(
            format!("{newer:?}").contains("Unknown("),
            "{}",
            fixture.name()
        );
    }
}

#[tokio::test]
async fn an_unknown_event_keeps_its_name_and_its_json() {
    let later = webhook(
        "c1.webhooks.v1.PayloadLater",
        r#"{ "@type": "x/c1.webhooks.v1.PayloadLater", "a": [1] }"#,
    )
    .await;
    let Ok(Payload::Unknown(event)) = later.payload() else {
        panic!("known")
    };
    assert_eq!(event.event, "c1.webhooks.v1.PayloadLater");
    assert_eq!(event.json.parse::<Value>().expect("JSON")["a"], json!([1]));
    assert_eq!(event.acknowledge().response().status(), 200);

    let prefixed = webhook("x/c1.webhooks.v1.PayloadTest", "{}").await;
    assert!(matches!(prefixed.payload(), Ok(Payload::Test(_))));
    let listed = webhook(PROVISION, "[null]").await;
    assert_eq!(listed.payload().expect_err("a list").path(), "payload");
}

#[tokio::test]
async fn type_and_event_agree() {
    for (payload, good) in [
        (
            r#"{"@type":"type.googleapis.com/c1.webhooks.v1.PayloadTest"}"#,
            true,
        ),
        (r#"{"@type":"c1.webhooks.v1.PayloadTest","later":1}"#, true),
        (
            r#"{"later":1,"@type":"a/b/c1.webhooks.v1.PayloadTest"}"#,
            true,
        ),
        ("{}", true),
        ("null", true),
        (
            r#"{"@type":"type.googleapis.com/c1.webhooks.v1.PayloadWorkflowStep"}"#,
            false,
        ),
        (
            r#"{"@type":"type.googleapis.com/c1.webhooks.v2.PayloadTest"}"#,
            false,
        ),
        (r#"{"@type":1}"#, false),
        (r#"{"@type":null}"#, true),
        ("[]", false),
        ("\"x\"", false),
    ] {
        let webhook = webhook("c1.webhooks.v1.PayloadTest", payload).await;
        assert_eq!(
            webhook.payload().is_ok(),
            good,
            "{payload}: {:?}",
            webhook.payload()
        );
        assert_eq!(webhook.payload_json(), payload.as_bytes());
    }
}

#[tokio::test]
async fn an_error_says_where_what_was_expected_and_what_came() {
    for (payload, path, said) in [
        (json!({ "taskView": 1 }), "payload.taskView", "integer `1`"),
        (json!({ "expanded": {} }), "payload.expanded", "sequence"),
        (
            json!({ "taskView": { "task": { "id": 7 } } }),
            "payload.taskView.task.id",
            "string",
        ),
        (
            json!({ "taskView": { "task": { "policy": { "next": [{}, {}, { "approval": 3 }] } } } }),
            "payload.taskView.task.policy.next[2].approval",
            "integer `3`",
        ),
        (
            json!({ "taskView": { "task": { "type": { "grant": {}, "revoke": {} } } } }),
            "payload.taskView.task.type",
            "both \"grant\" and \"revoke\" are set",
        ),
        (
            json!({ "taskView": { "task": { "createdAt": "yesterday" } } }),
            "payload.taskView.task.createdAt",
            "RFC 3339",
        ),
    ] {
        let error = error(PROVISION, &payload).await;
        assert_eq!(error.path(), path, "{error}");
        assert!(error.to_string().contains(said), "{said}: {error}");
    }
}

#[tokio::test]
async fn an_odd_object_does_not_spoil_the_others() {
    let app = json!({ "@type": "type.googleapis.com/c1.api.app.v1.App", "displayName": "A" });
    let odd_app = json!({ "@type": "type.googleapis.com/c1.api.app.v1.App", "displayName": [] });
    let odd = [
        odd_app,
        json!(5),
        json!(null),
        json!({}),
        json!({ "@type": 7 }),
        json!([]),
    ];
    for odd in odd {
        let payload = json!({ "taskView": { "appPath": "$.expanded[1]", "userPath": "$.expanded[0]" }, "expanded": [odd, app] });
        let webhook = webhook(PROVISION, &payload.to_string()).await;
        let view = webhook
            .payload()
            .expect("read")
            .task_view()
            .expect("a task event")
            .clone();
        assert_eq!(
            view.app().map(|app| app.display_name.as_str()),
            Some("A"),
            "{odd}"
        );
        assert!(view.user().is_none(), "{odd}");
        let [Object::Unknown(kept), Object::App(_)] = view.objects() else {
            panic!("{odd}: {view:?}")
        };
        assert_eq!(
            kept.json.as_ref().map(|json| json.get().to_owned()),
            Some(odd.to_string())
        );
    }
}

#[tokio::test]
async fn pointers_that_lead_nowhere_are_none() {
    let app = json!({ "@type": "type.googleapis.com/c1.api.app.v1.App", "displayName": "A" });
    let user = json!({ "@type": "type.googleapis.com/c1.api.user.v1.User", "displayName": "U" });
    for (path, found) in [
        ("$.expanded[0]", Some("A")),
        ("$['expanded'][0]", Some("A")),
        ("$.expanded[-2]", Some("A")),
        ("$[\"\\u0065xpanded\"][0]", Some("A")),
        ("$.*[:1]", Some("A")),
        ("$['taskView','expanded'][0]", Some("A")),
        // What has a filter or searches below is not followed.
        ("$.expanded[?@.displayName=='A']", None),
        ("$..expanded[0]", None),
        ("", None),
        ("$.expanded[1]", None),  // a user
        ("$.expanded[2]", None),  // dangling
        ("$.expanded[00]", None), // broken
        ("$.expanded[+0]", None),
        ("$.expanded[99999999999999999999]", None),
        ("$.expanded[*]", None), // several
        ("$.expanded", None),    // the list itself
        ("$.taskView", None),
        ("$", None),
        ("expanded[0]", None),
        ("$.expanded[0", None),
        ("$.expanded[?", None),
        ("\u{0}\u{1f511}", None),
        // What would take stack or time without measure is not followed.
        (
            &*format!("$[?{}@.a{}]", "(".repeat(100_000), ")".repeat(100_000)),
            None,
        ),
        (
            &*format!("$.expanded{}{}", "[?@".repeat(30), "]".repeat(30)),
            None,
        ),
        ("$.expanded..*..*..*", None),
        ("$.expanded[?count($..*)<0]", None),
    ] {
        let payload = json!({ "taskView": { "appPath": path, "entitlementsPath": path }, "expanded": [app, user] });
        let webhook = webhook(PROVISION, &payload.to_string()).await;
        let view = webhook
            .payload()
            .expect("read")
            .task_view()
            .expect("a task event")
            .clone();
        assert_eq!(
            view.app().map(|app| app.display_name.as_str()),
            found,
            "{path}"
        );
        assert!(view.entitlements().is_empty(), "{path}");
    }
    let payload = json!({ "taskView": { "stepApproversPath": "$.expanded[1,0,1]" }, "expanded": [user, app] });
    let webhook = webhook(PROVISION, &payload.to_string()).await;
    let approvers = webhook
        .payload()
        .expect("read")
        .task_view()
        .expect("a task event")
        .step_approvers()
        .len();
    assert_eq!(approvers, 1, "the app is none");
}

/// A payload of about 2 MB with that member beside objects and a pointer.
fn with_pointer(pointer: &str, member: &str, objects: &str) -> String {
    let payload = json!({ "taskView": { "entitlementsPath": pointer, "appPath": pointer } });
    let view = payload.to_string();
    let view = view.strip_suffix('}').expect("an object");
    format!(r#"{view},{member},"expanded":[{objects}]}}"#)
}

/// The shortest time of a few: other tests run beside this one.
fn best(work: impl Fn()) -> Duration {
    let times = (0..3).map(|_| {
        let start = Instant::now();
        work();
        start.elapsed()
    });
    times.min().expect("three times")
}

#[test]
fn no_pointer_takes_longer_than_parsing_two_megabytes() {
    let zeros = |count: usize| vec!["0"; count].join(",");
    let entitlement = r#"{"@type":"type.googleapis.com/c1.api.app.v1.AppEntitlement"}"#;
    let entitlements = vec![entitlement; 10_000].join(",");
    let big = format!(r#""x":[{}]"#, zeros(700_000));
    let members: Vec<_> = (0..150_000).map(|i| format!(r#""{i}":[0]"#)).collect();
    let members = members.join(",");
    let repeated = format!("$.x{}", format!("[{}]", zeros(40)).repeat(8));
    let two_levels = format!("$[{}][{}]", vec!["'expanded'"; 5000].join(","), zeros(4999));
    let rows = [
        // Repeated selectors multiply.
        (&*repeated, r#""x":[[[[[[[[0]]]]]]]]"#, entitlement),
        (&two_levels, r#""x":1"#, entitlement),
        (
            &format!("$.expanded[{}]", zeros(900_000)),
            r#""x":1"#,
            entitlement,
        ),
        (&"$.*[*]".repeat(300_000), r#""x":1"#, entitlement),
        (
            &format!("$['{}']", "x".repeat(2_000_000)),
            r#""x":1"#,
            entitlement,
        ),
        // Everything is looked at.
        ("$.*[1,-1,::-1]", &big, entitlement),
        (
            "$[*,*,*,*]['a']",
            &format!(r#""x":{{{members}}}"#),
            entitlement,
        ),
        ("$.*[5]", &members, entitlement),
        ("$['x'][0:0,1:1]", &big, entitlement),
        // What other libraries take for a program.
        ("$.expanded..[::1][::1][::1]", &big, &entitlements),
        (r"$.x[?search(@,'\\pL{200}')]", &big, entitlement),
        ("$.x[?count($.x[*])>@]", &big, entitlement),
    ];
    let two_megabytes = format!("[{}]", zeros(1_000_000));
    let parsing = best(|| assert!(serde_json::from_str::<Value>(&two_megabytes).is_ok()));
    for (pointer, member, objects) in rows {
        let payload = with_pointer(pointer, member, objects);
        let Ok(Payload::ProvisionStep(step)) = Payload::from_json(PROVISION, payload.as_bytes())
        else {
            panic!("not read")
        };
        let follow = || step.task_view().entitlements().len() + step.task_view().app().iter().len();
        let following = best(|| assert_eq!(follow(), 0));
        let shown: String = pointer.chars().take(40).collect();
        assert!(following < parsing, "{shown}: {following:?}, {parsing:?}");
    }
}

#[tokio::test]
async fn a_pointer_may_be_a_long_list() {
    let entitlement = |id: usize| json!({ "@type": "type.googleapis.com/c1.api.app.v1.AppEntitlement", "id": id.to_string() });
    let places: Vec<_> = (0..100).rev().map(|place| place.to_string()).collect();
    let payload = json!({
        "taskView": { "entitlementsPath": format!("$.expanded[{}]", places.join(", ")) },
        "expanded": (0..100).map(entitlement).collect::<Vec<_>>(),
    });
    let webhook = webhook(PROVISION, &payload.to_string()).await;
    let view = webhook
        .payload()
        .expect("read")
        .task_view()
        .expect("a task event");
    let found: Vec<_> = view.entitlements().iter().map(|e| e.id.as_str()).collect();
    assert_eq!(found, places);
}

#[tokio::test]
async fn what_is_new_in_a_payload_may_hold_anything() {
    let digits = "7".repeat(400);
    for odd in ["1e400", &digits, r#""\ud800""#, r#"[{"\ud800":1e400}]"#] {
        let payload = format!(
            r#"{{"\ud800":{odd},"later":{odd},
            "taskView":{{"later":{odd},"\ud800":1,"appPath":"$['expanded','x'][1]","task":{{"id":"t","later":{odd}}}}},
            "expanded":[{odd},{{"later":{odd},"\ud800":1,"@type":"x/c1.api.app.v1.App","id":"a"}},
            {{"@type":"x/c1.api.later.v1.Later","later":{odd}}}]}}"#
        );
        let provision = webhook(PROVISION, &payload).await;
        let view = provision
            .payload()
            .expect("read")
            .task_view()
            .expect("a task event");
        assert_eq!(view.task().map(|task| task.id.as_str()), Some("t"), "{odd}");
        assert_eq!(view.app().map(|app| app.id.as_str()), Some("a"), "{odd}");
        let [_, _, Object::Unknown(later)] = view.objects() else {
            panic!("{view:?}")
        };
        assert_eq!(later.type_name, "c1.api.later.v1.Later");

        let payload = format!(r#"{{"later":{odd},"context":{{"a":{odd}}},"workflowId":"w"}}"#);
        let workflow = webhook(WORKFLOW, &payload).await;
        let Ok(Payload::WorkflowStep(step)) = workflow.payload() else {
            panic!("not read")
        };
        assert_eq!(step.workflow_id, "w");
        let later = webhook("c1.webhooks.v1.PayloadLater", &payload).await;
        assert!(later.payload().is_ok());
    }
}

#[test]
fn what_is_no_json_is_no_payload() {
    for (payload, good) in [
        ("{\"a\\nb\":1,\"taskView\":{\"a\\nb\":1}}", true),
        ("{\"a\nb\":1}", false),
        ("{\"\\u0061\nb\":1}", false),
        ("{\"taskView\":{\"\\u0061\nb\":1}}", false),
        ("{\"expanded\":[{\"\\u0061\nb\":1}]}", false),
        ("{\"a\":\"\n\"}", false),
        ("{\"a\":01}", false),
        ("{} {}", false),
        ("{", false),
        ("", false),
    ] {
        for event in [PROVISION, WORKFLOW, "c1.webhooks.v1.Later"] {
            let read = Payload::from_json(event, payload.as_bytes());
            assert_eq!(read.is_ok(), good, "{payload}: {read:?}");
        }
    }
}

#[tokio::test]
async fn what_is_known_of_a_payload_stands_once() {
    let app = r#"{"@type":"x/c1.api.app.v1.App"}"#;
    for (event, payload) in [
        (PROVISION, r#"{"taskView":{},"taskView":{}}"#),
        (PROVISION, r#"{"taskView":null,"task_view":{}}"#),
        (PROVISION, r#"{"expanded":[],"expanded":[]}"#),
        (
            PROVISION,
            r#"{"@type":"x/c1.webhooks.v1.PayloadProvisionStep","@type":"x/c1.webhooks.v1.PayloadProvisionStep"}"#,
        ),
        (
            WORKFLOW,
            r#"{"@type":"x/c1.webhooks.v1.PayloadWorkflowStep","a":1,"@type":"x/c1.webhooks.v1.PayloadTest"}"#,
        ),
        (
            WORKFLOW,
            r#"{"a":1,"@type":"x/c1.webhooks.v1.PayloadWorkflowStep","@type":null}"#,
        ),
        (
            "c1.webhooks.v1.Later",
            r#"{"@type":"x/c1.webhooks.v1.Later","@type":"x/c1.webhooks.v1.Later"}"#,
        ),
    ] {
        let webhook = webhook(event, payload).await;
        let error = webhook.payload().expect_err(payload).to_string();
        assert!(error.contains("occurs twice"), "{payload}: {error}");
    }
    let payload = format!(
        r#"{{"task_view":{{"app_path":"$.expanded[0]"}},"expanded":[{app},{{"@type":"x/c1.api.app.v1.App","@type":"x/c1.api.app.v1.App"}},{{"@type":"x/Later","@type":"x/Later"}}]}}"#
    );
    let webhook = webhook(PROVISION, &payload).await;
    let view = webhook
        .payload()
        .expect("read")
        .task_view()
        .expect("a task event");
    assert!(view.app().is_some());
    assert!(matches!(
        view.objects(),
        [Object::App(_), Object::Unknown(_), Object::Unknown(_)]
    ));
}

#[tokio::test]
async fn a_long_list_is_read() {
    let ids: Vec<_> = (0..50_000).map(|id| id.to_string()).collect();
    let payload = json!({ "taskView": { "task": { "insightIds": ids } } });
    let webhook = webhook(PROVISION, &payload.to_string()).await;
    let view = webhook
        .payload()
        .expect("read")
        .task_view()
        .expect("a task event");
    assert_eq!(view.task().map(|task| &task.insight_ids), Some(&ids));
}

#[tokio::test]
async fn a_payload_that_would_fill_the_memory_is_refused() {
    let references = vec!["{}"; 100_000].join(",");
    let payload = format!(r#"{{"taskView":{{"task":{{"externalRefs":[{references}]}}}}}}"#);
    let webhook = webhook(PROVISION, &payload).await;
    let error = webhook.payload().expect_err("too much");
    assert_eq!(error.path(), "payload.taskView.task.externalRefs");
    assert!(error.to_string().contains("16 times"), "{error}");
}

#[tokio::test]
async fn deep_nesting_reaches_the_handler_as_raw_json() {
    for depth in [200, 10_000] {
        let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let workflow = webhook(WORKFLOW, &format!(r#"{{"context":{{"deep":{deep}}}}}"#)).await;
        let Ok(Payload::WorkflowStep(step)) = workflow.payload() else {
            panic!("not read")
        };
        let context = step.context.as_ref().expect("a context");
        assert!(context.get().contains(&deep));
        assert!(context.parse::<Value>().is_err());

        let odd = [
            format!(
                r#"{{"taskView":{{"task":{{"data":{{"deep":{deep}}}}}}},"expanded":[{{"later":{deep}}}]}}"#
            ),
            format!(
                r#"{{"later":{deep},"taskView":{{"task":{{"type":{{"later":{{"deep":{deep}}}}}}}}}}}"#
            ),
        ];
        for payload in &odd {
            let webhook = webhook(PROVISION, payload).await;
            let view = webhook
                .payload()
                .expect("read")
                .task_view()
                .expect("a task event")
                .clone();
            assert!(view.task().is_some());
            // A pointer that takes a search finds nothing in it, and says so.
            assert!(view.app().is_none());
        }
        let wrong = webhook(PROVISION, &format!(r#"{{"taskView":{deep}}}"#)).await;
        assert_eq!(
            wrong.payload().expect_err("a list").path(),
            "payload.taskView"
        );
    }
}

#[tokio::test]
async fn a_payload_is_read_once_and_small() {
    assert!(size_of::<Payload>() <= 64, "{}", size_of::<Payload>());
    assert!(size_of::<TaskKind>() <= 64, "{}", size_of::<TaskKind>());
    assert!(size_of::<Object>() <= 64, "{}", size_of::<Object>());
    assert!(size_of::<Webhook>() == size_of::<usize>());
    let webhook = webhook(WORKFLOW, r#"{"workflowExecutionId":"9007199254740993"}"#).await;
    let Ok(Payload::WorkflowStep(first)) = webhook.clone().payload().cloned() else {
        panic!()
    };
    let Ok(Payload::WorkflowStep(again)) = webhook.payload() else {
        panic!()
    };
    assert!(std::sync::Arc::ptr_eq(&first, again));
    assert_eq!(first.workflow_execution_id, 9_007_199_254_740_993);
}
