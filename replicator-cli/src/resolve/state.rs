//! The state directory of this user, with digests and journals.

use std::path::{Path, PathBuf};

use replicator_engine::DigestCache;

use crate::args;
use crate::resolve::endpoint::environment;

/// The file of remembered digests. A file that cannot be read is not used, with a warning.
pub(crate) fn digests(options: &args::StateArg) -> Option<DigestCache> {
    let path = directory(options)?.join("digests.ndjson");
    match DigestCache::open(&path) {
        Ok(file) => Some(file),
        Err(error) => {
            let path = path.display();
            tracing::warn!("cannot read {path}: {error}; digests are not remembered");
            None
        }
    }
}

/// The directory of journals.
pub(crate) fn journals(options: &args::StateArg) -> Option<PathBuf> {
    Some(directory(options)?.join("journal"))
}

/// The state directory, according to the XDG Base Directory Specification, which ignores relative
/// paths.
fn directory(options: &args::StateArg) -> Option<PathBuf> {
    if options.no_state {
        return None;
    }
    if let Some(directory) = &options.state_dir {
        return Some(directory.clone());
    }
    let named = environment("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let base = named.or_else(|| Some(Path::new(&environment("HOME")?).join(".local/state")))?;
    Some(base.join("glance-replicator"))
}
