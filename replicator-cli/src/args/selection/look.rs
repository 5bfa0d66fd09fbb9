//! Options of the commands that show images: `ls` and `show`.

use std::str::FromStr;

use clap::Args;
use glance_core::selection::Condition;

use super::{SelectionArgs, condition};

/// Options of `ls`.
#[derive(Debug, Args)]
pub struct Ls {
    /// Store to list
    #[arg(value_name = "STORE")]
    pub server: String,
    /// Show these fields and properties, separated by commas
    ///
    /// The names are those of the image record, such as name, size, visibility, owner, `created_at`,
    /// tags or `os_distro`. The default is id,name,status,size; with --output json, the whole
    /// record. The name `help` lists the fields.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub columns: Vec<Column>,
    /// Sort by a field or property, such as size or size,desc
    #[arg(long, value_name = "NAME[,desc]", default_value = "name")]
    pub sort: SortOrder,
    /// Images to process
    #[command(flatten)]
    pub selection: Box<SelectionArgs>,
}

/// Options of `show`.
#[derive(Debug, Args)]
pub struct Show {
    /// Store that has the image
    #[arg(value_name = "STORE")]
    pub server: String,
    /// Name or id of the image
    #[arg(value_name = "NAME|ID", value_parser = condition("image"))]
    pub image: Condition,
}

/// The name of a field or a property of an image record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column(String);

impl Column {
    /// The name in the record.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Whether the operator asks for the names of the columns.
    pub(crate) fn is_help(&self) -> bool {
        self.0 == "help"
    }
}

impl From<&str> for Column {
    /// Fields can be written like the selection options, such as `disk-format`.
    fn from(text: &str) -> Self {
        let field = text.replace('-', "_");
        Self(if FIELDS.contains(&&*field) { field } else { text.to_owned() })
    }
}

/// The order of a list: a column, ascending or descending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortOrder {
    /// The column to sort by.
    pub column: Column,
    /// Whether the greatest value comes first.
    pub descending: bool,
}

impl FromStr for SortOrder {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (column, descending) = match text.split_once(',') {
            None => (text, false),
            Some((column, "asc")) => (column, false),
            Some((column, "desc")) => (column, true),
            Some(_) => return Err("write NAME or NAME,desc".to_owned()),
        };
        Ok(Self { column: column.into(), descending })
    }
}

/// The fields of every record, in the order in which `show` prints them.
pub(crate) const FIELDS: &[&str] = &[
    "id",
    "name",
    "status",
    "size",
    "virtual_size",
    "visibility",
    "owner",
    "protected",
    "os_hidden",
    "disk_format",
    "container_format",
    "min_disk",
    "min_ram",
    "checksum",
    "os_hash_algo",
    "os_hash_value",
    "created_at",
    "updated_at",
    "tags",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_names_of_the_record_and_an_order_is_one_of_them() {
        assert_eq!(Column::from("disk-format").name(), "disk_format");
        assert_eq!(Column::from("hw-custom").name(), "hw-custom");
        let by = |column: &str, descending| Ok(SortOrder { column: column.into(), descending });
        assert_eq!("size".parse(), by("size", false));
        assert_eq!("created-at,desc".parse(), by("created_at", true));
        assert_eq!("size,asc".parse(), by("size", false));
        assert!("size,down".parse::<SortOrder>().is_err());
    }
}
