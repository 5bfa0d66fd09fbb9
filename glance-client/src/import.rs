//! Data that a Glance gets by itself: its own workers take it from another Glance, from a web
//! server, or from one of its stores.
//!
//! <https://docs.openstack.org/api-ref/image/v2/#interoperable-image-import>; what is seen of an
//! import from outside was measured with Glance 33, and read in `api_image_import.py` there.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use glance_core::store::{Import, ServerSideImport};
use http::{HeaderName, Method};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{GlanceStore, image_path};
use crate::request::Operation;
use glance_core::image::{Image, ImageId};
use glance_core::store::{ImageStore, StoreError, StoreErrorKind};

fn to_json(import: &Import) -> Value {
    match import {
        Import::Glance { region, interface, image } => json!({
            "name": import.method(), "glance_image_id": image.as_str(),
            "glance_region": region, "glance_service_interface": interface,
        }),
        Import::Web { uri } => json!({ "name": import.method(), "uri": uri }),
    }
}

#[async_trait]
impl ServerSideImport for GlanceStore {
    fn placing(&self, place: &str) -> Arc<dyn ImageStore> {
        Arc::new(Self { placement: Some(place.to_owned()), ..self.clone() })
    }

    async fn import(
        &self,
        id: &ImageId,
        import: &Import,
        place: Option<&str>,
    ) -> Result<Image, StoreError> {
        let operation = Operation::new("import the data", id);
        let mut request = json!({ "method": to_json(import) });
        if let Some(place) = place {
            request["stores"] = json!([place]);
        }
        self.ask(id, request, &operation).await?;
        self.wait(id, &operation, |image| image.status.has_data()).await
    }

    async fn copy_to_stores(&self, id: &ImageId, places: &[String]) -> Result<Image, StoreError> {
        let operation = Operation::new("copy the data to more stores", id);
        let request = json!({ "method": { "name": COPY_IMAGE }, "stores": places });
        self.ask(id, request, &operation).await?;
        let is_there = |image: &Image| places.iter().all(|place| image.stores.contains(place));
        self.wait(id, &operation, is_there).await
    }
}

impl GlanceStore {
    /// The import methods that this Glance offers; none where it knows of no imports.
    pub async fn import_methods(&self) -> Result<BTreeSet<String>, StoreError> {
        let answer = self.info("import", "read the import methods").await?;
        let methods = answer["import-methods"]["value"].as_array();
        let names = methods.into_iter().flatten().filter_map(Value::as_str);
        Ok(names.map(str::to_owned).collect())
    }

    /// The stores that data can be put in, by their names; none where there is but one, without a
    /// name.
    pub async fn stores(&self) -> Result<BTreeSet<String>, StoreError> {
        let answer = self.info("stores", "read the list of stores").await?;
        let stores = answer["stores"].as_array().into_iter().flatten();
        let writable = stores.filter(|store| store["read-only"].as_str() != Some("true"));
        Ok(writable.filter_map(|store| store["id"].as_str()).map(str::to_owned).collect())
    }

    async fn info(&self, topic: &str, what: &'static str) -> Result<Value, StoreError> {
        let operation = Operation { what, image: None };
        let path = format!("/v2/info/{topic}");
        match self.client.json(Method::GET, &path, None, &operation).await {
            Err(error) if error.kind == StoreErrorKind::NotFound => Ok(Value::Null),
            answer => answer,
        }
    }

    async fn ask(
        &self,
        id: &ImageId,
        request: Value,
        operation: &Operation,
    ) -> Result<(), StoreError> {
        // The workers use the token of the request, when they get to it.
        self.client.renew_early(operation).await?;
        let path = format!("{}/import", image_path(id));
        self.client.call(Method::POST, &path, Some(request), operation).await
    }

    /// Looks at the record until the import that was asked for has ended.
    async fn wait(
        &self,
        id: &ImageId,
        operation: &Operation,
        is_done: impl Fn(&Image) -> bool,
    ) -> Result<Image, StoreError> {
        let mut watch = Watch::new(Instant::now());
        loop {
            let image = match self.get(id).await {
                Err(error) if watch.bears(&error) => None,
                answer => Some(answer?),
            };
            if let Some(image) = image {
                if image.is_importing() {
                    watch.task = image.import_task().map(str::to_owned).or(watch.task);
                    watch.has_begun = true;
                } else if is_done(&image) {
                    return Ok(image);
                } else if watch.has_begun || watch.began.elapsed() > PATIENCE {
                    let said = self.said_of(id, watch.task.as_deref()).await;
                    let said = said.map(|said| format!(": {said}")).unwrap_or_default();
                    let reason = format!("the import failed{said}");
                    return Err(self.client.error(StoreErrorKind::Server, operation, reason));
                }
                let said = self.said_of(id, watch.task.as_deref()).await;
                if let Some(silence) = watch.hears(said.as_deref(), Instant::now()) {
                    return Err(self.client.error(StoreErrorKind::Server, operation, silence));
                }
            }
            sleep(watch.pause()).await;
        }
    }

    /// What an import's task says of itself, where the Glance shows tasks (since version 2.12).
    async fn said_of(&self, id: &ImageId, task: Option<&str>) -> Option<String> {
        let operation = Operation::new("list the tasks", id);
        let path = format!("{}/tasks", image_path(id));
        let asked = self.client.json_within(TASKS, Method::GET, &path, None, &operation).await;
        let Tasks { tasks } = asked.ok()?;
        let said = tasks.into_iter().find(|one| Some(one.id.as_str()) == task)?.message;
        said.filter(|said| !said.is_empty())
    }
}

/// The tasks of an image, of which the answer has all.
#[derive(Deserialize)]
struct Tasks {
    tasks: Vec<Task>,
}

#[derive(Deserialize)]
struct Task {
    id: String,
    message: Option<String>,
}

/// Bytes of a list of tasks.
const TASKS: usize = 4 << 20;

/// An import under way, seen from outside.
#[derive(Debug)]
struct Watch {
    began: Instant,
    /// Whether it was seen under way. An old Glance does not show an import that is yet to begin.
    has_begun: bool,
    task: Option<String>,
    /// The last progress that its task told, and when.
    progress: Option<(String, Instant)>,
    looks: u32,
    /// Looks in a row that failed.
    failures: u32,
}

impl Watch {
    fn new(began: Instant) -> Self {
        Self { began, has_begun: false, task: None, progress: None, looks: 0, failures: 0 }
    }

    /// Whether the import may go on, although nobody can look.
    fn bears(&mut self, error: &StoreError) -> bool {
        let passes = matches!(error.kind, StoreErrorKind::Transport(_) | StoreErrorKind::Server);
        self.failures += 1;
        passes && self.failures < FAILURES
    }

    /// Takes what the task says, and gives what is wrong when it has said nothing new for long. A
    /// task that tells no progress is silent for no reason: it says nothing while it downloads.
    fn hears(&mut self, said: Option<&str>, now: Instant) -> Option<String> {
        self.failures = 0;
        let said = said?;
        match &self.progress {
            Some((last, since)) if last == said => {
                let silence = now - *since;
                let minutes = silence.as_secs() / 60;
                (silence > SILENCE)
                    .then(|| format!("nothing has happened for {minutes} minutes: {said}"))
            }
            _ => {
                tracing::info!("the import goes on: {said}");
                self.progress = Some((said.to_owned(), now));
                None
            }
        }
    }

    /// How long to wait before the next look: a second at first, at most a quarter of a minute.
    fn pause(&mut self) -> Duration {
        self.looks += 1;
        Duration::from_secs(u64::from(self.looks).min(15))
    }
}

/// Says which store new data is put in.
pub(super) const STORE: HeaderName = HeaderName::from_static("x-image-meta-store");

/// Copying within a Glance, as Glance calls it.
pub const COPY_IMAGE: &str = "copy-image";

/// How long an import may take to begin, where it does not lock the image.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long an import may stand still.
const SILENCE: Duration = Duration::from_secs(30 * 60);

/// Looks in a row that may fail.
const FAILURES: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_that_stands_still_is_given_up_and_one_that_is_silent_is_not() {
        let begin = Instant::now();
        let after = |minutes: u64| begin + Duration::from_secs(minutes * 60 + 1);
        let mut watch = Watch::new(begin);
        assert_eq!(watch.hears(None, after(600)), None);
        assert_eq!(watch.hears(Some("Copied 1 MiB"), after(601)), None);
        assert_eq!(watch.hears(Some("Copied 1 MiB"), after(631)), None);
        let silent = watch.hears(Some("Copied 1 MiB"), after(632)).unwrap();
        assert_eq!(silent, "nothing has happened for 31 minutes: Copied 1 MiB");
        assert_eq!(watch.hears(Some("Copied 2 MiB"), after(633)), None);
    }

    #[test]
    fn the_pause_grows_to_a_quarter_of_a_minute() {
        let mut watch = Watch::new(Instant::now());
        let pauses: Vec<u64> = (0..20).map(|_| watch.pause().as_secs()).collect();
        assert_eq!((pauses[0], pauses[1], pauses[19]), (1, 2, 15));
    }

    #[test]
    fn a_look_that_fails_is_no_failed_import() {
        let error = |kind| StoreError::new(kind, &"g", "look", "no");
        let mut watch = Watch::new(Instant::now());
        assert!((1..FAILURES).all(|_| watch.bears(&error(StoreErrorKind::Server))));
        assert!(!watch.bears(&error(StoreErrorKind::Server)));
        watch.hears(None, Instant::now());
        assert!(watch.bears(&error(StoreErrorKind::Server)));
        assert!(!watch.bears(&error(StoreErrorKind::NotFound)));
    }
}
