//! The projects that a shared image is shared with.

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::image::{ImageId, Member, MemberStatus};
use crate::store::{StoreError, StoreErrorKind};

use super::client::{Client, Operation};

pub(super) async fn list(client: &Client, id: &ImageId) -> Result<Vec<Member>, StoreError> {
    let operation = Operation::new("list the members", id);
    let answer: Value = client.json(Method::GET, &members_path(id), None, &operation).await?;
    let members = answer["members"].as_array().and_then(|list| list.iter().map(member).collect());
    members.ok_or_else(|| {
        client.error(StoreErrorKind::Unreadable, &operation, "the answer has no list of members")
    })
}

/// Adds, changes and removes what differs. A new member is pending whatever its request says, so
/// that another state takes a second request, which an administrator may make.
pub(super) async fn replace(
    client: &Client,
    id: &ImageId,
    wanted: &[Member],
) -> Result<(), StoreError> {
    let current = list(client, id).await?;
    let operation = Operation::new("set the members", id);
    for member in wanted {
        let known = current.iter().find(|known| known.project == member.project);
        if known.is_none() {
            let added = Some(json!({ "member": member.project }));
            client.call(Method::POST, &members_path(id), added, &operation).await?;
        }
        if known.map_or(MemberStatus::Pending, |known| known.status) != member.status {
            let status = Some(json!({ "status": member.status.as_str() }));
            client.call(Method::PUT, &member_path(id, member), status, &operation).await?;
        }
    }
    for member in &current {
        if !wanted.iter().any(|wanted| wanted.project == member.project) {
            client.call(Method::DELETE, &member_path(id, member), None, &operation).await?;
        }
    }
    Ok(())
}

fn member(record: &Value) -> Option<Member> {
    let project = record["member_id"].as_str()?.to_owned();
    let status = record["status"].as_str()?.parse().ok()?;
    Some(Member { project, status })
}

fn members_path(id: &ImageId) -> String {
    format!("/v2/images/{id}/members")
}

fn member_path(id: &ImageId, member: &Member) -> String {
    let project = utf8_percent_encode(&member.project, NON_ALPHANUMERIC);
    format!("/v2/images/{id}/members/{project}")
}
