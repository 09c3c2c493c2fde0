//! Sends genuine and forged deliveries of a fake tenant to an axum receiver on
//! loopback, and shows the answers; then a duplicate, and work that takes its time.
//!
//! ```text
//! cargo run --example demo
//! ```

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::http::{Request, Response, StatusCode, Uri};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::sleep;
use tower::service_fn;
use tower_conductorone::callback::CallbackClient;
use tower_conductorone::event::task::TaskKind;
use tower_conductorone::event::{
    Acknowledgement, ApprovalReply, Comment, FindingDispatch, Outcome, Payload, PolicyApprovalStep,
    PolicyPostAction, ProvisionReply, ProvisionStep, WorkflowReply, WorkflowStep,
};
use tower_conductorone::keys::Algorithm;
use tower_conductorone::observe::{Attempt, Observer};
use tower_conductorone::testing::simulator::{DeliveryReport, End, Simulator};
use tower_conductorone::testing::{Delivery, EVENTS, FakeTenant, Fixture};
use tower_conductorone::{
    ConfigError, DeliverOnceLayer, EventRouter, Tenant, Typed, VerifyWebhookLayer, Webhook,
};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The only part that a user writes: its handlers get verified webhooks only.
fn webhooks() -> Result<EventRouter, ConfigError> {
    EventRouter::builder()
        .on(provision)
        .on(approve)
        .on(async |_: Typed<PolicyPostAction>| Acknowledgement::new())
        .on(async |_: Typed<WorkflowStep>| WorkflowReply::empty())
        .on(async |_: Typed<FindingDispatch>| Acknowledgement::new())
        .fallback(other)
        .build()
}

async fn provision(step: Typed<ProvisionStep>) -> ProvisionReply {
    if matches!(step.task_view().kind(), TaskKind::Action(_)) {
        sleep(Duration::from_secs(2)).await; // slow work
    }
    let app = step.task_view().app().map_or("?", |app| &app.display_name);
    ProvisionReply::complete(Comment::truncated(format!("provisioned in {app}")))
}

async fn approve(_: Typed<PolicyApprovalStep>) -> ApprovalReply {
    ApprovalReply::approve(Comment::truncated("fine"))
}

async fn other(webhook: Webhook) -> Outcome {
    match webhook.payload() {
        Ok(Payload::Unknown(event)) => event.acknowledge(),
        _ => Outcome::retry_later(Duration::from_secs(60)),
    }
}

/// Tells how each request was answered, and why it was refused: the answers reveal little.
#[derive(Debug)]
struct Told(mpsc::Sender<String>);

impl Observer for Told {
    fn attempt(&self, attempt: &Attempt<'_>) {
        let how = attempt.how().as_str();
        let told = attempt.error_type().map_or_else(
            || how.to_owned(),
            |error_type| format!("{how}: {error_type}"),
        );
        let _ = self.0.send(told);
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn app(tenant: &FakeTenant, jwks: &str, callbacks: &str, told: Told) -> Result<Router, BoxError> {
    let verify = VerifyWebhookLayer::builder()
        .public_url("https://hooks.example.com")
        .tenant(Tenant::new(tenant.domain()).jwks_url(jwks))
        .dangerous_allow_http_on_loopback() // the fake tenant has no certificate
        .observer(told)
        .build()?;
    let client = CallbackClient::builder()
        .origin(tenant.domain(), callbacks)
        .dangerous_allow_http_on_loopback()
        .build()?;
    let once = DeliverOnceLayer::builder()
        .answer_within(Duration::from_secs(1)) // 25 s unless said otherwise
        .callbacks(client)
        .build()?;
    let handlers = Router::new().route_service("/webhooks", webhooks()?);
    tokio::spawn(once.recover(handlers.clone()));
    Ok(handlers.layer(once).layer(verify))
}

async fn run() -> Result<bool, BoxError> {
    let mut out = std::io::stdout();
    let tenant = FakeTenant::new("example.conductor.one");
    let jwks = tenant.serve().await?;

    let simulator = Simulator::new(&tenant);
    let callbacks = simulator.callbacks().serve().await?;

    let (tell, told) = mpsc::channel();
    let app = app(&tenant, &jwks.url(), &callbacks.origin(), Told(tell))?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async { axum::serve(listener, app).await });

    writeln!(
        out,
        "Fake tenant: example.conductor.one, with its keys at {}",
        jwks.url()
    )?;
    writeln!(
        out,
        "Receiver:    http://{address}, with the public URL https://hooks.example.com"
    )?;

    let receiver = Receiver {
        address,
        client: Client::builder(TokioExecutor::new()).build_http(),
    };
    let mut as_expected = true;
    let mut number = 0;
    for (title, deliveries) in [
        ("Genuine deliveries", genuine(&tenant)),
        ("Forgeries and replays", forged(&tenant)),
        ("Once for each delivery", repeated(&tenant)),
    ] {
        writeln!(out, "\n{title}\n")?;
        for Scene {
            what,
            checked,
            delivery,
            expected,
        } in deliveries
        {
            number += 1;
            let response = receiver.send(delivery).await?;
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            writeln!(out, "{number:3}. {what}")?;
            writeln!(out, "     checked   {checked}")?;
            writeln!(
                out,
                "     answered  {status} {}",
                String::from_utf8_lossy(&body)
            )?;
            if let Ok(how) = told.try_recv() {
                writeln!(out, "     how       {how}")?;
            }
            if status != expected {
                writeln!(out, "     WRONG     expected {expected}")?;
                as_expected = false;
            }
        }
    }

    writeln!(out, "\nSlow work\n")?;
    number += 1;
    writeln!(
        out,
        "{number:3}. a handler that takes 2 s; here the layer answers after 1 s"
    )?;
    let delivery = of_fixture(&tenant, "provision_step/action.full")?;
    let over_the_wire = service_fn(|request| receiver.send(request));
    let report = simulator.deliver(over_the_wire, delivery).await;
    as_expected &= print_report(&mut out, &report, &told)?;
    writeln!(
        out,
        "\n{number} deliveries, {} fetches of the tenant's keys: {}",
        jwks.requests(),
        if as_expected {
            "all answers are right."
        } else {
            "SOME ANSWERS ARE WRONG."
        },
    )?;
    Ok(as_expected)
}

/// Returns whether it is what it should be: 202, then one callback.
fn print_report(
    out: &mut impl Write,
    report: &DeliveryReport,
    told: &mpsc::Receiver<String>,
) -> Result<bool, BoxError> {
    for attempt in report.attempts() {
        let (status, took) = (attempt.status().unwrap_or_default(), attempt.took());
        writeln!(
            out,
            "     answered  {status} after {:.1} s",
            took.as_secs_f64()
        )?;
    }
    if let Ok(how) = told.try_recv() {
        writeln!(out, "     how       {how}")?;
    }
    for post in report.callbacks() {
        let (status, at) = (post.status(), post.at().as_secs_f64());
        writeln!(out, "     callback  {status} after {at:.1} s")?;
    }
    if let Some(document) = report.document() {
        let document = String::from_utf8_lossy(document.as_bytes());
        writeln!(out, "     document  {document}")?;
    }
    let is_right = *report.end() == End::CompletedByCallback && report.attempts().len() == 1;
    if !is_right {
        writeln!(out, "     WRONG     expected 202, then one callback")?;
    }
    Ok(is_right)
}

/// Where the receiver is.
struct Receiver {
    address: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Receiver {
    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, BoxError> {
        let (mut parts, body) = request.into_parts();
        parts.uri = Uri::builder()
            .scheme("http")
            .authority(self.address.to_string())
            .path_and_query(parts.uri.path())
            .build()?;
        let request = Request::from_parts(parts, body);
        let (parts, body) = self.client.request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Response::from_parts(parts, Full::new(body)))
    }
}

struct Scene {
    what: &'static str,
    checked: &'static str,
    delivery: Request<Full<Bytes>>,
    expected: StatusCode,
}

fn of_fixture(tenant: &FakeTenant, name: &str) -> Result<Delivery, BoxError> {
    let fixture = Fixture::named(name).ok_or("no such fixture")?;
    Ok(tenant.delivery(fixture.event()).payload(fixture.payload()))
}

fn genuine(tenant: &FakeTenant) -> Vec<Scene> {
    let signers = [
        (
            Algorithm::Rs256,
            "an RS256 signature, claims, body hash, envelope, first use",
        ),
        (
            Algorithm::Es256,
            "an ES256 signature, claims, body hash, envelope, first use",
        ),
        (
            Algorithm::EdDsa,
            "an EdDSA signature, claims, body hash, envelope, first use",
        ),
    ]
    .map(|(algorithm, checked)| (tenant.add_key(algorithm), checked));
    [
        "test/full",
        "provision_step/grant.full",
        "provision_step/revoke.minimal",
        "provision_step/grant.future",
        "policy_approval_step/grant.full",
        "policy_post_action/certify.full",
        "workflow_step/full",
        "finding_dispatch/full",
    ]
    .into_iter()
    .filter_map(Fixture::named)
    .zip(signers.iter().cycle())
    .map(|(fixture, (key, checked))| Scene {
        what: fixture.name(),
        checked,
        delivery: tenant
            .delivery(fixture.event())
            .payload(fixture.payload())
            .signing_key(key)
            .request(),
        expected: StatusCode::OK,
    })
    .collect()
}

fn forged(tenant: &FakeTenant) -> Vec<Scene> {
    let event = || tenant.delivery(EVENTS[0]);
    let refused = |what, checked, delivery: Delivery| Scene {
        what,
        checked,
        delivery: delivery.request(),
        expected: StatusCode::UNAUTHORIZED,
    };
    let stranger = FakeTenant::new("example.conductor.one");
    let seen = event();
    vec![
        refused(
            "signed with another key",
            "the signature: the tenant's JWKS has no such key",
            stranger.delivery(EVENTS[0]),
        ),
        refused(
            "from a tenant that is not configured",
            "iss, before any key is used",
            event().claim("iss", json!("evil.conductor.one")),
        ),
        refused(
            "another body under a genuine token",
            "htb_s256: the SHA-256 of the received body",
            event().tampered_body(r#"{"version":"v1","webhookId":"x","event":"y"}"#),
        ),
        refused(
            "a genuine token made for another receiver",
            "aud and htu against the public URL",
            event().to("https://hooks.example.org/webhooks"),
        ),
        refused(
            "a genuine token of an hour ago",
            "exp, with 30 s of leeway",
            event().issued_at(SystemTime::now() - Duration::from_secs(3600)),
        ),
        refused(
            "another kind of ConductorOne token",
            "c1typ: a webhook has \"wh\"",
            event().claim("c1typ", json!("session")),
        ),
        refused(
            "no token at all",
            "the Authorization header",
            event().without_http_header("authorization"),
        ),
        Scene {
            what: "a genuine webhook, for the first time",
            checked: "everything",
            delivery: seen.request(),
            expected: StatusCode::OK,
        },
        refused(
            "the same request again",
            "jti: each token is valid for one request",
            seen,
        ),
    ]
}

fn repeated(tenant: &FakeTenant) -> Vec<Scene> {
    let delivery = tenant.delivery(EVENTS[1]);
    let scene = |what, checked, delivery: &Delivery| Scene {
        what,
        checked,
        delivery: delivery.request(),
        expected: StatusCode::OK,
    };
    vec![
        scene("a genuine delivery", "everything", &delivery),
        scene(
            "the next attempt for it, as if the answer had been lost",
            "everything; the ledger has the answer, and nothing runs again",
            &delivery.retried(),
        ),
    ]
}
