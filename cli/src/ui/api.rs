//! The page, and what it asks for.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};
use tower_conductorone::testing::Fixture;

use super::Ui;
use super::guard::guard;
use super::order::{MAX_PAYLOAD, Order, Webhook, Wrong};
use super::view::Wanted;
use crate::endpoint::KEYS;

/// The longest request: it has a payload.
const MAX_BODY: usize = 2 * MAX_PAYLOAD;

/// How long a request waits for news.
const WAIT: Duration = Duration::from_secs(15);

const SCRIPT: &str = "text/javascript; charset=utf-8";
const FILES: [(&str, &str, &str); 8] = [
    ("/", "text/html; charset=utf-8", include_str!("page.html")),
    (
        "/ui/page.css",
        "text/css; charset=utf-8",
        include_str!("page.css"),
    ),
    ("/ui/page.js", SCRIPT, include_str!("page.js")),
    ("/ui/dom.js", SCRIPT, include_str!("dom.js")),
    ("/ui/form.js", SCRIPT, include_str!("form.js")),
    ("/ui/table.js", SCRIPT, include_str!("table.js")),
    ("/ui/detail.js", SCRIPT, include_str!("detail.js")),
    ("/ui/icon.svg", "image/svg+xml", include_str!("icon.svg")),
];

impl IntoResponse for Wrong {
    fn into_response(self) -> Response {
        let body = json!({ "field": self.field, "error": self.error });
        (self.status, answer(&body)).into_response()
    }
}

fn answer(value: &Value) -> impl IntoResponse + use<> {
    ([(CONTENT_TYPE, "application/json")], value.to_string())
}

impl Ui {
    pub(crate) fn router(self) -> Router {
        let mut router = Router::new();
        for (path, kind, text) in FILES {
            router = router.route(
                path,
                get(move || async move { ([(CONTENT_TYPE, kind)], text) }),
            );
        }
        let address = self.address;
        router
            .route("/ui/setup", get(setup))
            .route("/ui/fixtures/{folder}/{name}", get(fixture))
            .route(
                "/ui/view/{after}/{filter}/{page}/{selected}/{seen}",
                get(view),
            )
            .route("/ui/payload/{id}", get(payload))
            .route("/ui/send", post(send))
            .route("/ui/repeat", post(repeat))
            .route("/ui/stop", post(stop))
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .layer(from_fn_with_state(address, guard))
            .with_state(self)
    }

    fn started(
        &self,
        order: Arc<Order>,
        webhooks: Vec<Webhook>,
        repeats: Option<u64>,
    ) -> Result<Response, Wrong> {
        let ids = self.start(order, webhooks, repeats).map_err(|_| Wrong {
            status: StatusCode::TOO_MANY_REQUESTS,
            field: "times",
            error: "too many deliveries are unfinished: wait for them, or stop them".into(),
        })?;
        let body = json!({ "first": ids.start, "last": ids.end - 1 });
        Ok((StatusCode::ACCEPTED, answer(&body)).into_response())
    }
}

/// What the form begins with.
async fn setup(State(ui): State<Ui>) -> Response {
    let fixtures: Vec<_> = Fixture::ALL
        .iter()
        .map(|fixture| json!({ "name": fixture.name(), "event": fixture.event() }))
        .collect();
    let body = json!({
        "tenant": ui.tenant.domain(),
        "keys": format!("http://{}{KEYS}", ui.address),
        "to": ui.to,
        "fixtures": fixtures,
    });
    answer(&body).into_response()
}

async fn fixture(Path((folder, name)): Path<(String, String)>) -> Response {
    match Fixture::named(&format!("{folder}/{name}")) {
        Some(fixture) => ([(CONTENT_TYPE, "application/json")], fixture.json()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn view(
    State(ui): State<Ui>,
    Path((after, filter, page, selected, seen)): Path<(u64, String, usize, u64, u64)>,
) -> Response {
    let _ = tokio::time::timeout(WAIT, ui.history.wait(after)).await;
    let wanted = Wanted {
        filter,
        page,
        selected,
        seen,
    };
    answer(&ui.history.view(&wanted)).into_response()
}

async fn payload(State(ui): State<Ui>, Path(id): Path<u64>) -> Response {
    let kept = ui.history.kept();
    match kept.deliveries.get(&id) {
        Some(delivery) => {
            let text = delivery.order.text.clone();
            ([(CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn send(State(ui): State<Ui>, body: Bytes) -> Result<Response, Wrong> {
    let (order, times) = ui.order(&read(&body)?)?;
    let webhooks = std::iter::repeat_with(Webhook::new).take(times).collect();
    ui.started(Arc::new(order), webhooks, None)
}

/// Sends one again: the same webhook, or a new one with the same content.
async fn repeat(State(ui): State<Ui>, body: Bytes) -> Result<Response, Wrong> {
    let body = read(&body)?;
    let id = body["id"].as_u64().unwrap_or_default();
    let found = ui
        .history
        .kept()
        .deliveries
        .get(&id)
        .map(|delivery| (Arc::clone(&delivery.order), delivery.webhook.clone()));
    let (order, same) = found.ok_or_else(|| Wrong {
        status: StatusCode::NOT_FOUND,
        field: "id",
        error: "the delivery is no longer kept".into(),
    })?;
    match body["webhook"].as_str() {
        Some("same") => ui.started(order, vec![same], Some(id)),
        Some("new") => ui.started(order, vec![Webhook::new()], None),
        _ => Err(Wrong::new("webhook", "\"same\" or \"new\"")),
    }
}

async fn stop(State(ui): State<Ui>) -> StatusCode {
    ui.stop();
    StatusCode::NO_CONTENT
}

fn read(body: &[u8]) -> Result<Value, Wrong> {
    serde_json::from_slice(body).map_err(|error| Wrong::new("", format!("not JSON: {error}")))
}
