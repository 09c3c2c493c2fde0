//! Counts instructions and allocations in a second process of this program, which
//! runs under valgrind.
//!
//! callgrind knows two functions by their names: it counts while [`measured`] runs,
//! and at each call of [`write_count`] it writes what it has counted to another file
//! and begins anew.

use std::alloc::System;
use std::fs;
use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use crate::numbers::{Cost, Numbers};

#[global_allocator]
static MEMORY: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The argument of the second process.
pub const ARGUMENT: &str = "count";

/// Functions that do not count while [`measured`] runs. None of them calls another,
/// as each call and each return switches the counting.
const LEFT_OUT: [&str; 2] = ["*::parsed_verify_sig*", "sha2::sha256::compress256*"];

/// The first operations of a case do not count: they may prepare what later ones use.
const FIRST: usize = 8;
const COUNTED: usize = 32;

/// Counts what it costs to turn an input into an output, and to drop that.
pub fn case<I, O>(name: &str, inputs: impl IntoIterator<Item = I>, mut run: impl FnMut(I) -> O) {
    let mut inputs: Vec<I> = inputs.into_iter().take(FIRST + COUNTED).collect();
    assert_eq!(inputs.len(), FIRST + COUNTED, "{name}");
    for input in inputs.drain(..FIRST) {
        drop(run(input));
    }
    write_count(); // of what was done before
    let region = Region::new(MEMORY);
    for input in inputs {
        measured(&mut run, input);
    }
    let change = region.change();
    write_count();
    let allocations = (change.allocations + change.reallocations) / COUNTED;
    let bytes = change.bytes_allocated / COUNTED;
    println!("{allocations} {bytes} {name}");
}

#[inline(never)]
fn measured<I, O>(run: &mut impl FnMut(I) -> O, input: I) {
    drop(black_box(run(black_box(input))));
}

#[inline(never)]
fn write_count() {
    black_box(());
}

/// Runs the second process.
pub fn under_valgrind(rsa_key: &[u8]) -> Numbers {
    let program = std::env::current_exe().expect("a path");
    let folder = program.with_file_name("costs.callgrind");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder for callgrind's files");
    let file = folder.join("count");
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--tool=callgrind", "--quiet", "--collect-atstart=no"])
        .arg("--toggle-collect=costs::count::measured*")
        .arg("--dump-before=costs::count::write_count*")
        .arg(format!("--callgrind-out-file={}", file.display()))
        .args(LEFT_OUT.map(|name| format!("--toggle-collect={name}")))
        .arg(program)
        .arg(ARGUMENT)
        // glibc then keeps all small pieces that are freed for the next of that size.
        // Whether it joins them would depend on their addresses.
        .env("GLIBC_TUNABLES", "glibc.malloc.tcache_count=65535")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = valgrind.spawn().expect("valgrind is installed");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(rsa_key).expect("the process reads it");
    drop(stdin);
    let output = child.wait_with_output().expect("the process ends");
    assert!(output.status.success(), "{}", output.status);
    let output = String::from_utf8(output.stdout).expect("text");
    let costs = output.lines().enumerate().map(|(index, line)| {
        let mut fields = line.splitn(3, ' ');
        let mut field = || fields.next().expect("as printed above");
        let mut number_of = || field().parse().expect("a number");
        let (allocations, bytes) = (number_of(), number_of());
        let second_file = file.with_extension((2 * index + 2).to_string());
        let cost = Cost {
            instructions: total(&second_file) / COUNTED as u64,
            allocations,
            bytes,
        };
        (field().to_owned(), cost)
    });
    Numbers(costs.collect())
}

/// The count in a file of callgrind.
fn total(file: &Path) -> u64 {
    let text = fs::read_to_string(file).expect("callgrind has written it");
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    total
        .and_then(|total| total.trim().parse().ok())
        .expect("callgrind's total")
}
