//! Options that select the images of a command.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use clap::builder::TypedValueParser;
use glance_core::selection::{Condition, InvalidCondition, InvalidShard, Latest, Shard};

mod look;

pub(crate) use look::FIELDS;
pub use look::{Column, Ls, Show, SortOrder};

/// The images of a command. An image must meet one of the conditions of each kind that is given.
#[derive(Debug, Args)]
#[command(
    next_help_heading = "Selection (all options must match; a repeated option allows several values)"
)]
pub struct SelectionArgs {
    /// Select images by id, name or a GLOB of names
    ///
    /// GLOB may contain *, ? and [a-z], and must match the complete name. A name or an id that no
    /// image has is an error.
    #[arg(long, value_name = "NAME|ID|GLOB", value_parser = condition("image"), aliases = ["id", "name"])]
    pub image: Vec<Condition>,
    /// Select the images whose ids are in FILE, each the first word of a line; - reads standard
    /// input; an alternative to --image
    #[arg(long, value_name = "FILE")]
    pub ids_from: Option<PathBuf>,
    /// Select images whose name contains a match of REGEX; an alternative to --image
    #[arg(long, value_name = "REGEX", value_parser = condition("name-regex"))]
    pub name_regex: Vec<Condition>,
    /// Select images with this tag
    #[arg(long, value_name = "TAG", value_parser = condition("tag"))]
    pub tag: Vec<Condition>,
    /// Select images with this property, with VALUE or any value; conditions on different
    /// properties must all hold
    #[arg(long = "where", value_name = "KEY[=VALUE]", value_parser = condition("where"))]
    pub where_property: Vec<Condition>,
    /// Select images owned by this project
    #[arg(long, value_name = "ID", value_parser = condition("project"))]
    pub project: Vec<Condition>,
    /// Select images of this visibility: public, community, shared or private
    #[arg(long, value_name = "VISIBILITY", value_parser = condition("visibility"))]
    pub visibility: Vec<Condition>,
    /// Select images of this status, such as active, deactivated or queued
    #[arg(long, value_name = "STATUS", value_parser = condition("status"))]
    pub status: Vec<Condition>,
    /// Select images of this disk format
    #[arg(long, value_name = "FORMAT", value_parser = condition("disk-format"))]
    pub disk_format: Vec<Condition>,
    /// Select images of this container format
    #[arg(long, value_name = "FORMAT", value_parser = condition("container-format"))]
    pub container_format: Vec<Condition>,
    /// Select images of at least this size in bytes, such as 512k, 10M or 1G (powers of 1024)
    #[arg(long, value_name = "SIZE", value_parser = condition("min-size"))]
    pub min_size: Option<Condition>,
    /// Select images of at most this size in bytes, such as 512k, 10M or 1G (powers of 1024)
    #[arg(long, value_name = "SIZE", value_parser = condition("max-size"))]
    pub max_size: Option<Condition>,
    /// Select images created at or after this time, such as 2026-01-31 or 2026-01-31T12:00:00Z (UTC
    /// unless an offset is given)
    #[arg(long, value_name = "TIME", value_parser = condition("created-after"))]
    pub created_after: Option<Condition>,
    /// Select images created before this time
    #[arg(long, value_name = "TIME", value_parser = condition("created-before"))]
    pub created_before: Option<Condition>,
    /// Select images whose record changed at or after this time
    #[arg(long, value_name = "TIME", value_parser = condition("updated-after"))]
    pub updated_after: Option<Condition>,
    /// Select images whose record last changed before this time
    #[arg(long, value_name = "TIME", value_parser = condition("updated-before"))]
    pub updated_before: Option<Condition>,
    /// Select images changed in the last 12h, 7d, ...
    ///
    /// TIME is a time before now, such as 12h, 7d or 2w, in which the record changed.
    #[arg(long, value_name = "TIME", value_parser = condition("updated-within"), conflicts_with = "updated_after")]
    pub updated_within: Option<Condition>,
    /// Select only images that default listings hide (true) or only others (false); default: both
    #[arg(long, value_name = "true|false", value_parser = condition("os-hidden"))]
    pub os_hidden: Option<Condition>,
    /// Select only protected images (true) or only unprotected ones (false); default: both
    #[arg(long, value_name = "true|false", value_parser = condition("protected"))]
    pub protected: Option<Condition>,

    /// Exclude images by condition; repeatable
    ///
    /// Examples are image=debian-*, tag=old and status=deactivated. KIND is the name of a selection
    /// option above, such as `disk-format` or `where` (but not `ids-from`). An image is excluded if
    /// it meets any of the conditions.
    #[arg(long, value_name = "KIND=VALUE")]
    pub exclude: Vec<Exclusion>,
    /// Read rules from FILE, one per line, such as `+ image=debian-*` (include), `- tag=old` or
    /// `- *` (exclude); the first rule that matches an image decides, and an image without a match
    /// is included
    #[arg(long, value_name = "FILE")]
    pub filter_from: Option<PathBuf>,
    /// Keep only the newest N of the selected images (default: 1) for each KEY: name, a property,
    /// or /REGEX/, whose first group is taken from the name
    #[arg(long, value_name = "KEY[=N]")]
    pub latest_per: Option<Latest>,
    /// Process only shard I of N of the selected images (an image is always in the same shard);
    /// with auto, I comes from the pod index of a Kubernetes Indexed Job or the task index of a
    /// Slurm array
    #[arg(long, value_name = "I/N|auto/N")]
    pub shard: Option<ShardOption>,
    /// Print the selection and the queries sent to Glance, and do nothing else
    #[arg(long)]
    pub dump_filters: bool,
}

impl SelectionArgs {
    /// The conditions of the options that select images.
    pub(crate) fn wanted(&self) -> impl Iterator<Item = &Condition> {
        let repeated = [
            &self.image,
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
}

/// The value of `--exclude`.
#[derive(Debug, Clone)]
pub struct Exclusion {
    /// The condition as typed, such as `updated-within=7d`.
    pub typed: String,
    /// What the condition means at the present time.
    pub condition: Condition,
}

impl FromStr for Exclusion {
    type Err = InvalidCondition;

    fn from_str(text: &str) -> Result<Self, InvalidCondition> {
        Ok(Self { typed: text.to_owned(), condition: text.parse()? })
    }
}

/// The value of `--shard`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShardOption {
    /// A shard named by its number.
    Named(Shard),
    /// The shard that the environment names, out of this number of shards.
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

/// A parser of option values as conditions of this kind.
fn condition(kind: &'static str) -> impl TypedValueParser<Value = Condition> {
    move |value: &str| -> Result<Condition, InvalidCondition> { Condition::new(kind, value) }
}
