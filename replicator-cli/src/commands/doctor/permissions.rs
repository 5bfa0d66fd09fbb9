//! Checks the permissions that a copy needs.

use futures_util::StreamExt;
use glance_core::image::{Attributes, Owner, Visibility};
use glance_core::store::{ImageStore, StoreError, StoreErrorKind};
use glance_core::{Image, ImageId, Selection};

use crate::error::CliError;
use crate::report::{Finding, Findings, Judgement, Stop};

/// Checks the permissions that a copy needs. A missing permission that only a target needs is not
/// an error.
pub(super) async fn look_at_permissions(
    store: &dyn ImageStore,
    read_only: bool,
    findings: &mut Findings,
) -> Result<(), Stop> {
    look_at_listing(store, findings).await?;
    if read_only {
        return Ok(());
    }
    look_at_owner(store, findings).await?;
    let record = match try_create(store, Attributes::default()).await {
        Ok(record) => record,
        Err(error) => {
            denied("create", "create records", error, findings);
            return Ok(());
        }
    };
    findings.fine("create", "records can be created");
    let public = Attributes { visibility: Visibility::Public, ..record.attributes.clone() };
    match store.update(&record, &public).await {
        Ok(_) => findings.fine("publicize", "images can be made public"),
        Err(error) => denied("publicize", "make images public", error, findings),
    }
    remove(store, &record.id, findings).await
}

async fn look_at_listing(store: &dyn ImageStore, findings: &mut Findings) -> Result<(), Stop> {
    let listing = store.list(&Selection::everything()).await;
    let mut listing = listing.map_err(|error| findings.fail("list", &error.into()))?;
    let found = match listing.next().await {
        // A single unreadable record does not indicate missing permissions.
        Some(Err(error)) if error.record.is_none() => {
            return Err(findings.fail("list", &error.into()));
        }
        Some(_) => "images can be listed",
        None => "images can be listed; there are none",
    };
    findings.fine("list", found);
    Ok(())
}

async fn look_at_owner(store: &dyn ImageStore, findings: &mut Findings) -> Result<(), Stop> {
    let owner = Owner::Project("00000000000000000000000000000000".to_owned());
    match try_create(store, Attributes { owner, ..Attributes::default() }).await {
        Ok(record) => {
            findings.fine("set owner", "images can be assigned to other projects");
            remove(store, &record.id, findings).await
        }
        Err(error) => {
            denied("set owner", "assign images to other projects", error, findings);
            Ok(())
        }
    }
}

async fn try_create(store: &dyn ImageStore, attributes: Attributes) -> Result<Image, StoreError> {
    let name = Some("glance-replicator doctor: may be deleted".to_owned());
    let attributes = Attributes { name, ..attributes };
    store.create(&Image::queued(ImageId::random(), attributes)).await
}

/// Deletes the temporary record.
async fn remove(store: &dyn ImageStore, id: &ImageId, findings: &mut Findings) -> Result<(), Stop> {
    let deleted = store.delete(id).await;
    deleted.map_err(|error| findings.fail("delete", &error.into()))
}

/// Adds a request that failed and that only a target needs. Only a refusal by the server's policy or
/// a limit is harmless for a source.
fn denied(topic: &'static str, what: &str, error: StoreError, findings: &mut Findings) {
    let (judgement, headline) = match error.kind {
        StoreErrorKind::Forbidden => (Judgement::Note, format!("missing permission: {what}")),
        StoreErrorKind::LimitReached => (Judgement::Warn, format!("a limit is reached: {what}")),
        _ => {
            findings.fail(topic, &CliError::from(error));
            return;
        }
    };
    let only = "ignore this if the store is only a source";
    let hint =
        error.hint.as_ref().map_or_else(|| only.to_owned(), |hint| format!("{only}; {hint}"));
    let lines = vec![headline, error.to_string()];
    findings.add(Finding { judgement, lines, hint: Some(hint), ..Finding::fine(topic) });
}
