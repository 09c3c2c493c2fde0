//! A database with a table of the handler's own, and what may happen in a run.

use tower_conductorone::DeliveryHandle;
use tower_conductorone::event::Outcome;
use tower_conductorone::ledger::Ledger;
use tower_conductorone_sqlx::CommitError;

/// What happens in a run of the handler.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fate {
    Good,
    /// It does its work again if the ledger failed.
    #[cfg_attr(
        not(feature = "postgres"),
        allow(dead_code, reason = "a file loses no reply")
    )]
    Repeats,
    /// It panics before it commits.
    PanicBefore,
    /// It panics after it has committed.
    PanicAfter,
    /// Its process ends before it commits.
    CrashBefore,
    /// Its process ends after it has committed.
    CrashAfter,
    /// Another process takes over before it commits.
    LosesLease,
    /// The database ends the connection before the commit.
    #[cfg_attr(
        not(feature = "postgres"),
        allow(dead_code, reason = "a file has none")
    )]
    LosesConnection,
    /// It commits what is no answer.
    Fails,
    /// It commits the answer to another event.
    WrongDocument,
}

/// Its table `grants` has a row for each time that the work was done: no constraint keeps
/// a second row out.
pub(crate) trait Books: Clone + Send + Sync + 'static {
    type Ledger: Ledger + Clone;

    /// The test that [`crash`](crate::crash) runs in a process of its own.
    const CRASHES: &'static str;
    /// What else keeps a transaction from being committed.
    const TROUBLE: &'static [Fate];
    /// Ends all leases.
    const EXPIRE: &'static str;

    /// A new database.
    fn new() -> impl Future<Output = Self> + Send;
    fn open(url: &str) -> impl Future<Output = Self> + Send;
    fn url(&self) -> String;
    fn ledger(&self) -> &Self::Ledger;

    /// Does the handler's work for this webhook, and commits it.
    fn work(
        &self,
        delivery: &DeliveryHandle,
        webhook_id: &str,
        outcome: Outcome,
        fate: Fate,
    ) -> impl Future<Output = Result<Outcome, CommitError>> + Send;

    fn execute(&self, sql: &'static str) -> impl Future<Output = ()> + Send;

    /// How often the work was done.
    fn rows(&self) -> impl Future<Output = i64> + Send;

    /// The state of the only delivery.
    fn state(&self) -> impl Future<Output = String> + Send;
}

/// The methods that differ only in sqlx's types.
macro_rules! methods {
    ($Ledger:ty, $begin:expr, $lose_connection:path) => {
        type Ledger = $Ledger;

        fn ledger(&self) -> &Self::Ledger {
            &self.ledger
        }

        async fn work(
            &self,
            delivery: &DeliveryHandle,
            webhook_id: &str,
            outcome: Outcome,
            fate: Fate,
        ) -> Result<Outcome, CommitError> {
            if fate == Fate::LosesLease {
                self.execute(
                    "UPDATE c1_deliveries SET state = replace(state, '\"run\":1', '\"run\":2')",
                )
                .await;
            }
            let mut transaction = $begin(&self.pool).await.expect("a transaction");
            query("INSERT INTO grants VALUES ($1)")
                .bind(webhook_id)
                .execute(&mut *transaction)
                .await
                .expect("a row");
            match fate {
                Fate::PanicBefore => panic!("before the commit"),
                Fate::CrashBefore => std::process::abort(),
                Fate::LosesConnection => $lose_connection(&self.pool, &mut transaction).await,
                _ => {}
            }
            let committed = self.ledger.commit(transaction, delivery, outcome).await;
            match fate {
                Fate::PanicAfter => panic!("after the commit"),
                Fate::CrashAfter => std::process::abort(),
                _ => committed,
            }
        }

        async fn execute(&self, sql: &'static str) {
            query(sql).execute(&self.pool).await.expect(sql);
        }

        async fn rows(&self) -> i64 {
            let count = query_scalar("SELECT count(*) FROM grants").fetch_one(&self.pool);
            count.await.expect("a count")
        }

        async fn state(&self) -> String {
            let state = query_scalar("SELECT state FROM c1_deliveries").fetch_one(&self.pool);
            state.await.expect("a row")
        }
    };
}
pub(crate) use methods;
