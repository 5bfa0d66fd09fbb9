//! The members of a shared image: the projects it is shared with.

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::json;

use glance_core::image::{ImageId, InvalidRecord, Member, MemberStatus};
use glance_core::store::{StoreError, StoreErrorKind};

use crate::request::{Client, Operation};

pub(super) async fn list(client: &Client, id: &ImageId) -> Result<Vec<Member>, StoreError> {
    let operation = Operation::new("list the members", id);
    let path = members_path(id);
    let answer: Answer = client.json_within(LIST, Method::GET, &path, None, &operation).await?;
    let member = |Listed { member_id, status }| {
        let status = status.parse()?;
        Ok(Member { project: member_id, status })
    };
    answer.members.into_iter().map(member).collect::<Result<_, InvalidRecord>>().map_err(|fault| {
        let reason = format!("unreadable member record: {fault}");
        client.error(StoreErrorKind::Unreadable, &operation, reason)
    })
}

/// The response, a single page: <https://docs.openstack.org/api-ref/image/v2/#list-image-members>.
#[derive(Deserialize)]
struct Answer {
    members: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    member_id: String,
    status: String,
}

/// Adds, changes and removes members to match `wanted`. Glance creates every member as pending, so
/// any other status takes a second request, which an administrator may make.
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

fn members_path(id: &ImageId) -> String {
    format!("/v2/images/{id}/members")
}

fn member_path(id: &ImageId, member: &Member) -> String {
    let project = utf8_percent_encode(&member.project, NON_ALPHANUMERIC);
    format!("/v2/images/{id}/members/{project}")
}

/// Maximum bytes of a list of members; enough for about ten thousand.
const LIST: usize = 8 << 20;
