//! The page of `c1 serve --ui` in a browser: `cli/tests/ui/page.mjs` uses it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use support::DOMAIN;
use tokio::net::TcpListener;
use tokio::process::Command;
use tower_conductorone::event::{Comment, Payload, ProvisionReply};
use tower_conductorone::{Tenant, VerifyWebhookLayer, Webhook};

use crate::commands::grant;
use crate::ui::page;

/// What may be called Chromium.
const BROWSERS: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

/// A receiver that takes webhooks at `/webhooks`, and answers 202 at `/later`.
async fn receiver(tenant: &str) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let origin = format!("http://{}", listener.local_addr().expect("an address"));
    let verify = VerifyWebhookLayer::builder()
        .public_url(&origin)
        .tenant(Tenant::new(DOMAIN).jwks_url(format!("{tenant}/auth/v1/jwks")))
        .dangerous_allow_http_on_loopback()
        .build()
        .expect("a good configuration");
    let at_once = async |webhook: Webhook| match webhook.payload() {
        Ok(Payload::ProvisionStep(step)) => {
            let comment = Comment::truncated("<b>granted</b>");
            step.answer(ProvisionReply::complete(comment))
        }
        _ => grant(&webhook).expect("an answer"),
    };
    let app = Router::new()
        .route("/webhooks", post(at_once))
        .route("/later", post(later))
        .layer(verify);
    tokio::spawn(async move { axum::serve(listener, app).await });
    origin
}

/// Posts a document that is of no use, then a good one.
async fn later(webhook: Webhook) -> StatusCode {
    let url = webhook.callback_url().expect("a URL").expose_secret();
    let url = url.to_owned();
    tokio::spawn(async move {
        let client = reqwest::Client::builder().no_proxy().build();
        let client = client.expect("a client");
        for document in [r#"{"version":"v1"}"#, r#"{"version":"v1","complete":{}}"#] {
            let posted = client.post(&url).body(document).send().await;
            posted.expect("an answer");
        }
    });
    StatusCode::ACCEPTED
}

fn chromium() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut programs = std::env::split_paths(&path)
        .flat_map(|folder| BROWSERS.map(|name| folder.join(name)))
        .filter(|program| program.is_file());
    programs
        .next()
        .expect("there is no Chromium (apt-get install chromium)")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_sends_events_and_watches_them_in_a_browser() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ui");
    let packages = folder.join("node_modules/playwright-core");
    let install = "cd cli/tests/ui && npm ci --ignore-scripts";
    assert!(
        packages.is_dir(),
        "the browser's driver is missing ({install})"
    );
    let page = page().await;
    let receiver = receiver(&page.url).await;
    let mut script = Command::new("node");
    script
        .arg("page.mjs")
        .current_dir(&folder)
        .env("PAGE", &page.url)
        .env("RECEIVER", receiver)
        .env("CHROMIUM", chromium())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let done = tokio::time::timeout(Duration::from_secs(600), script.output()).await;
    let output = done
        .expect("it ends")
        .unwrap_or_else(|error| panic!("node: {error} (apt-get install nodejs npm)"));
    let said = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{failed}");
}
