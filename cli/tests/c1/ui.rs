//! `c1 serve --ui`: what the page's server answers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::any;
use axum::{Router, body::Bytes};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use support::TEST_EVENT;
use support::wire::within;
use tokio::net::TcpListener;
use tower_conductorone::Webhook;

use crate::commands::{PUBLIC_URL, Running, granting, handled, serve};
use crate::program::{Folder, folder};

/// `c1 serve --ui`, and a client of its page.
pub(crate) struct Page {
    pub(crate) url: String,
    client: reqwest::Client,
    running: Running,
    _folder: Folder,
}

pub(crate) async fn page() -> Page {
    let folder = folder();
    let (running, url) = serve(&folder, "--ui --alg eddsa").await;
    let client = reqwest::Client::builder().no_proxy().build();
    Page {
        url,
        client: client.expect("a client"),
        running,
        _folder: folder,
    }
}

impl Page {
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    async fn get(&self, path: &str) -> Response {
        let got = self.request(Method::GET, path).send();
        within(path, got).await.expect("an answer")
    }

    /// Posts JSON, and gives back the status and the JSON of the answer.
    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let request = self
            .request(Method::POST, path)
            .header("content-type", "application/json")
            .body(body.to_string());
        let answer = within(path, request.send()).await.expect("an answer");
        let status = answer.status().as_u16();
        let text = answer.text().await.expect("text");
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    /// Sends these, and gives back the number of the first.
    async fn send(&self, form: &Value) -> u64 {
        let (status, started) = self.post("/ui/send", form).await;
        assert_eq!(status, 202, "{started}");
        started["first"].as_u64().expect("a number")
    }

    async fn view(&self, filter: &str, page: u64, selected: u64) -> Value {
        let path = format!("/ui/view/0/{filter}/{page}/{selected}/0");
        let text = self.get(&path).await.text().await.expect("text");
        serde_json::from_str(&text).expect("JSON")
    }

    /// The view as soon as it is as wanted.
    async fn until(&self, selected: u64, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut changes = 0;
        let mut last = Value::Null;
        let came = tokio::time::timeout(Duration::from_secs(60), async {
            loop {
                let path = format!("/ui/view/{changes}/all/0/{selected}/0");
                let text = self.get(&path).await.text().await.expect("text");
                last = serde_json::from_str(&text).expect("JSON");
                if wanted(&last) {
                    break;
                }
                changes = last["changes"].as_u64().expect("a number");
            }
        });
        let came = came.await;
        assert!(came.is_ok(), "still waiting: {last:#}");
        last
    }

    /// The delivery's detail as soon as it has this state.
    async fn detail(&self, id: u64, state: &str) -> Value {
        let view = self.until(id, |view| view["detail"]["state"] == state);
        view.await["detail"].take()
    }
}

/// What the form sends.
fn form(to: &str) -> Value {
    json!({
        "event": TEST_EVENT,
        "payload": "{}",
        "to": to,
        "publicUrl": "",
        "attempts": 1,
        "pause": 0,
        "callbackWait": 60,
        "times": 1,
    })
}

/// Changes a member.
fn with(mut form: Value, name: &str, value: impl Into<Value>) -> Value {
    form[name] = value.into();
    form
}

#[tokio::test]
async fn the_page_comes_with_its_files_and_a_strict_policy() {
    let mut page = page().await;
    let printed = page.running.after("page ").await;
    assert_eq!(printed, format!("{}/", page.url));
    let answer = page.get("/").await;
    assert_eq!(answer.status(), 200);
    let policy = answer.headers()["content-security-policy"].clone();
    let policy = policy.to_str().expect("text");
    for directive in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    ] {
        assert!(policy.contains(directive), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    let html = answer.text().await.expect("text");
    // The policy forbids handlers, styles and scripts in the text itself.
    assert!(!html.contains("style="), "{html}");
    assert_eq!(
        html.matches("<script").count(),
        html.matches("<script type=\"module\" src=").count()
    );
    let tags = html
        .split('<')
        .filter_map(|rest| Some(rest.split_once('>')?.0));
    for attribute in tags.flat_map(str::split_whitespace) {
        assert!(!attribute.starts_with("on"), "{attribute}");
    }
    let files = ["href=\"/ui/", "src=\"/ui/"];
    let mut files: Vec<_> = files
        .iter()
        .flat_map(|start| html.split(start).skip(1))
        .filter_map(|rest| Some(format!("/ui/{}", rest.split_once('"')?.0)))
        .collect();
    assert!(files.len() >= 3, "{files:?}");
    files.extend(["dom", "form", "table", "detail"].map(|name| format!("/ui/{name}.js")));
    for file in files {
        let answer = page.get(&file).await;
        assert_eq!(answer.status(), 200, "{file}");
        assert!(answer.headers().contains_key("content-security-policy"));
        let text = answer.text().await.expect("text");
        // Nothing from elsewhere, and nothing that makes text markup.
        let text = text.replace("http://www.w3.org/2000/svg", "");
        for outside in [
            "http://",
            "https://",
            "//cdn",
            "@import",
            "innerHTML",
            "eval(",
        ] {
            assert!(!text.contains(outside), "{file}: {outside}");
        }
    }

    let (_without, url) = serve(&folder(), "").await;
    let answer = page.client.get(format!("{url}/")).send().await;
    assert_eq!(answer.expect("an answer").status(), 404);
}

#[tokio::test]
async fn pages_of_other_sites_read_nothing() {
    let page = page().await;
    let own = page.url.strip_prefix("http://").expect("http").to_owned();
    let port = own.rsplit(':').next().expect("a port");
    let (local, rebound) = (
        format!("localhost:{port}"),
        format!("attacker.example:{port}"),
    );
    let user = format!("x@{own}");
    for (host, site, path, status) in [
        (&*own, None, "/", 200),
        (&*local, None, "/", 200),
        (&*rebound, None, "/", 421),
        (&*rebound, None, "/ui/setup", 421),
        ("127.0.0.1", None, "/ui/setup", 421),
        (&*user, None, "/ui/setup", 421),
        (&*own, Some("cross-site"), "/", 200),
        (&*own, Some("cross-site"), "/ui/setup", 403),
        (&*own, Some("same-site"), "/ui/setup", 403),
        (&*own, Some("same-origin"), "/ui/setup", 200),
        (&*own, Some("none"), "/ui/setup", 200),
        // Receivers may know it by another name.
        (&*rebound, Some("cross-site"), "/auth/v1/jwks", 200),
    ] {
        let mut request = page.request(Method::GET, path).header("host", host);
        if let Some(site) = site {
            request = request.header("sec-fetch-site", site);
        }
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), status, "{path} {host} {site:?}");
        assert!(!answer.headers().contains_key("access-control-allow-origin"));
    }
}

#[tokio::test]
async fn pages_of_other_sites_send_nothing() {
    let page = page().await;
    let form = form("http://127.0.0.1:9/").to_string();
    let json = ("content-type", "application/json");
    for (headers, status) in [
        (vec![], 415),
        (vec![("content-type", "text/plain")], 415),
        (
            vec![("content-type", "application/x-www-form-urlencoded")],
            415,
        ),
        (vec![json, ("origin", "https://attacker.example")], 403),
        (vec![json, ("origin", "null")], 403),
        (vec![json, ("origin", "http://127.0.0.1")], 403),
        (
            vec![json, ("origin", &page.url), ("origin", &page.url)],
            403,
        ),
        (vec![json, ("sec-fetch-site", "cross-site")], 403),
        (vec![json, ("sec-fetch-site", "same-site")], 403),
        (vec![json, ("sec-fetch-site", "none")], 403),
        (vec![json, ("host", "attacker.example")], 421),
    ] {
        let mut request = page.request(Method::POST, "/ui/send").body(form.clone());
        for (name, value) in &headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), status, "{headers:?}");
    }
    assert_eq!(page.view("all", 0, 0).await["rows"], json!([]));
    let own = page
        .request(Method::POST, "/ui/send")
        .header("content-type", "application/json; charset=utf-8")
        .header("origin", &page.url)
        .header("sec-fetch-site", "same-origin")
        .body(form);
    assert_eq!(own.send().await.expect("an answer").status(), 202);
}

#[tokio::test]
async fn an_edited_payload_reaches_the_receiver_and_is_reported() {
    let page = page().await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let to = {
        let seen = Arc::clone(&seen);
        let handler = move |webhook: Webhook| {
            let payload: Value = webhook.deserialize_payload().expect("JSON");
            seen.lock().expect("no panic").push(payload);
            r#"{"version":"v1","complete":{"comment":"done"}}"#
        };
        handled(&page.url, handler).await
    };
    let setup = page.get("/ui/setup").await.text().await.expect("text");
    let setup: Value = serde_json::from_str(&setup).expect("JSON");
    assert_eq!(setup["to"], "http://127.0.0.1:3000/webhooks");
    let fixtures = setup["fixtures"].as_array().expect("a list");
    assert!(fixtures.len() > 90, "{}", fixtures.len());
    let grant = &fixtures[fixtures.len() / 2];
    let name = grant["name"].as_str().expect("a name");
    let fixture = page.get(&format!("/ui/fixtures/{name}")).await;
    let payload = fixture.text().await.expect("text");
    serde_json::from_str::<Value>(&payload).expect("JSON");

    let event = "c1.webhooks.v1.PayloadProvisionStep";
    // Beyond what a number of JavaScript holds.
    let payload = "{\n  \"edited\": [9007199254740993, \"é\"]\n}";
    let form = with(with(form(&to), "event", event), "payload", payload);
    let id = page.send(&form).await;
    let detail = page.detail(id, "delivered").await;
    let expected = json!({ "edited": [9_007_199_254_740_993_u64, "é"] });
    assert_eq!(*seen.lock().expect("no panic"), [expected]);
    assert_eq!(detail["event"], event);
    assert_eq!(detail["status"], "200");
    assert_eq!(detail["tries"][0]["status"], "200 OK");
    let document = detail["document"]["text"].as_str().expect("text");
    assert!(document.contains("done"), "{detail}");
    let kept = page.get(&format!("/ui/payload/{id}")).await;
    assert_eq!(kept.text().await.expect("text"), payload);

    for (field, value) in [
        ("payload", json!("{\"a\": }")),
        ("payload", json!("")),
        ("event", json!("a b")),
        ("event", json!("a\r\nb")),
        ("to", json!("/webhooks")),
        ("to", json!("ftp://127.0.0.1/")),
        ("publicUrl", json!("hooks.example.com")),
        ("attempts", json!(0)),
        ("attempts", json!(51)),
        ("pause", json!(-1)),
        ("callbackWait", json!(1.5)),
        ("times", json!(10_001)),
        ("times", json!("1")),
    ] {
        let (status, wrong) = page
            .post("/ui/send", &with(form.clone(), field, value.clone()))
            .await;
        assert_eq!((status, &wrong["field"]), (422, &json!(field)), "{value}");
        assert_ne!(wrong["error"], "", "{wrong}");
    }
    let large = with(form.clone(), "payload", "1".repeat(2 * 1024 * 1024 + 1));
    let (status, wrong) = page.post("/ui/send", &large).await;
    assert_eq!((status, &wrong["field"]), (422, &json!("payload")));
    assert_eq!(
        page.view("all", 0, 0).await["rows"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    let larger = with(form.clone(), "payload", "1".repeat(5 * 1024 * 1024));
    let refused = page
        .request(Method::POST, "/ui/send")
        .header("content-type", "application/json")
        .body(larger.to_string());
    // It may hang up before all of it is sent.
    if let Ok(answer) = refused.send().await {
        assert_eq!(answer.status(), 413);
    }
}

#[tokio::test]
async fn a_failure_shows_its_code_its_reason_and_its_remedy() {
    let page = page().await;
    let failure = async |form: Value, state: &str| {
        let id = page.send(&form).await;
        page.detail(id, state).await["failure"].take()
    };
    let refusing = async |status: StatusCode, code: &str| {
        let problem = json!({ "title": "x", "status": status.as_u16(), "code": code });
        let answer = (status, problem.to_string());
        served(Router::new().fallback(any(async || answer))).await
    };
    // Nobody has fetched the keys.
    let unconfigured = refusing(StatusCode::UNAUTHORIZED, "invalid_token").await;
    let wrong = failure(form(&unconfigured), "refused").await;
    assert_eq!(wrong["code"], "invalid_token");
    let remedy = wrong["remedy"].as_str().expect("text");
    let keys = format!("is the receiver's JWKS URL {}/auth/v1/jwks?", page.url);
    assert!(remedy.contains(&keys), "{remedy}");

    let without = refusing(StatusCode::BAD_REQUEST, "no_callback").await;
    let wrong = failure(form(&without), "refused").await;
    let remedy = wrong["remedy"].as_str().expect("text");
    assert!(remedy.contains(&page.url), "{remedy}");
    // It is for another public URL.
    let to = granting(&page.url).await;
    let other = with(form(&to), "publicUrl", "https://other.example.com");
    let wrong = failure(other, "refused").await;
    assert_eq!(wrong["code"], "invalid_token");
    assert_eq!(
        wrong["why"],
        "401 Unauthorized; the receiver's log says why"
    );
    let remedy = wrong["remedy"].as_str().expect("text");
    assert!(
        remedy.contains("for https://other.example.com/webhooks"),
        "{remedy}"
    );
    assert!(!remedy.contains("JWKS"), "{remedy}");

    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(2 * 1024 * 1024 - 100));
    let large = with(with(form(&to), "publicUrl", PUBLIC_URL), "payload", large);
    let wrong = failure(large, "refused").await;
    assert_eq!(wrong["code"], "body_too_large");
    let remedy = wrong["remedy"].as_str().expect("text");
    assert!(remedy.contains("max_body_bytes"), "{remedy}");

    let nowhere = to.replace("/webhooks", "/nowhere");
    let wrong = failure(form(&nowhere), "refused").await;
    assert_eq!(
        (&wrong["code"], &wrong["why"].to_string()[..14]),
        (&Value::Null, "\"404 Not Found")
    );
    let wrong = failure(form("http://127.0.0.1:9/"), "not delivered").await;
    assert_eq!(wrong["remedy"], "start the receiver, or correct its URL");
    let useless = handled(&page.url, |_| "{}").await;
    let wrong = failure(form(&useless), "not delivered").await;
    let remedy = wrong["remedy"].as_str().expect("text");
    assert!(remedy.contains("event::Reply"), "{remedy}");
    let silent = handled(&page.url, |_| StatusCode::ACCEPTED).await;
    let wrong = failure(with(form(&silent), "callbackWait", 0), "not delivered").await;
    assert_eq!(wrong["why"], "202, but no callback within 0 s");
    let failed = page.view("failed", 0, 0).await;
    assert_eq!(failed["rows"].as_array().map(Vec::len), Some(8));
    assert_eq!(page.view("delivered", 0, 0).await["rows"], json!([]));
}

/// A server for anything, and its URL.
async fn served(app: Router) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

#[tokio::test]
async fn a_delivery_is_retried_and_repeated_as_the_same_webhook_or_a_new_one() {
    let page = page().await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let to = {
        let seen = Arc::clone(&seen);
        let handler = move |webhook: Webhook| {
            let callback = webhook
                .callback_url()
                .map(|url| url.expose_secret().to_owned());
            let mut seen = seen.lock().expect("no panic");
            seen.push((webhook.id().to_owned(), callback));
            match seen.len() {
                1 | 2 => StatusCode::SERVICE_UNAVAILABLE.into_response(),
                _ => r#"{"version":"v1"}"#.into_response(),
            }
        };
        handled(&page.url, handler).await
    };
    let first = page.send(&with(form(&to), "attempts", 50)).await;
    let detail = page.detail(first, "delivered").await;
    let tries = detail["tries"].as_array().expect("a list");
    let statuses: Vec<_> = tries.iter().map(|one| &one["status"]).collect();
    assert_eq!(
        statuses,
        [
            "503 Service Unavailable",
            "503 Service Unavailable",
            "200 OK"
        ]
    );
    assert_eq!(
        (&tries[0]["pause"], &tries[2]["pause"]),
        (&json!(0), &Value::Null)
    );
    for (webhook, repeats) in [("same", json!(first)), ("new", Value::Null)] {
        let body = json!({ "id": first, "webhook": webhook });
        let (status, started) = page.post("/ui/repeat", &body).await;
        assert_eq!(status, 202);
        let id = started["first"].as_u64().expect("a number");
        let detail = page.detail(id, "delivered").await;
        assert_eq!(detail["repeats"], repeats);
    }
    let seen = seen.lock().expect("no panic").clone();
    assert_eq!(seen.len(), 5);
    assert!(seen[..4].iter().all(|one| *one == seen[0]), "{seen:?}");
    assert_ne!(seen[4].0, seen[0].0);
    assert_ne!(seen[4].1, seen[0].1);
    for (body, status) in [
        (json!({ "id": 99, "webhook": "same" }), 404),
        (json!({ "id": first, "webhook": "other" }), 422),
    ] {
        assert_eq!(page.post("/ui/repeat", &body).await.0, status);
    }
}

#[tokio::test]
async fn callbacks_and_fetches_of_the_keys_show_up() {
    let page = page().await;
    let (go, gone) = tokio::sync::watch::channel(false);
    let handler = move |webhook: Webhook| {
        let url = webhook
            .callback_url()
            .expect("a URL")
            .expose_secret()
            .to_owned();
        let mut gone = gone.clone();
        tokio::spawn(async move {
            gone.wait_for(|gone| *gone).await.expect("open");
            let client = reqwest::Client::builder()
                .no_proxy()
                .build()
                .expect("a client");
            for document in [
                r#"{"version":"v0"}"#,
                r#"{"version":"v1"}"#,
                r#"{"version":"v1"}"#,
            ] {
                client
                    .post(&url)
                    .body(document)
                    .send()
                    .await
                    .expect("an answer");
            }
        });
        StatusCode::ACCEPTED
    };
    let to = handled(&page.url, handler).await;
    let id = page.send(&form(&to)).await;
    page.detail(id, "waiting for callback").await;
    go.send_replace(true);
    page.detail(id, "delivered").await;
    let three = |view: &Value| view["detail"]["callbacks"].as_array().map(Vec::len) == Some(3);
    let view = page.until(id, three).await;
    let detail = &view["detail"];
    assert_eq!(detail["state"], "delivered", "the third does not change it");
    let document = detail["document"]["text"].as_str().expect("text");
    assert!(document.contains("\"v1\""), "{document}");
    let refused: Vec<_> = (0..3)
        .map(|index| &detail["callbacks"][index]["refused"])
        .collect();
    let why = refused[0].as_str().expect("a reason");
    assert!(why.contains("version"), "{why}");
    assert_eq!(
        refused[1..],
        [&Value::Null, &json!("the callback URL was used before")]
    );
    let notices = view["notices"].as_array().expect("a list").clone();
    let what: Vec<_> = notices
        .iter()
        .map(|notice| notice["what"].as_str())
        .collect();
    let expected = [
        "callback refused",
        "callback accepted",
        "callback refused",
        "keys fetched",
    ];
    assert_eq!(what, expected.map(Some));
    assert_eq!(notices[0]["delivery"], id);
}

#[tokio::test]
async fn nothing_that_it_serves_is_secret() {
    let page = page().await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    // Says all that it has heard.
    let app = {
        let seen = Arc::clone(&seen);
        Router::new().fallback(any(move |headers: HeaderMap, body: Bytes| async move {
            let token = headers[header::AUTHORIZATION]
                .to_str()
                .expect("text")
                .to_owned();
            let callback = headers["webhook-callback-url"]
                .to_str()
                .expect("text")
                .to_owned();
            seen.lock()
                .expect("no panic")
                .push((token.clone(), callback.clone()));
            let body: Value = serde_json::from_slice(&body).expect("JSON");
            let said = json!({ "version": "v1", "token": token, "url": callback, "body": body });
            // The second one is a refusal, the third takes a callback.
            let status = [
                StatusCode::OK,
                StatusCode::BAD_REQUEST,
                StatusCode::ACCEPTED,
            ];
            let status = status[seen.lock().expect("no panic").len() - 1];
            if status == StatusCode::ACCEPTED {
                let said = said.to_string();
                tokio::spawn(async move {
                    let client = reqwest::Client::builder()
                        .no_proxy()
                        .build()
                        .expect("a client");
                    client
                        .post(&callback)
                        .body(said)
                        .send()
                        .await
                        .expect("an answer");
                });
            }
            (status, said.to_string())
        }))
    };
    let to = served(app).await;
    let mut all = String::new();
    for state in ["delivered", "refused", "delivered"] {
        let id = page.send(&form(&to)).await;
        let detail = page.detail(id, state).await;
        assert!(detail.to_string().contains("[secret]"), "{detail}");
        all += &detail.to_string();
        all += &page
            .get(&format!("/ui/payload/{id}"))
            .await
            .text()
            .await
            .expect("text");
    }
    all += &page.view("all", 0, 0).await.to_string();
    all += &page.get("/ui/setup").await.text().await.expect("text");
    all += &page.get("/").await.text().await.expect("text");
    let seen = seen.lock().expect("no panic").clone();
    assert_eq!(seen.len(), 3);
    for (token, callback) in seen {
        let (_, claims) = token.split_once('.').expect("a JWT");
        assert!(!all.contains(&claims[..20]), "{all}");
        let callback = callback.rsplit('/').next().expect("its last part");
        assert!(!all.contains(callback), "{all}");
    }
    assert!(!all.contains("PRIVATE KEY"));
}

#[tokio::test]
async fn a_bounded_number_of_deliveries_is_kept_and_in_flight() {
    let page = page().await;
    // It never answers.
    let (arrive, mut arrived) = tokio::sync::watch::channel(0);
    let app = Router::new().fallback(any(move || async move {
        arrive.send_modify(|requests| *requests += 1);
        std::future::pending::<()>().await;
    }));
    let to = served(app).await;
    let many = with(form(&to), "times", 10_000);
    assert_eq!(page.send(&many).await, 1);
    assert_eq!(page.send(&many).await, 10_001);
    let (status, wrong) = page.post("/ui/send", &many).await;
    assert_eq!((status, &wrong["field"]), (429, &json!("times")));
    let sending = |view: &Value| view["counts"]["sending"] == 64;
    let view = page.until(0, sending).await;
    assert_eq!(view["counts"]["queued"], 20_000 - 64);
    assert_eq!(view["rows"].as_array().map(Vec::len), Some(100));
    assert_eq!(view["pages"], 200);
    assert_eq!(page.view("all", 199, 0).await["rows"][99]["id"], 1);

    let full = arrived.wait_for(|requests| *requests >= 64);
    assert_eq!(*within("requests", full).await.expect("open"), 64);

    let (status, _) = page.post("/ui/stop", &json!({})).await;
    assert_eq!(status, 204);
    let view = page.view("all", 0, 0).await;
    assert_eq!(view["counts"]["stopped"], 20_000);
    let (to, next) = (handled(&page.url, |_| r#"{"version":"v1"}"#).await, 20_001);
    assert_eq!(page.send(&with(form(&to), "times", 10)).await, next);
    let all = |view: &Value| view["counts"]["delivered"] == 10;
    let view = page.until(next, all).await;
    assert_eq!(
        (&view["counts"]["stopped"], &view["left"]),
        (&json!(19_990), &json!(10))
    );
    assert_eq!(view["rows"][0]["id"], next + 9);
    let oldest = page.view("all", 199, 0).await;
    assert_eq!(oldest["rows"][99]["id"], 11, "the oldest have left");
}

#[tokio::test]
async fn a_bounded_number_of_bytes_is_kept() {
    let page = page().await;
    let app = Router::new()
        .route(
            "/long",
            any(async || (StatusCode::BAD_REQUEST, "é".repeat(50_000))),
        )
        .route("/longer", any(async || "x".repeat(300_000)))
        .route("/busy", any(async || StatusCode::SERVICE_UNAVAILABLE));
    let origin = served(app).await;
    let id = page.send(&form(&format!("{origin}long"))).await;
    let detail = page.detail(id, "refused").await;
    let text = &detail["tries"][0]["text"];
    assert_eq!(text["bytes"], 100_000);
    assert_eq!(text["text"].as_str().map(str::len), Some(4096));
    let id = page.send(&form(&format!("{origin}longer"))).await;
    let wrong = page.detail(id, "not delivered").await["failure"].take();
    assert_eq!(wrong["why"], "the answer is longer than 250 KB");

    let payload = format!("\"{}\"", "x".repeat(2 * 1024 * 1024 - 2));
    let large = with(form(&format!("{origin}busy")), "payload", payload);
    let large = with(with(large, "attempts", 50), "pause", 3600);
    for _ in 0..32 {
        page.send(&large).await;
    }
    let (status, _) = page.post("/ui/send", &large).await;
    assert_eq!(status, 429, "64 MiB");
    page.post("/ui/stop", &json!({})).await;
    page.send(&large).await;
    let view = page.view("all", 0, 0).await;
    assert_eq!(view["left"], 3, "they make room");
}
