//! `Webhook` as an axum extractor, and the layer in each place that axum has
//! for one.

use std::error::Error;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::{any, get, post};
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use support::log::Log;
use support::{DOMAIN, TEST_EVENT, builder, now, receiver};
use tower::ServiceExt;
use tower_conductorone::event::{
    Comment, Event, Outcome, PayloadError, PolicyApprovalStep, ProvisionReply, ProvisionStep,
};
use tower_conductorone::testing::{Delivery, FakeTenant};
use tower_conductorone::{
    DeliverOnceLayer, DeliveryRun, Rejection, RejectionKind, Typed, VerifyWebhookLayer, Webhook,
};

fn delivery(tenant: &FakeTenant) -> Delivery {
    tenant.delivery(TEST_EVENT).issued_at(now())
}

async fn answer(app: &Router, request: Request<impl Into<Body>>) -> (Response<()>, String) {
    let response = app.clone().oneshot(request.map(Into::into)).await;
    let (parts, body) = response.expect("infallible").into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    let text = String::from_utf8(body.to_vec()).expect("text");
    (Response::from_parts(parts, ()), text)
}

/// The delivery, as axum gets it.
fn request(delivery: &Delivery) -> Request<Body> {
    delivery.request().map(Body::new)
}

async fn event(webhook: Webhook) -> String {
    webhook.event().to_owned()
}

#[tokio::test]
async fn a_handler_asks_for_the_webhook() {
    let tenant = FakeTenant::new(DOMAIN);
    let app = Router::new()
        .route("/webhooks", post(event))
        .layer(receiver(&tenant));
    let (response, body) = answer(&app, request(&delivery(&tenant))).await;
    assert_eq!((response.status().as_u16(), &*body), (200, TEST_EVENT));

    let forged = FakeTenant::new(DOMAIN);
    let (response, body) = answer(&app, request(&delivery(&forged))).await;
    assert_eq!(response.status(), 401);
    assert!(response.headers().contains_key("www-authenticate"));
    assert!(response.extensions().get::<Rejection>().is_some());
    let problem: Value = serde_json::from_str(&body).expect("problem details");
    assert_eq!(problem["code"], "invalid_token");
}

#[tokio::test]
async fn it_goes_with_other_extractors_and_the_body() {
    async fn all(
        State(greeting): State<&'static str>,
        method: Method,
        webhook: Webhook,
        again: Option<Webhook>,
        body: Bytes,
    ) -> String {
        assert_eq!(method, "POST");
        assert_eq!(body, webhook.body());
        assert_eq!(again.expect("it is there").id(), webhook.id());
        format!("{greeting} {}", webhook.tenant())
    }
    async fn json(webhook: Webhook, axum::Json(body): axum::Json<Value>) -> String {
        assert_eq!(body["webhookId"], webhook.id());
        "json".into()
    }
    let tenant = FakeTenant::new(DOMAIN);
    let app = Router::new()
        .route("/webhooks", post(all))
        .route("/json", post(json))
        .layer(receiver(&tenant))
        .with_state("from");
    let (response, body) = answer(&app, request(&delivery(&tenant))).await;
    assert_eq!(response.status(), 200);
    assert_eq!(body, format!("from {DOMAIN}"));
    let to_json = delivery(&tenant).to("https://hooks.example.com/json");
    assert_eq!(answer(&app, request(&to_json)).await.1, "json");

    // As large as the layer lets through is no more than `Bytes` takes.
    let mut large = delivery(&tenant).envelope();
    large["payload"] = json!("x".repeat(2 * 1024 * 1024 - 400));
    let large = delivery(&tenant).body(large.to_string());
    let large = ["id", "callback-url"].iter().fold(large, |large, name| {
        large.without_http_header(&format!("webhook-{name}"))
    });
    assert_eq!(answer(&app, request(&large)).await.0.status(), 200);
}

/// Checks that an answer is problem details, with its rejection in the extensions.
#[track_caller]
fn assert_problem<B>(response: &Response<B>, body: &str, status: u16, code: &str) {
    assert_eq!(response.status(), status, "{body}");
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    let problem: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(
        (&problem["status"], &problem["code"]),
        (&json!(status), &json!(code))
    );
    let rejection = response.extensions().get::<Rejection>();
    assert_eq!(rejection.expect("a rejection").code(), code);
}

#[tokio::test]
async fn without_the_layer_the_webhook_is_missing() {
    async fn maybe(webhook: Option<Webhook>) -> &'static str {
        webhook.map_or("none", |_| "some")
    }
    let tenant = FakeTenant::new(DOMAIN);
    let app: Router = Router::new()
        .route("/webhooks", post(event))
        .route("/maybe", any(maybe));
    // However good the request is.
    let (response, body) = answer(&app, request(&delivery(&tenant))).await;
    assert_problem(&response, &body, 500, "missing_webhook");
    let log = Log::default();
    let guard = log.capture(tracing::Level::INFO);
    let (response, body) = answer(&app, Request::get("/maybe").body("").expect("good")).await;
    assert_eq!((response.status().as_u16(), &*body), (200, "none"));
    drop(guard);
    let log = log.take();
    assert!(
        log.contains("ERROR") && log.contains("VerifyWebhookLayer"),
        "{log}"
    );

    // A layer covers the routes that were there when it was added, not later ones.
    let app = Router::new()
        .route("/maybe", any(maybe))
        .layer(receiver(&tenant))
        .route("/webhooks", post(event));
    let (response, _) = answer(&app, request(&delivery(&tenant))).await;
    assert_eq!(response.status(), 500);
    let to_maybe = delivery(&tenant).to("https://hooks.example.com/maybe");
    assert_eq!(answer(&app, request(&to_maybe)).await.1, "some");
}

#[tokio::test]
async fn a_rejection_is_an_answer_for_error_handlers_of_the_user_s() {
    let tenant = FakeTenant::new(DOMAIN);
    let app: Router = Router::new()
        .route("/webhooks", post(event))
        .layer(receiver(&tenant));
    let get = Request::get("/webhooks").body("").expect("good");
    let (response, body) = answer(&app, get).await;
    let rejection = response.extensions().get::<Rejection>().expect("there");
    let again = rejection.clone().into_response();
    assert_eq!(again.status(), response.status());
    assert_eq!(again.headers()["allow"], "POST");
    let again = again.into_body().collect().await.expect("full").to_bytes();
    assert_eq!(again, body);
}

/// Each place in which axum takes a layer.
fn arrangements(layer: &VerifyWebhookLayer) -> Vec<(&'static str, Router)> {
    let layer = || layer.clone();
    vec![
        (
            "Router::layer",
            Router::new().route("/webhooks", post(event)).layer(layer()),
        ),
        (
            "Router::route_layer",
            Router::new()
                .route("/webhooks", post(event))
                .route_layer(layer()),
        ),
        (
            "MethodRouter::layer",
            Router::new().route("/webhooks", post(event).layer(layer())),
        ),
        (
            "MethodRouter::route_layer",
            Router::new().route("/webhooks", post(event).route_layer(layer())),
        ),
        (
            "Handler::layer",
            Router::new().route("/webhooks", {
                use axum::handler::Handler;
                post(event.layer(layer()))
            }),
        ),
        (
            "Router::route_service",
            Router::new().route_service("/webhooks", {
                use tower::Layer;
                layer().layer(post(event))
            }),
        ),
        (
            "a nested Router",
            Router::new().nest(
                "/webhooks",
                Router::new().route("/", post(event)).layer(layer()),
            ),
        ),
        (
            "around a nested Router",
            Router::new()
                .nest("/webhooks", Router::new().route("/", post(event)))
                .layer(layer()),
        ),
        (
            "a merged Router",
            Router::new()
                .route("/healthz", get(async || "up"))
                .merge(Router::new().route("/webhooks", post(event)).layer(layer())),
        ),
        (
            "any method",
            Router::new().route("/webhooks", any(event)).layer(layer()),
        ),
        (
            "beside another method",
            Router::new()
                .route("/webhooks", post(event).get(event))
                .layer(layer()),
        ),
    ]
}

#[tokio::test]
async fn the_layer_works_wherever_axum_takes_one() {
    let tenant = FakeTenant::new(DOMAIN);
    for (what, app) in arrangements(&receiver(&tenant)) {
        let (response, body) = answer(&app, request(&delivery(&tenant))).await;
        assert_eq!(
            (response.status().as_u16(), &*body),
            (200, TEST_EVENT),
            "{what}"
        );
        let bad = delivery(&tenant).claim("aud", json!("other.example.com"));
        let (response, _) = answer(&app, request(&bad)).await;
        assert_eq!(response.status(), 401, "{what}");
    }
}

#[tokio::test]
async fn another_method_gets_405_with_allow_post_once() {
    let tenant = FakeTenant::new(DOMAIN);
    for (what, app) in arrangements(&receiver(&tenant)) {
        for method in [
            "GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PURGE",
        ] {
            // Neither with a token nor without.
            let with = delivery(&tenant).method(method.parse().expect("good"));
            let without = with.clone().without_http_header("authorization");
            for delivery in [with, without] {
                let (response, _) = answer(&app, request(&delivery)).await;
                let allow: Vec<_> = response.headers().get_all("allow").iter().collect();
                assert_eq!(response.status(), 405, "{method}, {what}");
                assert_eq!(allow, ["POST"], "{method}, {what}");
            }
        }
    }
}

#[tokio::test]
async fn several_receivers_live_in_one_app() {
    let (one, two) = (
        FakeTenant::new(DOMAIN),
        FakeTenant::new("two.conductor.one"),
    );
    let app: Router = Router::new()
        .route("/one", post(event).layer(receiver(&one)))
        .route(
            "/two",
            post(event).layer(builder(&two).build().expect("good")),
        );
    for (tenant, path, status) in [(&one, "one", 200), (&two, "two", 200), (&one, "two", 401)] {
        let to = delivery(tenant).to(format!("https://hooks.example.com/{path}"));
        assert_eq!(
            answer(&app, request(&to)).await.0.status(),
            status,
            "{path}"
        );
    }
}

#[tokio::test]
async fn the_missing_webhook_is_an_error_with_a_hint() {
    use axum::extract::FromRequestParts;

    let (mut parts, ()) = Request::new(()).into_parts();
    let missing: Rejection = Webhook::from_request_parts(&mut parts, &())
        .await
        .expect_err("no layer");
    assert_eq!(missing.kind(), RejectionKind::MissingWebhook);
    let hint = missing.source().expect("a hint").to_string();
    assert!(hint.contains("is VerifyWebhookLayer installed"), "{hint}");
    assert_eq!(missing.into_response().status(), 500);
}

#[tokio::test]
async fn a_route_takes_events_of_one_type() {
    async fn provision(step: Typed<ProvisionStep>) -> Outcome {
        assert!(step.task_view().app().is_some());
        step.answer(ProvisionReply::complete(Comment::none()))
    }
    async fn approve(step: Typed<PolicyApprovalStep>) -> String {
        let step = step.clone().into_inner();
        step.task_view().task().expect("a task").id.to_string()
    }

    let tenant = FakeTenant::new(DOMAIN);
    let app = Router::new()
        .route("/webhooks", post(provision))
        .route("/approvals", post(approve))
        .layer(receiver(&tenant))
        .route("/open", post(provision));
    let provisioning = || tenant.delivery(ProvisionStep::NAME).issued_at(now());

    let (response, body) = answer(&app, request(&provisioning())).await;
    assert_eq!(response.status(), 200);
    let document: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(document, json!({ "version": "v1", "complete": {} }));

    let other = provisioning().to("https://hooks.example.com/approvals");
    let (response, body) = answer(&app, request(&other)).await;
    assert_problem(&response, &body, 422, "unexpected_event");
    let rejection = response.extensions().get::<Rejection>();
    let rejection = rejection.expect("a rejection");
    assert_eq!(rejection.tenant(), Some(DOMAIN));
    let cause = rejection.source().expect("a cause").to_string();
    assert!(cause.contains(PolicyApprovalStep::NAME), "{cause}");

    let test = tenant.delivery(TEST_EVENT).issued_at(now());
    let (response, body) = answer(&app, request(&test)).await;
    assert_eq!(
        (response.status().as_u16(), &*body),
        (200, r#"{"version":"v1"}"#)
    );

    let odd = provisioning().payload(json!({ "taskView": "s3cret" }));
    let (response, body) = answer(&app, request(&odd)).await;
    assert_problem(&response, &body, 422, "unreadable_payload");
    assert!(!body.contains("s3cret"), "{body}");

    let unverified = provisioning().to("https://hooks.example.com/open");
    let (response, body) = answer(&app, request(&unverified)).await;
    assert_problem(&response, &body, 500, "missing_webhook");
}

#[tokio::test]
async fn a_handler_can_ask_which_run_it_is_in() {
    async fn handle(run: DeliveryRun, _: Webhook) -> Outcome {
        assert_eq!(run.number(), 1);
        Outcome::accepted()
    }
    let tenant = FakeTenant::new(DOMAIN);
    let verify = builder(&tenant).build().expect("good");
    let handlers = Router::new().route("/webhooks", post(handle));
    let once = DeliverOnceLayer::builder().build().expect("good");
    let app = handlers.clone().layer(once).layer(verify.clone());
    let (response, _) = answer(&app, request(&delivery(&tenant))).await;
    assert_eq!(response.status(), 202);

    let (response, text) = answer(&handlers.layer(verify), request(&delivery(&tenant))).await;
    assert_problem(&response, &text, 500, "missing_delivery_run");
}

#[tokio::test]
async fn an_odd_payload_is_422_whoever_reads_it() {
    async fn handle(webhook: Webhook) -> Result<Outcome, PayloadError> {
        webhook.payload()?;
        Ok(Outcome::accepted())
    }
    let tenant = FakeTenant::new(DOMAIN);
    let verify = builder(&tenant).build().expect("good");
    let app = Router::new().route("/webhooks", post(handle)).layer(verify);
    let odd = delivery(&tenant).payload(json!("s3cret"));
    let (response, text) = answer(&app, request(&odd)).await;
    assert_eq!(response.status(), 422);
    assert!(!text.contains("s3cret"), "{text}");
}
