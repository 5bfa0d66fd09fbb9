//! The reports of the commands, as text and as JSON:
//!
//! - `clouds`: the configured clouds.
//! - `comparison`: the differences that `compare` and `plan` find.
//! - `doctor`: the checks of `doctor`.
//! - `merged`: the merged reports of several shards.
//! - `metadefs`: the metadata definitions that were copied or compared.
//! - `page`: the HTML page of a report.
//! - `proof`: how the data of an image was proven, in words.
//! - `recovery`: unfinished runs and images, for `resume` and `repair`.
//! - `run`: the images of a run.
//! - `selection`: the selection, for `--dump-filters`.
//! - `serving`: the message that `serve` prints when it starts.
//! - `verify`: the results of `verify`.

mod clouds;
mod comparison;
mod doctor;
mod merged;
mod metadefs;
mod page;
mod proof;
mod recovery;
mod run;
mod selection;
mod serving;
mod verify;

pub(crate) use clouds::{CloudSettings, ConfiguredCloud, clouds};
pub(crate) use comparison::{Combined, Comparison, Subject};
pub(crate) use doctor::{DoctorReport, Findings};
pub(crate) use merged::{Outline, merged};
pub(crate) use metadefs::Metadefs;
pub use page::write_page;
pub(crate) use recovery::{findings, resumed, unfinished};
pub(crate) use run::{Report, Reports};
pub(crate) use selection::selection;
pub(crate) use serving::{Callers, serving};
pub(crate) use verify::VerifyReport;
