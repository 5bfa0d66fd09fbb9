//! Which images a command is about.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use clap::builder::TypedValueParser;
use glance_core::selection::{Condition, InvalidCondition, InvalidShard, Latest, Shard};

/// Which images a command is about. Conditions of one kind are alternatives, those of different
/// kinds must all hold.
#[derive(Debug, Args)]
#[command(next_help_heading = "Selection (of one option, any value; of different options, all)")]
pub struct Selection {
    /// The image of this id
    #[arg(long, value_name = "ID", value_parser = condition("id"))]
    pub id: Vec<Condition>,
    /// The images of the ids in this file, each the first word of a line; - is standard input
    #[arg(long, value_name = "FILE")]
    pub ids_from: Option<PathBuf>,
    /// Images of this name; it may have *, ? and [a-z]
    #[arg(long, value_name = "GLOB", value_parser = condition("name"))]
    pub name: Vec<Condition>,
    /// Images whose name has a match of this regular expression, as an alternative to --name
    #[arg(long, value_name = "REGEX", value_parser = condition("name-regex"))]
    pub name_regex: Vec<Condition>,
    /// Images with this tag
    #[arg(long, value_name = "TAG", value_parser = condition("tag"))]
    pub tag: Vec<Condition>,
    /// Images with this property, of this value or of any; each property is a kind of its own
    #[arg(long = "where", value_name = "KEY[=VALUE]", value_parser = condition("where"))]
    pub where_property: Vec<Condition>,
    /// Images that this project owns
    #[arg(long, value_name = "ID", value_parser = condition("project"))]
    pub project: Vec<Condition>,
    /// Images of this visibility: public, community, shared or private
    #[arg(long, value_name = "VISIBILITY", value_parser = condition("visibility"))]
    pub visibility: Vec<Condition>,
    /// Images of this status, such as active, deactivated or queued
    #[arg(long, value_name = "STATUS", value_parser = condition("status"))]
    pub status: Vec<Condition>,
    /// Images of this disk format
    #[arg(long, value_name = "FORMAT", value_parser = condition("disk-format"))]
    pub disk_format: Vec<Condition>,
    /// Images of this container format
    #[arg(long, value_name = "FORMAT", value_parser = condition("container-format"))]
    pub container_format: Vec<Condition>,
    /// Images of so many bytes or more, such as 512k, 10M or 1G (powers of 1024)
    #[arg(long, value_name = "SIZE", value_parser = condition("min-size"))]
    pub min_size: Option<Condition>,
    /// Images of so many bytes or fewer
    #[arg(long, value_name = "SIZE", value_parser = condition("max-size"))]
    pub max_size: Option<Condition>,
    /// Images made at this time or later, such as 2026-01-31 or 2026-01-31T12:00:00Z (UTC unless it
    /// says otherwise)
    #[arg(long, value_name = "TIME", value_parser = condition("created-after"))]
    pub created_after: Option<Condition>,
    /// Images made before this time
    #[arg(long, value_name = "TIME", value_parser = condition("created-before"))]
    pub created_before: Option<Condition>,
    /// Images whose record changed at this time or later
    #[arg(long, value_name = "TIME", value_parser = condition("updated-after"))]
    pub updated_after: Option<Condition>,
    /// Images whose record did not change since this time
    #[arg(long, value_name = "TIME", value_parser = condition("updated-before"))]
    pub updated_before: Option<Condition>,
    /// Images whose record changed in this last time, such as 12h, 7d or 2w
    #[arg(long, value_name = "DURATION", value_parser = condition("updated-within"), conflicts_with = "updated_after")]
    pub updated_within: Option<Condition>,
    /// Only images that default listings leave out, or only others; without it, both
    #[arg(long, value_name = "true|false", value_parser = condition("os-hidden"))]
    pub os_hidden: Option<Condition>,
    /// Only images that are protected, or only others
    #[arg(long, value_name = "true|false", value_parser = condition("protected"))]
    pub protected: Option<Condition>,

    /// Not the image of this id
    #[arg(long, value_name = "ID", value_parser = condition("id"))]
    pub exclude_id: Vec<Condition>,
    /// No images of this name
    #[arg(long, value_name = "GLOB", value_parser = condition("name"))]
    pub exclude_name: Vec<Condition>,
    /// No images whose name has a match of this regular expression
    #[arg(long, value_name = "REGEX", value_parser = condition("name-regex"))]
    pub exclude_name_regex: Vec<Condition>,
    /// No images with this tag
    #[arg(long, value_name = "TAG", value_parser = condition("tag"))]
    pub exclude_tag: Vec<Condition>,
    /// No images with this property
    #[arg(long, value_name = "KEY[=VALUE]", value_parser = condition("where"))]
    pub exclude_where: Vec<Condition>,
    /// No images that this project owns
    #[arg(long, value_name = "ID", value_parser = condition("project"))]
    pub exclude_project: Vec<Condition>,
    /// No images of this visibility
    #[arg(long, value_name = "VISIBILITY", value_parser = condition("visibility"))]
    pub exclude_visibility: Vec<Condition>,
    /// No images of this status
    #[arg(long, value_name = "STATUS", value_parser = condition("status"))]
    pub exclude_status: Vec<Condition>,
    /// No images of this disk format
    #[arg(long, value_name = "FORMAT", value_parser = condition("disk-format"))]
    pub exclude_disk_format: Vec<Condition>,
    /// No images of this container format
    #[arg(long, value_name = "FORMAT", value_parser = condition("container-format"))]
    pub exclude_container_format: Vec<Condition>,

    /// A file of rules, one a line, such as `+ name=debian-*`, `- tag=old` or `- *`; the first that
    /// fits an image decides, and one that none fits stays in
    #[arg(long, value_name = "FILE")]
    pub filter_from: Option<PathBuf>,
    /// Of the images that are left, the newest of each KEY: name, a property, or /REGEX/ on the
    /// name, whose first group counts
    #[arg(long, value_name = "KEY[=N]")]
    pub latest_per: Option<Latest>,
    /// Of all that is selected, only the I-th of N parts (an image is always in the same); with auto,
    /// I is the index of this pod of a Kubernetes Indexed Job or of this task of a Slurm array
    #[arg(long, value_name = "I/N|auto/N")]
    pub shard: Option<ShardOption>,
    /// Say what is selected and what a Glance is asked for, and do nothing
    #[arg(long)]
    pub dump_filters: bool,
}

impl Selection {
    /// What images must fulfil.
    pub(crate) fn wanted(&self) -> impl Iterator<Item = &Condition> {
        let repeated = [
            &self.id,
            &self.name,
            &self.name_regex,
            &self.tag,
            &self.where_property,
            &self.project,
            &self.visibility,
            &self.status,
            &self.disk_format,
            &self.container_format,
        ];
        let single = [
            &self.min_size,
            &self.max_size,
            &self.created_after,
            &self.created_before,
            &self.updated_after,
            &self.updated_before,
            &self.updated_within,
            &self.os_hidden,
            &self.protected,
        ];
        repeated.into_iter().flatten().chain(single.into_iter().flatten())
    }

    /// What they must not.
    pub(crate) fn unwanted(&self) -> impl Iterator<Item = &Condition> {
        let repeated = [
            &self.exclude_id,
            &self.exclude_name,
            &self.exclude_name_regex,
            &self.exclude_tag,
            &self.exclude_where,
            &self.exclude_project,
            &self.exclude_visibility,
            &self.exclude_status,
            &self.exclude_disk_format,
            &self.exclude_container_format,
        ];
        repeated.into_iter().flatten()
    }
}

/// A part of what is selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShardOption {
    /// This one.
    Named(Shard),
    /// The one that the environment says, of so many.
    FromEnvironment(NonZeroU32),
}

impl FromStr for ShardOption {
    type Err = InvalidShard;

    fn from_str(text: &str) -> Result<Self, InvalidShard> {
        match text.strip_prefix("auto/") {
            None => text.parse().map(Self::Named),
            Some(of) => match of.parse() {
                Ok(of) => Ok(Self::FromEnvironment(of)),
                Err(_) => Err(InvalidShard(text.to_owned())),
            },
        }
    }
}

/// Reads the value of an option as a condition of this kind.
fn condition(kind: &'static str) -> impl TypedValueParser<Value = Condition> {
    move |value: &str| -> Result<Condition, InvalidCondition> { Condition::new(kind, value) }
}
