//! Finds `clouds.yaml` and `secure.yaml`.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::ConfigError;
use super::yaml::Node;

/// Where environment variables come from.
pub(super) type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What the files say.
pub(super) struct Config {
    /// The `clouds.yaml`, to name in errors.
    pub(super) file: PathBuf,
    /// `secure.yaml` laid over `clouds.yaml`.
    pub(super) root: Node,
}

/// Reads the first `clouds.yaml` and the first `secure.yaml` on the search path, which may stand
/// in different directories. A file that can't be read is an error and is not passed over: the
/// next one could mean another cloud by the same name.
pub(super) fn load(env: Env) -> Result<Option<Config>, ConfigError> {
    let clouds = first(env, "OS_CLIENT_CONFIG_FILE", "clouds")?;
    let secure = first(env, "OS_CLIENT_SECURE_FILE", "secure")?;
    Ok(match (clouds, secure) {
        (Some(mut clouds), Some(secure)) => {
            clouds.root.merge(secure.root);
            Some(clouds)
        }
        (clouds, secure) => clouds.or(secure),
    })
}

/// A variable that is set and not empty.
pub(super) fn variable(env: Env, name: &str) -> Option<String> {
    env(name).filter(|value| !value.is_empty())
}

/// Replaces a leading `~` by the home directory.
pub(super) fn expand(env: Env, path: &str) -> PathBuf {
    let home = variable(env, "HOME").map(PathBuf::from);
    match (path.strip_prefix('~'), home) {
        (Some(""), Some(home)) => home,
        (Some(rest), Some(home)) if rest.starts_with('/') => {
            home.join(rest.trim_start_matches('/'))
        }
        _ => path.into(),
    }
}

fn first(env: Env, variable_name: &str, stem: &str) -> Result<Option<Config>, ConfigError> {
    if let Some(path) = variable(env, variable_name) {
        let file = expand(env, &path);
        return match read(&file)? {
            Some(config) => Ok(Some(config)),
            None => Err(ConfigError {
                file,
                reason: format!("no such file, but {variable_name} names it"),
                hint: Some(format!("correct {variable_name} or unset it")),
            }),
        };
    }
    for directory in directories(env) {
        for extension in ["yaml", "yml", "json"] {
            if let Some(config) = read(&directory.join(format!("{stem}.{extension}")))? {
                return Ok(Some(config));
            }
        }
    }
    Ok(None)
}

fn directories(env: Env) -> Vec<PathBuf> {
    let xdg = variable(env, "XDG_CONFIG_HOME").map(|path| Path::new(&path).join("openstack"));
    let home = variable(env, "HOME").map(|path| Path::new(&path).join(".config/openstack"));
    [Some(".".into()), xdg, home, Some("/etc/openstack".into())].into_iter().flatten().collect()
}

fn read(file: &Path) -> Result<Option<Config>, ConfigError> {
    let fail = |reason: String, hint: &str| {
        Err(ConfigError { file: file.into(), reason, hint: Some(hint.into()) })
    };
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        // A file in the place of a directory is no configuration either.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => {
            return fail(
                format!("can't be read: {error}"),
                "make it readable, or name another by OS_CLIENT_CONFIG_FILE",
            );
        }
    };
    match Node::read(&text) {
        Ok(root @ Node::Map(_)) => Ok(Some(Config { file: file.into(), root })),
        Ok(_) => fail("holds no settings".into(), "it should begin with `clouds:`"),
        Err(reason) => fail(reason, "correct the file, it should be YAML"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(directory: &Path, name: &str, text: &str) {
        fs::create_dir_all(directory).unwrap();
        fs::write(directory.join(name), text).unwrap();
    }

    #[test]
    fn the_search_path_is_in_order() {
        let env = |name: &str| match name {
            "XDG_CONFIG_HOME" => Some("/x".to_owned()),
            "HOME" => Some("/h".to_owned()),
            _ => None,
        };
        let expected = [".", "/x/openstack", "/h/.config/openstack", "/etc/openstack"];
        assert_eq!(directories(&env), expected.map(PathBuf::from));
        assert_eq!(expand(&env, "~/ca.pem"), Path::new("/h/ca.pem"));
        assert_eq!(expand(&env, "~other/ca.pem"), Path::new("~other/ca.pem"));
    }

    #[test]
    fn the_first_file_wins_and_secure_lies_over_it() {
        let root = tempfile::tempdir().unwrap();
        let (x, h) = (root.path().join("x"), root.path().join("h"));
        let env = |name: &str| match name {
            "XDG_CONFIG_HOME" => Some(x.display().to_string()),
            "HOME" => Some(h.display().to_string()),
            _ => None,
        };
        put(&h.join(".config/openstack"), "clouds.yaml", "clouds: {h: {a: 1}}");
        put(&h.join(".config/openstack"), "secure.json", r#"{"clouds": {"x": {"b": "2"}}}"#);
        let config = load(&env).unwrap().unwrap();
        assert_eq!(config.file, h.join(".config/openstack/clouds.yaml"));
        put(&x.join("openstack"), "clouds.json", r#"{"clouds": {"x": {"a": 1}}}"#);
        put(&x.join("openstack"), "clouds.yml", "clouds: {x: {a: 1}}");
        let config = load(&env).unwrap().unwrap();
        assert_eq!(config.file, x.join("openstack/clouds.yml"));
        let cloud = config.root.get("clouds").unwrap().get("x").unwrap();
        assert!(cloud.get("a").is_some() && cloud.get("b").is_some());
    }

    #[test]
    fn a_named_file_must_exist_and_be_right() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("c.yaml");
        let env =
            |name: &str| (name == "OS_CLIENT_CONFIG_FILE").then(|| file.display().to_string());
        let error = load(&env).err().unwrap();
        assert_eq!(error.file, file);
        assert!(error.reason.contains("OS_CLIENT_CONFIG_FILE"));
        for broken in ["", "just a word", "a: ["] {
            fs::write(&file, broken).unwrap();
            assert_eq!(load(&env).err().unwrap().file, file);
        }
    }
}
