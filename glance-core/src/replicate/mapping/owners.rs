//! To which project an image goes.

/// To which projects those of the source belong at the target.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Owners {
    /// The same, by the same ids.
    #[default]
    Keep,
    /// To none that is known: an image goes to the project that the target is signed in to, and
    /// the target's owner is left alone; a member is not added.
    Caller,
}
