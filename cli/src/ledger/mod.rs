//! `c1 ledger`.

mod shown;
mod store;

use clap::Subcommand;
use serde_json::json;
use tower_conductorone::ledger::{DeadDelivery, DeliveryKey, Ledger, Revival};

use self::shown::short;
use self::store::StoreArgs;
use crate::output::{self, bad, good, print, with_causes};
use crate::{BoxError, End, usage};

/// Lists a receiver's dead deliveries, and revives them.
///
/// A delivery that was answered 202 is dead after 50 runs, when ConductorOne refuses its
/// callback, or at the callback's deadline. ConductorOne does not send it again, but the
/// receiver's ledger keeps it. The output has no payload, comment, answer or callback URL.
#[derive(clap::Args)]
#[command(after_long_help = "\
Example:
  c1 ledger list --redis-url redis://127.0.0.1:6379
  c1 ledger show 3f2a91c04b7d --database-url postgres://receiver@db.example.com/app
  c1 ledger revive 3f2a91c04b7d --database-url sqlite:///var/lib/receiver/hooks.db
  export C1_REDIS_URL=redis://127.0.0.1:6379
  c1 ledger list --json | jq -r .key | xargs c1 ledger revive # all of them

Exit codes: 0 listed, shown or revived, 1 a delivery is not dead or can no longer be
revived, 2 wrong usage, 3 the ledger cannot be reached.")]
#[allow(clippy::doc_markdown, reason = "it is shown as plain text")]
pub(crate) struct LedgerArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Lists the dead deliveries, the oldest first
    List {
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Shows all that is known of one, but no secret
    Show {
        /// The delivery's key, or its beginning as `list` prints it
        #[arg(value_parser = wanted)]
        key: Wanted,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Puts dead deliveries back, and says what happens next
    Revive {
        /// The deliveries' keys, or their beginnings as `list` prints them
        #[arg(value_name = "KEY", required = true, value_parser = wanted)]
        keys: Vec<Wanted>,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        store: StoreArgs,
    },
}

#[derive(clap::Args)]
struct OutputArgs {
    /// Print a JSON line for each delivery
    #[arg(long)]
    json: bool,
}

/// A key, or the beginning of its digest: the rest of the key is its layer's and tenant's.
#[derive(Clone)]
enum Wanted {
    Key(DeliveryKey),
    Digest(String),
}

fn wanted(text: &str) -> Result<Wanted, String> {
    let is_hex = text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
    match text.parse() {
        Ok(key) => Ok(Wanted::Key(key)),
        Err(_) if is_hex && (8..=64).contains(&text.len()) => Ok(Wanted::Digest(text.to_owned())),
        Err(_) => {
            Err("a key has 96 lower-case hexadecimal digits, its beginning at least 8".into())
        }
    }
}

impl Wanted {
    fn is(&self, delivery: &DeadDelivery) -> bool {
        match self {
            Self::Key(key) => *key == delivery.key,
            Self::Digest(digest) => shown::digest(delivery.key).starts_with(digest),
        }
    }

    /// The only one of them that is meant.
    fn of<'a>(&self, dead: &'a [DeadDelivery]) -> Result<Option<&'a DeadDelivery>, String> {
        let mut found = dead.iter().filter(|delivery| self.is(delivery));
        match (found.next(), found.next()) {
            (_, Some(_)) => Err(format!("several keys begin with {}", self.text())),
            (one, None) => Ok(one),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Key(key) => key.to_string(),
            Self::Digest(digest) => digest.clone(),
        }
    }
}

impl LedgerArgs {
    pub(crate) async fn run(self) -> Result<End, BoxError> {
        match self.command {
            Command::List { output, store } => {
                let dead = dead(&*store.open().await?).await?;
                list(&dead, output.json)?;
                Ok(End::Success)
            }
            Command::Show { key, output, store } => {
                let dead = dead(&*store.open().await?).await?;
                let found = key.of(&dead).unwrap_or_else(|error| usage(error));
                let Some(delivery) = found else {
                    print(bad(&format!("{} is no dead delivery", key.text())))?;
                    return Ok(End::Failure);
                };
                print(if output.json {
                    output::line(&shown::json(delivery))
                } else {
                    shown::in_full(delivery)
                })?;
                Ok(End::Success)
            }
            Command::Revive {
                keys,
                output,
                store,
            } => {
                let ledger = store.open().await?;
                revive(&*ledger, &keys, output.json).await
            }
        }
    }
}

/// All of them, the oldest first.
async fn dead(ledger: &dyn Ledger) -> Result<Vec<DeadDelivery>, BoxError> {
    let (mut dead, mut after) = (Vec::new(), None);
    loop {
        let page = ledger.dead(after).await.map_err(unreachable)?;
        dead.extend(page.deliveries);
        after = page.next;
        if after.is_none() {
            dead.sort_by_key(|delivery| std::cmp::Reverse(delivery.age));
            return Ok(dead);
        }
    }
}

fn unreachable(error: impl std::error::Error + 'static) -> BoxError {
    format!("the ledger cannot be used: {}", with_causes(&error)).into()
}

fn list(dead: &[DeadDelivery], json: bool) -> Result<(), BoxError> {
    if json {
        let lines: Vec<_> = dead.iter().map(shown::json).collect();
        return lines.iter().try_for_each(|line| print(output::line(line)));
    }
    if dead.is_empty() {
        return print("no dead deliveries");
    }
    print(shown::table(dead))
}

async fn revive(ledger: &dyn Ledger, keys: &[Wanted], json: bool) -> Result<End, BoxError> {
    let dead = dead(ledger).await?;
    let mut end = End::Success;
    // None is revived if one is ambiguous.
    let found = keys.iter().map(|key| key.of(&dead));
    let found: Vec<_> = found
        .collect::<Result<_, _>>()
        .unwrap_or_else(|error| usage(error));
    for (wanted, delivery) in keys.iter().zip(found) {
        let key = match (delivery, wanted) {
            (Some(delivery), _) => Some(delivery.key),
            // It may be known, and not dead.
            (None, Wanted::Key(key)) => Some(*key),
            (None, Wanted::Digest(_)) => None,
        };
        let revival = match key {
            Some(key) => ledger.revive(key).await.map_err(unreachable)?,
            None => Revival::Unknown,
        };
        let (result, next) = match revival {
            Revival::Revived if delivery.is_some_and(|it| it.has_answer) => (
                "revived",
                "a receiver that runs `recover` takes it within seconds, and posts its answer; \
                 the handler does not run again",
            ),
            Revival::Revived => (
                "revived",
                "a receiver that runs `recover` takes it within seconds, runs its handler again, \
                 and posts the answer",
            ),
            Revival::NotDead => ("not dead", "it may have been revived before"),
            Revival::TooLate => (
                "too late",
                "its callback's deadline has passed: ConductorOne accepts no answer",
            ),
            _ => (
                "unknown",
                "the ledger has no such dead delivery, or no longer",
            ),
        };
        let is_revived = revival == Revival::Revived;
        if !is_revived {
            end = End::Failure;
        }
        let name = key.map_or_else(|| wanted.text(), short);
        print(if json {
            let key = key.map_or_else(|| wanted.text(), |key| key.to_string());
            output::line(&json!({ "key": key, "result": result, "next": next }))
        } else {
            let paint = if is_revived { good } else { bad };
            format!("{name} {}: {next}", paint(result))
        })?;
    }
    Ok(end)
}
