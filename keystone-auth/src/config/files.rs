//! Finds and reads `clouds.yaml`, `secure.yaml` and `clouds-public.yaml`.
//!
//! The search path is that of openstacksdk (`config/loader.py`, 4.22.0), with two differences: a
//! file named by a variable must exist, and an unreadable or malformed file is an error. In these
//! cases openstacksdk continues with the next file, which may define another cloud of the same
//! name.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use secrecy::zeroize::Zeroizing;

use super::environment::Environment;
use super::yaml::{Map, Node};
use super::{ConfigError, Place};

/// A cloud as configured in one or two files.
#[derive(Clone)]
pub(super) struct Entry {
    /// The file to name in errors.
    pub(super) place: Place,
    /// The `secure.yaml` that overrides settings of the cloud.
    pub(super) secure: Option<Place>,
    pub(super) settings: Map,
}

/// The clouds read from files.
pub(super) struct Read {
    pub(super) clouds: BTreeMap<String, Entry>,
    /// The `clouds.yaml` that was read, if any.
    pub(super) file: Option<PathBuf>,
}

/// Reads the clouds of `clouds.yaml`, overridden by `secure.yaml`. The two files may be in
/// different directories.
pub(super) fn clouds(env: &Environment) -> Result<Read, ConfigError> {
    let (file, mut clouds) = match first(env, Some("OS_CLIENT_CONFIG_FILE"), "clouds")? {
        Some(file) => (Some(file.path.clone()), file.entries("clouds")?.unwrap_or_default()),
        None => (None, BTreeMap::new()),
    };
    let Some(secure) = first(env, Some("OS_CLIENT_SECURE_FILE"), "secure")? else {
        return Ok(Read { clouds, file });
    };
    for (name, secret) in secure.entries_or_warned("clouds")? {
        match clouds.get_mut(&name) {
            Some(cloud) => {
                merge(&mut cloud.settings, secret.settings);
                cloud.secure = Some(secret.place);
            }
            None => drop(clouds.insert(name, secret)),
        }
    }
    Ok(Read { clouds, file })
}

/// The file that defines the cloud `name` but is not read, because another file precedes it.
pub(super) fn hidden(env: &Environment, name: &str) -> Option<PathBuf> {
    if env.get("OS_CLIENT_CONFIG_FILE").is_some() {
        return None;
    }
    let files = places(env, "clouds").filter_map(|path| read(&path).ok().flatten());
    let mut behind =
        files.skip(1).filter_map(|file| Some((file.path.clone(), file.entries("clouds").ok()??)));
    behind.find(|(_, clouds)| clouds.contains_key(name)).map(|(path, _)| path)
}

/// The profiles of `clouds-public.yaml`, to which clouds refer by `profile`.
pub(super) fn profiles(env: &Environment) -> Result<BTreeMap<String, Entry>, ConfigError> {
    match first(env, None, "clouds-public")? {
        Some(file) => file.entries_or_warned("public-clouds"),
        None => Ok(BTreeMap::new()),
    }
}

fn merge(below: &mut Map, over: Map) {
    for (key, value) in over {
        below.entry(key).or_insert(Node::Null).merge(value);
    }
}

/// A parsed file.
struct File {
    path: PathBuf,
    root: Map,
}

impl File {
    fn fail<T>(&self, reason: impl Into<String>, hint: &str) -> Result<T, ConfigError> {
        fail(&self.path, reason.into(), hint)
    }

    /// Like [`entries`](Self::entries), with a warning if the section is missing.
    fn entries_or_warned(self, section: &str) -> Result<BTreeMap<String, Entry>, ConfigError> {
        let path = self.path.clone();
        let entries = self.entries(section)?;
        if entries.is_none() {
            tracing::warn!(
                "{} defines no cloud: add `{section}:` above the clouds",
                path.display()
            );
        }
        Ok(entries.unwrap_or_default())
    }

    /// The clouds below `section`: a map of names to settings. `None` if the section is missing.
    fn entries(mut self, section: &str) -> Result<Option<BTreeMap<String, Entry>>, ConfigError> {
        let named = match self.root.remove(section) {
            Some(Node::Map(named)) => named,
            Some(Node::Null) => Map::new(),
            Some(_) => {
                return self.fail(
                    format!("`{section}:` is not a map of clouds"),
                    "write each cloud as `NAME:` with its settings indented below",
                );
            }
            None => return Ok(None),
        };
        let mut entries = BTreeMap::new();
        for (name, settings) in named {
            let settings = match settings.normalised() {
                Ok(Node::Map(settings)) => settings,
                Ok(Node::Null) => Map::new(),
                Ok(_) => {
                    let hint = "write its settings indented below its name";
                    return self.fail(format!("cloud `{name}` is not a map of settings"), hint);
                }
                Err(key) => {
                    return self.fail(
                        format!("cloud `{name}` has `{key}` twice, with `-` and with `_`"),
                        "remove one of the two",
                    );
                }
            };
            let place = Place::File(self.path.clone());
            entries.insert(name, Entry { place, secure: None, settings });
        }
        Ok(Some(entries))
    }
}

fn first(
    env: &Environment,
    variable: Option<&str>,
    stem: &str,
) -> Result<Option<File>, ConfigError> {
    if let Some((variable, path)) = variable.and_then(|name| Some((name, env.get(name)?))) {
        let path = env.directory().join(env.expand(path));
        return match read(&path)? {
            Some(file) => Ok(Some(file)),
            None => fail(
                &path,
                format!("no such file, but {variable} refers to it"),
                &format!("correct {variable} or unset it"),
            ),
        };
    }
    for path in places(env, stem) {
        if let Some(file) = read(&path)? {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

/// The possible paths of a file, in search order.
fn places(env: &Environment, stem: &str) -> impl Iterator<Item = PathBuf> {
    directories(env).into_iter().flat_map(move |directory| {
        ["yaml", "yml", "json"].map(|extension| directory.join(format!("{stem}.{extension}")))
    })
}

/// The directories to search, in order: the working directory, the user's configuration (also under
/// its default name if `XDG_CONFIG_HOME` is set), the site's configuration, `/etc`.
pub(super) fn directories(env: &Environment) -> Vec<PathBuf> {
    let mut found = vec![env.directory().to_owned()];
    // A snap's `HOME` is its own directory; the user's files are in the real home.
    let home = env.get("SNAP_REAL_HOME").or(env.get("HOME"));
    found.extend(env.get("XDG_CONFIG_HOME").map(PathBuf::from));
    found.extend(home.map(|path| Path::new(path).join(".config")));
    let site = env.get("XDG_CONFIG_DIRS").unwrap_or("/etc/xdg");
    found.extend(site.split(':').filter(|path| !path.is_empty()).map(PathBuf::from));
    found.push("/etc".into());
    for directory in found.iter_mut().skip(1) {
        directory.push("openstack");
    }
    found
}

fn read(path: &Path) -> Result<Option<File>, ConfigError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => Zeroizing::new(text),
        // A file in place of a directory means that there is no configuration.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => {
            let hint = "make the file readable, or set OS_CLIENT_CONFIG_FILE to another file";
            return fail(path, format!("cannot read the file: {error}"), hint);
        }
    };
    let read = match path.extension().is_some_and(|extension| extension == "json") {
        true => Node::read_json(&text),
        false => Node::read(&text),
    };
    match read {
        Ok(Node::Map(root)) => Ok(Some(File { path: path.into(), root })),
        Ok(_) => {
            fail(path, "the file contains no settings".into(), "begin the file with `clouds:`")
        }
        Err(reason) => {
            fail(path, reason, "correct the file: the format is YAML or JSON, as for openstacksdk")
        }
    }
}

fn fail<T>(path: &Path, reason: String, hint: &str) -> Result<T, ConfigError> {
    Err(ConfigError { place: Place::File(path.into()), reason, hint: Some(hint.into()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &Path)]) -> Environment {
        let text = |path: &Path| path.display().to_string();
        let variables = variables.iter().map(|(name, path)| ((*name).to_owned(), text(path)));
        Environment::new(variables, "/nowhere")
    }

    #[test]
    fn the_search_path_is_in_order() {
        let mut variables = vec![("XDG_CONFIG_HOME", Path::new("/x")), ("HOME", Path::new("/h"))];
        let expected = [
            "/nowhere",
            "/x/openstack",
            "/h/.config/openstack",
            "/etc/xdg/openstack",
            "/etc/openstack",
        ];
        assert_eq!(directories(&environment(&variables)), expected.map(PathBuf::from));
        variables.extend([
            ("SNAP_REAL_HOME", Path::new("/r")),
            ("XDG_CONFIG_DIRS", Path::new("/s1:/s2")),
        ]);
        let found = directories(&environment(&variables));
        assert_eq!(found[2], Path::new("/r/.config/openstack"));
        assert_eq!(found[3..5], ["/s1/openstack", "/s2/openstack"].map(PathBuf::from));
    }

    #[test]
    fn a_named_file_must_exist_and_be_right() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("c.yaml");
        for variable in ["OS_CLIENT_CONFIG_FILE", "OS_CLIENT_SECURE_FILE"] {
            let env = environment(&[(variable, &file)]);
            let error = clouds(&env).err().unwrap();
            assert_eq!(error.place, Place::File(file.clone()));
            assert!(error.reason.contains(variable));
            for broken in
                ["", "just a word", "a: [", "clouds: [a]", "clouds: {a: {b-c: 1, b_c: 2}}"]
            {
                fs::write(&file, broken).unwrap();
                assert_eq!(
                    clouds(&env).err().unwrap().place,
                    Place::File(file.clone()),
                    "{broken}"
                );
            }
            fs::remove_file(&file).unwrap();
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_not_passed_over() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("openstack");
        fs::create_dir_all(directory.join("clouds.yaml")).unwrap();
        fs::write(directory.join("clouds.yml"), "clouds: {a: {}}").unwrap();
        let error = clouds(&environment(&[("XDG_CONFIG_HOME", root.path())])).err().unwrap();
        assert!(error.reason.contains("cannot read the file"), "{error}");
    }

    #[test]
    fn a_file_that_hides_a_cloud_is_named_with_what_it_hides() {
        let root = tempfile::tempdir().unwrap();
        let (work, home) = (root.path().join("work"), root.path().join("openstack"));
        fs::create_dir_all(&work).unwrap();
        fs::create_dir_all(&home).unwrap();
        let variables = [("XDG_CONFIG_HOME".to_owned(), root.path().display().to_string())];
        let absence = |name: &str| {
            let env = Environment::new(variables.clone(), &work);
            super::super::Clouds::load(env).unwrap().absence(name)
        };
        let no_file = absence("a");
        let place = format!("{}, {}, ", work.display(), home.display());
        assert!(no_file.starts_with(&format!("no clouds.yaml in {place}")), "{no_file}");
        assert!(no_file.ends_with(", or set OS_CLIENT_CONFIG_FILE"), "{no_file}");
        let (first, second) = (work.join("clouds.yaml"), home.join("clouds.yaml"));
        fs::write(&second, "clouds: {a: {}}").unwrap();
        let (first_name, second_name) = (first.display(), second.display());
        assert_eq!(absence("b"), format!("{second_name} does not define `b`"));
        for (text, found) in [
            ("cache: {}", "defines no cloud"),
            ("clouds:", "defines no cloud"),
            ("clouds: {c: {}}", "does not define `a`"),
        ] {
            fs::write(&first, text).unwrap();
            let hides = format!(
                "{first_name} {found}; the file takes precedence over {second_name}, which defines `a`"
            );
            assert_eq!(absence("a"), hides, "{text}");
        }
        assert_eq!(absence("b"), format!("{first_name} does not define `b`"));
        fs::write(&second, "clouds: [").unwrap();
        assert_eq!(absence("a"), format!("{first_name} does not define `a`"));
    }
}
