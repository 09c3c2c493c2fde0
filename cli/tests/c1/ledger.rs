//! Dead deliveries: how an operator finds and revives them, and how the revived ones end.

use std::future::IntoFuture;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, PgPool};
use support::postgres_server::PostgresServer;
use support::redis_server::RedisServer;
use support::wire::within;
use support::{DOMAIN, builder};
use tokio::net::TcpListener;
use tokio::time::sleep;
use tower_conductorone::callback::CallbackClient;
use tower_conductorone::event::{Comment, Event, Outcome, ProvisionReply, ProvisionStep};
use tower_conductorone::ledger::Ledger;
use tower_conductorone::redis::RedisLedger;
use tower_conductorone::testing::{FakeTenant, Fixture};
use tower_conductorone::{DeliverOnceLayer, SystemClock, Typed, VerifyWebhookLayer};
use tower_conductorone_sqlx::{PostgresLedger, SqliteLedger};

use crate::program::{Folder, Output, c1_of, folder};

const SECRET: &str = "s3cret-of-the-url";
const COMMENT: &str = "s3cret-of-the-document";

/// A receiver whose deliveries die, and how to reach its ledger.
struct World {
    folder: Folder,
    flags: Vec<String>,
    tenant: FakeTenant,
    app: Router,
    /// What the callback URL is answered.
    callback: Arc<AtomicU16>,
    /// What it was sent when it answered 200.
    accepted: Arc<Mutex<Vec<Value>>>,
    origin: String,
    /// What the handler answers, and how often it has run.
    status: Arc<AtomicU16>,
    runs: Arc<AtomicU32>,
}

impl World {
    async fn on(ledger: impl Ledger, flags: &[&str]) -> Self {
        let (callback, accepted) = (Arc::new(AtomicU16::new(422)), Arc::default());
        let origin = callbacks(Arc::clone(&callback), Arc::clone(&accepted)).await;
        let (status, runs) = (Arc::new(AtomicU16::new(200)), Arc::new(AtomicU32::new(0)));
        let tenant = FakeTenant::new(DOMAIN);
        let client = CallbackClient::builder()
            .dangerous_allow_http_on_loopback()
            .origin(DOMAIN, &origin);
        let once = DeliverOnceLayer::builder()
            .ledger("hooks", ledger)
            .callbacks(client.build().expect("good"))
            .lease(Duration::from_secs(1))
            .always_by_callback()
            .build()
            .expect("good");
        let handler = {
            let (status, runs) = (Arc::clone(&status), Arc::clone(&runs));
            async move |step: Typed<ProvisionStep>| {
                runs.fetch_add(1, Ordering::Relaxed);
                if status.load(Ordering::Relaxed) == 410 {
                    return Outcome::gone_for_good();
                }
                step.answer(ProvisionReply::complete(Comment::truncated(COMMENT)))
            }
        };
        let handlers = Router::new().route("/webhooks", post(handler));
        tokio::spawn(once.recover(handlers.clone()));
        let verify: VerifyWebhookLayer = builder(&tenant).clock(SystemClock).build().expect("good");
        Self {
            folder: folder(),
            flags: flags.iter().map(ToString::to_string).collect(),
            app: handlers.layer(once).layer(verify),
            tenant,
            callback,
            accepted,
            origin,
            status,
            runs,
        }
    }

    async fn ledger(&self, args: &str) -> Output {
        let flags = self.flags.iter().map(String::as_str);
        let args = ["ledger"].into_iter().chain(args.split_whitespace());
        let output = c1_of(&self.folder, args.chain(flags)).await;
        for secret in [SECRET, COMMENT, "Grant it", &*self.origin] {
            let said = [&output.stdout, &output.stderr];
            assert!(!said.iter().any(|text| text.contains(secret)), "{output:?}");
        }
        output
    }

    /// The webhook's ID of a delivery that is answered 202.
    async fn deliver(&mut self) -> String {
        let fixture = Fixture::named("provision_step/grant.full").expect("one of many");
        let url = format!("{}/{SECRET}", self.origin);
        let delivery = self.tenant.delivery(fixture.event());
        let delivery = delivery.payload(fixture.payload()).callback_url(Some(&url));
        let answer = delivery.call(&mut self.app).await;
        assert_eq!(answer.status(), 202);
        delivery.envelope()["webhookId"]
            .as_str()
            .expect("an ID")
            .to_owned()
    }

    /// The lines of `list --json`, once there are so many.
    async fn dead(&self, count: usize) -> Vec<Value> {
        let listed = async {
            loop {
                let listed = self.ledger("list --json").await;
                assert_eq!(listed.code, 0, "{listed:?}");
                let lines = listed.lines();
                if lines.len() == count {
                    return lines;
                }
                sleep(Duration::from_millis(100)).await;
            }
        };
        within("a death", listed).await
    }

    async fn until_accepted(&self, count: usize) -> Vec<Value> {
        let accepted = async {
            loop {
                let accepted = self.accepted.lock().expect("no panic").clone();
                if accepted.len() == count {
                    return accepted;
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        within("a callback", accepted).await
    }

    fn runs(&self) -> u32 {
        self.runs.load(Ordering::Relaxed)
    }
}

/// Serves the callback URLs.
async fn callbacks(status: Arc<AtomicU16>, accepted: Arc<Mutex<Vec<Value>>>) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener = listener.expect("a port");
    let origin = format!("http://{}", listener.local_addr().expect("an address"));
    let take = async move |document: axum::Json<Value>| -> Response {
        let status = StatusCode::from_u16(status.load(Ordering::Relaxed)).expect("good");
        if status.is_success() {
            accepted.lock().expect("no panic").push(document.0);
        }
        status.into_response()
    };
    let app = Router::new().route("/{token}", post(take));
    tokio::spawn(axum::serve(listener, app).into_future());
    origin
}

async fn the_dead_are_listed_shown_and_revived(mut world: World) {
    let none = world.ledger("list").await;
    assert_eq!((none.code, &*none.stdout), (0, "no dead deliveries\n"));
    assert!(world.dead(0).await.is_empty());

    let refused = world.deliver().await;
    world.dead(1).await;
    world.status.store(410, Ordering::Relaxed);
    let gone = world.deliver().await;
    let lines = world.dead(2).await;
    let find = |id: &str| {
        let found = lines.iter().find(|line| line["ids"]["webhook"] == id);
        found.expect("it is listed").clone()
    };
    let dead = Dead {
        refused: find(&refused),
        gone: find(&gone),
    };
    assert_eq!(world.runs(), 2);
    are_listed(&world, &dead).await;
    are_shown(&world, &dead).await;
    are_revived(&world, &dead).await;
}

/// Two lines of `list --json`.
struct Dead {
    /// Its answer was refused.
    refused: Value,
    /// It has no answer that could be posted.
    gone: Value,
}

fn key(line: &Value) -> &str {
    line["key"].as_str().expect("text")
}

/// As the table has it.
fn short(line: &Value) -> &str {
    &key(line)[32..44]
}

async fn are_listed(world: &World, Dead { refused, gone }: &Dead) {
    for (line, reason, has_answer) in [
        (refused, "refused with 422", true),
        (gone, "the handler answered 410", false),
    ] {
        assert_eq!(line["tenant"], DOMAIN);
        assert_eq!(line["event"], ProvisionStep::NAME);
        assert!(line["ids"]["task"].is_string(), "{line}");
        assert!(line["ids"]["task_number"].is_string(), "{line}");
        assert_eq!(line["run"], 1);
        let said = line["reason"].as_str().expect("text");
        assert!(said.contains(reason), "{line}");
        assert_eq!(line["hasAnswer"], has_answer);
        let [died, until] = ["diedAt", "revivableUntil"].map(|name| line[name].as_str());
        assert!(died < until, "{line}");
        assert_eq!(key(line).len(), 96, "{line}");
    }
    let listed = world.ledger("list").await;
    let rows: Vec<_> = listed.stdout.lines().collect();
    assert_eq!((listed.code, rows.len()), (0, 3), "{listed:?}");
    for column in ["KEY", "DIED", "TENANT", "EVENT", "RUN", "REASON", "IDS"] {
        assert!(rows[0].contains(column), "{listed:?}");
    }
    for line in [refused, gone] {
        let row = rows.iter().find(|row| row.starts_with(short(line)));
        let row = row.expect("a row");
        for text in [&line["tenant"], &line["reason"], &line["ids"]["task"]] {
            assert!(row.contains(text.as_str().expect("text")), "{row}");
        }
        assert!(row.contains(" s ago  "), "{row}");
        assert!(row.contains("  ProvisionStep  "), "{row}");
    }
}

async fn are_shown(world: &World, Dead { refused, gone }: &Dead) {
    for (line, then) in [
        (refused, "its answer is posted"),
        (gone, "the handler runs again"),
    ] {
        for name in [key(line), short(line)] {
            let shown = world.ledger(&format!("show {name}")).await;
            assert_eq!(shown.code, 0, "{shown:?}");
            let ids = &line["ids"];
            for text in [&line["key"], &line["event"], &line["reason"], &ids["task"]] {
                let text = text.as_str().expect("text");
                assert!(shown.stdout.contains(text), "{text}: {shown:?}");
            }
            assert!(shown.stdout.contains(then), "{shown:?}");
            assert!(shown.stdout.contains("7 days from now"), "{shown:?}");
            let shown = world.ledger(&format!("show {name} --json")).await;
            assert_eq!(shown.lines()[0]["ids"], *ids);
        }
    }
}

async fn are_revived(world: &World, Dead { refused, gone }: &Dead) {
    // The one with an answer needs no other run.
    world.callback.store(200, Ordering::Relaxed);
    let revived = world.ledger(&format!("revive {}", short(refused))).await;
    assert_eq!(revived.code, 0, "{revived:?}");
    let next = "posts its answer; the handler does not run again";
    assert!(revived.stdout.contains(next), "{revived:?}");
    let answer = json!({ "version": "v1", "complete": { "comment": COMMENT } });
    assert_eq!(world.until_accepted(1).await[0], answer);
    assert_eq!(world.runs(), 2);
    let again = world.ledger(&format!("revive {}", key(refused))).await;
    assert_eq!(again.code, 1, "{again:?}");
    assert!(again.stdout.contains("not dead"), "{again:?}");

    world.status.store(200, Ordering::Relaxed);
    let nothing = "0".repeat(96);
    let both = format!("revive --json {nothing} {}", key(gone));
    let revived = world.ledger(&both).await;
    assert_eq!(revived.code, 1, "one is unknown: {revived:?}");
    let [unknown, revived] = &revived.lines()[..] else {
        panic!("{revived:?}")
    };
    assert_eq!(unknown["result"], "unknown");
    assert_eq!(revived["result"], "revived");
    assert_eq!(revived["key"], gone["key"]);
    let next = revived["next"].as_str().expect("text");
    assert!(next.contains("runs its handler again"), "{next}");
    assert_eq!(world.until_accepted(2).await[1], answer);
    assert_eq!(world.runs(), 3);

    world.dead(0).await;
    for name in [key(gone), short(gone)] {
        let shown = world.ledger(&format!("show {name}")).await;
        assert_eq!(shown.code, 1, "{shown:?}");
        assert!(shown.stdout.contains("no dead delivery"), "{shown:?}");
    }
}

#[tokio::test]
async fn the_dead_in_redis_are_listed_shown_and_revived() {
    let redis = RedisServer::start(&[]);
    let ledger = RedisLedger::at(redis.url())
        .expect("a URL")
        .prefix("hooks:");
    let flags = ["--redis-url", &redis.url(), "--prefix", "hooks:"];
    the_dead_are_listed_shown_and_revived(World::on(ledger, &flags).await).await;
}

#[tokio::test]
async fn the_dead_in_a_sqlite_file_are_listed_shown_and_revived() {
    let folder = folder();
    let file = folder.join("hooks.db");
    let options = SqliteConnectOptions::new().filename(&file);
    let pool = SqlitePoolOptions::new().connect_with(options.create_if_missing(true));
    let ledger = SqliteLedger::new(pool.await.expect("a file"));
    ledger.migrate().await.expect("a migration");
    let url = format!("sqlite://{}", file.display());
    let world = World::on(ledger, &["--database-url", &url]).await;
    the_dead_are_listed_shown_and_revived(world).await;
}

#[tokio::test]
async fn the_dead_in_postgres_are_listed_shown_and_revived() {
    let url = PostgresServer::shared().url("postgres");
    let pool: PgPool = PgPoolOptions::new()
        .connect(&url)
        .await
        .expect("a connection");
    let made = sqlx::query(AssertSqlSafe("CREATE SCHEMA hooks"));
    made.execute(&pool).await.expect("a schema");
    let ledger = PostgresLedger::new(pool).schema("hooks").expect("a name");
    let ledger = ledger.prefix("own_").expect("a name");
    ledger.migrate().await.expect("a migration");
    let flags = [
        "--database-url",
        &url,
        "--schema",
        "hooks",
        "--prefix",
        "own_",
    ];
    the_dead_are_listed_shown_and_revived(World::on(ledger, &flags).await).await;
}

#[tokio::test]
async fn wrong_use_and_what_cannot_be_reached_end_differently() {
    let folder = folder();
    std::fs::write(folder.join("empty.db"), "").expect("a file");
    for (args, code, text) in [
        ("", 2, "Usage"),
        ("list", 2, "--redis-url"),
        ("show --redis-url redis://127.0.0.1", 2, "KEY"),
        ("revive --redis-url redis://127.0.0.1", 2, "KEY"),
        (
            "show 0123456 --redis-url redis://127.0.0.1",
            2,
            "96 lower-case",
        ),
        (
            "show 0123ABCD --redis-url redis://127.0.0.1",
            2,
            "96 lower-case",
        ),
        (
            "list --redis-url redis://127.0.0.1 --database-url sqlite://x",
            2,
            "cannot be used with",
        ),
        (
            "list --redis-url redis://127.0.0.1 --schema x",
            2,
            "cannot be used with",
        ),
        ("list --redis-url http://u:p4ss@127.0.0.1", 2, "--redis-url"),
        ("list --redis-url redis://u:p4ss@127.0.0.1:1", 3, "refused"),
        ("list --database-url hooks.db", 2, "sqlite://FILE"),
        (
            "list --database-url mysql://u:p4ss@127.0.0.1/x",
            2,
            "sqlite://FILE",
        ),
        (
            "list --database-url postgres://u:p4ss@127.0.0.1:port/x",
            2,
            "port",
        ),
        (
            "list --database-url postgres://u:p4ss@127.0.0.1:1/x",
            3,
            "refused",
        ),
        ("list --database-url sqlite://none.db", 3, "none.db"),
        ("list --database-url sqlite://empty.db", 3, "c1_deliveries"),
        (
            "list --database-url sqlite://empty.db --schema x",
            2,
            "Postgres",
        ),
        (
            "list --database-url sqlite://empty.db --prefix X-",
            2,
            "--prefix",
        ),
    ] {
        let output = c1_of(
            &folder,
            ["ledger"].into_iter().chain(args.split_whitespace()),
        )
        .await;
        assert_eq!(output.code, code, "{args}: {output:?}");
        let all = [&*output.stdout, &*output.stderr].concat();
        assert!(all.contains(text), "{args}: {text}: {all}");
        assert!(!all.contains("p4ss"), "a password: {all}");
    }
    assert!(!folder.join("none.db").exists(), "it creates no database");
}
