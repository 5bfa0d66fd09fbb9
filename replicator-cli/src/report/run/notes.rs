//! The notes of images in the text of reports.

use std::collections::BTreeSet;

/// Prints the notes of images. The note where a project has another id at a target, and the note
/// about `--owner`, are the same for all images of the project, and are printed once.
#[derive(Debug, Default)]
pub(in crate::report) struct Notes {
    /// The notes about projects that were printed, each with its target.
    printed: BTreeSet<(usize, String)>,
}

impl Notes {
    /// Prints the notes of one image at a target.
    pub(in crate::report) fn print(&mut self, target: usize, notes: &[String]) {
        for note in notes {
            if !is_of_project(note) {
                out!("  note: {note}");
            } else if self.is_new(target, note) {
                out!("  note: {note} (printed once for all its images)");
            }
        }
    }

    fn is_new(&mut self, target: usize, note: &str) -> bool {
        self.printed.insert((target, note.to_owned()))
    }
}

/// Whether the note is the same for all images of a project.
fn is_of_project(note: &str) -> bool {
    note.starts_with("owner ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_named_once_for_each_target() {
        let mut notes = Notes::default();
        let project = "owner Default/web is q1 at the target";
        assert!(notes.is_new(0, project) && notes.is_new(1, project));
        assert!(!notes.is_new(0, project) && !notes.is_new(1, project));
        assert!(notes.is_new(0, "owner Default/db is q2 at the target"));
        assert!(
            is_of_project(project) && !is_of_project("the image is named \"gold\" at the target")
        );
    }
}
