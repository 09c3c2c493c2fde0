//! What the benches share: several ways to do a thing, measured in turns.
//!
//! ```no_run
//! use support::bench::Bench;
//!
//! let mut bench = Bench::new("hashing");
//! let text = vec![b'a'; 1024];
//! bench
//!     .group("1 KB")
//!     .bytes(text.len())
//!     .case("sum", || text.iter().map(|byte| u64::from(*byte)).sum::<u64>())
//!     .case_async("later", async || tokio::task::yield_now().await)
//!     .case_with("sorted", || text.clone(), |mut text| text.sort_unstable())
//!     .measure("sum"); // the ratios are to this case
//! bench.finish();
//! ```
//!
//! The cases of a group take turns in one process, and each round begins with
//! another one. What disturbs the machine then disturbs all of them, and the ratios
//! hold where the times do not. (criterion and divan measure one case after the
//! other, so that minutes can lie between the two halves of a ratio.)
//!
//! `finish` writes `<name>.json` into the folder `BENCH_RESULTS`, if that variable of
//! the environment is set. `BENCH_ROUNDS` changes the number of rounds, as a few are
//! enough to see whether a bench runs.

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;

const ROUNDS: usize = 200;

/// How long a turn takes at least, unless one operation takes longer. It is short, so
/// that some turns pass without an interruption.
const TURN: Duration = Duration::from_micros(250);

/// A bench: groups of cases, and what came of them.
#[derive(Debug)]
pub struct Bench {
    name: String,
    rounds: usize,
    runtime: Runtime,
    rows: Vec<Value>,
}

impl Bench {
    /// `name` is that of its file with results.
    pub fn new(name: &str) -> Self {
        let rounds = std::env::var("BENCH_ROUNDS").map(|rounds| rounds.parse());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        Self {
            name: name.to_owned(),
            rounds: rounds.map_or(ROUNDS, |rounds| rounds.expect("BENCH_ROUNDS is a number")),
            runtime: runtime.expect("a runtime"),
            rows: Vec::new(),
        }
    }

    /// The runtime of the asynchronous cases, to prepare them with `block_on`.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Begins a group: cases that are compared with one another.
    pub fn group(&mut self, name: impl Into<String>) -> Group<'_> {
        Group {
            bench: self,
            name: name.into(),
            bytes: None,
            cases: Vec::new(),
        }
    }

    /// Adds what was measured in some other way: a row with these numbers.
    pub fn row(&mut self, group: &str, case: &str, numbers: &[(&str, f64)]) {
        let mut row = Map::new();
        row.insert("group".into(), group.into());
        row.insert("case".into(), case.into());
        let mut line = format!("{group:<40} {case:<40}");
        for (name, number) in numbers {
            row.insert((*name).into(), rounded(*number, 1_000.0));
            write!(line, "  {name} {number:>8.1}").expect("into memory");
        }
        println!("{line}");
        self.rows.push(row.into());
    }

    /// Writes the results if `BENCH_RESULTS` names a folder.
    pub fn finish(self) {
        if let Some(folder) = std::env::var_os("BENCH_RESULTS").map(PathBuf::from) {
            // A line for each row, so that a difference can be read.
            let rows: Vec<String> = self.rows.iter().map(Value::to_string).collect();
            let text = format!(
                "{{\"bench\":\"{}\",\"rounds\":{},\"rows\":[\n{}\n]}}\n",
                self.name,
                self.rounds,
                rows.join(",\n")
            );
            std::fs::create_dir_all(&folder).expect("a folder for results");
            std::fs::write(folder.join(format!("{}.json", self.name)), text)
                .expect("results can be written");
        }
    }
}

/// Cases that take turns. Nothing runs before [`measure`](Self::measure).
#[must_use]
pub struct Group<'a> {
    bench: &'a mut Bench,
    name: String,
    bytes: Option<usize>,
    cases: Vec<Case<'a>>,
}

struct Case<'a> {
    name: String,
    notes: Map<String, Value>,
    turn: Turn<'a>,
}

/// Does so many operations, and says how long they took.
type Turn<'a> = Box<dyn FnMut(usize, &Runtime) -> Duration + 'a>;

impl<'a> Group<'a> {
    /// Notes how large the input is.
    pub fn bytes(mut self, bytes: usize) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// Adds a case. The time includes the drop of what it returns, as that of a
    /// service does.
    pub fn case<T>(self, name: impl Into<String>, mut run: impl FnMut() -> T + 'a) -> Self {
        self.case_with(name, || (), move |()| run())
    }

    /// Adds a case whose operations each take an input. The time to make the inputs
    /// does not count.
    pub fn case_with<I, T>(
        self,
        name: impl Into<String>,
        mut input: impl FnMut() -> I + 'a,
        mut run: impl FnMut(I) -> T + 'a,
    ) -> Self {
        self.turn(name, move |count, _| {
            let inputs: Vec<I> = (0..count).map(|_| input()).collect();
            let start = Instant::now();
            for input in inputs {
                black_box(run(black_box(input)));
            }
            start.elapsed()
        })
    }

    /// Adds a case that is asynchronous, on a runtime with one thread.
    pub fn case_async<T>(
        self,
        name: impl Into<String>,
        mut run: impl AsyncFnMut() -> T + 'a,
    ) -> Self {
        self.case_async_with(name, || (), async move |()| run().await)
    }

    /// Adds a case that is asynchronous and takes inputs.
    pub fn case_async_with<I, T>(
        self,
        name: impl Into<String>,
        mut input: impl FnMut() -> I + 'a,
        mut run: impl AsyncFnMut(I) -> T + 'a,
    ) -> Self {
        self.turn(name, move |count, runtime| {
            runtime.block_on(async {
                let inputs: Vec<I> = (0..count).map(|_| input()).collect();
                let start = Instant::now();
                for input in inputs {
                    black_box(run(black_box(input)).await);
                }
                start.elapsed()
            })
        })
    }

    /// Notes another number about the case that was added last, such as its
    /// allocations.
    pub fn note(mut self, name: &str, number: impl Into<f64>) -> Self {
        let case = self.cases.last_mut().expect("a case was added");
        case.notes.insert(name.into(), json!(number.into()));
        self
    }

    fn turn(
        mut self,
        name: impl Into<String>,
        turn: impl FnMut(usize, &Runtime) -> Duration + 'a,
    ) -> Self {
        self.cases.push(Case {
            name: name.into(),
            notes: Map::new(),
            turn: Box::new(turn),
        });
        self
    }

    /// Measures all cases, prints their times, and keeps them as results: the minimum
    /// and the median per operation, and the ratio of the minimum to that of the case
    /// `floor`.
    ///
    /// # Panics
    /// If no case has this name.
    pub fn measure(self, floor: &str) {
        let Self {
            bench, mut cases, ..
        } = self;
        let runtime = &bench.runtime;
        let counts: Vec<usize> = cases
            .iter_mut()
            .map(|case| operations_a_turn(|count| (case.turn)(count, runtime)))
            .collect();
        let mut times = vec![Vec::with_capacity(bench.rounds); cases.len()];
        for round in 0..bench.rounds {
            for turn in 0..cases.len() {
                // Back and forth, and once for nothing, so that a case gains or loses
                // little by what the one before it left in the caches.
                let step = if round % 2 == 0 {
                    turn
                } else {
                    cases.len() - turn
                };
                let at = (round + step) % cases.len();
                (cases[at].turn)(1, runtime);
                let taken = (cases[at].turn)(counts[at], runtime);
                #[expect(clippy::cast_precision_loss, reason = "a small count")]
                times[at].push(taken.as_secs_f64() * 1e9 / counts[at] as f64);
            }
        }
        for times in &mut times {
            times.sort_by(f64::total_cmp);
        }
        let at = cases.iter().position(|case| case.name == floor);
        let lowest = times[at.expect("a case with the floor's name")][0];
        println!(
            "\n{:<48} {:>11} {:>11} {:>7} {:>11}",
            self.name, "min", "median", "ratio", "added"
        );
        for (case, times) in cases.into_iter().zip(times) {
            let (min, median) = (times[0], times[times.len() / 2]);
            let mut row = Map::new();
            row.insert("group".into(), self.name.as_str().into());
            row.insert("case".into(), case.name.as_str().into());
            row.insert("bytes".into(), self.bytes.into());
            row.insert("min_ns".into(), rounded(min, 10.0));
            row.insert("median_ns".into(), rounded(median, 10.0));
            row.insert("floor".into(), floor.into());
            row.insert("ratio".into(), rounded(min / lowest, 10_000.0));
            row.insert("added_ns".into(), rounded(min - lowest, 10.0));
            print!(
                "  {:<46} {:>11} {:>11} {:>7.3} {:>11}",
                case.name,
                readable(min),
                readable(median),
                min / lowest,
                readable(min - lowest),
            );
            for (name, number) in &case.notes {
                print!("  {name} {number}");
            }
            println!();
            row.extend(case.notes);
            bench.rows.push(row.into());
        }
    }
}

/// How many operations take a turn's time, by trying.
fn operations_a_turn(mut turn: impl FnMut(usize) -> Duration) -> usize {
    let mut count = 1;
    turn(count); // the first one is slow
    loop {
        if turn(count) >= TURN || count >= 1 << 20 {
            return count;
        }
        count *= 2;
    }
}

fn rounded(number: f64, parts: f64) -> Value {
    json!((number * parts).round() / parts)
}

fn readable(ns: f64) -> String {
    if ns < 1_000.0 {
        format!("{ns:.1} ns")
    } else if ns < 1_000_000.0 {
        format!("{:.2} µs", ns / 1e3)
    } else {
        format!("{:.2} ms", ns / 1e6)
    }
}
