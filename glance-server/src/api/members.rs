//! The members of a shared image: the projects it is shared with.

use glance_core::ImageId;
use glance_core::body::Body;
use glance_core::image::{Member, MemberStatus, Visibility};
use http::StatusCode;
use serde_json::{Value, json};

use crate::api::GlanceApi;
use crate::api::answer::{Answer, Refusal, json, nothing};
use crate::api::records::read_json;

impl GlanceApi {
    pub(crate) async fn members(&self, id: &ImageId) -> Answer {
        let members = self.members_of(id).await?;
        let shown: Vec<Value> = members.iter().map(|member| shown(id, member)).collect();
        Ok(json(StatusCode::OK, &json!({"members": shown, "schema": "/v2/schemas/members"})))
    }

    pub(crate) async fn member(&self, id: &ImageId, project: &str) -> Answer {
        let mut members = self.members_of(id).await?;
        let member = find(&mut members, project)?;
        Ok(json(StatusCode::OK, &shown(id, member)))
    }

    pub(crate) async fn add_member(&self, id: &ImageId, body: Body) -> Answer {
        let request = read_json(body).await?;
        let project = text(&request, "member")?;
        let _writing = self.writing.lock().await;
        let mut members = self.members_of(id).await?;
        if members.iter().any(|member| member.project == project) {
            let text = format!("Member {project} is duplicated for image {id}");
            return Err(Refusal::conflict(text));
        }
        if members.len() >= QUOTA {
            let text = format!("More than {QUOTA} members");
            return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, text));
        }
        // Glance creates every member with this status, whatever the request says.
        let member = Member { project: project.to_owned(), status: MemberStatus::Pending };
        members.push(member.clone());
        self.store.set_members(id, &members).await?;
        Ok(json(StatusCode::OK, &shown(id, &member)))
    }

    pub(crate) async fn set_member(&self, id: &ImageId, project: &str, body: Body) -> Answer {
        let request = read_json(body).await?;
        let status = text(&request, "status")?.parse()?;
        let _writing = self.writing.lock().await;
        let mut members = self.members_of(id).await?;
        let member = find(&mut members, project)?;
        member.status = status;
        let answer = json(StatusCode::OK, &shown(id, member));
        self.store.set_members(id, &members).await?;
        Ok(answer)
    }

    pub(crate) async fn remove_member(&self, id: &ImageId, project: &str) -> Answer {
        let _writing = self.writing.lock().await;
        let mut members = self.members_of(id).await?;
        find(&mut members, project)?;
        members.retain(|member| member.project != project);
        self.store.set_members(id, &members).await?;
        Ok(nothing())
    }

    async fn members_of(&self, id: &ImageId) -> Result<Vec<Member>, Refusal> {
        let image = self.store.get(id).await?;
        if image.attributes.visibility != Visibility::Shared {
            return Err(Refusal::forbidden("Only shared images have members."));
        }
        Ok(self.store.members(id).await?)
    }
}

fn find<'a>(members: &'a mut [Member], project: &str) -> Result<&'a mut Member, Refusal> {
    let found = members.iter_mut().find(|member| member.project == project);
    found.ok_or_else(|| Refusal::missing(format!("{project} is not a member of the image.")))
}

fn text<'a>(request: &'a Value, key: &str) -> Result<&'a str, Refusal> {
    let text = request.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    text.ok_or_else(|| Refusal::invalid(format!("Expected a text: {key:?}")))
}

fn shown(id: &ImageId, member: &Member) -> Value {
    json!({
        "image_id": id.as_str(),
        "member_id": member.project,
        "status": member.status.as_str(),
        "schema": "/v2/schemas/member",
    })
}

const QUOTA: usize = 128;
