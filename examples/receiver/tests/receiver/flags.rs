//! Its command line and its environment.

use std::net::Ipv4Addr;

use serde_json::json;
use support::TEST_EVENT;
use support::wire::{Protocol, within};
use tokio::net::TcpListener;
use tower_conductorone::testing::FakeTenant;

use crate::process::{Receiver, command, serve};

#[tokio::test]
async fn help_names_every_flag_with_its_variable_and_its_default() {
    let output = command().arg("--help").output().await.expect("it runs");
    assert!(output.status.success());
    assert_eq!(output.stderr, b"");
    let help = String::from_utf8(output.stdout).expect("UTF-8");
    let (_, help) = help.split_once("Options:").expect("options");
    for (flag, variable, default) in [
        ("--listen <ADDR>", "C1_LISTEN", Some("127.0.0.1:3000")),
        (
            "--metrics-listen <ADDR>",
            "C1_METRICS_LISTEN",
            Some("[default: none]"),
        ),
        ("--public-url <URL>", "C1_PUBLIC_URL", None),
        ("--tenant <DOMAIN>", "C1_TENANT", None),
        (
            "--jwks-url <[TENANT=]URL>",
            "C1_JWKS_URL",
            Some("https://TENANT/auth/v1/jwks"),
        ),
        ("--redis-url <URL>", "C1_REDIS_URL", None),
        ("--database-url <URL>", "C1_DATABASE_URL", None),
        ("--respond <HOW>", "C1_RESPOND", Some("sync")),
        (
            "--answer-within-ms <N>",
            "C1_ANSWER_WITHIN_MS",
            Some("25000"),
        ),
        (
            "--callback-origin <[TENANT=]URL>",
            "C1_CALLBACK_ORIGIN",
            Some("https://TENANT"),
        ),
        ("--lease-ms <N>", "C1_LEASE_MS", Some("45000")),
        ("--drain-ms <N>", "C1_DRAIN_MS", Some("25000")),
        ("--work-ms <N>", "C1_WORK_MS", Some("[default: 0]")),
        ("--fail-first <N>", "C1_FAIL_FIRST", Some("[default: 0]")),
        ("--max-body <BYTES>", "C1_MAX_BODY", Some("2097152")),
        ("--log-json", "C1_LOG_JSON", None),
    ] {
        // From the flag on to the next one.
        let (_, text) = help
            .split_once(flag)
            .unwrap_or_else(|| panic!("{flag} in {help}"));
        let text = text.split("\n      --").next().unwrap_or_default();
        // Of one that may hold a password, the value is never shown.
        let hidden = ["C1_REDIS_URL", "C1_DATABASE_URL"].contains(&variable);
        let value = if hidden { "" } else { "=" };
        assert!(
            text.contains(&format!("[env: {variable}{value}]")),
            "{flag}: {text}"
        );
        assert!(text.contains(default.unwrap_or_default()), "{flag}: {text}");
    }
}

const URL: &str = "--public-url https://hooks.example.com";
const ONE: &str = "--tenant one.example";
const GOOD: &str = "--public-url https://hooks.example.com --tenant one.example";

/// Good flags, wrong ones, and what the message says.
type Misuse<'a> = (&'a str, &'a str, &'a [&'a str]);

async fn ends_at_once(misuses: &[Misuse<'_>]) {
    for (good, wrong, messages) in misuses {
        let mut command = command();
        if !wrong.contains("--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command
            .args(good.split_whitespace())
            .args(wrong.split_whitespace());
        let output = within("its exit", command.output()).await.expect("it runs");
        let message = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(
            matches!(output.status.code(), Some(1 | 2)),
            "{good} {wrong}: {message}"
        );
        assert_eq!(output.stdout, b"", "{good} {wrong}");
        assert!(message.starts_with("error: "), "{good} {wrong}: {message}");
        assert!(!message.contains("p4ss"), "a password: {message}");
        for text in *messages {
            assert!(
                message.contains(text),
                "{good} {wrong}: {text:?} in {message}"
            );
        }
    }
}

#[tokio::test]
async fn wrong_use_ends_it_at_once_with_a_message() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a port");
    let taken = taken.local_addr().expect("an address").to_string();
    let listen_on_it = format!("--listen {taken}");
    let metrics_on_it = format!("--metrics-listen {taken}");

    let rows: &[Misuse] = &[
        ("", "", &["--public-url <URL>", "--tenant <DOMAIN>"]),
        (ONE, "", &["--public-url <URL>"]),
        (
            ONE,
            "--public-url http://hooks.example.com",
            &["\"http://hooks.example.com\"", "https"],
        ),
        (
            ONE,
            "--public-url http://10.0.0.7",
            &["\"http://10.0.0.7\"", "https"],
        ),
        (
            ONE,
            "--public-url hooks.example.com",
            &["\"hooks.example.com\"", "https://"],
        ),
        (
            ONE,
            "--public-url https://u:p@hooks.example.com",
            &["user name"],
        ),
        (URL, "", &["--tenant <DOMAIN>"]),
        (
            URL,
            "--tenant https://one.example",
            &["\"https://one.example\"", "host name"],
        ),
        (URL, "--tenant=", &["\"\"", "host name"]),
        (GOOD, "--tenant one.example", &["one.example", "twice"]),
        (GOOD, "--nonsense", &["--nonsense"]),
        (GOOD, "stray", &["stray"]),
        (GOOD, "--listen 3000", &["'3000'", "--listen"]),
        (GOOD, &listen_on_it, &["cannot listen", &taken]),
        (
            GOOD,
            "--metrics-listen 9464",
            &["'9464'", "--metrics-listen"],
        ),
        (GOOD, &metrics_on_it, &["cannot listen", &taken]),
        (GOOD, "--max-body 0", &["max", "0"]),
        (GOOD, "--max-body -1", &["-1"]),
        (GOOD, "--max-body 2MiB", &["'2MiB'", "--max-body"]),
        (GOOD, "--log-json=maybe", &["maybe", "--log-json"]),
        (
            GOOD,
            "--jwks-url http://keys.example.com/",
            &["http://keys.example.com/", "https", "loopback"],
        ),
        (
            GOOD,
            "--jwks-url one.example=http://10.0.0.7/",
            &["http://10.0.0.7/", "https", "loopback"],
        ),
        (
            GOOD,
            "--jwks-url ftp://keys.example.com/",
            &["ftp://keys.example.com/", "https"],
        ),
        (GOOD, "--jwks-url one.example=", &["one.example"]),
        (
            GOOD,
            "--jwks-url two.example=https://keys.example.com/",
            &["--jwks-url", "two.example"],
        ),
        (
            GOOD,
            "--tenant two.example --jwks-url https://keys.example.com/",
            &["--jwks-url", "TENANT=https://keys.example.com/"],
        ),
    ];
    ends_at_once(rows).await;
}

#[tokio::test]
async fn wrong_use_of_what_is_done_once_ends_it_at_once_with_a_message() {
    ends_at_once(&[
        (
            GOOD,
            "--callback-origin http://c1.example.com",
            &["http://c1.example.com", "https", "loopback"],
        ),
        (
            GOOD,
            "--callback-origin https://c1.example.com/callback",
            &["https://c1.example.com", "without path"],
        ),
        (
            GOOD,
            "--callback-origin two.example=https://c1.example.com",
            &["--callback-origin", "two.example"],
        ),
        (
            GOOD,
            "--tenant two.example --callback-origin https://c1.example.com",
            &["--callback-origin", "TENANT=https://c1.example.com"],
        ),
        (
            GOOD,
            "--redis-url http://u:p4ss@localhost",
            &["--redis-url"],
        ),
        (
            GOOD,
            "--database-url hooks.db",
            &["postgres://", "sqlite://"],
        ),
        (
            GOOD,
            "--database-url mysql://u:p4ss@localhost/hooks",
            &["--database-url", "postgres://", "sqlite://"],
        ),
        (
            GOOD,
            "--database-url postgres://u:p4ss@localhost:port/hooks",
            &["--database-url", "port"],
        ),
        (
            GOOD,
            "--database-url postgres://u:p4ss@127.0.0.1:1/hooks?sslmode=p4ss",
            &["--database-url", "sslmode"],
        ),
        (
            GOOD,
            "--database-url postgres://u:p4ss@127.0.0.1:1/hooks",
            &["--database-url", "Connection refused"],
        ),
        (
            GOOD,
            "--database-url sqlite:///no/such/folder/hooks.db",
            &["--database-url", "/no/such/folder/hooks.db", "No such file"],
        ),
        (GOOD, "--database-url sqlite://", &["without a file"]),
        (GOOD, "--database-url sqlite:///", &["--database-url"]),
        (
            GOOD,
            "--database-url sqlite://:memory:",
            &["--database-url", "memory"],
        ),
        (
            GOOD,
            "--database-url sqlite://hooks.db --redis-url redis://u:p4ss@localhost",
            &["--database-url", "cannot be used with", "--redis-url"],
        ),
        (GOOD, "--respond later", &["'later'", "sync, async"]),
        (
            GOOD,
            "--answer-within-ms 28000",
            &["answer_within 28s", "28s"],
        ),
        (GOOD, "--lease-ms 999", &["lease 999ms", "1 s to 10 min"]),
        (GOOD, "--lease-ms 45s", &["'45s'", "--lease-ms"]),
        (GOOD, "--work-ms -1", &["-1"]),
        (GOOD, "--fail-first many", &["'many'", "--fail-first"]),
    ])
    .await;
}

#[tokio::test]
async fn every_flag_can_come_from_the_environment_and_wins_over_it() {
    let (one, two) = (
        FakeTenant::new("one.example"),
        FakeTenant::new("two.example"),
    );
    let (one_jwks, two_jwks) = (serve(&one).await, serve(&two).await);
    let urls = format!(
        "one.example={},two.example={}",
        one_jwks.url(),
        two_jwks.url()
    );
    let by_environment = |max_body: &str| {
        let mut command = command();
        command
            .env("C1_LISTEN", "127.0.0.1:0")
            .env("C1_PUBLIC_URL", "https://hooks.example.com")
            .env("C1_TENANT", "one.example,two.example")
            .env("C1_JWKS_URL", &urls)
            .env("C1_MAX_BODY", max_body)
            .env("C1_LOG_JSON", "true");
        command
    };
    let long = one
        .delivery(TEST_EVENT)
        .payload(json!({ "padding": "x".repeat(5000) }));

    let mut receiver = Receiver::run(by_environment("5000")).await;
    for tenant in [&one, &two] {
        let answer = receiver
            .send(Protocol::Http1, &tenant.delivery(TEST_EVENT))
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(receiver.line().await["tenant"], tenant.domain());
    }
    assert_eq!(receiver.send(Protocol::Http1, &long).await.status, 413);
    assert_eq!(receiver.stop().await, [""; 0]);

    let mut command = by_environment("1");
    command.args(["--max-body", "10000", "--tenant", "one.example"]);
    command.args(["--jwks-url", &one_jwks.url()]);
    let receiver = Receiver::run(command).await;
    assert_eq!(receiver.send(Protocol::Http1, &long).await.status, 200);
    let other = two.delivery(TEST_EVENT);
    assert_eq!(receiver.send(Protocol::Http1, &other).await.status, 401);
    receiver.stop().await;
}
