//! Lists images page by page.

use std::collections::BTreeMap;

use futures_util::TryStreamExt;
use glance_core::image::{Image, MemberStatus};
use http::StatusCode;
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::api::GlanceApi;
use crate::api::answer::{Answer, Refusal, json};
use crate::api::records::{fields, shown};

mod filter;
mod sort;

use filter::Filters;
use sort::{Order, Part};

impl GlanceApi {
    pub(crate) async fn list(&self, query: &str) -> Answer {
        let wanted = Query::parse(query)?;
        let after = match &wanted.marker {
            Some(marker) => Some(wanted.key(&self.marker(marker).await?)),
            None => None,
        };
        // Holds at most one page in memory, however many images there are.
        let mut page = BTreeMap::new();
        let mut images = self.store.list(&wanted.filters.selection()).await?;
        let in_order_of_store = wanted.order.is_by_id();
        while let Some(image) = images.try_next().await? {
            if in_order_of_store && page.len() == wanted.limit {
                break;
            }
            let key = wanted.key(&image);
            if wanted.filters.admit(&image) && after.as_ref().is_none_or(|after| key > *after) {
                page.insert(key, image);
                if page.len() > wanted.limit {
                    page.pop_last();
                }
            }
        }
        let page: Vec<Image> = page.into_values().collect();
        Ok(json(StatusCode::OK, &wanted.page(&page)))
    }

    async fn marker(&self, marker: &str) -> Result<Image, Refusal> {
        let unknown = || Refusal::invalid(format!("No image found with ID {marker}"));
        let id = marker.parse().map_err(|_| unknown())?;
        self.store.get(&id).await.map_err(|_| unknown())
    }
}

/// The parameters of a listing.
#[derive(Debug)]
struct Query {
    /// The parameters as given, for the links to other pages.
    given: Vec<(String, String)>,
    limit: usize,
    marker: Option<String>,
    order: Order,
    filters: Filters,
}

impl Query {
    fn parse(query: &str) -> Result<Self, Refusal> {
        let mut wanted = Self {
            given: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
            limit: DEFAULT_LIMIT,
            marker: None,
            order: Order::default(),
            filters: Filters::default(),
        };
        let given = wanted.given.clone();
        wanted.order = Order::parse(&given)?;
        for (key, value) in given {
            wanted.take(&key, value)?;
        }
        Ok(wanted)
    }

    fn take(&mut self, key: &str, value: String) -> Result<(), Refusal> {
        match key {
            "limit" => {
                let limit: usize = value
                    .parse()
                    .map_err(|_| Refusal::invalid("limit param must be a positive integer"))?;
                self.limit = limit.min(MAX_LIMIT);
            }
            "marker" => self.marker = Some(value),
            "sort" | "sort_key" | "sort_dir" => {}
            // Every caller is an administrator and sees shared images whatever the member status.
            "member_status" if value == "all" || value.parse::<MemberStatus>().is_ok() => {}
            "member_status" => return Err(Refusal::invalid(format!("Invalid status: {value}"))),
            "changes-since" => {
                let text = "The \"changes-since\" filter is no longer available on v2.";
                return Err(Refusal::invalid(text));
            }
            _ => self.filters.take(key, value)?,
        }
        Ok(())
    }

    fn key(&self, image: &Image) -> Vec<Part> {
        self.order.key(image)
    }

    fn page(&self, images: &[Image]) -> Value {
        let shown: Vec<Value> = images.iter().map(|image| shown(image).into()).collect();
        let mut page = json!({
            "images": shown,
            "first": self.link(None),
            "schema": "/v2/schemas/images",
        });
        // A full page has a link to the next, which may be empty, as in Glance.
        if let Some(last) = images.last().filter(|_| images.len() == self.limit) {
            page["next"] = self.link(Some(last.id.as_str())).into();
        }
        page
    }

    fn link(&self, marker: Option<&str>) -> String {
        let kept = self.given.iter().filter(|(key, _)| key != "marker");
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(kept);
        query.extend_pairs(marker.map(|marker| ("marker", marker)));
        match query.finish().as_str() {
            "" => "/v2/images".to_owned(),
            query => format!("/v2/images?{query}"),
        }
    }
}

/// A field of the record as text, for filters and sorting.
fn field_text(image: &Image, field: &str) -> Option<String> {
    match field {
        // Special cases for speed: sorting needs these two fields of every image.
        "id" => Some(image.id.as_str().to_owned()),
        "created_at" => image.created_at.clone(),
        _ => match fields(image).remove(field)? {
            Value::Null | Value::Array(_) => None,
            Value::String(text) => Some(text),
            other => Some(other.to_string()),
        },
    }
}

const DEFAULT_LIMIT: usize = 25;

const MAX_LIMIT: usize = 1000;
