//! Whatever comes from outside, from servers, files and streams: no input makes the program panic, or
//! take memory beyond what the input's length explains.
//!
//! Each body gets bytes at random, and documents that are right but for some damage: as many of them as
//! CI has time for, and as `PROPTEST_CASES` says, where that is more.

mod clouds;
mod dumps;
mod endless;
mod input;
mod memory;
mod pem;
mod servers;
mod streams;
mod texts;

use std::future::Future;

use proptest::prelude::ProptestConfig;

/// Runs a body with inputs of so many bytes: nothing that it calls may panic, on other threads
/// neither, nor take more memory than this allows.
fn bounded<T>(length: usize, body: impl FnOnce() -> T) -> T {
    memory::watched(LEAST + length * MOST_FOR_A_BYTE, body)
}

/// The same, of work that waits.
fn bounded_async<T>(length: usize, body: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    bounded(length, || runtime.block_on(body))
}

/// Of every test with random inputs.
fn config() -> ProptestConfig {
    memory::alone();
    let usual = ProptestConfig::default();
    ProptestConfig { cases: usual.cases.max(CASES), failure_persistence: None, ..usual }
}

const CASES: u32 = 1000;

/// Bytes that any input may take: buffers of a fixed size.
const LEAST: usize = 4 << 20;

/// A byte of JSON can be a value, which takes 32 bytes in memory, and twice that while a list grows.
const MOST_FOR_A_BYTE: usize = 128;
