//! Merges the layers of one cloud: its profile, its own settings, its region.

use secrecy::zeroize::Zeroizing;

use super::environment::Environment;
use super::files::{self, Entry};
use super::yaml::{Map, Node};
use super::{ConfigError, Overrides, Place};

/// All settings of one cloud, under their current names.
pub(super) struct Settings<'a> {
    pub(super) name: &'a str,
    pub(super) place: Place,
    pub(super) environment: &'a Environment,
    /// The settings below `auth`.
    pub(super) auth: Map,
    /// All other settings.
    root: Map,
}

impl<'a> Settings<'a> {
    /// Merges the settings of the cloud in `entry` with the overrides of this run.
    pub(super) fn resolve(
        name: &'a str,
        entry: Entry,
        said: &Overrides,
        environment: &'a Environment,
    ) -> Result<Self, ConfigError> {
        let Entry { place, settings: own, secure: _ } = entry;
        let empty = Self { name, place, environment, auth: Map::new(), root: Map::new() };
        let profile = empty.profile(&own)?;
        let regions = empty.layered_regions(&own, &profile)?;
        let mut root = profile;
        lay(&mut root, own);
        root.remove("regions");
        if let Some(Region { name, values }) = empty.choose(regions, said.region.as_deref())? {
            lay(&mut root, values);
            root.insert("region_name".into(), Node::Text(name));
        }
        let auth = match root.remove("auth") {
            None | Some(Node::Null) => Map::new(),
            Some(Node::Map(auth)) => auth,
            Some(_) => {
                return empty.fail("`auth` is not a map", "indent its settings below `auth:`");
            }
        };
        let mut settings = Self { auth, root, ..empty };
        settings.rename();
        said.lay_over(&mut settings.root);
        said.lay_over_scope(&mut settings.auth, &mut settings.root);
        settings.share_domain();
        Ok(settings)
    }

    /// The names of the regions that a cloud lists, the default first.
    pub(super) fn region_names(
        name: &'a str,
        entry: &Entry,
        environment: &'a Environment,
    ) -> Result<Vec<String>, ConfigError> {
        let place = entry.place.clone();
        let empty = Self { name, place, environment, auth: Map::new(), root: Map::new() };
        let profile = empty.profile(&entry.settings)?;
        let regions = empty.layered_regions(&entry.settings, &profile)?;
        Ok(regions.into_iter().map(|region| region.name.to_string()).collect())
    }

    /// The regions of the cloud's own settings, else those of its profile.
    fn layered_regions(&self, own: &Map, profile: &Map) -> Result<Vec<Region>, ConfigError> {
        let has_own = own.contains_key("regions") || own.contains_key("region_name");
        self.regions(if has_own { own } else { profile })
    }

    pub(super) fn fail<T>(&self, reason: &str, hint: &str) -> Result<T, ConfigError> {
        Err(ConfigError {
            place: self.place.clone(),
            reason: format!("cloud `{}`: {reason}", self.name),
            hint: Some(hint.into()),
        })
    }

    /// A setting outside `auth`. For `auth_type`, null and absent differ.
    pub(super) fn node(&self, key: &str) -> Option<&Node> {
        self.root.get(key)
    }

    /// The text of a setting outside `auth`, with each `{NAME}` replaced by the setting of that
    /// name. An empty text counts as unset.
    pub(super) fn text(&self, key: &str) -> Result<Option<String>, ConfigError> {
        match self.plain(&self.root, key)? {
            Some(text) => self.format(key, text).map(Some),
            None => Ok(None),
        }
    }

    /// The same without replacements.
    pub(super) fn plain_text(&self, key: &str) -> Result<Option<&str>, ConfigError> {
        self.plain(&self.root, key)
    }

    /// The text of a setting for the image service, or else of the one for all services.
    pub(super) fn image_text(&self, key: &str) -> Result<Option<String>, ConfigError> {
        match self.text(&format!("image_{key}"))? {
            Some(text) => Ok(Some(text)),
            None => self.text(key),
        }
    }

    /// A setting for the image service, or else the one for all services, that is a text or a list
    /// of texts.
    pub(super) fn image_list(&self, key: &str) -> Result<Option<Vec<String>>, ConfigError> {
        match self.list(&self.root, &format!("image_{key}"))? {
            Some(list) => Ok(Some(list)),
            None => self.list(&self.root, key),
        }
    }

    /// An option of the auth plugin that is a text or a list of texts.
    pub(super) fn option_list(&self, key: &str) -> Result<Option<Vec<String>>, ConfigError> {
        match self.list(&self.auth, key)? {
            Some(list) => Ok(Some(list)),
            None => self.list(&self.root, key),
        }
    }

    fn list(&self, map: &Map, key: &str) -> Result<Option<Vec<String>>, ConfigError> {
        let Some(Node::List(items)) = map.get(key) else {
            return Ok(self.plain(map, key)?.map(|text| vec![text.to_owned()]));
        };
        let texts = items.iter().map(|item| match item {
            Node::Text(text) => Ok(text.to_string()),
            _ => self.fail(
                &format!("`{key}` contains an element that is not text"),
                "write a list of words",
            ),
        });
        texts.collect::<Result<_, _>>().map(Some)
    }

    /// The text of an option of the auth plugin: in `auth`, or else outside it.
    pub(super) fn option(&self, key: &str) -> Result<Option<&str>, ConfigError> {
        match self.plain(&self.auth, key)? {
            Some(text) => Ok(Some(text)),
            None => self.plain(&self.root, key),
        }
    }

    fn plain<'m>(&self, map: &'m Map, key: &str) -> Result<Option<&'m str>, ConfigError> {
        match map.get(key) {
            None | Some(Node::Null) => Ok(None),
            Some(Node::Text(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(_) => {
                self.fail(&format!("`{key}` is not text"), "write one value after the colon")
            }
        }
    }

    /// Replaces `{NAME}` by the setting of that name, and `{{` by `{`, as openstacksdk does with
    /// Python's `str.format`.
    pub(super) fn format(&self, key: &str, text: &str) -> Result<String, ConfigError> {
        let broken = || {
            self.fail(
                &format!("`{key}` contains a brace without the name of a setting"),
                "write a setting such as `{region_name}`, or `{{` for a literal brace",
            )
        };
        let (mut formatted, mut rest) = (String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            formatted.push_str(&rest[..at]);
            let brace = &rest[at..];
            rest = if let Some(after) = brace.strip_prefix("{{") {
                formatted.push('{');
                after
            } else if let Some(after) = brace.strip_prefix("}}") {
                formatted.push('}');
                after
            } else if let Some((name, after)) = brace[1..].split_once('}') {
                match self.root.get(name) {
                    Some(Node::Text(value)) if brace.starts_with('{') => formatted.push_str(value),
                    _ => return broken(),
                }
                after
            } else {
                return broken();
            };
        }
        formatted.push_str(rest);
        Ok(formatted)
    }

    /// The settings of the profile that the cloud names; the older key for it is `cloud`.
    fn profile(&self, own: &Map) -> Result<Map, ConfigError> {
        let name = match self.plain(own, "profile")? {
            Some(name) => Some(name),
            None => self.plain(own, "cloud")?,
        };
        let Some(name) = name else { return Ok(Map::new()) };
        match files::profiles(self.environment)?.remove(name) {
            Some(profile) => Ok(profile.settings),
            None => self.fail(
                &format!("no clouds-public.yaml defines the profile `{name}`"),
                "write the profile's settings in the cloud, or in a clouds-public.yaml below \
                 `public-clouds:`; openstacksdk's vendor profiles are not built in",
            ),
        }
    }

    /// The regions listed by a layer, or the single one that it names.
    fn regions(&self, layer: &Map) -> Result<Vec<Region>, ConfigError> {
        let listed = match (layer.get("regions"), layer.get("region_name")) {
            (Some(Node::List(regions)), _) | (None, Some(Node::List(regions))) => regions.clone(),
            (Some(Node::Null) | None, Some(Node::Text(names))) => {
                names.split(',').map(Node::text).collect()
            }
            (Some(Node::Null) | None, _) => Vec::new(),
            _ => return self.fail("`regions` is not a list", "write each region as `- NAME`"),
        };
        listed.into_iter().map(|region| self.region(region)).collect()
    }

    fn region(&self, region: Node) -> Result<Region, ConfigError> {
        let mut map = match region {
            Node::Text(name) => return Ok(Region { name, values: Map::new() }),
            Node::Map(map) => map,
            _ => Map::new(),
        };
        let values = match map.remove("values") {
            None | Some(Node::Null) => Map::new(),
            Some(Node::Map(mut values)) => {
                // A null in a region removes nothing, unlike a null in a file.
                values.retain(|_, value| !matches!(value, Node::Null));
                values
            }
            Some(_) => {
                return self.fail("`values` of a region is not a map", "indent them below it");
            }
        };
        match (map.remove("name"), map.is_empty()) {
            (Some(Node::Text(name)), true) => Ok(Region { name, values }),
            _ => self.fail(
                "a region in `regions` has other keys than `name` and `values`",
                "write `- NAME`, or `- name: NAME` with `values:` below",
            ),
        }
    }

    /// The requested region, or the first one.
    fn choose(
        &self,
        mut regions: Vec<Region>,
        asked: Option<&str>,
    ) -> Result<Option<Region>, ConfigError> {
        let Some(asked) = asked else {
            return Ok((!regions.is_empty()).then(|| regions.swap_remove(0)));
        };
        if regions.is_empty() {
            let name = Zeroizing::new(asked.to_owned());
            return Ok(Some(Region { name, values: Map::new() }));
        }
        if let Some(at) = regions.iter().position(|region| *region.name == asked) {
            return Ok(Some(regions.swap_remove(at)));
        }
        let names: Vec<&str> = regions.iter().map(|one| one.name.as_str()).collect();
        self.fail(
            &format!("the cloud has no region `{asked}`"),
            &match &names[..] {
                [only] => format!("use the region {only}"),
                several => format!("use one of the regions {}", several.join(", ")),
            },
        )
    }

    /// Moves settings to their current names and places.
    fn rename(&mut self) {
        for (name, older) in IN_AUTH {
            let mut said = None;
            // Outside `auth` takes precedence over inside, and current names over older ones.
            for key in older.iter().chain([name]) {
                for map in [&mut self.auth, &mut self.root] {
                    said = map.remove(*key).filter(is_said).or(said);
                }
            }
            if let Some(value) = said {
                self.auth.insert((*name).into(), value);
            }
        }
        let older: Vec<String> =
            self.root.keys().filter(|key| key.ends_with("endpoint_type")).cloned().collect();
        for key in older {
            if let Some(value) = self.root.remove(&key) {
                self.root.insert(key.replace("endpoint_type", "interface"), value);
            }
        }
    }

    /// With a project, `domain_name` and `domain_id` are the domain of both user and project;
    /// without one, they are the scope.
    fn share_domain(&mut self) {
        if !self.auth.contains_key("project_id") && !self.auth.contains_key("project_name") {
            return;
        }
        for key in ["domain_id", "domain_name"] {
            if let Some(domain) = self.auth.remove(key) {
                for owner in ["user", "project"] {
                    let key = format!("{owner}_{key}");
                    self.auth.entry(key).or_insert_with(|| domain.clone());
                }
            }
        }
    }
}

struct Region {
    name: Zeroizing<String>,
    values: Map,
}

/// Null and the empty text count as unset.
fn is_said(node: &Node) -> bool {
    match node {
        Node::Null => false,
        Node::Text(text) => !text.is_empty(),
        _ => true,
    }
}

/// Overrides settings of `below` with those of `over`, one by one; in `auth`, one level deeper.
fn lay(below: &mut Map, over: Map) {
    for (key, value) in over {
        match (below.get_mut(&key), value) {
            (Some(Node::Map(auth)), Node::Map(over)) if key == "auth" => auth.extend(over),
            (_, value) => drop(below.insert(key, value)),
        }
    }
}

/// Settings that belong in `auth` wherever they are written, with their older names.
const IN_AUTH: &[(&str, &[&str])] = &[
    ("domain_id", &[]),
    ("domain_name", &[]),
    ("passcode", &[]),
    ("project_domain_id", &[]),
    ("project_domain_name", &[]),
    ("project_id", &["tenant_id"]),
    ("project_name", &["tenant_name"]),
    ("token", &["auth_token"]),
    ("user_domain_id", &[]),
    ("user_domain_name", &[]),
];
