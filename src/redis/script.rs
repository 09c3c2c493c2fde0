use std::sync::LazyLock;

use redis::aio::ConnectionLike;
use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, ServerErrorKind};

use super::store::Store;

/// A step as a Lua script, which Redis runs atomically.
pub(super) struct Script {
    code: &'static str,
    hash: LazyLock<String>,
}

/// The arguments of a script.
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

    /// Runs the script by its hash: one round trip. A server that does not know it is
    /// sent the script itself. (`EVAL` goes to the server of these keys; `SCRIPT LOAD`
    /// would need every node of a cluster.)
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

/// The script made of these files in order.
macro_rules! script {
    ($($file:literal),+) => {{
        const CODE: &str = concat!($(include_str!(concat!("scripts/", $file, ".lua")), "\n"),+);
        Script::new(CODE, || redis::Script::new(CODE).get_hash().to_owned())
    }};
}
pub(super) use script;
