//! Untrusted input from servers, files and streams. No input makes the program panic, or use more
//! memory than the input's length explains.
//!
//! Each test runs with random bytes, and with documents that are valid except for some damage. The
//! number of inputs suits CI, with fewer inputs without the feature `full`; a higher
//! `PROPTEST_CASES` raises it.

mod clouds;
mod dumps;
mod endless;
mod input;
mod layouts;
mod memory;
mod pem;
mod servers;
mod streams;
mod texts;

use std::future::Future;

use proptest::prelude::ProptestConfig;

/// Runs a body on an input of `length` bytes. Fails if any thread panics, or if the memory in use
/// exceeds the limit for this length.
fn bounded<T>(length: usize, body: impl FnOnce() -> T) -> T {
    memory::watched(LEAST + length * MOST_FOR_A_BYTE, body)
}

/// Like [`bounded`], for async code.
fn bounded_async<T>(length: usize, body: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    bounded(length, || runtime.block_on(body))
}

/// The configuration of every test with random inputs.
fn config() -> ProptestConfig {
    memory::alone();
    let usual = ProptestConfig::default();
    ProptestConfig { cases: usual.cases.max(CASES), failure_persistence: None, ..usual }
}

const CASES: u32 = if cfg!(feature = "full") { 1000 } else { 300 };

/// Memory in bytes that any input may take, for buffers of a fixed size.
const LEAST: usize = 4 << 20;

/// A byte of JSON can be a value, which takes 32 bytes in memory, and twice that while a list
/// grows.
const MOST_FOR_A_BYTE: usize = 128;
