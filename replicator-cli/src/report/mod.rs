//! The reports of the commands, as text and as JSON.

mod clouds;
mod comparison;
mod doctor;
mod merged;
mod metadefs;
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
pub(crate) use recovery::{findings, resumed, unfinished};
pub(crate) use run::{Report, Reports};
pub(crate) use selection::selection;
pub(crate) use serving::{Callers, serving};
pub(crate) use verify::VerifyReport;
