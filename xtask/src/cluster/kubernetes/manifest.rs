//! What a manifest says about its pods.

use std::collections::BTreeMap;

use serde_json::Value;

use super::pod::Name;
use crate::failure::Failure;

/// The template of a pod with one container.
pub(crate) struct Template<'a>(&'a Value);

/// A volume of the container.
pub(crate) struct Mount<'a> {
    pub(crate) path: &'a str,
    pub(crate) is_read_only: bool,
    pub(crate) volume: Volume<'a>,
}

/// The kind of a volume.
pub(crate) enum Volume<'a> {
    /// Files with this mode.
    Secret(u32),
    /// A directory that outlives the pod.
    Claim(&'a str),
    /// A directory of the pod.
    Empty(&'a str),
}

impl<'a> Template<'a> {
    /// The template at `path` in the resource of this kind.
    pub(crate) fn of(resources: &'a [Value], kind: &str, path: &str) -> Result<Self, Failure> {
        let resource = resources.iter().find(|resource| resource["kind"] == kind);
        let spec = resource.and_then(|resource| resource.pointer(path));
        spec.map(Self).ok_or_else(|| Failure::new(format!("the manifest has no {kind}")))
    }

    fn container(&self) -> &'a Value {
        &self.0["containers"][0]
    }

    /// The user, the group and the group of the volumes.
    pub(crate) fn ids(&self) -> Result<[u32; 3], Failure> {
        let context = &self.0["securityContext"];
        let id = |field: &str| {
            let id = context[field].as_u64().and_then(|id| u32::try_from(id).ok());
            id.ok_or_else(|| Failure::new(format!("the manifest has no {field}")))
        };
        Ok([id("runAsUser")?, id("runAsGroup")?, id("fsGroup")?])
    }

    /// Whether the container's root file system is read-only.
    pub(crate) fn is_root_read_only(&self) -> bool {
        self.container()["securityContext"]["readOnlyRootFilesystem"] == true
    }

    /// The variables of the container.
    pub(crate) fn variables(&self, pod: &Name) -> Result<BTreeMap<&'a str, String>, Failure> {
        let variables = self.container()["env"].as_array().into_iter().flatten();
        let variable = |entry: &'a Value| {
            let path = entry["valueFrom"]["fieldRef"]["fieldPath"].as_str();
            let value = match (entry["value"].as_str(), path) {
                (Some(value), None) => Some(value.to_owned()),
                (None, Some(INDEX)) => Some(pod.index.to_string()),
                (None, Some(JOB)) => Some(pod.job.clone()),
                _ => None,
            };
            let variable = entry["name"].as_str().zip(value);
            variable.ok_or_else(|| Failure::new(format!("unknown variable: {entry}")))
        };
        variables.map(variable).collect()
    }

    /// The arguments of the container, with `$(NAME)` replaced by the variables.
    pub(crate) fn arguments(&self, variables: &BTreeMap<&str, String>) -> Vec<String> {
        let arguments = self.container()["args"].as_array().into_iter().flatten();
        let expanded = |argument: &str| {
            variables.iter().fold(argument.to_owned(), |argument, (name, value)| {
                argument.replace(&format!("$({name})"), value)
            })
        };
        arguments.filter_map(Value::as_str).map(expanded).collect()
    }

    /// The volumes of the container.
    pub(crate) fn mounts(&self) -> Result<Vec<Mount<'a>>, Failure> {
        let mounts = self.container()["volumeMounts"].as_array().into_iter().flatten();
        let mount = |entry: &'a Value| {
            let path = entry["mountPath"].as_str();
            let named = path.zip(entry["name"].as_str());
            let (path, name) = named.ok_or_else(|| Failure::new(format!("no mount: {entry}")))?;
            let is_read_only = entry["readOnly"] == true;
            Ok(Mount { path, is_read_only, volume: self.volume(name)? })
        };
        mounts.map(mount).collect()
    }

    fn volume(&self, name: &'a str) -> Result<Volume<'a>, Failure> {
        let mut volumes = self.0["volumes"].as_array().into_iter().flatten();
        let volume = volumes.find(|volume| volume["name"] == name);
        let volume = volume.ok_or_else(|| Failure::new(format!("no volume {name}")))?;
        let mode = volume["secret"]["defaultMode"].as_u64().and_then(|mode| mode.try_into().ok());
        match (mode, volume["persistentVolumeClaim"]["claimName"].as_str()) {
            (Some(mode), None) => Ok(Volume::Secret(mode)),
            (None, Some(claim)) => Ok(Volume::Claim(claim)),
            (None, None) if volume["emptyDir"].is_object() => Ok(Volume::Empty(name)),
            _ => Err(Failure::new(format!("unknown volume: {volume}"))),
        }
    }
}

const INDEX: &str = "metadata.annotations['batch.kubernetes.io/job-completion-index']";
const JOB: &str = "metadata.labels['batch.kubernetes.io/job-name']";
