//! The example shows one trace, from ConductorOne's request to the callback.

use std::process::Command;

#[test]
fn the_request_the_run_and_the_callback_are_one_trace() {
    let example = Command::new(env!("CARGO_BIN_EXE_opentelemetry-example"))
        .output()
        .expect("it runs");
    let text = String::from_utf8(example.stdout).expect("UTF-8");
    assert!(example.status.success(), "{text}");
    assert!(text.contains("was answered 202"), "{text}");
    assert!(text.contains("The answer was posted: true."), "{text}");
    // The names of the spans, without their durations.
    let (_, spans) = text.split_once("trace ").expect("a trace");
    assert!(!spans.contains("trace "), "one trace: {text}");
    let names = spans
        .lines()
        .skip(1)
        .map(|line| match line.rsplit_once(" (") {
            Some((name, _)) => name,
            None => panic!("{line}"),
        });
    let names: Vec<_> = names.collect();
    assert_eq!(
        names,
        [
            "  request",
            "    webhook",
            "      webhook.run",
            "        create the account",
            "      webhook.callback",
        ],
        "{text}"
    );
}
