//! Reads `SHA512SUMS` in step with the images (merge join): both are sorted by name.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use glance_core::digest::Hashers;
use safe_files::dir::Dir;

use crate::sums;

/// Streams the lines of a well-formed `SHA512SUMS`.
pub(super) struct Listed {
    lines: BufReader<File>,
    next: Option<(String, String)>,
}

impl Listed {
    /// Opens the file after checking that it is well-formed and sorted. Also returns its digest.
    ///
    /// # Errors
    /// `InvalidData` if the file is malformed.
    pub(super) fn open(dir: &Dir, hashers: Hashers) -> io::Result<(Self, String)> {
        let begin = || -> io::Result<_> {
            let mut listed = Self { lines: BufReader::new(dir.open_file(sums::FILE)?), next: None };
            listed.advance()?;
            Ok(listed)
        };
        let mut check = begin()?;
        while let Some((earlier, _)) = check.next.take() {
            check.advance()?;
            if check.next.as_ref().is_some_and(|(name, _)| *name <= earlier) {
                return Err(invalid(format!("{earlier} is not in its sorted place")));
            }
        }
        Ok((begin()?, sums::of_file(dir, sums::FILE, hashers)?))
    }

    /// The lines of files whose names begin with `id`, and the lines before them, which belong to
    /// no image of the dump.
    pub(super) fn until(&mut self, id: &str) -> io::Result<(Strays, Lines)> {
        let (mut strays, mut lines) = (Vec::new(), Lines::default());
        while let Some((name, _)) = &self.next {
            let (ours, stray) = (name.starts_with(id), name.as_str() < id);
            if !ours && !stray {
                break;
            }
            let line = self.next.take();
            match ours {
                true => lines.0.extend(line),
                false => strays.extend(line),
            }
            self.advance()?;
        }
        Ok((strays, lines))
    }

    /// The remaining lines.
    pub(super) fn rest(&mut self) -> io::Result<Strays> {
        let mut rest = Vec::new();
        while let Some(line) = self.next.take() {
            rest.push(line);
            self.advance()?;
        }
        Ok(rest)
    }

    fn advance(&mut self) -> io::Result<()> {
        let mut line = String::new();
        (&mut self.lines).take(LONGEST).read_line(&mut line)?;
        self.next = match line.as_str() {
            "" => None,
            line => {
                let (name, digest) = sums::parse(line)
                    .ok_or_else(|| invalid("a line is not a digest".to_owned()))?;
                Some((name.to_owned(), digest.to_ascii_lowercase()))
            }
        };
        Ok(())
    }
}

/// Lines that belong to no image.
pub(super) type Strays = Vec<(String, String)>;

/// The lines of one image.
#[derive(Debug, Default)]
pub(super) struct Lines(Vec<(String, String)>);

impl Lines {
    pub(super) fn digest_of(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(listed, _)| listed == name).map(|(_, digest)| digest.as_str())
    }
}

fn invalid(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// Maximum bytes of a line; more than any file name needs.
const LONGEST: u64 = 4096;
