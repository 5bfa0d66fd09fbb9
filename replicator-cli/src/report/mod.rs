//! The reports of the commands: lines of text, and the content of the JSON document. The module
//! `output` knows which of both this command writes.
//!
//! - `clouds`: the configured clouds.
//! - `comparison`: the differences that `compare`, `plan` and dry runs find.
//! - `doctor`: the checks of `doctor`.
//! - `files`: the report files that are made from the JSON document.
//! - `images`: the images that `ls` and `show` show, and their size.
//! - `jobs`: the jobs of a job file.
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
mod files;
mod images;
mod jobs;
mod merged;
mod metadefs;
mod page;
mod proof;
mod recovery;
mod run;
mod selection;
mod serving;
mod verify;

use glance_core::units::plural;

pub(crate) use clouds::{CloudSettings, ConfiguredCloud, clouds};
pub(crate) use comparison::{Combined, Comparison, Subject};
pub(crate) use doctor::{DoctorReport, Finding, Findings, Judgement, Stop};
pub(crate) use files::document::{Outline, entries, outline};
pub(crate) use files::{end, end_keeping_document};
pub(crate) use images::{ImageList, image, size};
pub(crate) use jobs::{EndedJob, JobResult, begun_job, job_schema, jobs, sound_jobs};
pub(crate) use merged::{Merged, merged};
pub(crate) use metadefs::Metadefs;
pub use page::write_page;
pub(crate) use recovery::{all_resumed, findings, resumed, resuming, unfinished};
pub(crate) use run::Reports;
pub(crate) use selection::selection;
pub(crate) use serving::{Callers, serving};

pub(crate) use verify::VerifyReport;

/// Says how many shared images had their members not looked at.
fn members_skipped(images: u64) -> String {
    format!(
        "the members of {images} shared image{} were not looked at; leave out --members skip to compare them",
        plural(images)
    )
}
