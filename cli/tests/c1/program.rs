//! The program as a process.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use support::wire::within;
use tokio::process::Command;

/// The program, in a folder of its own, with nothing of this process's environment that
/// it would heed.
pub(crate) fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_c1"));
    for name in [
        "C1_LISTEN",
        "C1_PUBLIC_URL",
        "C1_TENANT",
        "C1_KEY_FILE",
        "C1_REDIS_URL",
        "C1_DATABASE_URL",
    ] {
        command.env_remove(name);
    }
    command
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// A folder that goes with its test.
pub(crate) struct Folder(PathBuf);

impl Deref for Folder {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A new, empty folder.
pub(crate) fn folder() -> Folder {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("c1-{}-{number}", std::process::id());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).expect("a folder");
    Folder(folder)
}

#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Output {
    pub(crate) fn lines(&self) -> Vec<Value> {
        let lines = self.stdout.lines().map(serde_json::from_str);
        lines.collect::<Result<_, _>>().expect("JSON lines")
    }
}

pub(crate) async fn c1(folder: &Path, args: &str) -> Output {
    c1_of(folder, args.split_whitespace()).await
}

pub(crate) async fn c1_of<'a>(folder: &Path, args: impl IntoIterator<Item = &'a str>) -> Output {
    let mut command = program(folder);
    command.args(args);
    let output = within("its exit", command.output()).await.expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    let output = Output {
        code: output.status.code().expect("an exit code"),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    };
    let colour = [&output.stdout, &output.stderr].map(|text| text.contains('\u{1b}'));
    assert_eq!(colour, [false, false], "no colours in a pipe: {output:?}");
    output
}
