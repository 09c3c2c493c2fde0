use std::sync::LazyLock;

use redis::aio::ConnectionLike;
use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, ServerErrorKind};

use super::store::Store;

/// A step as a Lua script: Redis runs nothing else meanwhile.
pub(super) struct Script {
    code: &'static str,
    hash: LazyLock<String>,
}

/// What a script works on.
pub(super) struct Call<'a> {
    pub(super) keys: &'a [&'a str],
    pub(super) args: &'a [&'a [u8]],
}

impl Script {
    pub(super) const fn new(code: &'static str, hash: fn() -> String) -> Self {
        Self {
            code,
            hash: LazyLock::new(hash),
        }
    }

    /// Runs it by its hash: one round trip. Only a server that has restarted, or
    /// has never seen it, is sent the script itself. (That goes to the server
    /// of these keys; `SCRIPT LOAD` would need all of a cluster.)
    pub(super) async fn run<C: ConnectionLike + Clone, T: FromRedisValue>(
        &self,
        store: &Store<C>,
        call: &Call<'_>,
    ) -> Result<T, RedisError> {
        match store.query(&call.command("EVALSHA", &self.hash)).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                store.query(&call.command("EVAL", self.code)).await
            }
            reply => reply,
        }
    }
}

impl Call<'_> {
    fn command(&self, name: &str, script: &str) -> Cmd {
        let mut command = redis::cmd(name);
        command.arg(script).arg(self.keys.len());
        command.arg(self.keys).arg(self.args);
        command
    }
}

/// The script of these files, one after the other.
macro_rules! script {
    ($($file:literal),+) => {{
        const CODE: &str = concat!($(include_str!(concat!("scripts/", $file, ".lua")), "\n"),+);
        Script::new(CODE, || redis::Script::new(CODE).get_hash().to_owned())
    }};
}
pub(super) use script;
