//! A ticket is closed by another process than the one that opened it.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use serde_json::Value;
use support::DOMAIN;
use support::example::Example;
use support::wire::{attempt, within};
use tokio::process::Command;
use tower::service_fn;
use tower_conductorone::event::{Event, ProvisionStep};
use tower_conductorone::testing::simulator::End;
use tower_conductorone::testing::{FakeTenant, Simulator};

const EXAMPLE: &str = env!("CARGO_BIN_EXE_ticket");

/// A folder that goes with its test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("ticket-{name}-{}", std::process::id());
        let folder = Self(std::env::temp_dir().join(name));
        let _ = fs::remove_dir_all(&folder.0);
        folder
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("UTF-8")
    }

    /// The names of the tickets' files.
    fn tickets(&self) -> Vec<String> {
        let files = fs::read_dir(&self.0).expect("a folder");
        let names = files.map(|file| file.expect("a file").file_name());
        names
            .map(|name| name.into_string().expect("UTF-8"))
            .collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn command(folder: &Folder, origin: &str, arguments: &[&str]) -> Output {
    let output = Command::new(EXAMPLE)
        .args(arguments)
        .env("TICKETS", folder.path())
        .env("C1_CALLBACK_ORIGIN", origin)
        .stdin(Stdio::null())
        .output();
    within("its end", output).await.expect("it runs")
}

async fn a_ticket_is_answered_days_later(how: &str, member: &str) {
    let folder = Folder::new(how);
    let tenant = FakeTenant::new(DOMAIN);
    let jwks = tenant.serve().await.expect("a port");
    let simulator = Simulator::new(&tenant);
    let callbacks = simulator.callbacks().serve().await.expect("a port");
    let origin = callbacks.origin();
    let settings = [
        ("C1_JWKS_URL", &*jwks.url()),
        ("C1_CALLBACK_ORIGIN", &origin),
        ("TICKETS", folder.path()),
    ];
    let mut example = Example::start(EXAMPLE, &settings).await;
    let address = example.address;
    let over_the_wire =
        service_fn(move |request| attempt(address, request, std::time::Duration::from_secs(30)));
    let delivery = tenant.delivery(ProvisionStep::NAME);
    let delivered = tokio::spawn(simulator.deliver(over_the_wire, delivery));
    let log = example.wait_for("ticket ").await;
    example.stop().await;
    let (_, number) = log.split_once("ticket ").expect("a ticket");
    let (number, _) = number.split_once(':').expect("its number");

    // Three days pass.
    let file = folder.0.join(format!("{number}.open"));
    let mode = fs::metadata(&file).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "it holds a secret");
    let mut ticket: Value =
        serde_json::from_slice(&fs::read(&file).expect("a file")).expect("JSON");
    let fired_at = ticket["callback"]["firedAt"].as_u64().expect("seconds");
    ticket["callback"]["firedAt"] = (fired_at - 3 * 24 * 60 * 60).into();
    fs::write(&file, ticket.to_string()).expect("a file");
    assert!(!delivered.is_finished());

    let closed = command(&folder, &origin, &[how, number, "by Ada"]).await;
    let text = String::from_utf8_lossy(&closed.stdout);
    assert!(closed.status.success(), "{closed:?}");
    assert!(text.contains("ConductorOne has the answer"), "{text}");
    let report = within("the callback", delivered).await.expect("no panic");
    assert_eq!(report.end(), &End::CompletedByCallback, "{report:?}");
    let document: Value = report.document().expect("one").deserialize().expect("JSON");
    assert_eq!(document[member]["comment"], "by Ada");
    assert_eq!(folder.tickets(), [format!("{number}.closed")]);

    let again = command(&folder, &origin, &[how, number, "by Bob"]).await;
    assert!(!again.status.success(), "{again:?}");
    let text = String::from_utf8_lossy(&again.stderr);
    assert!(text.contains("no open ticket"), "{text}");
}

#[tokio::test]
async fn a_ticket_is_closed_days_later_by_another_process() {
    a_ticket_is_answered_days_later("close", "complete").await;
}

#[tokio::test]
async fn a_ticket_that_fails_is_an_error_in_conductorone() {
    a_ticket_is_answered_days_later("fail", "errored").await;
}

#[tokio::test]
async fn a_retry_opens_no_second_ticket_and_one_without_callback_none() {
    let folder = Folder::new("retry");
    let tenant = FakeTenant::new(DOMAIN);
    let jwks = tenant.serve().await.expect("a port");
    let origin = "http://127.0.0.1:9";
    let settings = [
        ("C1_JWKS_URL", &*jwks.url()),
        ("C1_CALLBACK_ORIGIN", origin),
        ("TICKETS", folder.path()),
    ];
    let example = Example::start(EXAMPLE, &settings).await;
    let url = format!("{origin}/api/v1/webhooks/callback/x");
    let step = tenant
        .delivery(ProvisionStep::NAME)
        .callback_url(Some(&url));
    assert_eq!(example.send(&step).await.status, 202);
    assert_eq!(example.send(&step.retried()).await.status, 202);
    assert_eq!(folder.tickets().len(), 1);

    for url in [None, Some("https://evil.example/callback/x")] {
        let step = tenant.delivery(ProvisionStep::NAME).callback_url(url);
        let answer = example.send(&step).await;
        assert_eq!(answer.status, 200, "{url:?}: {answer:?}");
        let comment = &answer.json()["errored"]["comment"];
        assert!(
            comment
                .as_str()
                .is_some_and(|text| text.contains("no callback URL"))
        );
    }
    assert_eq!(folder.tickets().len(), 1);
    let log = example.stop().await;
    assert!(!log.contains("/callback/"), "a callback URL in the log");
}
