//! One image's file: the record of the v2 API, and the members that Glance keeps beside it.

use glance_core::Image;
use glance_core::image::{InvalidRecord, Member};
use serde_json::{Map, Value, json};

/// An image and its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) image: Image,
    pub(crate) members: Vec<Member>,
}

impl Record {
    pub(crate) fn to_json(&self) -> Value {
        let members: Vec<Value> = self
            .members
            .iter()
            .map(|member| json!({ "member_id": member.project, "status": member.status.as_str() }))
            .collect();
        json!({ "image": self.image.to_json(), "members": members })
    }

    pub(crate) fn from_json(mut record: Value) -> Result<Self, InvalidRecord> {
        let image = match record["image"].take() {
            Value::Object(image) => image,
            _ => Map::new(),
        };
        let members = record["members"].as_array().map(Vec::as_slice).unwrap_or_default();
        let members = members.iter().filter_map(|member| {
            let project = member["member_id"].as_str()?.to_owned();
            Some(member["status"].as_str()?.parse().map(|status| Member { project, status }))
        });
        let members = members.collect::<Result<_, _>>()?;
        Ok(Self { image: Image::from_json(image)?, members })
    }
}
