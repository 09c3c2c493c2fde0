//! What events can be answered with, and what becomes of it on the wire.

use std::time::{Duration, UNIX_EPOCH};

use http_body_util::BodyExt;
use proptest::prelude::*;
use serde_json::{Value, json};
use support::{DOMAIN, TEST_EVENT, now, receiver, send};
use tower_conductorone::event::approval::{Approval, ApprovalKind, ManagerApproval};
use tower_conductorone::event::policy::{Accept, PolicyStep, PolicyStepKind};
use tower_conductorone::event::{
    Acknowledgement, ApprovalReply, Comment, Json, Outcome, Payload, PolicyStepInput,
    ProvisionReply, Reply, ReplyError, ReplyKind, SignedDuration, Timestamp, UserId, WorkflowReply,
};
use tower_conductorone::testing::{EVENTS, FakeTenant};

fn document(reply: impl Into<Reply>) -> Value {
    serde_json::from_slice(reply.into().as_bytes()).expect("JSON")
}

fn comment(text: &str) -> Comment {
    Comment::new(text).expect("short")
}

fn users(count: usize) -> Vec<UserId> {
    (0..count)
        .map(|user| UserId::new(format!("user {user}")))
        .collect()
}

#[test]
fn the_documents_are_conductorone_s() {
    let none = Comment::none;
    for (reply, expected) in [
        (document(Acknowledgement::new()), json!({ "version": "v1" })),
        (
            document(ProvisionReply::complete(none())),
            json!({ "version": "v1", "complete": {} }),
        ),
        (
            document(ProvisionReply::complete(comment("done \"so\""))),
            json!({ "version": "v1", "complete": { "comment": "done \"so\"" } }),
        ),
        (
            document(ProvisionReply::errored(comment("no"))),
            json!({ "version": "v1", "errored": { "comment": "no" } }),
        ),
        (
            document(ApprovalReply::approve(none())),
            json!({ "version": "v1", "approve": {} }),
        ),
        (
            document(ApprovalReply::deny(comment("no"))),
            json!({ "version": "v1", "deny": { "comment": "no" } }),
        ),
        (
            document(ApprovalReply::reassign(users(2), none()).expect("two")),
            json!({ "version": "v1", "reassign": { "newStepUserIds": ["user 0", "user 1"] } }),
        ),
        (
            document(WorkflowReply::empty()),
            json!({ "version": "v1", "context": {} }),
        ),
        (
            document(WorkflowReply::context(&json!({ "ticket": 7 })).expect("an object")),
            json!({ "version": "v1", "context": { "ticket": 7 } }),
        ),
    ] {
        assert_eq!(reply, expected);
    }
}

#[test]
fn a_comment_has_1024_characters_at_most() {
    // Characters, not bytes.
    for letter in ["a", "ß", "\u{1f511}"] {
        let longest = letter.repeat(1024);
        assert_eq!(comment(&longest).as_str(), longest);
        let error = Comment::new(letter.repeat(1025)).expect_err("too long");
        assert_eq!(error, ReplyError::CommentTooLong(1025));
        assert!(error.to_string().contains("1025") && error.to_string().contains("1024"));

        assert_eq!(Comment::truncated(longest.clone()).as_str(), longest);
        let cut = Comment::truncated(letter.repeat(5000));
        assert_eq!(cut.as_str().chars().count(), 1024);
        assert_eq!(cut.as_str(), format!("{}…", letter.repeat(1023)));
        assert!(Comment::new(cut.as_str()).is_ok());
    }
    let shown = format!("{:?}", comment("s3cret"));
    assert!(!shown.contains("s3cret"), "{shown}");
}

#[test]
fn a_step_is_handed_to_1_to_32_users() {
    for (count, good) in [(0, false), (1, true), (32, true), (33, false)] {
        let reply = ApprovalReply::reassign(users(count), Comment::none());
        assert_eq!(reply.is_ok(), good, "{count}");
        if let Err(error) = reply {
            assert_eq!(error, ReplyError::Users(count));
            assert!(error.to_string().contains("1 to 32"), "{error}");
        }
    }
}

fn step(step: PolicyStepKind) -> PolicyStep {
    let mut policy_step = PolicyStep::default();
    policy_step.step = step;
    policy_step
}

#[test]
fn a_step_is_handed_to_users_with_ids() {
    let users = [UserId::new("u"), UserId::default()];
    let error = ApprovalReply::reassign(users, Comment::none()).expect_err("no id");
    assert_eq!(error, ReplyError::EmptyUser(1));
}

#[test]
fn a_policy_is_replaced_by_steps_less_what_only_conductorone_sets() {
    let mut manager = ManagerApproval::default();
    manager.allow_self_approval = true;
    manager.assigned_user_ids = users(1);
    manager.fallback_user_ids = users(1);
    let mut approval = Approval::default();
    approval.assigned = true;
    approval.require_approval_reason = true;
    approval.kind = ApprovalKind::Manager(Box::new(manager));
    let mut accept = Accept::default();
    accept.accept_message = "welcome".to_owned();

    let steps: Vec<PolicyStepInput> = vec![
        step(PolicyStepKind::Approval(Box::new(approval))).into(),
        PolicyStepKind::Accept(Box::new(accept)).into(),
    ];
    let reply = ApprovalReply::replace_policy(steps, comment("ask the manager")).expect("steps");
    assert_eq!(
        document(reply),
        json!({ "version": "v1", "replacePolicy": {
            "comment": "ask the manager",
            "policySteps": [
                { "approval": {
                    "requireApprovalReason": true,
                    "manager": { "allowSelfApproval": true, "fallbackUserIds": ["user 0"] },
                } },
                { "accept": { "acceptMessage": "welcome" } },
            ],
        } })
    );

    let none: [PolicyStepInput; 0] = [];
    let error = ApprovalReply::replace_policy(none, Comment::none()).expect_err("no steps");
    assert_eq!(error, ReplyError::NoPolicySteps);
    let unset: [PolicyStepInput; 2] = [
        PolicyStepKind::Accept(Box::default()).into(),
        PolicyStep::default().into(),
    ];
    let error = ApprovalReply::replace_policy(unset, Comment::none()).expect_err("an unset step");
    assert_eq!(error, ReplyError::PolicyStep(1));

    // Who approves, what is waited for and so on must be known as well.
    for vague in [
        json!({ "approval": {} }),
        json!({ "approval": { "requireMfa": true, "newKind": { "assignedUserIds": ["x"] } } }),
        json!({ "approval": { "self": {}, "escalation": {} } }),
        json!({ "wait": { "name": "a while" } }),
        json!({ "action": { "later": {} } }),
        json!({ "provision": { "provisionPolicy": {} } }),
        json!({ "later": {} }),
    ] {
        let step: PolicyStep = serde_json::from_value(vague.clone()).expect("read");
        let reply = ApprovalReply::replace_policy([step.into()], Comment::none());
        assert_eq!(reply, Err(ReplyError::PolicyStep(0)), "{vague}");
    }
    let timed = json!({ "wait": { "duration": { "duration": "60s" } } });
    let step: PolicyStep = serde_json::from_value(timed.clone()).expect("read");
    let reply = ApprovalReply::replace_policy([step.into()], Comment::none()).expect("known");
    assert_eq!(
        document(reply)["replacePolicy"]["policySteps"],
        json!([timed])
    );
}

#[test]
fn durations_and_json_can_be_made() {
    let minute = SignedDuration::from(Duration::from_secs(60));
    assert_eq!(
        (minute.to_string().as_str(), minute.to_std()),
        ("60s", Some(Duration::from_secs(60)))
    );
    assert_eq!(
        SignedDuration::from(Duration::MAX).to_string(),
        "315576000000s"
    );
    assert_eq!(
        "-1.5s"
            .parse::<SignedDuration>()
            .expect("a duration")
            .as_seconds(),
        -1
    );
    let time: Timestamp = "1969-12-31T23:59:59.5Z".parse().expect("a time");
    assert_eq!(time.as_seconds(), -1);
    let system = time.to_system_time().expect("any platform holds it");
    assert_eq!(
        UNIX_EPOCH.duration_since(system).expect("before"),
        Duration::from_millis(500)
    );
    assert_eq!(
        Json::new(&json!({ "a": 1 })).expect("JSON").get(),
        r#"{"a":1}"#
    );
}

#[test]
fn a_context_is_an_object_and_a_document_has_250_000_bytes_at_most() {
    for context in [json!(null), json!(1), json!("x"), json!([{}])] {
        assert_eq!(
            WorkflowReply::context(&context),
            Err(ReplyError::Context),
            "{context}"
        );
    }
    // However deep, and with numbers of any length.
    let deep = format!(
        r#"{{"n":123456789012345678901234567890,"deep":{}{}}}"#,
        "[".repeat(500),
        "]".repeat(500)
    );
    let raw: Box<serde_json::value::RawValue> = serde_json::from_str(&deep).expect("JSON");
    let reply = Reply::from(WorkflowReply::context(&raw).expect("an object"));
    assert_eq!(
        reply.as_bytes(),
        format!(r#"{{"version":"v1","context":{deep}}}"#).as_bytes()
    );

    let overhead = document(WorkflowReply::context(&json!({ "x": "" })).expect("short"))
        .to_string()
        .len();
    let of = |bytes: usize| json!({ "x": "a".repeat(bytes - overhead) });
    let longest = WorkflowReply::context(&of(250_000)).expect("just short enough");
    assert_eq!(Reply::from(longest).as_bytes().len(), 250_000);
    let error = WorkflowReply::context(&of(250_001)).expect_err("too long");
    assert_eq!(error, ReplyError::TooLarge(250_001));
    assert!(error.to_string().contains("250000"), "{error}");
}

const PROVISION: &str = "c1.webhooks.v1.PayloadProvisionStep";
const APPROVAL: &str = "c1.webhooks.v1.PayloadPolicyApprovalStep";
const POST_ACTION: &str = "c1.webhooks.v1.PayloadPolicyPostAction";
const WORKFLOW: &str = "c1.webhooks.v1.PayloadWorkflowStep";
const FINDING: &str = "c1.webhooks.v1.PayloadFindingDispatch";
const UNKNOWN: &str = "c1.webhooks.v1.PayloadLater";

#[test]
fn a_document_from_elsewhere_is_taken_as_it_is_if_it_answers_the_event() {
    let text = |length: usize| "ß".repeat(length);
    let ids = |count: usize| vec!["id"; count];
    for (event, document) in [
        (TEST_EVENT, r#"{"version":"v1"}"#.to_owned()),
        (
            TEST_EVENT,
            " {\n\t\"version\" : \"v\\u0031\" }\n".to_owned(),
        ),
        (
            POST_ACTION,
            r#"{"later":[{"x":1}],"version":"v1"}"#.to_owned(),
        ),
        (FINDING, r#"{"version":"v1"}"#.to_owned()),
        (
            PROVISION,
            json!({ "version": "v1", "complete": {} }).to_string(),
        ),
        (
            PROVISION,
            json!({ "version": "v1", "complete": null, "errored": { "comment": null, "x": 1 } })
                .to_string(),
        ),
        (
            PROVISION,
            json!({ "version": "v1", "complete": { "comment": text(1024) } }).to_string(),
        ),
        // Another event's outcome is a member that nobody knows.
        (
            PROVISION,
            json!({ "version": "v1", "complete": {}, "approve": 1 }).to_string(),
        ),
        (
            APPROVAL,
            json!({ "version": "v1", "approve": {} }).to_string(),
        ),
        (
            APPROVAL,
            json!({ "version": "v1", "deny": { "comment": "" } }).to_string(),
        ),
        (
            APPROVAL,
            json!({ "version": "v1", "reassign": { "newStepUserIds": ids(32) } }).to_string(),
        ),
        (
            APPROVAL,
            json!({ "version": "v1", "replacePolicy": { "policySteps": [{ "later": {} }] } })
                .to_string(),
        ),
        (
            WORKFLOW,
            json!({ "version": "v1", "context": {} }).to_string(),
        ),
        (
            WORKFLOW,
            format!(
                r#"{{"context":{{"deep":{}{}}},"version":"v1"}}"#,
                "[".repeat(100_000),
                "]".repeat(100_000)
            ),
        ),
        (UNKNOWN, r#"{"version":"v1","anything":[]}"#.to_owned()),
        (
            TEST_EVENT,
            format!(r#"{{"version":"v1"}}{}"#, " ".repeat(250_000 - 16)),
        ),
    ] {
        let reply = Reply::from_json(event, document.clone());
        let reply = reply.unwrap_or_else(|error| panic!("{event} {document:.99}: {error}"));
        assert_eq!(reply.as_bytes(), document.as_bytes());
    }
}

#[test]
fn a_document_from_elsewhere_is_a_json_object_of_version_1() {
    use ReplyError::{Member, NotAnObject, TooLarge, Version};

    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let long = format!(r#"{{"version":"v1"}}{}"#, " ".repeat(250_000 - 15));
    for (document, expected) in [
        ("", NotAnObject),
        ("null", NotAnObject),
        (r#"["v1"]"#, NotAnObject),
        (&deep, NotAnObject),
        (r#"{"version":"v1""#, NotAnObject),
        (r#"{"version":"v1"} {}"#, NotAnObject),
        (r#"{"version":"v1","version":"v1"}"#, NotAnObject),
        (r#"{"a":1,"version":"v1","\u0061":2}"#, NotAnObject),
        ("{}", Version),
        (r#"{"version":null}"#, Version),
        (r#"{"version":"v2"}"#, Version),
        (r#"{"version":"V1"}"#, Version),
        (r#"{"version":1}"#, Member("version")),
        (&long, TooLarge(250_001)),
    ] {
        for event in EVENTS.iter().copied().chain([UNKNOWN]) {
            let error = Reply::from_json(event, document.to_owned()).expect_err(event);
            assert_eq!(error, expected, "{event} {document:.99}");
        }
    }
    let not_utf_8 = b"{\"version\":\"v1\",\"x\":\"\xff\"}";
    let error = Reply::from_json(TEST_EVENT, not_utf_8.to_vec()).expect_err("not UTF-8");
    assert_eq!(error, NotAnObject);
}

#[test]
fn a_document_from_elsewhere_has_one_of_the_event_s_outcomes_within_its_limits() {
    use ReplyError::{
        CommentTooLong, Context, EmptyUser, Member, NoPolicySteps, Outcomes, PolicyStep, Users,
    };

    let long = format!(r#""errored":{{"comment":"{}"}}"#, "ß".repeat(1025));
    let many = format!(
        r#""reassign":{{"newStepUserIds":{}}}"#,
        json!(vec!["id"; 33])
    );
    for (event, members, expected) in [
        (PROVISION, r#""x":1"#, Outcomes(0)),
        (PROVISION, r#""complete":null"#, Outcomes(0)),
        (PROVISION, r#""approve":{}"#, Outcomes(0)),
        (PROVISION, r#""complete":{},"errored":{}"#, Outcomes(2)),
        (PROVISION, r#""complete":true"#, Member("complete")),
        (PROVISION, r#""errored":[]"#, Member("errored")),
        (
            PROVISION,
            r#""complete":{"comment":"a","comment":"b"}"#,
            Member("complete"),
        ),
        (PROVISION, r#""complete":{"comment":1}"#, Member("comment")),
        (PROVISION, &long, CommentTooLong(1025)),
        (APPROVAL, r#""x":1"#, Outcomes(0)),
        (APPROVAL, r#""complete":{}"#, Outcomes(0)),
        (
            APPROVAL,
            r#""approve":{},"deny":{},"reassign":{},"replacePolicy":{}"#,
            Outcomes(4),
        ),
        (APPROVAL, r#""reassign":{}"#, Users(0)),
        (APPROVAL, r#""reassign":{"newStepUserIds":[]}"#, Users(0)),
        (APPROVAL, &many, Users(33)),
        (
            APPROVAL,
            r#""reassign":{"newStepUserIds":["id",""]}"#,
            EmptyUser(1),
        ),
        (
            APPROVAL,
            r#""reassign":{"newStepUserIds":[1]}"#,
            Member("newStepUserIds"),
        ),
        (
            APPROVAL,
            r#""reassign":{"newStepUserIds":"id"}"#,
            Member("newStepUserIds"),
        ),
        (APPROVAL, r#""replacePolicy":{}"#, NoPolicySteps),
        (
            APPROVAL,
            r#""replacePolicy":{"policySteps":[]}"#,
            NoPolicySteps,
        ),
        (
            APPROVAL,
            r#""replacePolicy":{"policySteps":[{"accept":{}},null]}"#,
            PolicyStep(1),
        ),
        (
            APPROVAL,
            r#""replacePolicy":{"policySteps":{}}"#,
            Member("policySteps"),
        ),
        (WORKFLOW, r#""x":1"#, Context),
        (WORKFLOW, r#""context":null"#, Context),
        (WORKFLOW, r#""context":[{}]"#, Member("context")),
        (WORKFLOW, r#""context":"{}""#, Member("context")),
        (WORKFLOW, r#""context":{"a":1,"a":2}"#, Member("context")),
    ] {
        let document = format!(r#"{{"version":"v1",{members}}}"#);
        let error = Reply::from_json(event, document).expect_err(event);
        assert_eq!(error, expected, "{event} {members:.99}");
    }
}

#[test]
fn every_reply_of_the_typed_model_passes_as_a_document_from_elsewhere() {
    let comment = || comment("a comment");
    let policy: PolicyStepInput = PolicyStepKind::Accept(Box::default()).into();
    let replies: [(&str, Reply); 9] = [
        (TEST_EVENT, Acknowledgement::new().into()),
        (POST_ACTION, Acknowledgement::new().into()),
        (PROVISION, ProvisionReply::complete(comment()).into()),
        (PROVISION, ProvisionReply::errored(comment()).into()),
        (APPROVAL, ApprovalReply::approve(comment()).into()),
        (APPROVAL, ApprovalReply::deny(comment()).into()),
        (
            APPROVAL,
            ApprovalReply::reassign(users(32), comment())
                .expect("32")
                .into(),
        ),
        (
            APPROVAL,
            ApprovalReply::replace_policy([policy], comment())
                .expect("one")
                .into(),
        ),
        (WORKFLOW, WorkflowReply::empty().into()),
    ];
    for (event, reply) in replies {
        let again = Reply::from_json(event, reply.as_bytes().clone());
        assert_eq!(again, Ok(reply), "{event}");
    }
}

proptest! {
    #[test]
    fn no_document_from_elsewhere_is_too_odd(
        event in prop::sample::select(EVENTS.to_vec()),
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..64),
            "(\\{\"version\":\"v1\"(,\"(complete|approve|reassign|context|comment)\":(\\{|\\}|\\[|\\]|null|1|\"x\"){0,4}){0,3}\\}?)"
                .prop_map(String::into_bytes),
        ],
    ) {
        let is_object = serde_json::from_slice::<serde_json::Map<_, Value>>(&bytes).is_ok();
        if Reply::from_json(event, bytes).is_ok() {
            prop_assert!(is_object);
        }
    }
}

#[test]
fn a_reply_says_what_it_is() {
    use ReplyKind::{
        Acknowledged, Approve, Complete, Context, Deny, Errored, Reassign, ReplacePolicy, Unknown,
    };

    let said = || comment("said \"so\"");
    let step = PolicyStepKind::Accept(Box::<Accept>::default());
    for (reply, kind, expected) in [
        (Acknowledgement::new().into(), Acknowledged, ""),
        (
            ProvisionReply::complete(Comment::none()).into(),
            Complete,
            "",
        ),
        (
            ProvisionReply::errored(said()).into(),
            Errored,
            "said \"so\"",
        ),
        (
            ApprovalReply::approve(said()).into(),
            Approve,
            "said \"so\"",
        ),
        (ApprovalReply::deny(said()).into(), Deny, "said \"so\""),
        (
            ApprovalReply::reassign(users(1), said())
                .expect("one")
                .into(),
            Reassign,
            "said \"so\"",
        ),
        (
            ApprovalReply::replace_policy([step.into()], said())
                .expect("one")
                .into(),
            ReplacePolicy,
            "said \"so\"",
        ),
        (
            WorkflowReply::context(&json!({ "comment": "no" }))
                .expect("an object")
                .into(),
            Context,
            "no",
        ),
    ] as [(Reply, _, _); 8]
    {
        assert_eq!(reply.kind(), kind);
        assert_eq!(reply.comment().as_str(), expected, "{kind:?}");
        assert_eq!(
            reply.deserialize::<Value>().expect("JSON"),
            document(reply.clone())
        );
        assert!(
            format!("{reply:?}").starts_with(&format!("Reply({kind:?}, ")),
            "{reply:?}"
        );
        assert!(!format!("{reply:?}").contains("said"));
    }
    assert_eq!(ProvisionReply::complete(said()).as_ref().kind(), Complete);

    // From elsewhere: as its event says, whatever else is there.
    for (event, json, kind) in [
        (
            PROVISION,
            r#"{"version":"v1","errored":{},"deny":{},"complete":null}"#,
            Errored,
        ),
        (TEST_EVENT, r#"{"version":"v1","deny":{}}"#, Acknowledged),
        (
            UNKNOWN,
            r#"{"version":"v1","deny":{"comment":"c"}}"#,
            Unknown,
        ),
    ] {
        let reply = Reply::from_json(event, json).expect(json);
        assert_eq!(
            (reply.kind(), reply.comment().as_str()),
            (kind, ""),
            "{json}"
        );
    }
}

#[tokio::test]
async fn every_event_takes_its_own_reply() {
    let tenant = FakeTenant::new(DOMAIN);
    let layer = receiver(&tenant);
    for event in EVENTS.iter().copied() {
        let outcome = send(&layer, tenant.delivery(event).issued_at(now()).request()).await;
        let none = Comment::none;
        let answer = match outcome.webhook().payload().expect("read") {
            Payload::Test(test) => test.answer(Acknowledgement::new()),
            Payload::ProvisionStep(step) => step.answer(ProvisionReply::complete(none())),
            Payload::PolicyApprovalStep(step) => step.answer(ApprovalReply::approve(none())),
            Payload::PolicyPostAction(action) => action.answer(Acknowledgement::new()),
            Payload::WorkflowStep(step) => step.answer(WorkflowReply::empty()),
            Payload::FindingDispatch(dispatch) => dispatch.answer(Acknowledgement::new()),
            other => panic!("{other:?}"),
        };
        let (parts, body) = answer.response().into_parts();
        assert_eq!(
            (parts.status, answer.status()),
            (200.try_into().expect("good"), parts.status)
        );
        let reply = answer.reply().expect("a reply");
        let again = Reply::from_json(event, reply.as_bytes().clone()).expect("its own");
        assert_eq!(again, *reply, "{event}");
        assert_eq!(parts.headers["content-type"], "application/json");
        let body = body.collect().await.expect("full").to_bytes();
        let document: Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(document["version"], "v1", "{event}");
    }
}

#[tokio::test]
async fn outcomes_are_the_statuses_that_conductorone_knows() {
    let header = |outcome: &Outcome, name: &str| {
        let response = outcome.response();
        response
            .headers()
            .get(name)
            .map(|value| value.to_str().expect("text").to_owned())
    };
    let accepted = Outcome::accepted();
    assert_eq!(accepted.response().status(), 202);
    let later = Outcome::retry_later(Duration::from_millis(1500));
    assert_eq!(later.response().status(), 503);
    assert_eq!(header(&later, "retry-after").as_deref(), Some("2"));
    let at_once = Outcome::retry_later(Duration::ZERO);
    assert_eq!(header(&at_once, "retry-after").as_deref(), Some("1"));
    assert_eq!(Outcome::gone_for_good().response().status(), 410);
    assert_eq!(later.retry_after(), Some(Duration::from_millis(1500)));
    for outcome in [accepted, later, Outcome::gone_for_good()] {
        assert_eq!(outcome.status(), outcome.response().status());
        assert_eq!(outcome.retry_after().is_some(), outcome.status() == 503);
        assert!(outcome.reply().is_none());
        let body = outcome
            .response()
            .into_body()
            .collect()
            .await
            .expect("full")
            .to_bytes();
        assert!(body.is_empty());
    }
}
