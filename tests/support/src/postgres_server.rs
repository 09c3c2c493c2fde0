//! Postgres servers of the tests' own, on loopback.

use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};
use std::{env, fs};

use crate::redis_server::free_port;

/// A running Postgres with a folder of its own. Both end with the test's process, if not
/// before.
#[derive(Debug)]
pub struct PostgresServer {
    port: u16,
    folder: PathBuf,
    settings: Vec<String>,
    process: Mutex<Option<Child>>,
}

impl PostgresServer {
    /// The one that the tests share, each with a database of its own.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<PostgresServer> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Survives its own crashes, but not a power cut.
    pub fn start() -> Self {
        Self::start_with(&["fsync=off"])
    }

    pub fn start_with(settings: &[&str]) -> Self {
        Self::launch(settings, |data| {
            let mut initdb = as_other_user(&program("initdb"));
            initdb
                .args(["--username=c1", "--auth=trust", "--no-sync"])
                .args(["--encoding=UTF8", "--locale=C", "--pgdata"])
                .arg(data);
            initdb
        })
    }

    /// A hot standby that streams from this one.
    pub fn standby(&self) -> Self {
        let primary = format!("host=127.0.0.1 port={} user=c1", self.port);
        Self::launch(&["fsync=off"], |data| {
            let mut backup = as_other_user(&program("pg_basebackup"));
            backup
                .args(["--checkpoint=fast", "--write-recovery-conf", "--no-sync"])
                .args(["--dbname", &primary, "--pgdata"])
                .arg(data);
            backup
        })
    }

    fn launch(settings: &[&str], fill: impl FnOnce(&Path) -> Command) -> Self {
        let port = free_port();
        let folder = env::temp_dir().join(format!("c1-postgres-{port}"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).expect("a folder");
        if let Some((user, group)) = other_user() {
            chown(&folder, Some(user), Some(group)).expect("this is root");
        }
        let filled = fill(&folder.join("data")).stdout(Stdio::null()).status();
        assert!(filled.expect("it starts").success(), "there is no data");
        let server = Self {
            port,
            folder,
            settings: settings.iter().map(ToString::to_string).collect(),
            process: Mutex::default(),
        };
        server.run();
        server
    }

    /// Starts it again, on the same data.
    pub fn run(&self) {
        // It ends with this process, even if that is killed.
        let script = r#"
            program="$0" folder="$1" port="$2" parent="$3"
            shift 3
            "$program" -D "$folder/data" -p "$port" -c listen_addresses=127.0.0.1 \
                -c unix_socket_directories= -c max_connections=200 "$@" \
                >>"$folder/log" 2>&1 </dev/null &
            pid=$!
            echo $pid >"$folder/pid"
            while [ -d "/proc/$pid" ]; do
                [ -d "/proc/$parent" ] || {
                    kill -QUIT $pid; wait $pid; rm -rf "$folder"; exit
                }
                sleep 0.2
            done
        "#;
        let process = as_other_user("sh")
            .args(["-c", script, &program("postgres")])
            .arg(&self.folder)
            .arg(self.port.to_string())
            .arg(std::process::id().to_string())
            .args(self.settings.iter().flat_map(|it| ["-c", it]))
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
pub(crate) fn other_user() -> Option<(u32, u32)> {
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

pub(crate) fn as_other_user(program: &str) -> Command {
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
