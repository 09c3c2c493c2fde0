//! The show: a fake tenant delivers, the service crashes, the tenant delivers again.

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;
use std::{env, fs};

use axum::http::{Request, StatusCode, Uri};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tower_conductorone::event::{Event, ProvisionStep};
use tower_conductorone::testing::{Delivery, FakeTenant};

use crate::BoxError;
use crate::store::Store;

/// Ends the process, as suddenly as SIGKILL, if the story wants it here.
pub(crate) fn crash_if_told(here: &str) {
    if env::var("CRASH").is_ok_and(|there| there == here) {
        std::process::abort();
    }
}

const ACTS: [(&str, Option<&str>); 3] = [
    ("No crash.", None),
    (
        "The service crashes between its write and the commit.",
        Some("before the commit"),
    ),
    (
        "The service crashes after the commit, before it answers.",
        Some("after the commit"),
    ),
];

pub(crate) async fn tell() -> Result<(), BoxError> {
    let folder = env::temp_dir().join(format!("ledger-sql-{}", std::process::id()));
    let told = if let Ok(url) = env::var("DATABASE_URL") {
        tell_with(&url).await
    } else {
        fs::create_dir(&folder)?;
        tell_with(&format!("sqlite://{}/ledger-sql.db", folder.display())).await
    };
    let _ = fs::remove_dir_all(&folder);
    told
}

async fn tell_with(url: &str) -> Result<(), BoxError> {
    let mut out = std::io::stdout();
    let store = Store::open(url).await?;
    let database = match store {
        Store::Sqlite(..) => "SQLite",
        Store::Postgres(..) => "Postgres",
    };
    writeln!(
        out,
        "The service keeps its table and its ledger in {database}."
    )?;
    let tenant = FakeTenant::new("example.conductor.one");
    let jwks = tenant.serve().await?;
    for (number, (title, crash)) in (1..).zip(ACTS) {
        writeln!(out, "\n{number}. {title}")?;
        let mut delivery = tenant.delivery(ProvisionStep::NAME);
        let task = task(&delivery);
        for attempt in 1..=2 {
            // Each attempt meets a new process, as after a restart.
            let crash = crash.filter(|_| attempt == 1);
            let mut service = Service::start(url, &jwks.url(), crash).await?;
            let became = if let Ok(answer) = service.answer(&delivery).await {
                answer
            } else {
                timeout(Duration::from_secs(10), service.process.wait()).await??;
                "no answer: the process is gone".to_owned()
            };
            writeln!(out, "   attempt {attempt}: {became}")?;
            let rows = store.rows(&task).await?;
            writeln!(out, "              rows that grant the access: {rows}")?;
            delivery = delivery.retried();
        }
        if store.rows(&task).await? != 1 {
            return Err("the access was not granted once".into());
        }
    }
    writeln!(out, "\nEach access was granted once.")?;
    Ok(())
}

/// The task that the delivery is about.
fn task(delivery: &Delivery) -> String {
    let envelope = delivery.envelope();
    let task = envelope.pointer("/payload/taskView/task/id");
    task.and_then(|id| id.as_str())
        .unwrap_or_default()
        .to_owned()
}

/// The service, in a process of its own. It is killed when this is dropped.
struct Service {
    process: Child,
    address: String,
}

impl Service {
    async fn start(database: &str, jwks: &str, crash: Option<&str>) -> Result<Self, BoxError> {
        let mut process = Command::new(env::current_exe()?)
            .arg("serve")
            .env("DATABASE_URL", database)
            .env("JWKS_URL", jwks)
            .env("LISTEN", "127.0.0.1:0")
            .env("LEASE_SECONDS", "2")
            .env("CRASH", crash.unwrap_or_default())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = process.stdout.take().ok_or("no output")?;
        let line = BufReader::new(stdout).lines().next_line().await?;
        let address = line
            .as_deref()
            .and_then(|line| line.strip_prefix("listening on "));
        let address = address.ok_or("the service does not start")?.to_owned();
        Ok(Self { process, address })
    }

    /// Sends the delivery as ConductorOne does, and says what came back.
    async fn answer(&self, delivery: &Delivery) -> Result<String, BoxError> {
        let (mut parts, body) = delivery.request().into_parts();
        parts.uri = Uri::builder()
            .scheme("http")
            .authority(self.address.as_str())
            .path_and_query(parts.uri.path())
            .build()?;
        let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
        let response = client.request(Request::from_parts(parts, body)).await?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        let source = match parts.headers.contains_key("idempotent-replayed") {
            _ if parts.status != StatusCode::OK => "",
            true => " (the recorded answer: the handler did not run)",
            false => " (the handler ran)",
        };
        let document = String::from_utf8_lossy(&body);
        Ok(format!("{} {document}{source}", parts.status.as_u16()))
    }
}
