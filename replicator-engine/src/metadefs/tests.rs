use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use async_trait::async_trait;

use super::*;
use crate::mapping::Owners;
use glance_core::project::Project;
use keystone_auth::Projects;

/// Namespaces in memory. Writes to the names in `refused` fail with the given reason.
#[derive(Debug, Default)]
struct Memory {
    namespaces: Mutex<BTreeMap<String, Namespace>>,
    refused: BTreeMap<String, StoreErrorKind>,
    writes: Mutex<Vec<String>>,
}

impl Memory {
    fn holding(namespaces: &[Value]) -> Self {
        let namespaces = namespaces.iter().map(|one| Namespace::of(one).unwrap());
        let namespaces = namespaces.map(|one| (one.name().to_owned(), one)).collect();
        Self { namespaces: Mutex::new(namespaces), ..Self::default() }
    }

    fn json(&self, name: &str) -> Value {
        self.namespaces.lock().unwrap()[name].to_json()
    }

    fn write(&self, wanted: &Namespace) -> Result<(), StoreError> {
        let name = wanted.name().to_owned();
        if let Some(kind) = self.refused.get(&name) {
            return Err(StoreError::new(*kind, self, "create the namespace", "no"));
        }
        self.writes.lock().unwrap().push(name.clone());
        self.namespaces.lock().unwrap().insert(name, wanted.clone());
        Ok(())
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory")
    }
}

#[async_trait]
impl MetadefStore for Memory {
    async fn names(&self) -> Result<BTreeSet<String>, StoreError> {
        Ok(self.namespaces.lock().unwrap().keys().cloned().collect())
    }

    async fn namespace(&self, name: &str) -> Result<Option<Namespace>, StoreError> {
        Ok(self.namespaces.lock().unwrap().get(name).cloned())
    }

    async fn make(&self, wanted: &Namespace) -> Result<(), StoreError> {
        self.write(wanted)
    }

    async fn change(
        &self,
        _: &Namespace,
        wanted: &Namespace,
        _: &[NamespaceDifference],
    ) -> Result<(), StoreError> {
        self.write(wanted)
    }
}

fn rules(mapping: &Mapping) -> Rules<'_> {
    Rules { which: &[Which::Custom], mapping, surplus: Surplus::Keep, mode: Mode::Write }
}

async fn bring(source: &Memory, target: &Memory, rules: &Rules<'_>) -> Vec<NamespaceOutcome> {
    let mut outcomes = Vec::new();
    bring_in_step(source, target, rules, |outcome| outcomes.push(outcome)).await.unwrap();
    outcomes
}

fn namespace(name: &str, more: &Value) -> Value {
    let mut namespace = json!({
        "namespace": name, "visibility": "public", "protected": true, "owner": "1",
        "created_at": "2024-01-01T00:00:00Z", "self": "/v2/metadefs/namespaces/x",
        "properties": {"p": {"title": "P", "type": "string"}},
        "objects": [{"name": "o", "required": [], "properties": {}, "schema": "/v2", "self": "/v2"}],
        "tags": [{"name": "b"}, {"name": "a"}],
        "resource_type_associations": [{"name": "t", "updated_at": "2024-01-01T00:00:00Z"}],
    });
    let more = more.as_object().unwrap().clone();
    namespace.as_object_mut().unwrap().extend(more);
    namespace
}

fn differences(source: &Value, target: &Value) -> Vec<String> {
    let [source, target] = [source, target].map(|one| Namespace::of(one).unwrap());
    source.differences(&target).iter().map(ToString::to_string).collect()
}

#[test]
fn differences_are_reported_part_by_part() {
    let source = namespace("n", &json!({}));
    for (change, expected) in [
        (json!({}), &[][..]),
        // Fields that each Glance sets on its own, and the order of unordered lists.
        (json!({"created_at": "other", "schema": "x", "updated_at": null}), &[]),
        (json!({"tags": [{"name": "a"}, {"name": "b"}]}), &[]),
        (json!({"description": null}), &[]),
        (json!({"properties": {"p": {"name": "p", "title": "P", "type": "string"}}}), &[]),
        (json!({"description": "d"}), &["description"]),
        (json!({"protected": false, "visibility": "private"}), &["protected", "visibility"]),
        (json!({"new_field": [1]}), &["new_field"]),
        (json!({"tags": null}), &["tag \"a\"", "tag \"b\""]),
        (json!({"properties": {"p": {"title": "Q", "type": "string"}}}), &["property \"p\""]),
        (
            json!({"properties": {"P": {"title": "P", "type": "string"}}}),
            &["property \"P\"", "property \"p\""],
        ),
        (json!({"objects": []}), &["object \"o\""]),
        (
            json!({"resource_type_associations": [{"name": "t", "prefix": "x"}]}),
            &["resource type \"t\""],
        ),
    ] {
        assert_eq!(differences(&source, &namespace("n", &change)), expected, "{change}");
    }
    let unsaid = json!({"namespace": "n"});
    let said = json!({"namespace": "n", "visibility": "private", "protected": false, "tags": []});
    assert_eq!(differences(&unsaid, &said), [""; 0]);
}

#[test]
fn a_namespace_survives_a_round_trip() {
    let shown = namespace("n", &json!({"new_field": {"deep": [1, null]}}));
    let expected = json!({
        "namespace": "n", "visibility": "public", "protected": true, "owner": "1",
        "new_field": {"deep": [1, null]},
        "properties": {"p": {"title": "P", "type": "string"}},
        "objects": [{"name": "o", "required": [], "properties": {}}],
        "tags": [{"name": "a"}, {"name": "b"}],
        "resource_type_associations": [{"name": "t"}],
    });
    assert_eq!(Namespace::of(&shown).unwrap().to_json(), expected);
    for odd in [
        json!(null),
        json!({}),
        json!({"namespace": 1}),
        json!({"namespace": "n", "tags": {}}),
        json!({"namespace": "n", "tags": ["a"]}),
        json!({"namespace": "n", "properties": []}),
        json!({"namespace": "n", "properties": {"p": 1}}),
        json!({"namespace": "n", "objects": [{"title": "no name"}]}),
    ] {
        assert!(Namespace::of(&odd).is_none(), "{odd}");
    }
}

#[test]
fn namespaces_shipped_with_glance_are_omitted_unless_named() {
    let (ours, site) = ("OS::Compute::Libvirt", "OS::Compute::LibvirtOfOurs");
    assert!(!Which::Custom.admits(ours) && Which::Custom.admits(site));
    assert!(Which::All.admits(ours) && Which::Named(ours.into()).admits(ours));
    assert!(!Which::Named(ours.into()).admits(site));
}

#[tokio::test]
async fn missing_definitions_are_created_and_different_ones_updated_once() {
    let shipped = namespace("OS::Compute::Libvirt", &json!({}));
    let source = [namespace("a", &json!({})), namespace("b", &json!({})), shipped];
    let theirs = json!({"tags": [{"name": "theirs"}], "protected": false, "description": "d"});
    let target = [namespace("b", &theirs), namespace("c", &json!({}))];
    let (source, target) = (Memory::holding(&source), Memory::holding(&target));
    let mapping = Mapping::default();
    let dry = Rules { mode: Mode::DryRun, ..rules(&mapping) };
    for rules in [dry, rules(&mapping)] {
        let outcomes = bring(&source, &target, &rules).await;
        let states: Vec<_> = outcomes.iter().map(|one| (&*one.name, one.state)).collect();
        let expected = [
            ("a", NamespaceState::Missing),
            ("b", NamespaceState::Different),
            ("c", NamespaceState::Extra),
        ];
        assert_eq!(states, expected);
        let changed: Vec<_> = outcomes[1].differences.iter().map(ToString::to_string).collect();
        assert_eq!(changed, ["description", "protected", "tag \"a\"", "tag \"b\""]);
        assert_eq!(outcomes[1].surplus.len(), 1);
        let writes = if rules.mode == Mode::Write { 2 } else { 0 };
        assert_eq!(target.writes.lock().unwrap().len(), writes);
    }
    assert_eq!(target.json("a"), source.json("a"));
    let tags = json!([{"name": "a"}, {"name": "b"}, {"name": "theirs"}]);
    assert_eq!(target.json("b")["tags"], tags);
    let outcomes = bring(&source, &target, &rules(&mapping)).await;
    assert!(outcomes[..2].iter().all(|one| one.state == NamespaceState::Same));
    let prune = Rules { surplus: Surplus::Prune, ..rules(&mapping) };
    let outcomes = bring(&source, &target, &prune).await;
    assert_eq!(outcomes[1].differences[0].to_string(), "tag \"theirs\"");
    assert_eq!(target.json("b"), source.json("b"));
    assert_eq!(target.writes.lock().unwrap().len(), 3);
    assert_eq!(target.namespaces.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn owners_are_translated_like_those_of_images() {
    let project = |id: &str, name: &str| Project {
        id: id.to_owned(),
        name: name.to_owned(),
        domain: "D".to_owned(),
    };
    let here = Arc::new(Projects::known(vec![project("1", "x"), project("2", "y")]));
    let there = Arc::new(Projects::known(vec![project("9", "x")]));
    let by_name = Owners::ByName { source: here, target: there };
    let source = [
        namespace("loaded", &json!({"owner": "admin"})),
        namespace("lost", &json!({"owner": "2"})),
        namespace("x", &json!({})),
    ];
    for (owners, expected) in [
        (Owners::Keep, [Some("admin"), Some("2"), Some("1")]),
        (by_name, [Some("admin"), None, Some("9")]),
    ] {
        let (source, target) = (Memory::holding(&source), Memory::default());
        let mapping = Mapping { owners, ..Mapping::default() };
        let outcomes = bring(&source, &target, &rules(&mapping)).await;
        for (outcome, owner) in outcomes.iter().zip(expected) {
            if let Some(owner) = owner {
                assert_eq!(target.json(&outcome.name)["owner"], owner);
                continue;
            }
            let error = outcome.error.as_ref().unwrap();
            assert!(error.to_string().contains("D/y") && error.hint().is_some());
        }
    }
    // If the source's owner has no counterpart at the target, the target's owner is kept.
    let target = Memory::holding(&[namespace("x", &json!({"owner": "7"}))]);
    let mapping = Mapping { owners: Owners::Caller, ..Mapping::default() };
    let only_x = Rules { which: &[Which::Named("x".to_owned())], ..rules(&mapping) };
    assert_eq!(
        bring(&Memory::holding(&source), &target, &only_x).await[0].state,
        NamespaceState::Same
    );
    assert_eq!(target.json("x")["owner"], "7");
}

#[tokio::test]
async fn a_failure_does_not_stop_the_others_but_missing_rights_do() {
    let source = Memory::holding(&["a", "b"].map(|name| namespace(name, &json!({}))));
    let mapping = Mapping::default();
    for (kind, ends) in [(StoreErrorKind::Invalid, false), (StoreErrorKind::Forbidden, true)] {
        let refused = [("a".to_owned(), kind)].into();
        let target = Memory { refused, ..Memory::default() };
        let mut errors = Vec::new();
        let observe = |outcome: NamespaceOutcome| errors.push(outcome.error.is_some());
        let ended = bring_in_step(&source, &target, &rules(&mapping), observe).await;
        assert_eq!(ended.is_err(), ends);
        assert_eq!(errors, if ends { vec![] } else { vec![true, false] });
    }
}
