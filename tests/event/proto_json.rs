//! proto3's JSON in all the forms that a sender may choose: what is read, as
//! what it is written back, and what is refused.

use serde::Deserialize;
use serde_json::{Value, json};
use tower_conductorone::event::app::{App, AppEntitlement};
use tower_conductorone::event::policy::{PolicyStep, Wait};
use tower_conductorone::event::review::AccessReview;
use tower_conductorone::event::task::{Task, TaskKind, TaskState, TaskType};
use tower_conductorone::event::{AnyMessage, UnknownValue, WorkflowStep};

/// What is written for a message that was read, or why it was not.
fn through<T>(message: &Value) -> Result<Value, String>
where
    T: for<'de> Deserialize<'de> + serde::Serialize,
{
    let read: T = serde_json::from_str(&message.to_string()).map_err(|error| error.to_string())?;
    serde_json::to_value(&read).map_err(|error| error.to_string())
}

/// A table of values of a member: as what each is written, `None` if it is
/// refused.
#[track_caller]
fn member<T>(name: &str, rows: &[(Value, Option<Value>)])
where
    T: for<'de> Deserialize<'de> + serde::Serialize,
{
    for (sent, expected) in rows {
        let written = through::<T>(&json!({ name: sent }));
        match (&written, expected) {
            (Ok(written), Some(Value::Null)) => assert_eq!(*written, json!({}), "{name}: {sent}"),
            (Ok(written), Some(meant)) => {
                assert_eq!(*written, json!({ name: meant }), "{name}: {sent}");
            }
            (Err(_), None) => {}
            _ => panic!("{name}: {sent}: {written:?}"),
        }
    }
}

/// It is written as it came.
fn same(value: Value) -> (Value, Option<Value>) {
    (value.clone(), Some(value))
}

/// It is the default, which is not written.
fn default(value: Value) -> (Value, Option<Value>) {
    (value, Some(Value::Null))
}

fn as_(sent: Value, written: Value) -> (Value, Option<Value>) {
    (sent, Some(written))
}

fn refused(value: Value) -> (Value, Option<Value>) {
    (value, None)
}

#[test]
fn int64() {
    member::<WorkflowStep>(
        "workflowExecutionId",
        &[
            same(json!("9223372036854775807")),
            same(json!("-9223372036854775808")),
            as_(
                json!(9_223_372_036_854_775_807_i64),
                json!("9223372036854775807"),
            ),
            as_(json!(-5), json!("-5")),
            as_(json!(5.0), json!("5")),
            as_(json!("5.0"), json!("5")),
            as_(json!("1e3"), json!("1000")),
            default(json!(0)),
            default(json!("0")),
            default(json!(null)),
            refused(json!(9_223_372_036_854_775_808_u64)),
            refused(json!("9223372036854775808")),
            refused(json!(1e300)),
            refused(json!(1.5)),
            refused(json!("1.5")),
            refused(json!("")),
            refused(json!(" 1")),
            refused(json!("1 ")),
            refused(json!("0x10")),
            refused(json!("NaN")),
            refused(json!("inf")),
            refused(json!(true)),
            refused(json!([])),
        ],
    );
}

#[test]
fn timestamps() {
    member::<Task>(
        "createdAt",
        &[
            same(json!("2026-01-02T03:04:05Z")),
            same(json!("2026-01-02T03:04:05.1Z")),
            same(json!("2026-01-02T03:04:05.123456789Z")),
            same(json!("0001-01-01T00:00:00Z")),
            same(json!("9999-12-31T23:59:59.999999999Z")),
            as_(json!("2026-01-02t03:04:05z"), json!("2026-01-02T03:04:05Z")),
            as_(
                json!("2026-01-02T03:04:05.000Z"),
                json!("2026-01-02T03:04:05Z"),
            ),
            as_(
                json!("2026-01-02T03:04:05.120000Z"),
                json!("2026-01-02T03:04:05.12Z"),
            ),
            as_(
                json!("2026-01-02T03:04:05+02:00"),
                json!("2026-01-02T01:04:05Z"),
            ),
            as_(
                json!("2026-01-01T23:04:05.5-05:30"),
                json!("2026-01-02T04:34:05.5Z"),
            ),
            default(json!(null)),
            refused(json!("2026-01-02T03:04:05")),
            refused(json!("2026-01-02")),
            refused(json!("2026-13-02T03:04:05Z")),
            refused(json!("2026-02-30T03:04:05Z")),
            refused(json!("yesterday")),
            refused(json!("2026-01-02T03:04:05+1:00")),
            refused(json!("2026-01-02T03:04:05+25:00")),
            refused(json!("2026-01-02 03:04:05Z")),
            refused(json!("-2026-01-02T03:04:05Z")),
            refused(json!("Z")),
            refused(json!("ß+00:00")),
            refused(json!("")),
            refused(json!(1_713_312_120)),
            refused(json!({})),
        ],
    );
}

#[test]
fn durations() {
    member::<Wait>(
        "timeoutDuration",
        &[
            same(json!("3600s")),
            same(json!("0s")),
            same(json!("1.5s")),
            same(json!("-1.5s")),
            same(json!("-0.000000001s")),
            same(json!("315576000000s")),
            as_(json!("1.500000000s"), json!("1.5s")),
            as_(json!("01s"), json!("1s")),
            default(json!(null)),
            refused(json!("3600")),
            refused(json!("1m")),
            refused(json!("1.s")),
            refused(json!(".5s")),
            refused(json!("+1s")),
            refused(json!("--1s")),
            refused(json!("1.0000000001s")),
            refused(json!("1 s")),
            refused(json!("s")),
            refused(json!("")),
            refused(json!("99999999999999999999s")),
            refused(json!(3600)),
        ],
    );
}

#[test]
fn numbers_of_other_kinds() {
    member::<App>(
        "monthlyCostUsd",
        &[
            same(json!(-12)),
            as_(json!(12.0), json!(12)),
            as_(json!("1e3"), json!(1000)),
            same(json!(i32::MIN)),
            refused(json!(i64::from(i32::MIN) - 1)),
            default(json!(0)),
            default(json!(null)),
            refused(json!(2.5)),
            refused(json!("much")),
        ],
    );
    member::<App>(
        "connectorVersion",
        &[
            same(json!(u32::MAX)),
            as_(json!("7"), json!(7)),
            refused(json!(u64::from(u32::MAX) + 1)),
            refused(json!(-1)),
            default(json!(0)),
            default(json!(null)),
        ],
    );
    member::<AccessReview>(
        "expectedTicketCount",
        &[
            same(json!(12)),
            as_(json!(12.0), json!(12)),
            same(json!(1e300)),
            same(json!(0.5)),
            as_(json!("2.5"), json!(2.5)),
            default(json!(0)),
            default(json!(null)),
            refused(json!("much")),
            refused(json!({})),
        ],
    );
}

#[test]
fn plain_members() {
    member::<App>(
        "displayName",
        &[
            same(json!("ß \u{0}")),
            default(json!("")),
            default(json!(null)),
            refused(json!(1)),
        ],
    );
    member::<Task>(
        "emergencyAccess",
        &[
            same(json!(true)),
            default(json!(false)),
            default(json!(null)),
            refused(json!("true")),
            refused(json!(1)),
        ],
    );
    member::<Task>(
        "userId",
        &[
            same(json!("u")),
            default(json!("")),
            default(json!(null)),
            refused(json!(1)),
        ],
    );
    member::<Task>(
        "insightIds",
        &[
            same(json!(["a", ""])),
            as_(json!([null]), json!([""])),
            default(json!([])),
            default(json!(null)),
            refused(json!("a")),
            refused(json!({})),
        ],
    );
    member::<Task>(
        "data",
        &[
            same(json!({ "a": [1, 2.5, null] })),
            same(json!({})),
            default(json!(null)),
        ],
    );
    member::<Task>(
        "type",
        &[
            same(json!({})),
            default(json!(null)),
            refused(json!([])),
            refused(json!("grant")),
        ],
    );
    member::<Task>(
        "state",
        &[
            same(json!("TASK_STATE_OPEN")),
            same(json!("TASK_STATE_LATER")),
            same(json!(77)),
            same(json!(-1)),
            default(json!("TASK_STATE_UNSPECIFIED")),
            default(json!(0)),
            default(json!(null)),
            refused(json!(4_294_967_296_i64)),
            refused(json!(1.5)),
            refused(json!({})),
        ],
    );
}

#[test]
fn what_is_unknown_says_what_came() {
    let task: Task = serde_json::from_str(r#"{"state":"LATER"}"#).expect("read");
    assert_eq!(
        task.state,
        TaskState::Unknown(UnknownValue::Name("LATER".into()))
    );
    assert_eq!(task.state.name(), Some("LATER"));
    let task: Task = serde_json::from_str(r#"{"state":7}"#).expect("read");
    assert_eq!(task.state, TaskState::Unknown(UnknownValue::Number(7)));
    assert_eq!(task.state.name(), None);

    let task: TaskType = serde_json::from_str(r#"{"x":1,"later":{"a":{}}}"#).expect("read");
    let TaskKind::Unknown(member) = &task.kind else {
        panic!("{task:?}")
    };
    assert_eq!(
        (member.name.as_str(), member.json.get()),
        ("later", r#"{"a":{}}"#)
    );
    assert_eq!(task.kind.name(), Some("later"));
    // A known member is what counts.
    let task: TaskType = serde_json::from_str(r#"{"later":{},"grant":{}}"#).expect("read");
    assert_eq!(task.kind, TaskKind::Grant(Box::default()));
    let unset: TaskType = serde_json::from_str(r#"{"x":1,"grant":null}"#).expect("read");
    assert_eq!((&unset.kind, unset.kind.name()), (&TaskKind::Unset, None));
}

#[test]
fn an_any_has_its_type_anywhere() {
    for json in [
        r#"{"@type":"type.googleapis.com/google.protobuf.Duration","value":"1.5s"}"#,
        r#"{ "value" : "1.5s", "@type" : "google.protobuf.Duration" }"#,
        r#"{"value":"1.5s","@\u0074ype":"a/b/google.protobuf.Duration"}"#,
    ] {
        let task: Task =
            serde_json::from_str(&format!(r#"{{"annotations":[{json}]}}"#)).expect("read");
        let [
            AnyMessage {
                type_name,
                json: kept,
                ..
            },
        ] = task.annotations.as_slice()
        else {
            panic!("{task:?}")
        };
        assert_eq!(type_name, "google.protobuf.Duration");
        let kept = kept.as_ref().expect("kept");
        assert_eq!(kept.get(), json);
        assert_eq!(kept.parse::<Value>().expect("JSON")["value"], "1.5s");
    }
}

/// What is read for each text of a member's value, `None` if it is refused.
#[track_caller]
fn exactly<T, M>(name: &str, member: fn(T) -> M, rows: &[(&str, Option<M>)])
where
    T: for<'de> Deserialize<'de>,
    M: PartialEq + std::fmt::Debug,
{
    for (sent, expected) in rows {
        let read = serde_json::from_str::<T>(&format!(r#"{{"{name}":{sent}}}"#));
        let read = read.map(member);
        assert_eq!(read.as_ref().ok(), expected.as_ref(), "{sent}: {read:?}");
    }
}

#[test]
fn an_integer_is_exact_or_refused() {
    let zeros = "0".repeat(400);
    exactly(
        "workflowExecutionId",
        |step: WorkflowStep| step.workflow_execution_id,
        &[
            ("-9223372036854775808", Some(i64::MIN)),
            ("-9223372036854775809", None),
            (r#""-9223372036854775809""#, None),
            ("9223372036854775807.0", Some(i64::MAX)),
            ("9223372036854775808.0", None),
            ("9223372036854775806.5", None),
            ("9007199254740993.0", Some(9_007_199_254_740_993)),
            (r#""9007199254740993.0""#, Some(9_007_199_254_740_993)),
            ("9.007199254740993e15", Some(9_007_199_254_740_993)),
            ("9007199254740993000E-3", Some(9_007_199_254_740_993)),
            ("1.00000000000000000000001", None),
            ("1e18", Some(1_000_000_000_000_000_000)),
            ("1e+19", None),
            ("1e400", None),
            ("0e400", Some(0)),
            ("1e99999999999999999999", None),
            ("1e-99999999999999999999", None),
            ("0e99999999999999999999", Some(0)),
            ("-0", Some(0)),
            ("-0.0", Some(0)),
            (&format!("1{zeros}e-400"), Some(1)),
            (&format!("1{zeros}"), None),
            (&format!("0.{zeros}1e401"), Some(1)),
            (r#""+1""#, None),
            (r#""01""#, None),
            (r#""1_0""#, None),
            (r#""1\n""#, None),
            (r#""\u0031""#, Some(1)),
        ],
    );
}

#[test]
fn a_double_is_the_nearest_one() {
    exactly(
        "expectedTicketCount",
        |review: AccessReview| review.expected_ticket_count,
        &[
            ("1.664417398998761e-10", Some(1.664_417_398_998_761e-10)),
            (
                r#""1.664417398998761e-10""#,
                Some(1.664_417_398_998_761e-10),
            ),
            ("12.5", Some(12.5)),
            ("1e3", Some(1000.0)),
            ("1e-400", Some(0.0)),
            (r#""Infinity""#, Some(f64::INFINITY)),
            (r#""-Infinity""#, Some(f64::NEG_INFINITY)),
            ("1e400", None),
            (r#""1e400""#, None),
            (r#""inf""#, None),
            (r#""nan""#, None),
            (r#""+1""#, None),
            (r#"" 1""#, None),
            (r#""1.""#, None),
        ],
    );
    let review: AccessReview =
        serde_json::from_str(r#"{"expectedTicketCount":"NaN"}"#).expect("read");
    assert!(review.expected_ticket_count.is_nan());
}

#[test]
fn the_number_of_an_enum_may_be_written_in_any_way() {
    let known = |number| Some(TaskState::Unknown(UnknownValue::Number(number)));
    exactly(
        "state",
        |task: Task| task.state,
        &[
            ("0", Some(TaskState::Unspecified)),
            ("-0", Some(TaskState::Unspecified)),
            ("0.0", Some(TaskState::Unspecified)),
            ("1.0", known(1)),
            ("7e0", known(7)),
            ("-2147483648", known(i32::MIN)),
            ("2147483648", None),
            ("1.5", None),
            ("1e400", None),
            (r#""TASK_STATE_\u004fPEN""#, Some(TaskState::Open)),
            (
                r#""1""#,
                Some(TaskState::Unknown(UnknownValue::Name("1".into()))),
            ),
        ],
    );
}

#[test]
fn a_field_may_have_its_name_from_the_proto_file() {
    for (sent, meant) in [
        (r#"{"display_name":"A"}"#, json!({ "displayName": "A" })),
        (
            r#"{"monthly_cost_usd":25}"#,
            json!({ "monthlyCostUsd": 25 }),
        ),
        (
            r#"{"display\u005fname":"A"}"#,
            json!({ "displayName": "A" }),
        ),
        (r#"{"display_name":null}"#, json!({})),
        // Names of others.
        (r#"{"_display_name":"A"}"#, json!({})),
        (r#"{"display__name":"A"}"#, json!({})),
        (r#"{"display_name_":"A"}"#, json!({})),
        (r#"{"display_Name":"A"}"#, json!({})),
        (r#"{"Display_name":"A"}"#, json!({})),
        (r#"{"displayname":"A","ß_ß":1,"_":2,"":3}"#, json!({})),
    ] {
        let app: App = serde_json::from_str(sent).expect(sent);
        assert_eq!(serde_json::to_value(&app).expect("JSON"), meant, "{sent}");
    }
    // So may a member of a oneof.
    let wait: PolicyStep =
        serde_json::from_str(r#"{"wait":{"timeout_duration":"1s","until_time":{"timezone_x":1}}}"#)
            .expect("read");
    assert_eq!(
        serde_json::to_value(&wait).expect("JSON"),
        json!({ "wait": { "timeoutDuration": "1s", "untilTime": {} } })
    );
    // What is unknown keeps the name that it came with.
    let task: TaskType = serde_json::from_str(r#"{"later_kind":{}}"#).expect("read");
    assert_eq!(task.kind.name(), Some("later_kind"));
}

#[test]
fn what_is_known_stands_once() {
    fn refused<T: for<'de> Deserialize<'de> + std::fmt::Debug>(json: &str) {
        let error = serde_json::from_str::<T>(json).expect_err(json).to_string();
        assert!(error.contains("occurs twice"), "{json}: {error}");
    }
    refused::<App>(r#"{"id":"1","id":"1"}"#);
    refused::<App>(r#"{"id":null,"id":"1"}"#);
    refused::<App>(r#"{"id":"1","\u0069d":"2"}"#);
    refused::<App>(r#"{"displayName":"A","display_name":"A"}"#);
    refused::<App>(r#"{"@type":"a/c1.api.app.v1.App","@type":"a/c1.api.app.v1.App"}"#);
    refused::<TaskType>(r#"{"grant":null,"grant":{}}"#);
    refused::<TaskType>(r#"{"grant":{},"grant":{}}"#);
    refused::<AppEntitlement>(r#"{"sourceConnectorIds":{"a":"1","a":"2"}}"#);
    refused::<Task>(r#"{"annotations":[{"@type":"x/A","@type":"x/B"}]}"#);
    // What is unknown may stand as often as it likes.
    let json = r#"{"x":1,"x":{},"later":{},"later":[],"grant":{}}"#;
    let task: TaskType = serde_json::from_str(json).expect("read");
    assert_eq!(task.kind, TaskKind::Grant(Box::default()));
}

#[test]
fn what_is_unknown_may_hold_anything() {
    let digits = "7".repeat(400);
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    for odd in [
        "1e400",
        "-1e-400",
        &digits,
        r#""\ud800""#,
        r#"["\udc00\ud800",{"\ud800":1}]"#,
        r#"{"\ud800":1e400,"\ud800":2}"#,
        &deep,
    ] {
        for json in [
            format!(r#"{{"later":{odd},"id":"1","grant":{{}}}}"#),
            format!(r#"{{"id":"1","\ud800":{odd},"grant":{{"later":{odd}}}}}"#),
            format!(r#"{{"id":"1","grant":{{}},"\udc00x":{{"a":{odd}}}}}"#),
        ] {
            let app: App = serde_json::from_str(&json).expect(&json);
            assert_eq!(app.id.as_str(), "1", "{json}");
            let task: TaskType = serde_json::from_str(&json).expect(&json);
            assert!(task.kind.is_known(), "{json}");
        }
        let task: TaskType =
            serde_json::from_str(&format!(r#"{{"\ud800":{{}},"later":{{"a":{odd}}}}}"#))
                .expect(odd);
        let TaskKind::Unknown(member) = &task.kind else {
            panic!("{task:?}")
        };
        assert_eq!(member.name, "later");
        let any: Task = serde_json::from_str(&format!(
            r#"{{"annotations":[{{"x":{odd},"@type":"a/B"}}]}}"#
        ))
        .expect(odd);
        assert_eq!(any.annotations[0].type_name, "B");
    }
}
