//! Counts what operations cost in instructions, allocations and bytes, and fails if
//! one has risen by more than 5 % above its number in `numbers.json`.
//!
//! ```text
//! cargo run --release --package tower-conductorone-costs       # compares
//! cargo run --release --package tower-conductorone-costs save  # takes the new numbers
//! ```
//!
//! valgrind counts the instructions, and presents the same processor wherever there
//! is AVX2. Those of signatures and SHA-256 do not count: what is left is the crate's
//! own.

mod cases;
mod count;
mod numbers;

use std::io::{self, Read};
use std::process::ExitCode;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};

use numbers::Numbers;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some(count::ARGUMENT) => {
            let mut rsa_key = Vec::new();
            let read = io::stdin().read_to_end(&mut rsa_key);
            read.expect("the first process writes it");
            cases::count_all(&rsa_key);
            ExitCode::SUCCESS
        }
        Some("save") => {
            let new = count_under_valgrind();
            new.print();
            new.save();
            ExitCode::SUCCESS
        }
        _ => {
            let new = count_under_valgrind();
            new.print();
            if Numbers::load().judge(&new) {
                return ExitCode::SUCCESS;
            }
            println!("If this is meant, run it again with `save`, which takes the new numbers.");
            ExitCode::FAILURE
        }
    }
}

fn count_under_valgrind() -> Numbers {
    // valgrind would take long to find the primes.
    let rsa_key = KeyPair::generate(KeySize::Rsa2048).expect("a key");
    let rsa_key: Pkcs8V1Der<'_> = rsa_key.as_der().expect("a key");
    count::under_valgrind(rsa_key.as_ref())
}
