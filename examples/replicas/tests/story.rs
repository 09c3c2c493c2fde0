//! The example shows a delivery that outlives its replica, and one that is done once.

use std::process::Command;

use tower_conductorone::event::Reply;

const DONE: &str = "c1.webhooks.v1.PayloadProvisionStep";

/// The comment of the document at the end of the line that begins so.
fn comment(text: &str, line: &str) -> String {
    let found = text
        .lines()
        .find_map(|shown| shown.trim().strip_prefix(line));
    let document = found.unwrap_or_else(|| panic!("{line:?} is not in {text}"));
    let document = document.trim().to_owned();
    let reply = Reply::from_json(DONE, document).expect("a document");
    reply.comment().as_str().to_owned()
}

#[test]
fn another_replica_finishes_what_a_killed_one_promised() {
    let example = Command::new(env!("CARGO_BIN_EXE_replicas"))
        .output()
        .expect("it runs");
    let text = String::from_utf8(example.stdout).expect("UTF-8");
    let runs = String::from_utf8(example.stderr).expect("UTF-8");
    assert!(example.status.success(), "{text}{runs}");
    assert!(text.contains("it answers 202"), "{text}");
    let by_callback = comment(&text, "the callback brings");
    assert!(by_callback.ends_with("in run 2"), "{by_callback}");
    assert!(!by_callback.starts_with("by replica 1"), "{by_callback}");
    for line in ["the first attempt: 200", "the retry, with a new token: 200"] {
        assert_eq!(comment(&text, line), "by replica 2 in run 1");
    }
    assert!(text.contains("the same token again: 401"), "{text}");
    // Two of the first delivery, one of the second.
    assert_eq!(runs.matches("begins run").count(), 3, "{runs}");
}
