//! Files outside a dump, which no command may touch.

use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{CreateFlags, Reader, WatchFlags, add_watch, init};

use super::plant::files_below;

/// A directory with secret files in the format of a dump's files. It detects every access and every
/// change.
pub(super) struct Outside {
    directory: tempfile::TempDir,
    before: Vec<(PathBuf, Vec<u8>, u32)>,
    watch: OwnedFd,
}

impl Outside {
    /// Creates a secret file for every file of this dump.
    pub(super) fn of(dump: &[(String, Vec<u8>)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("metadefs")).unwrap();
        for (name, text) in dump {
            let place = directory.path().join(name);
            match serde_json::from_slice::<serde_json::Value>(text) {
                Ok(mut value) => {
                    mark(&mut value);
                    fs::write(place, value.to_string()).unwrap();
                }
                Err(_) => fs::write(place, secret_of(text.len())).unwrap(),
            }
        }
        fs::write(directory.path().join("any"), secret_of(super::SIZE)).unwrap();
        let watch = init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).unwrap();
        let outside = Self { before: facts(directory.path()), directory, watch };
        // Between fork and exec, a child process may close files that the test had open.
        let everything = WatchFlags::ALL_EVENTS
            .difference(WatchFlags::CLOSE_WRITE.union(WatchFlags::CLOSE_NOWRITE));
        for place in [outside.path().to_owned(), outside.path().join("metadefs")] {
            add_watch(&outside.watch, place, everything).unwrap();
        }
        // Watches the files themselves too, to detect accesses through hard links.
        for (file, ..) in &outside.before {
            add_watch(&outside.watch, file, everything.difference(WatchFlags::ATTRIB)).unwrap();
        }
        outside
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The secret file with the format of the dump's file `role`.
    pub(super) fn in_place_of(&self, role: &str) -> PathBuf {
        let place = self.path().join(role);
        if place.exists() { place } else { self.path().join("any") }
    }

    /// Discards the events that the test itself caused.
    pub(super) fn begin(&self) {
        self.events();
    }

    /// Fails unless no file was accessed or changed.
    pub(super) fn is_untouched(&self) -> Result<(), String> {
        match self.events() {
            events if events.is_empty() => {}
            events => return Err(format!("touched: {events:?}")),
        }
        let after = facts(self.path());
        self.events();
        if after == self.before { Ok(()) } else { Err("changed".to_owned()) }
    }

    fn events(&self) -> Vec<String> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&self.watch, &mut buffer);
        let mut events = Vec::new();
        while let Ok(event) = reader.next() {
            events.push(format!("{:?} {:?}", event.events(), event.file_name()));
        }
        events
    }
}

fn facts(directory: &Path) -> Vec<(PathBuf, Vec<u8>, u32)> {
    let files = files_below(directory).into_iter();
    let mut facts: Vec<_> = files
        .map(|(path, text)| {
            let mode = fs::metadata(&path).unwrap().mode();
            (path, text, mode)
        })
        .collect();
    facts.sort();
    facts
}

/// Replaces the free texts in a JSON value by the secret.
fn mark(value: &mut serde_json::Value) {
    for name in ["name", "tool", "display_name"] {
        for part in [name, "image"] {
            if let Some(text) = value.get_mut(part).filter(|text| text.is_string()) {
                *text = super::SECRET.into();
            }
        }
        if let Some(text) = value.get_mut("image").and_then(|image| image.get_mut(name)) {
            *text = super::SECRET.into();
        }
    }
    if let Some(projects) = value.as_array_mut() {
        projects.iter_mut().for_each(mark);
    }
}

fn secret_of(length: usize) -> Vec<u8> {
    super::SECRET.bytes().cycle().take(length).collect()
}
