//! Questions before something is removed. They are asked only at a terminal, so that scripts and
//! timers never wait for an answer.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use glance_core::units::plural;
use replicator_engine::{Approval, Removal, Removals};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use super::{IS_ASKING, can_ask, named, show_question};
use crate::terminal;

/// Whether the operator is asked before something is removed: at a terminal, unless `yes` answers
/// all questions.
pub(crate) fn is_asking(yes: bool) -> bool {
    !yes && can_ask()
}

/// The approval of a run's removals by the operator; `None` if the operator is not asked.
pub(crate) fn approval(yes: bool) -> Option<Arc<dyn Approval>> {
    is_asking(yes).then(|| Arc::new(Operator::default()) as Arc<dyn Approval>)
}

/// Asks a question. Every answer except `y` or `yes` means no, and so does a failed read.
pub(crate) async fn confirmed(text: &str) -> bool {
    show_question(&format!("{text} [y/N]"));
    let answer = spawn_blocking(|| {
        let mut line = String::new();
        io::stdin().read_line(&mut line).map(|_| line)
    });
    let answer = answer.await;
    // The answer ends with the line break that the operator typed; the end of the input does not.
    let is_answered = matches!(&answer, Ok(Ok(line)) if line.ends_with('\n'));
    if is_answered {
        IS_ASKING.store(false, Ordering::Relaxed);
        terminal::line_ended();
    }
    matches!(answer, Ok(Ok(line)) if ["y", "yes"].contains(&&*line.trim().to_lowercase()))
}

/// The operator at the terminal, who answers one question at a time.
#[derive(Debug, Default)]
struct Operator(Mutex<()>);

#[async_trait]
impl Approval for Operator {
    async fn approves(&self, removals: Removals) -> bool {
        let _one_at_a_time = self.0.lock().await;
        for (id, name) in removals.images.iter().take(SHOWN) {
            err!("  {id} {}", named(name));
        }
        if let more @ 1.. = removals.images.len().saturating_sub(SHOWN) {
            err!("  and {more} more");
        }
        confirmed(&text(&removals)).await
    }
}

/// The number of images that a question lists.
const SHOWN: usize = 10;

/// The question, such as "Delete 3 images from prod-b?".
fn text(removals: &Removals) -> String {
    let (verb, place) = match removals.how {
        Removal::Hide => ("Hide", "at"),
        Removal::Deactivate => ("Deactivate", "at"),
        Removal::Delete => ("Delete", "from"),
    };
    let number = removals.images.len();
    let ending = plural(number);
    format!("{verb} {number} image{ending} {place} {}?", removals.target)
}

#[cfg(test)]
mod tests {
    use glance_core::ImageId;

    use super::*;

    #[test]
    fn a_question_says_how_many_images_and_where() {
        let removals = |how, number| {
            let images = (0..number).map(|_| (ImageId::random(), "one".to_owned())).collect();
            Removals { target: "prod-b".to_owned(), how, images }
        };
        assert_eq!(text(&removals(Removal::Delete, 3)), "Delete 3 images from prod-b?");
        assert_eq!(text(&removals(Removal::Hide, 1)), "Hide 1 image at prod-b?");
        assert_eq!(text(&removals(Removal::Deactivate, 2)), "Deactivate 2 images at prod-b?");
    }
}
