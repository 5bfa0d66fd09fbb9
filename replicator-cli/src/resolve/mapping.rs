//! The mapping of images to the target, from the options and the kinds of the two stores.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use glance_core::project::Project;
use keystone_auth::Projects;
use keystone_auth::auth::TokenScope;
use replicator_engine::mapping::{
    BootFromVolume, Encrypted, Fit, InvalidTable, Mapping, Named, Owners, SiteLocal, Table,
};

use crate::args::{self, Options, OwnerArg};
use crate::error::CliError;
use crate::resolve::endpoint::{Opened, Side};
use crate::resolve::selection::Similar;

/// Resolves the mapping options for these two stores. Reads the target's image schema and
/// determines the rule for projects.
pub(crate) async fn mapping(
    options: &Options,
    source: &Opened,
    target: &Opened,
) -> Result<Mapping, CliError> {
    let said = &options.mapping;
    let without: BTreeSet<String> =
        options.dontreplicate.split_whitespace().map(str::to_owned).collect();
    let shared_with = projects(&said.owner, source, target).await?;
    let owners = match &said.owner {
        _ if without.contains("owner") => Owners::Caller,
        OwnerArg::Caller => Owners::Caller,
        OwnerArg::Project(named) => project(named, target).await?,
        _ => shared_with.clone(),
    };
    Ok(Mapping {
        without,
        properties: said.property.iter().cloned().collect(),
        // An image in a directory may be loaded back into the cloud that it came from.
        site_local: match target.glance {
            Some(_) => SiteLocal::Drop,
            None => SiteLocal::Keep,
        },
        encrypted: match said.encrypted {
            args::EncryptedArg::Skip => Encrypted::Skip,
            args::EncryptedArg::CopyWithoutPolicy => Encrypted::CopyWithoutPolicy,
        },
        boot_from_volume: match said.boot_from_volume {
            args::BootFromVolumeArg::Skip => BootFromVolume::Skip,
            args::BootFromVolumeArg::Copy => BootFromVolume::Copy,
        },
        name: said.rename.clone(),
        owners,
        shared_with,
        fit: fit(target).await,
        ..Mapping::default()
    })
}

async fn fit(target: &Opened) -> Option<Fit> {
    let glance = target.glance.as_ref()?;
    let fit = glance.schema().await.map(Fit::of).unwrap_or_default();
    if !fit.takes_changes() {
        tracing::warn!(
            "{glance} requires image properties, so it can complete no public, shared or protected \
             image; its administrator must remove `required` from schema-image.json"
        );
    }
    Some(fit)
}

/// The rule that maps projects of the source to projects of the target.
async fn projects(said: &OwnerArg, source: &Opened, target: &Opened) -> Result<Owners, CliError> {
    match said {
        // The option names the owner only; the automatic rule applies to members.
        OwnerArg::Auto | OwnerArg::Caller | OwnerArg::Project(_) => automatic(source, target).await,
        OwnerArg::Keep => Ok(Owners::Keep),
        OwnerArg::ByName => Ok(Owners::ByName {
            source: keystone(Side::Source, source)?,
            target: keystone(Side::Target, target)?,
        }),
        OwnerArg::Map(path) => Ok(Owners::Table {
            table: Arc::new(read_table(path)?),
            source: source.projects.clone(),
            target: target.projects.clone(),
        }),
    }
}

/// The target's project that an operator named.
async fn project(named: &Named, target: &Opened) -> Result<Owners, CliError> {
    let Some(projects) = &target.projects else {
        return match named {
            Named::Id(id) => Ok(Owners::Project { id: id.clone(), label: None }),
            Named::Name { .. } => {
                let what =
                    format!("--owner {named}: the names of the target's projects are unknown");
                Err(CliError::usage(what).hint("give the id of the project"))
            }
        };
    };
    let found: Vec<_> = match named {
        Named::Id(id) => projects.by_id(id).await?.into_iter().collect(),
        Named::Name { domain, name } => {
            let mut found = projects.by_name(domain.as_deref(), name).await?;
            // Not every Keystone generates ids of 32 hexadecimal digits.
            if found.is_empty() && domain.is_none() {
                found.extend(projects.by_id(name).await?);
            }
            found
        }
    };
    match &found[..] {
        [project] => {
            let label = Some(label(project));
            Ok(Owners::Project { id: project.id.clone(), label })
        }
        [] => {
            let what =
                format!("--owner {named}: the target has no such project, or does not show it");
            let similar = similar_projects(named, projects).await;
            Err(CliError::usage(what).hint(format!(
                "{similar}write a name, DOMAIN/NAME or an id, or one of the rules auto, by-name, keep, caller \
                 and map:FILE; only an administrator sees the projects of others"
            )))
        }
        several => {
            let all = several.iter().map(label);
            let all: Vec<String> = all.collect();
            let what = format!("--owner {named}: several domains have a project of this name");
            Err(CliError::usage(what).hint(format!("write one of {}", all.join(", "))))
        }
    }
}

/// The name of a project for messages, as `--owner` accepts it.
pub(crate) fn label(project: &Project) -> String {
    format!("{}/{}", project.domain, project.name)
}

/// The start of a hint that names the visible projects with similar names. Empty if there are none, or
/// if they cannot be listed: the error about the missing project is more important.
async fn similar_projects(named: &Named, projects: &Projects) -> String {
    let (Named::Name { name: wanted, .. } | Named::Id(wanted)) = named;
    let visible = projects.of_user().await.unwrap_or_default();
    let mut similar = Similar::to(wanted);
    for project in &visible {
        similar.offer(&project.name);
    }
    match similar.quoted() {
        similar if similar.is_empty() => String::new(),
        similar => format!("did you mean {}? ", similar.join(" or ")),
    }
}

/// The automatic rule: the same ids if the target is a directory or both sides have the same
/// Keystone, the same names if all projects of both sides can be looked up, otherwise none.
async fn automatic(source: &Opened, target: &Opened) -> Result<Owners, CliError> {
    if target.glance.is_none() {
        return Ok(Owners::Keep);
    }
    if let (Some(source), Some(target)) = (&source.projects, &target.projects) {
        if source.are_those_of(target).await? {
            return Ok(Owners::Keep);
        }
        if source.are_all().await? && target.are_all().await? {
            return Ok(Owners::ByName { source: Arc::clone(source), target: Arc::clone(target) });
        }
    }
    let reach = match &source.session {
        Some(session) => session.reach().await,
        None => None,
    };
    let own = match reach {
        Some(TokenScope::Project(id)) => Some(id),
        _ => None,
    };
    Ok(Owners::Unknown { own })
}

fn keystone(side: Side, opened: &Opened) -> Result<Arc<Projects>, CliError> {
    opened.projects.clone().ok_or_else(|| {
        let what = format!("--owner by-name: the names of the {side}'s projects are unknown");
        CliError::usage(what).hint(format!(
            "use a cloud in clouds.yaml as the {side}, or use ids: --owner map:FILE or --owner keep"
        ))
    })
}

fn read_table(path: &Path) -> Result<Table, CliError> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        CliError::usage(format!("cannot read {}", path.display())).caused_by(error)
    })?;
    text.parse().map_err(|error: InvalidTable| {
        CliError::usage(format!("cannot use the table of owners in {}", path.display()))
            .caused_by(error)
            .hint("write each line as SOURCE TARGET; each is a project id, a name, or DOMAIN/NAME")
    })
}

#[cfg(test)]
mod tests {
    use glance_client::GlanceStore;
    use glance_core::image::{Attributes, Image};
    use glance_core::project::Project;
    use glance_core::store::memory::MemoryStore;
    use glance_server::GlanceApi;
    use keystone_auth::Session;
    use keystone_auth::auth::NoAuth;

    use super::*;
    use crate::resolve::endpoint::without_server;

    fn options(line: &[&str]) -> Options {
        let line = ["glance-replicator", "livecopy", "a", "b"].iter().chain(line);
        crate::parse(line).unwrap().options
    }

    fn directory() -> Opened {
        without_server(Arc::new(MemoryStore::new("memory")), "dir:/d".to_owned())
    }

    /// A Glance store with these projects, by id and name, or with unknown projects.
    fn glance(projects: Option<&[(&str, &str)]>) -> Opened {
        let api = Arc::new(GlanceApi::new(Arc::new(MemoryStore::new("memory"))));
        let session = Arc::new(Session::new(api.clone(), Arc::new(NoAuth::default())));
        let glance = GlanceStore::new("g", api, "https://g", Arc::clone(&session));
        let project = |(id, name): &(&str, &str)| Project {
            id: (*id).to_owned(),
            name: (*name).to_owned(),
            domain: "D".to_owned(),
        };
        let known = |list: &[(&str, &str)]| Projects::known(list.iter().map(project).collect());
        let projects = projects.map(known).map(Arc::new);
        Opened { glance: Some(Arc::new(glance)), session: Some(session), projects, ..directory() }
    }

    /// The rules for the projects of images and of their shares.
    async fn rules(
        line: &[&str],
        source: &Opened,
        target: &Opened,
    ) -> (&'static str, &'static str) {
        let mapping = mapping(&options(line), source, target).await.unwrap();
        let name = |owners: &Owners| match owners {
            Owners::Keep => "keep",
            Owners::Caller => "caller",
            Owners::Unknown { .. } => "unknown",
            Owners::ByName { .. } => "by-name",
            Owners::Table { .. } => "table",
            Owners::Project { id, .. } if id == "9" => "project",
            _ => "?",
        };
        (name(&mapping.owners), name(&mapping.shared_with))
    }

    #[tokio::test]
    async fn the_automatic_owner_rule_depends_on_both_sides() {
        let (here, same) = (glance(Some(&[("1", "x")])), glance(Some(&[("1", "x"), ("2", "y")])));
        let (other, unknown) = (glance(Some(&[("9", "x")])), glance(None));
        let dump = directory();
        for (line, source, target, expected) in [
            (&[][..], &here, &dump, ("keep", "keep")),
            (&[], &here, &same, ("keep", "keep")),
            (&[], &here, &other, ("by-name", "by-name")),
            (&[], &dump, &other, ("unknown", "unknown")),
            (&[], &here, &unknown, ("unknown", "unknown")),
            (&["--owner", "caller"], &here, &unknown, ("caller", "unknown")),
            (&["-D", "owner"], &here, &other, ("caller", "by-name")),
            (&["--owner", "caller"], &here, &other, ("caller", "by-name")),
            (&["--owner", "caller"], &here, &same, ("caller", "keep")),
            (&["--owner", "keep"], &here, &other, ("keep", "keep")),
            (&["--owner", "by-name"], &here, &same, ("by-name", "by-name")),
            (&["--owner", "x"], &here, &other, ("project", "by-name")),
            (&["--owner", "D/x"], &dump, &other, ("project", "unknown")),
            (&["--owner", "9"], &here, &other, ("project", "by-name")),
            (&["--owner", "project:x"], &here, &other, ("project", "by-name")),
            (&["--owner", "x", "-D", "owner"], &here, &other, ("caller", "by-name")),
        ] {
            assert_eq!(rules(line, source, target).await, expected, "{line:?}");
        }
        let error = mapping(&options(&["--owner", "by-name"]), &here, &unknown).await.unwrap_err();
        let said = "--owner by-name: the names of the target's projects are unknown";
        assert_eq!(error.to_string(), said);
    }

    #[tokio::test]
    async fn a_project_must_exist_and_be_the_only_one_of_its_name() {
        let twice = glance(Some(&[("8", "x"), ("9", "x")]));
        let unknown = glance(None);
        let id = "0123456789abcdef0123456789abcdef";
        for (project, target, said) in [
            ("x", &twice, "--owner x: several domains have a project of this name"),
            ("y", &twice, "--owner y: the target has no such project, or does not show it"),
            ("keep/x", &twice, "--owner keep/x: the target has no such project"),
            (id, &twice, "the target has no such project, or does not show it"),
            ("x", &unknown, "--owner x: the names of the target's projects are unknown"),
        ] {
            let options = options(&["--owner", project]);
            let error = mapping(&options, &directory(), target).await.unwrap_err();
            assert!(
                error.to_string().starts_with(said) || error.to_string().ends_with(said),
                "{error}"
            );
            assert!(error.exit == crate::exit::Exit::Usage && error.hint.is_some());
        }
        let several = glance(Some(&[("8", "alice"), ("9", "storage")]));
        let error = mapping(&options(&["--owner", "alcie"]), &directory(), &several).await;
        let hint = error.unwrap_err().hint.unwrap();
        assert!(hint.starts_with("did you mean \"alice\"? write a name"), "{hint}");
        let given = mapping(&options(&["--owner", id]), &directory(), &unknown).await.unwrap();
        assert!(matches!(given.owners, Owners::Project { id: given, .. } if given == id));
    }

    #[tokio::test]
    async fn a_table_comes_from_a_file() {
        let table = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&table, "D/x 9\nalone").unwrap();
        let option = format!("map:{}", table.path().display());
        let line = ["--owner", &option];
        let (source, target) = (glance(Some(&[("1", "x")])), glance(None));
        let error = mapping(&options(&line), &source, &target).await.unwrap_err();
        let why = std::error::Error::source(&error).unwrap().to_string();
        assert!(why.starts_with("line 2 is not two names"), "{why}");
        std::fs::write(&table, "D/x 0123456789abcdef0123456789abcdef").unwrap();
        let mapping = mapping(&options(&line), &source, &target).await.unwrap();
        let attributes = Attributes {
            owner: glance_core::image::Owner::Project("1".to_owned()),
            ..Attributes::default()
        };
        let image = Image::queued(glance_core::ImageId::random(), attributes);
        let owner = mapping.wanted(&image).await.unwrap().attributes.owner;
        assert_eq!(owner.project(), Some("0123456789abcdef0123456789abcdef"));
    }

    #[tokio::test]
    async fn site_local_properties_are_dropped_only_for_a_glance() {
        let (options, dump) = (options(&[]), directory());
        let there = mapping(&options, &dump, &glance(None)).await.unwrap();
        assert!(there.site_local == SiteLocal::Drop && there.fit.is_some());
        let kept = mapping(&options, &dump, &dump).await.unwrap();
        assert!(kept.site_local == SiteLocal::Keep && kept.fit.is_none());
    }

    #[tokio::test]
    async fn mapping_options_are_resolved() {
        let line = "--property drop=a* --property keep=ab --encrypted \
            copy-without-policy --boot-from-volume copy -D name";
        let line: Vec<&str> = line.split_whitespace().collect();
        let mapping = mapping(&options(&line), &directory(), &directory()).await.unwrap();
        assert!(mapping.leaves_alone("ac") && !mapping.leaves_alone("ab"));
        assert!(mapping.leaves_alone("name"));
        assert_eq!(mapping.encrypted, Encrypted::CopyWithoutPolicy);
        assert_eq!(mapping.boot_from_volume, BootFromVolume::Copy);
        for wrong in [["--owner", "map:"], ["--owner", ""], ["--property", "set=owner=x"]] {
            let line = ["glance-replicator", "livecopy", "a", "b"].iter().chain(&wrong);
            assert!(crate::parse(line).is_err(), "{wrong:?}");
        }
    }
}
