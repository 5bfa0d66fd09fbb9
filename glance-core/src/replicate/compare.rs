//! Comparing what two stores hold, without changing either.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::TryStreamExt;
use serde_json::Value;

use super::{Difference, Pair, Replication, differences, pairs};
use crate::image::{Image, Member, Visibility};
use crate::store::{ImageStore, StoreError, StoreErrorKind};

impl Replication {
    /// Compares both stores, and hands each pair to `observe` in the order of ids, with every
    /// difference that replication would not leave: of the records, and of the members of images
    /// that are shared on both sides.
    ///
    /// # Errors
    /// When one of the stores can't be read.
    pub async fn compare(
        &self,
        mut observe: impl FnMut(Pair, &[Difference]),
    ) -> Result<(), StoreError> {
        let pairs = pairs(&*self.source, &*self.target, &self.policy.selection).await?;
        let compared = pairs.map_ok(|pair| async {
            let found = match &pair {
                Pair::Both(image, replica) => self.all_differences(image, replica).await?,
                _ => Vec::new(),
            };
            Ok((pair, found))
        });
        let mut compared = compared.try_buffered(self.policy.transfers.max(1));
        while let Some((pair, found)) = compared.try_next().await? {
            observe(pair, &found);
        }
        Ok(())
    }

    async fn all_differences(
        &self,
        image: &Image,
        replica: &Image,
    ) -> Result<Vec<Difference>, StoreError> {
        let mut found = differences(image, replica, &self.policy);
        let shared = |image: &Image| image.attributes.visibility == Visibility::Shared;
        if shared(image) && shared(replica) {
            let there = members(&*self.source, image);
            let here = members(&*self.target, replica);
            let (there, here) = tokio::try_join!(there, here)?;
            found.extend(member_differences(there, here));
        }
        Ok(found)
    }
}

/// The members of an image; none when the credentials are not those of its owner, who alone sees
/// them all.
async fn members(store: &dyn ImageStore, image: &Image) -> Result<Option<Vec<Member>>, StoreError> {
    match store.members(&image.id).await {
        Ok(members) => Ok(Some(members)),
        Err(error)
            if matches!(error.kind, StoreErrorKind::NotFound | StoreErrorKind::Forbidden) =>
        {
            tracing::warn!("the members of image {} are not compared: {error}", image.id);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn member_differences(source: Option<Vec<Member>>, target: Option<Vec<Member>>) -> Vec<Difference> {
    let (Some(source), Some(target)) = (source, target) else { return Vec::new() };
    let states = |members: Vec<Member>| -> BTreeMap<String, Value> {
        members.into_iter().map(|one| (one.project, one.status.as_str().into())).collect()
    };
    let (source, target) = (states(source), states(target));
    let projects: BTreeSet<&String> = source.keys().chain(target.keys()).collect();
    let differ = |project: &&String| source.get(*project) != target.get(*project);
    let difference = |project: &String| Difference {
        field: format!("member {project}"),
        source: source.get(project).cloned().unwrap_or_default(),
        target: target.get(project).cloned().unwrap_or_default(),
    };
    projects.into_iter().filter(differ).map(difference).collect()
}
