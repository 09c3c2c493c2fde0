//! Postgres servers of the tests' own, on loopback.

use std::os::unix::fs::{MetadataExt, chown};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};
use std::{env, fs};

use crate::redis_server::free_port;

/// A running Postgres with a folder of its own. Both end with the test's process, if not before.
#[derive(Debug)]
pub struct PostgresServer {
    port: u16,
    folder: PathBuf,
    process: Mutex<Option<Child>>,
}

impl PostgresServer {
    /// The one that the tests share, each with a database of its own.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<PostgresServer> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    pub fn start() -> Self {
        let port = free_port();
        let folder = env::temp_dir().join(format!("c1-postgres-{port}"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).expect("a folder");
        if let Some((user, group)) = other_user() {
            chown(&folder, Some(user), Some(group)).expect("this is root");
        }
        let data = folder.join("data");
        let made = as_other_user(&program("initdb"))
            .args([
                "--username=c1",
                "--auth=trust",
                "--no-sync",
                "--encoding=UTF8",
            ])
            .args(["--locale=C", "--pgdata"])
            .arg(&data)
            .stdout(Stdio::null())
            .status();
        assert!(made.expect("initdb starts").success(), "initdb failed");
        let process = Mutex::default();
        let server = Self {
            port,
            folder,
            process,
        };
        server.run();
        server
    }

    /// Starts it again, on the same data.
    pub fn run(&self) {
        // It ends with this process, even if that is killed.
        let script = r#"
            "$0" -D "$1/data" -p "$2" -c listen_addresses=127.0.0.1 -c fsync=off \
                -c unix_socket_directories= -c max_connections=200 >>"$1/log" 2>&1 </dev/null &
            pid=$!
            echo $pid >"$1/pid"
            while [ -d "/proc/$pid" ]; do
                [ -d "/proc/$3" ] || { kill -QUIT $pid; wait $pid; rm -rf "$1"; exit; }
                sleep 0.2
            done
        "#;
        let process = as_other_user("sh")
            .args(["-c", script, &program("postgres")])
            .arg(&self.folder)
            .arg(self.port.to_string())
            .arg(std::process::id().to_string())
            .stdin(Stdio::null())
            .spawn();
        let former = self
            .process
            .lock()
            .expect("no panic")
            .replace(process.expect("a shell"));
        if let Some(mut former) = former {
            former.wait().expect("it was killed");
        }
        self.wait();
    }

    fn wait(&self) {
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(60) {
            let ready = Command::new(program("pg_isready"))
                .args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()])
                .status();
            if ready.expect("pg_isready starts").success() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        panic!("Postgres does not start: {log}");
    }

    /// It vanishes, as in a power cut of the process.
    pub fn kill(&self) {
        self.signal("KILL");
    }

    pub fn pause(&self) {
        self.signal("STOP");
    }

    pub fn resume(&self) {
        self.signal("CONT");
    }

    /// To the server and its children.
    fn signal(&self, name: &str) {
        let pid = fs::read_to_string(self.folder.join("pid")).expect("it was started");
        let script = r#"kill -s "$0" "$1" $(cat "/proc/$1/task/$1/children")"#;
        let sent = Command::new("sh")
            .args(["-c", script, name, pid.trim()])
            .stderr(Stdio::null())
            .status();
        sent.expect("a shell");
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgres://c1@127.0.0.1:{}/{database}", self.port)
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.signal("KILL");
        if let Ok(Some(process)) = self.process.get_mut() {
            let _ = process.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Debian keeps the programs of each version in a folder of its own.
fn program(name: &str) -> String {
    let mut found: Vec<_> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|version| Some(version.ok()?.path().join("bin").join(name)))
        .filter(|path| path.is_file())
        .collect();
    found.sort();
    let on_path = env::var_os("PATH").and_then(|paths| {
        let mut places = env::split_paths(&paths).map(|folder| folder.join(name));
        places.find(|path| path.is_file())
    });
    let program = found.pop().or(on_path).unwrap_or_else(|| {
        panic!("there is no {name}: install Postgres (apt-get install postgresql)")
    });
    program.display().to_string()
}

/// Postgres refuses to run as root.
fn other_user() -> Option<(u32, u32)> {
    let is_root = fs::metadata("/proc/self").expect("Linux").uid() == 0;
    is_root.then(|| {
        let id = |flag| {
            let said = Command::new("id").args([flag, "postgres"]).output();
            let said = String::from_utf8(said.expect("id starts").stdout).expect("a number");
            said.trim().parse().expect("the user `postgres`")
        };
        (id("-u"), id("-g"))
    })
}

fn as_other_user(program: &str) -> Command {
    let Some((user, group)) = other_user() else {
        return Command::new(program);
    };
    let mut command = Command::new("setpriv");
    command
        .args([format!("--reuid={user}"), format!("--regid={group}")])
        .args(["--clear-groups", program])
        .current_dir("/");
    command
}
