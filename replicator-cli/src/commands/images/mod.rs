//! `ls` and `show`: show the images of a store.

mod ls;
mod show;

pub(super) use ls::ls;
pub(super) use show::show;
