//! The numbers that are kept, and how new ones compare.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde::{Deserialize, Serialize};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/numbers.json");

/// What one operation costs.
#[derive(Clone, Copy, Deserialize, Serialize)]
pub struct Cost {
    pub instructions: u64,
    pub allocations: u64,
    pub bytes: u64,
}

/// The cost of each case.
#[derive(Deserialize, Serialize)]
#[serde(transparent)]
pub struct Numbers(pub BTreeMap<String, Cost>);

impl Numbers {
    pub fn load() -> Self {
        let text = fs::read_to_string(FILE).expect("the numbers are kept");
        serde_json::from_str(&text).expect("the numbers are as they were saved")
    }

    /// Saves one line a case, so that a change is easy to read.
    pub fn save(&self) {
        let lines = self.0.iter().map(|(name, cost)| {
            let Cost {
                instructions,
                allocations,
                bytes,
            } = cost;
            format!(
                r#"  "{name}": {{"instructions": {instructions}, "allocations": {allocations}, "bytes": {bytes}}}"#
            )
        });
        let lines: Vec<String> = lines.collect();
        fs::write(FILE, format!("{{\n{}\n}}\n", lines.join(",\n"))).expect("a place to save them");
    }

    pub fn print(&self) {
        println!(
            "{:>12} {:>11} {:>8}  of each operation",
            "instructions", "allocations", "bytes"
        );
        for (name, cost) in &self.0 {
            println!(
                "{:>12} {:>11} {:>8}  {name}",
                cost.instructions, cost.allocations, cost.bytes
            );
        }
    }

    /// Prints what differs from these numbers, and returns whether the new ones are
    /// all good.
    pub fn judge(&self, new: &Self) -> bool {
        let names: BTreeSet<&String> = self.0.keys().chain(new.0.keys()).collect();
        let mut good = true;
        for name in names {
            match (self.0.get(name), new.0.get(name)) {
                (Some(was), Some(is)) => {
                    good &= judge(name, "instructions", was.instructions, is.instructions);
                    good &= judge(name, "allocations", was.allocations, is.allocations);
                    good &= judge(name, "bytes", was.bytes, is.bytes);
                }
                (was, _) => {
                    let missing = if was.is_some() { "case" } else { "number" };
                    println!("FAILED: {name}: its {missing} is missing");
                    good = false;
                }
            }
        }
        good
    }
}

/// A difference of 5 % is let pass: of less than one, where there are few.
fn judge(name: &str, what: &str, was: u64, is: u64) -> bool {
    let let_pass = was / 20;
    let risen = is > was + let_pass;
    if risen || is + let_pass < was {
        let word = if risen { "FAILED: " } else { "" };
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let change = (is as f64 / was as f64 - 1.0) * 100.0;
        println!("{word}{name}: {was} -> {is} {what} ({change:+.1} %)");
    }
    !risen
}
