//! Redis servers of the tests' own, on loopback.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::built;

/// A running `redis-server`, which ends with its test.
#[derive(Debug)]
pub struct RedisServer {
    process: Child,
    port: u16,
    options: Vec<String>,
}

impl RedisServer {
    /// Starts one with these lines in its configuration. With a line that begins
    /// with `sentinel` it is a Sentinel.
    pub fn start(options: &[&str]) -> Self {
        let options: Vec<_> = options.iter().map(ToString::to_string).collect();
        // Another process may take the port first: then the next one is tried.
        for _ in 0..10 {
            let port = free_port();
            clear(port);
            if let Some(process) = launch(port, &options) {
                return Self {
                    process,
                    port,
                    options,
                };
            }
        }
        panic!("no redis-server stays up with the options {options:?}");
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// It vanishes, with all that it knows.
    pub fn kill(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
    }

    /// An empty one in the same place.
    pub fn restart(&mut self) {
        clear(self.port);
        self.revive();
    }

    /// It comes back, with what its append-only file has, if it keeps one.
    pub fn revive(&mut self) {
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(5) {
            if let Some(process) = launch(self.port, &self.options) {
                self.process = process;
                return;
            }
        }
        panic!("redis-server does not come back");
    }

    /// It hangs: connections stay, nothing is answered.
    pub fn pause(&self) {
        self.signal("STOP");
    }

    pub fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.expect("a command").success(), "{name}");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(folder(self.port));
    }
}

pub fn free_port() -> u16 {
    // A node of a cluster also takes the port that is 10,000 above.
    (0..100)
        .map(|_| {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
            listener.local_addr().expect("bound").port()
        })
        .find(|port| *port < 55_000)
        .expect("a low port")
}

fn folder(port: u16) -> PathBuf {
    built().join(format!("redis-{port}"))
}

/// Makes its folder, without what another test left behind there.
fn clear(port: u16) {
    let folder = folder(port);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
}

/// The server, once it accepts connections; nothing if it ends instead.
fn launch(port: u16, options: &[String]) -> Option<Child> {
    let folder = folder(port);
    let is_sentinel = options.iter().any(|line| line.starts_with("sentinel"));
    let mut lines = vec![
        format!("port {port}"),
        "bind 127.0.0.1".to_owned(),
        format!("dir {}", folder.display()),
    ];
    if !is_sentinel {
        lines.push("save \"\"".to_owned());
    }
    lines.extend_from_slice(options);
    let file = folder.join("redis.conf");
    fs::write(&file, lines.join("\n")).expect("a configuration");
    let mut process = Command::new("redis-server")
        .arg(file)
        .args(is_sentinel.then_some("--sentinel"))
        .stdout(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("redis-server: {error} (apt-get install redis-server)"));
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(10) {
        if process.try_wait().expect("a child").is_some() {
            return None;
        }
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Some(process);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    // It would outlive the test otherwise.
    process
        .kill()
        .and_then(|()| process.wait())
        .expect("it ends");
    panic!("redis-server does not listen on {port}");
}
