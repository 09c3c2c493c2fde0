//! A `PgBouncer` of the tests' own, on loopback.

use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};

use crate::postgres_server::{PostgresServer, as_other_user, other_user};
use crate::redis_server::free_port;

/// A running `PgBouncer` in transaction mode, with two connections to its server. It ends
/// with its test.
#[derive(Debug)]
pub struct PgBouncer {
    port: u16,
    folder: PathBuf,
    process: Child,
}

impl PgBouncer {
    /// The version that is installed: `(1, 18)`.
    pub fn version() -> Option<(u32, u32)> {
        let told = Command::new("pgbouncer").arg("--version").output().ok()?;
        let told = String::from_utf8(told.stdout).ok()?;
        let mut numbers = told.split_whitespace().nth(1)?.split('.');
        let mut number = || numbers.next()?.parse().ok();
        number().zip(number())
    }

    /// Whether it knows the statements that its clients have prepared.
    pub fn keeps_statements() -> bool {
        Self::version() >= Some((1, 21))
    }

    pub fn start(server: &PostgresServer) -> Self {
        let port = free_port();
        let folder = env::temp_dir().join(format!("c1-pgbouncer-{port}"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).expect("a folder");
        let mut settings = format!(
            "[databases]\n* = host=127.0.0.1 port={} user=c1\n[pgbouncer]\n\
             listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = any\npool_mode = transaction\ndefault_pool_size = 2\n\
             ignore_startup_parameters = extra_float_digits\n",
            server.port()
        );
        if Self::keeps_statements() {
            settings.push_str("max_prepared_statements = 200\n");
        }
        let file = folder.join("pgbouncer.ini");
        fs::write(&file, settings).expect("a file");
        if let Some((user, group)) = other_user() {
            chown(&folder, Some(user), Some(group)).expect("this is root");
        }
        let process = as_other_user("pgbouncer")
            .arg("--quiet")
            .arg(&file)
            .stdin(Stdio::null())
            .spawn();
        let bouncer = Self {
            port,
            folder,
            process: process.expect("pgbouncer starts"),
        };
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let is_late = begun.elapsed() > Duration::from_secs(10);
            assert!(!is_late, "pgbouncer does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        bouncer
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgres://c1@127.0.0.1:{}/{database}", self.port)
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
