//! Measures the memory in use, and counts the panics of all threads.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

/// Runs `body`. Fails if the memory in use grows by more than `most` bytes at any time, or if any
/// thread panics.
pub(crate) fn watched<T>(most: usize, body: impl FnOnce() -> T) -> T {
    alone();
    count_panics();
    let (panics, before) = (PANICS.load(Ordering::SeqCst), USED.load(Ordering::SeqCst));
    PEAK.store(before, Ordering::SeqCst);
    let result = body();
    let taken = PEAK.load(Ordering::SeqCst) - before;
    let panicked = PANICS.load(Ordering::SeqCst) - panics;
    assert_eq!(panicked, 0, "something panicked on another thread");
    assert!(taken <= most, "{taken} bytes of memory were taken, {most} are allowed");
    result
}

/// Waits until no other test runs, and keeps other tests waiting until this test's thread ends,
/// because the memory of all threads is counted together.
pub(crate) fn alone() {
    static ONE: Mutex<()> = Mutex::new(());
    thread_local! {
        static ALONE: MutexGuard<'static, ()> = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    }
    ALONE.with(|_| ());
}

/// Counts panics, because one on another thread may surface only as an error.
fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.fetch_add(1, Ordering::SeqCst);
            before(panic);
        }));
    });
}

struct Counting;

/// Passes every call on to the system's allocator, except for sizes that would exhaust the machine.
/// A refused size aborts the process, which fails the test too.
#[expect(unsafe_code, reason = "an allocator cannot be written in safe Rust")]
// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !takes(layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Ordering::SeqCst);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // During the copy, both the old and the new block exist.
        if !takes(size) {
            return std::ptr::null_mut();
        }
        USED.fetch_sub(layout.size(), Ordering::SeqCst);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

fn takes(size: usize) -> bool {
    let used = USED.fetch_add(size, Ordering::SeqCst) + size;
    PEAK.fetch_max(used, Ordering::SeqCst);
    used < FAR_TOO_MUCH
}

#[global_allocator]
static COUNTING: Counting = Counting;
static USED: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static PANICS: AtomicUsize = AtomicUsize::new(0);

const FAR_TOO_MUCH: usize = 2 << 30;

#[test]
fn memory_and_panics_are_noticed() {
    alone();
    let fails = |body: fn()| std::panic::catch_unwind(|| watched(1000, body)).is_err();
    assert!(!fails(|| drop(vec![0_u8; 500])));
    assert!(fails(|| drop(vec![0_u8; 2000])));
    assert!(fails(|| drop(std::thread::spawn(|| panic!("on purpose")).join())));
}
