//! What the README says of answers, against what comes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::post;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use support::{DOMAIN, TEST_EVENT, now, receiver};
use tower::ServiceExt;
use tower_conductorone::event::{Event, Outcome, PayloadError, PolicyApprovalStep, ProvisionStep};
use tower_conductorone::testing::{Delivery, FakeTenant};
use tower_conductorone::{
    DeliverOnceLayer, DeliveryRun, EventRouter, Rejection, RejectionKind, Typed, Webhook,
};

/// The rows of the table of answers, by their statuses.
fn rows() -> BTreeMap<u16, String> {
    let readme = include_str!("../README.md");
    let (_, table) = readme.split_once("| answer | when |").expect("the table");
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    rows.flat_map(|row| {
        let answer = row.split('|').nth(1).expect("a first column");
        let words = answer.split(|c: char| !c.is_ascii_digit());
        let statuses = words.filter(|word| word.len() == 3);
        let statuses = statuses.map(|word| word.parse().expect("three digits"));
        statuses.map(move |status| (status, row.to_owned()))
    })
    .collect()
}

#[test]
fn the_table_of_answers_has_every_rejection() {
    let rows = rows();
    let own: BTreeSet<_> = RejectionKind::ALL
        .iter()
        .map(|kind| kind.status().as_u16())
        .collect();
    for status in &own {
        assert!(rows.contains_key(status), "{status} is missing: {rows:?}");
    }
    let others = rows.keys().filter(|status| !own.contains(status));
    assert_eq!(others.collect::<Vec<_>>(), [&202, &410]);
}

/// The lines of the table that begins with this one.
fn table<'a>(text: &'a str, first: &str) -> Vec<&'a str> {
    let from = text.find(first).expect("the table");
    let (_, table) = text.split_at(from);
    let is_row = |line: &&str| line.starts_with('|');
    table.lines().take_while(is_row).collect()
}

#[test]
fn the_guide_has_the_table_of_stores() {
    let first = "| store | survives a restart |";
    let readme = table(include_str!("../README.md"), first);
    assert_eq!(readme.len(), 7, "{readme:?}");
    let guide = table(include_str!("../src/guide/stores.md"), first);
    assert_eq!(guide, readme);
}

#[test]
fn the_table_of_dependencies_has_each_direct_dependency() {
    let (_, manifest) = include_str!("../Cargo.toml")
        .split_once("\n[dependencies]\n")
        .expect("dependencies");
    let lines = manifest.lines().take_while(|line| !line.starts_with('['));
    let names = lines.filter_map(|line| line.split_once(" = "));
    let wanted: BTreeSet<_> = names.map(|(name, _)| name).collect();
    let table = table(include_str!("../README.md"), "| crate | what it is for |");
    let names = table.iter().skip(2).flat_map(|row| {
        let names = row.split('|').nth(1).expect("a first column");
        names.split('`').skip(1).step_by(2)
    });
    assert_eq!(names.collect::<BTreeSet<_>>(), wanted);
}

fn delivery(tenant: &FakeTenant, event: &str) -> Delivery {
    tenant.delivery(event).issued_at(now())
}

async fn answer(app: Router, delivery: &Delivery) -> (Response<()>, String) {
    let request: Request<Body> = delivery.request().map(Body::new);
    let (parts, body) = app.oneshot(request).await.expect("infallible").into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    let text = String::from_utf8(body.to_vec()).expect("text");
    (Response::from_parts(parts, ()), text)
}

async fn typed(_: Typed<ProvisionStep>) -> StatusCode {
    StatusCode::IM_A_TEAPOT
}

async fn reads(webhook: Webhook) -> Result<StatusCode, PayloadError> {
    webhook.payload()?;
    Ok(StatusCode::IM_A_TEAPOT)
}

fn router() -> EventRouter {
    EventRouter::builder()
        .on(async |_: Typed<ProvisionStep>| Err::<Outcome, _>("as this test wants it to"))
        .fallback(async |_: Webhook| Outcome::accepted())
        .build()
        .expect("one handler")
}

async fn asks_for_the_run(_: DeliveryRun) -> StatusCode {
    StatusCode::IM_A_TEAPOT
}

async fn asks_for_the_webhook(_: Webhook) -> StatusCode {
    StatusCode::IM_A_TEAPOT
}

async fn panics() -> StatusCode {
    panic!("as this test wants it to")
}

async fn unusable() -> &'static str {
    "no document"
}

async fn later() -> Outcome {
    Outcome::retry_later(Duration::from_secs(7))
}

async fn accepts() -> Outcome {
    Outcome::accepted()
}

async fn gone() -> Outcome {
    Outcome::gone_for_good()
}

/// Each way to such an answer, and the word by which its row names it.
#[tokio::test]
async fn the_table_of_answers_holds_for_what_handlers_and_extractors_answer() {
    let tenant = FakeTenant::new(DOMAIN);
    let verify = || receiver(&tenant);
    let once = || DeliverOnceLayer::builder().build().expect("good");
    let route = |handler| Router::new().route("/webhooks", handler);
    let step = delivery(&tenant, ProvisionStep::NAME);
    let other = delivery(&tenant, PolicyApprovalStep::NAME);
    let odd = delivery(&tenant, ProvisionStep::NAME).payload(json!({ "taskView": 7 }));
    let rows = rows();
    for (app, delivery, status, named) in [
        (route(post(typed)).layer(verify()), &other, 422, "`Typed`"),
        (route(post(typed)).layer(verify()), &odd, 422, "`Typed`"),
        (
            route(post(reads)).layer(verify()),
            &odd,
            422,
            "`PayloadError`",
        ),
        (
            route(post(router())).layer(verify()),
            &odd,
            422,
            "`EventRouter`",
        ),
        (route(post(router())), &step, 500, "`EventRouter`"),
        (
            route(post(router())).layer(verify()),
            &step,
            500,
            "returned an error",
        ),
        (route(post(typed)), &step, 500, "`Typed`"),
        (route(post(asks_for_the_webhook)), &step, 500, "`Webhook`"),
        (
            route(post(asks_for_the_run)).layer(verify()),
            &step,
            500,
            "`DeliveryRun`",
        ),
        (
            route(post(panics)).layer(once()).layer(verify()),
            &step,
            500,
            "panicked",
        ),
        (
            route(post(unusable)).layer(once()).layer(verify()),
            &step,
            500,
            "cannot be used",
        ),
        (
            route(post(later)).layer(verify()),
            &step,
            503,
            "`Outcome::retry_later`",
        ),
        (
            route(post(later)).layer(once()).layer(verify()),
            &step,
            503,
            "`Outcome::retry_later`",
        ),
        (
            route(post(accepts)).layer(verify()),
            &step,
            202,
            "callback URL",
        ),
        (
            route(post(gone)).layer(verify()),
            &step,
            410,
            "`Outcome::gone_for_good`",
        ),
        (
            route(post(gone)).layer(once()).layer(verify()),
            &step,
            410,
            "`Outcome::gone_for_good`",
        ),
    ] {
        let (response, text) = answer(app, delivery).await;
        assert_eq!(response.status().as_u16(), status, "{named}: {text}");
        let row = &rows[&status];
        assert!(row.contains(named), "{named} is not in {row}");
        let wait = response.headers().get("retry-after");
        assert_eq!(wait.is_some(), status == 503, "{named}");
        // Problem details are for what is not the handler's own.
        let problem = serde_json::from_str::<Value>(&text).ok();
        let code = problem.map(|problem| problem["code"].clone());
        let rejection = response.extensions().get::<Rejection>();
        let rejection = rejection.map(|rejection| json!(rejection.kind().public_code()));
        assert_eq!(code, rejection, "{named}: {text}");
        let is_own = matches!(status, 202 | 410 | 503) || named == "returned an error";
        assert_eq!(rejection.is_none(), is_own, "{named}: {text}");
    }
    // A test is acknowledged whatever the route takes.
    let test = delivery(&tenant, TEST_EVENT);
    let (response, _) = answer(route(post(typed)).layer(verify()), &test).await;
    assert_eq!(response.status(), 200);
    // Layers the wrong way round.
    let app = route(post(accepts)).layer(verify()).layer(once());
    assert_eq!(answer(app, &step).await.0.status(), 500);
}
