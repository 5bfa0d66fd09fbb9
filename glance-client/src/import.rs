//! Imports: Glance's own workers fetch the data from another Glance, from a web server, or from
//! another of its stores.
//!
//! <https://docs.openstack.org/api-ref/image/v2/#interoperable-image-import>. The visible states of
//! an import were measured with Glance 33 and checked against its `api_image_import.py`.

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
    /// The import methods that this Glance offers; empty if it does not support imports.
    pub async fn import_methods(&self) -> Result<BTreeSet<String>, StoreError> {
        let answer = self.info("import", "read the import methods").await?;
        let methods = answer["import-methods"]["value"].as_array();
        let names = methods.into_iter().flatten().filter_map(Value::as_str);
        Ok(names.map(str::to_owned).collect())
    }

    /// The names of the stores that accept data; empty if there is a single, unnamed store.
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
        // The workers use the token of this request when they start, which may be later.
        self.client.renew_early(operation).await?;
        let path = format!("{}/import", image_path(id));
        self.client.call(Method::POST, &path, Some(request), operation).await
    }

    /// Polls the record until the requested import has ended.
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
                    let said = self.task(id, watch.task.as_deref()).await.and_then(Task::said);
                    let said = after_colon(said);
                    let reason = format!("the import failed{said}");
                    return Err(self.client.error(StoreErrorKind::Server, operation, reason));
                }
                let task = self.task(id, watch.task.as_deref()).await;
                if let Some(stall) = watch.hears(task, Instant::now()) {
                    return Err(self.client.error(StoreErrorKind::Server, operation, stall));
                }
            }
            sleep(watch.pause()).await;
        }
    }

    /// The import's task. `None` before API version 2.12, which introduced the list of tasks.
    async fn task(&self, id: &ImageId, task: Option<&str>) -> Option<Task> {
        let operation = Operation::new("list the tasks", id);
        let path = format!("{}/tasks", image_path(id));
        let asked = self.client.json_within(TASKS, Method::GET, &path, None, &operation).await;
        let Tasks { tasks } = asked.ok()?;
        tasks.into_iter().find(|one| Some(one.id.as_str()) == task)
    }
}

/// The tasks of an image, on a single page.
#[derive(Deserialize)]
struct Tasks {
    tasks: Vec<Task>,
}

#[derive(Deserialize)]
struct Task {
    id: String,
    #[serde(default)]
    status: String,
    message: Option<String>,
}

impl Task {
    /// The message, if there is one.
    fn said(self) -> Option<String> {
        self.message.filter(|said| !said.is_empty())
    }

    /// Whether Glance's worker has ended, with whatever result.
    fn has_ended(&self) -> bool {
        matches!(self.status.as_str(), "success" | "failure")
    }
}

/// What a task said, as the end of a message.
fn after_colon(said: Option<String>) -> String {
    said.map(|said| format!(": {said}")).unwrap_or_default()
}

/// Maximum bytes of a list of tasks.
const TASKS: usize = 4 << 20;

/// The observed state of an import.
#[derive(Debug)]
struct Watch {
    began: Instant,
    /// Whether the import was seen in progress. An old Glance does not show a pending import.
    has_begun: bool,
    task: Option<String>,
    /// The last progress message of the task, and when it first appeared.
    progress: Option<(String, Instant)>,
    /// When the task was first seen to have ended.
    ended: Option<Instant>,
    looks: u32,
    /// The number of consecutive polls that failed.
    failures: u32,
}

impl Watch {
    fn new(began: Instant) -> Self {
        Self {
            began,
            has_begun: false,
            task: None,
            progress: None,
            ended: None,
            looks: 0,
            failures: 0,
        }
    }

    /// Whether to keep polling after `error`: the import may go on even if a poll fails.
    fn bears(&mut self, error: &StoreError) -> bool {
        let passes = matches!(error.kind, StoreErrorKind::Transport(_) | StoreErrorKind::Server);
        self.failures += 1;
        passes && self.failures < FAILURES
    }

    /// Records the state of the task, and returns an error text if the import stands still: its
    /// task has ended but the record still shows an import, as after a failure that Glance could
    /// not clean up, or the message has not changed for too long. A task without messages never times
    /// out, because tasks report nothing while they download.
    fn hears(&mut self, task: Option<Task>, now: Instant) -> Option<String> {
        self.failures = 0;
        let task = task?;
        let (id, has_ended) = (task.id.clone(), task.has_ended());
        let said = task.said();
        if has_ended && now - *self.ended.get_or_insert(now) > PATIENCE {
            let said = after_colon(said);
            return Some(format!(
                "the task {id} has ended, but the record still shows an import{said}"
            ));
        }
        let said = said?;
        match &self.progress {
            Some((last, since)) if *last == said => {
                let silence = now - *since;
                let minutes = silence.as_secs() / 60;
                (silence > SILENCE)
                    .then(|| format!("no progress of the task {id} for {minutes} minutes: {said}"))
            }
            _ => {
                tracing::info!("import in progress: {said}");
                self.progress = Some((said, now));
                None
            }
        }
    }

    /// The pause before the next poll: one second at first, 15 seconds at most.
    fn pause(&mut self) -> Duration {
        self.looks += 1;
        Duration::from_secs(u64::from(self.looks).min(15))
    }
}

/// The header that selects the store for new data.
pub(super) const STORE: HeaderName = HeaderName::from_static("x-image-meta-store");

/// Glance's name for the import method that copies between its stores.
pub const COPY_IMAGE: &str = "copy-image";

/// How long an import may take to start if it does not lock the image, and to release the record
/// when its task has ended.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long an import may make no progress. Glance reports it for every chunk that it stores.
const SILENCE: Duration = Duration::from_secs(10 * 60);

/// How many consecutive polls may fail.
const FAILURES: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn task(status: &str, message: Option<&str>) -> Task {
        let (status, message) = (status.to_owned(), message.map(str::to_owned));
        Task { id: "t1".to_owned(), status, message }
    }

    #[test]
    fn an_import_that_stands_still_is_given_up_and_one_that_is_silent_is_not() {
        let begin = Instant::now();
        let after = |minutes: u64| begin + Duration::from_secs(minutes * 60 + 1);
        let copied = |said| Some(task("processing", Some(said)));
        let mut watch = Watch::new(begin);
        assert_eq!(watch.hears(None, after(600)), None);
        assert_eq!(watch.hears(Some(task("processing", None)), after(600)), None);
        assert_eq!(watch.hears(copied("Copied 1 MiB"), after(601)), None);
        assert_eq!(watch.hears(copied("Copied 1 MiB"), after(611)), None);
        let silent = watch.hears(copied("Copied 1 MiB"), after(612)).unwrap();
        assert_eq!(silent, "no progress of the task t1 for 11 minutes: Copied 1 MiB");
        assert_eq!(watch.hears(copied("Copied 2 MiB"), after(633)), None);
    }

    #[test]
    fn an_import_whose_task_has_ended_must_release_the_record() {
        let begin = Instant::now();
        for (status, message) in [("failure", Some("no space")), ("success", None)] {
            let mut watch = Watch::new(begin);
            assert_eq!(watch.hears(Some(task(status, message)), begin), None);
            assert_eq!(watch.hears(Some(task(status, message)), begin + PATIENCE), None);
            let late = begin + PATIENCE + Duration::from_secs(1);
            let stall = watch.hears(Some(task(status, message)), late).unwrap();
            let said = message.map(|message| format!(": {message}")).unwrap_or_default();
            assert_eq!(
                stall,
                format!("the task t1 has ended, but the record still shows an import{said}")
            );
        }
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
