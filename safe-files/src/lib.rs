//! The files of dumps, journals and caches, in directories that other users may be able to write
//! to.
//!
//! - [`dir`] opens every name without following symbolic links, and accepts regular files only.
//! - [`positioned`] reads and writes at a position of a file.
//! - [`file_lock`] lets only one process work on a directory or file, or several that share it.
//!
//! # Example
//! ```
//! use safe_files::dir::Dir;
//! use safe_files::file_lock::{Holder, Lock};
//!
//! # let path = tempfile::tempdir()?;
//! # let path = path.path();
//! let dir = Dir::open(path)?;
//! let _lock = Lock::take(&path.join("lock"), &Holder::this_process(None))?;
//! dir.replace("state.json", b"{}")?;
//! assert_eq!(dir.read("state.json", 1024)?.as_deref(), Some(&b"{}"[..]));
//! assert!(dir.open_file("no-such-file").is_err());
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

pub mod dir;
pub mod file_lock;
pub mod positioned;
