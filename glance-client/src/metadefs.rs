//! Metadata definitions of a Glance.
//!
//! Glance decodes names in URLs as Latin-1. An item whose name has non-ASCII characters can be
//! created, with the name in the request body, but not addressed afterwards. A URL with such a name
//! would address something else; one with `..` or an empty name would address the whole collection.
//! Such URLs are never sent.

use std::collections::BTreeSet;

use async_trait::async_trait;
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};

use glance_core::metadefs::{MetadefStore, Namespace, NamespaceDifference, Part};
use glance_core::store::{StoreError, StoreErrorKind};

use super::GlanceStore;
use super::listing::next_query;
use super::request::HINT;
use crate::permission;
use crate::request::{Client, Operation};

#[async_trait]
impl MetadefStore for GlanceStore {
    async fn names(&self) -> Result<BTreeSet<String>, StoreError> {
        let mut names = BTreeSet::new();
        let mut next = Some(FIRST.to_owned());
        while let Some(query) = next {
            let page = page(&self.client, &query).await?;
            let before = names.len();
            names.extend(page.namespaces.into_iter().map(|listed| listed.namespace));
            next = page.next;
            if next.is_some() && names.len() == before {
                let reason = "the pages of the listing form a loop";
                return Err(unreadable(&self.client, &LIST, reason));
            }
        }
        Ok(names)
    }

    async fn namespace(&self, name: &str) -> Result<Option<Namespace>, StoreError> {
        let path = address(&self.client, &READ, name, None)?;
        match self.client.json_within::<Value>(LONGEST, Method::GET, &path, None, &READ).await {
            Ok(shown) => {
                let reason = "the response is not a Glance response";
                let namespace = Namespace::of(&shown).filter(|read| read.name() == name);
                namespace.ok_or_else(|| unreadable(&self.client, &READ, reason)).map(Some)
            }
            Err(error) if error.kind == StoreErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn make(&self, wanted: &Namespace) -> Result<(), StoreError> {
        let writer = Writer::of(&self.client, wanted, MAKE)?;
        // If Glance rejects a part, it deletes the new namespace again, unless that is protected.
        let all = wanted.protected(false).to_json();
        writer.send(Method::POST, NAMESPACES, Some(all)).await?;
        match wanted.is_protected() {
            true => writer.head(wanted).await,
            false => Ok(()),
        }
    }

    async fn change(
        &self,
        found: &Namespace,
        wanted: &Namespace,
        differences: &[NamespaceDifference],
    ) -> Result<(), StoreError> {
        let writer = Writer::of(&self.client, wanted, CHANGE)?;
        let requests = writer.requests(wanted, differences)?;
        let unprotect = found.is_protected() && requests.iter().any(Request::removes);
        if unprotect {
            writer.head(&found.protected(false)).await?;
        }
        for Request { method, path, document } in requests {
            writer.send(method, &path, document).await?;
        }
        match unprotect || differences.iter().any(|one| one.part == Part::Field) {
            true => writer.head(wanted).await,
            false => Ok(()),
        }
    }
}

/// A page: <https://docs.openstack.org/api-ref/image/v2/metadefs-index.html#list-namespaces>.
#[derive(Deserialize)]
struct Page {
    namespaces: Vec<Listed>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct Listed {
    namespace: String,
}

async fn page(client: &Client, query: &str) -> Result<Page, StoreError> {
    let path = format!("{NAMESPACES}?{query}");
    let page = client.json_within(LONGEST, Method::GET, &path, None, &LIST).await;
    let mut page: Page = page.map_err(|error| match error.kind {
        StoreErrorKind::NotFound => error.hint(NONE_HERE),
        _ => error,
    })?;
    if let Some(link) = &page.next {
        let next = next_query(client.endpoint(), link);
        page.next = Some(next.map_err(|reason| unreadable(client, &LIST, &reason))?);
    }
    Ok(page)
}

fn unreadable(client: &Client, operation: &Operation, reason: &str) -> StoreError {
    client.error(StoreErrorKind::Unreadable, operation, reason).hint(HINT)
}

/// A request that changes the contents of a namespace.
struct Request {
    method: Method,
    path: String,
    document: Option<Value>,
}

impl Request {
    /// Whether the request requires an unprotected namespace.
    fn removes(&self) -> bool {
        self.method == Method::DELETE
    }
}

/// Changes one namespace.
struct Writer<'a> {
    client: &'a Client,
    operation: Operation,
    namespace: &'a str,
    path: String,
}

impl<'a> Writer<'a> {
    fn of(
        client: &'a Client,
        namespace: &'a Namespace,
        operation: Operation,
    ) -> Result<Self, StoreError> {
        let namespace = namespace.name();
        let path = address(client, &operation, namespace, None)?;
        Ok(Self { client, operation, namespace, path })
    }

    /// Replaces the fields of the namespace itself. Fields that `wanted` lacks are removed.
    async fn head(&self, wanted: &Namespace) -> Result<(), StoreError> {
        self.send(Method::PUT, &self.path, Some(wanted.head().into())).await
    }

    /// The requests that apply `differences` to the contents of the namespace. One request sets all
    /// tags, without looking them up by name; that request cannot set an empty list.
    fn requests(
        &self,
        wanted: &Namespace,
        differences: &[NamespaceDifference],
    ) -> Result<Vec<Request>, StoreError> {
        let mut requests = Vec::new();
        for difference in differences {
            match difference.part {
                Part::Field | Part::Tag => {}
                part => requests.extend(self.of_entry(part, difference)?),
            }
        }
        if differences.iter().any(|one| one.part == Part::Tag) {
            let (tags, path) = (wanted.tags(), format!("{}/tags", self.path));
            requests.push(match tags.is_empty() {
                true => Request { method: Method::DELETE, path, document: None },
                false => {
                    Request { method: Method::POST, path, document: Some(json!({ "tags": tags })) }
                }
            });
        }
        Ok(requests)
    }

    fn of_entry(
        &self,
        part: Part,
        difference: &NamespaceDifference,
    ) -> Result<Vec<Request>, StoreError> {
        let NamespaceDifference { name, source, target, .. } = difference;
        let all = format!("{}/{}", self.path, segment(part));
        let one = || address(self.client, &self.operation, self.namespace, Some((part, name)));
        let document = source.clone().map(|mut document| {
            document["name"] = name.as_str().into();
            document
        });
        let post = Request { method: Method::POST, path: all, document: document.clone() };
        Ok(match (document, target, part) {
            (Some(_), None, _) => vec![post],
            // The API has no request to change a resource type association.
            (Some(_), Some(_), Part::ResourceType) => {
                vec![Request { method: Method::DELETE, path: one()?, document: None }, post]
            }
            (document @ Some(_), Some(_), _) => {
                vec![Request { method: Method::PUT, path: one()?, document }]
            }
            (None, _, _) => vec![Request { method: Method::DELETE, path: one()?, document: None }],
        })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        document: Option<Value>,
    ) -> Result<(), StoreError> {
        let sent = self.client.call(method, path, document, &self.operation).await;
        sent.map_err(|error| match error.kind {
            StoreErrorKind::Conflict => error.hint(UNSEEN),
            _ => error,
        })
    }
}

/// The path of a namespace, or of an item in it.
fn address(
    client: &Client,
    operation: &Operation,
    namespace: &str,
    entry: Option<(Part, &str)>,
) -> Result<String, StoreError> {
    let encoded = |label: &dyn std::fmt::Display, name: &str| {
        if is_addressable(name) {
            return Ok(utf8_percent_encode(name, NON_ALPHANUMERIC).to_string());
        }
        let reason = format!("the Glance API cannot address a {label} named {name:?}");
        Err(client.error(StoreErrorKind::Invalid, operation, reason).hint(NO_ADDRESS))
    };
    let path = format!("{NAMESPACES}/{}", encoded(&"namespace", namespace)?);
    match entry {
        None => Ok(path),
        Some((part, name)) => Ok(format!("{path}/{}/{}", segment(part), encoded(&part, name)?)),
    }
}

/// Whether Glance, and every proxy in front of it, interprets this name in a URL as intended.
fn is_addressable(name: &str) -> bool {
    let plain = |character: char| character.is_ascii() && !character.is_ascii_control();
    !["", ".", ".."].contains(&name) && name.chars().all(|one| plain(one) && one != '/')
}

/// The path segment for a kind of item.
fn segment(part: Part) -> &'static str {
    match part {
        Part::Field => "",
        Part::ResourceType => "resource_types",
        Part::Property => "properties",
        Part::Object => "objects",
        Part::Tag => "tags",
    }
}

/// Maximum bytes of a namespace, and of a page of namespaces. The largest namespace shipped with
/// Glance has about 100 KiB.
const LONGEST: usize = 4 << 20;

const NAMESPACES: &str = "/v2/metadefs/namespaces";
/// A sort order that is stable while namespaces are created and deleted.
const FIRST: &str = "sort_key=namespace&sort_dir=asc";

const LIST: Operation =
    Operation { what: "list the namespaces of metadata definitions", image: None };
const READ: Operation = Operation { what: "read the namespace", image: None };
const MAKE: Operation = Operation { what: permission::CREATE_NAMESPACE, image: None };
const CHANGE: Operation = Operation { what: permission::CHANGE_NAMESPACE, image: None };

const NONE_HERE: &str = "leave metadata definitions out: this Glance may not support them";
const UNSEEN: &str = "run again as an administrator: another client is creating the namespace, or it exists and \
    these credentials cannot see it";
const NO_ADDRESS: &str = "rename it: the API cannot address names with a slash or non-ASCII characters; if the \
    target has a different version, delete that namespace there without the API";

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use bytes::Bytes;
    use http::{Request, Response};

    use super::*;
    use glance_core::body::Body;
    use glance_core::transport::{Transport, TransportError};
    use keystone_auth::Session;
    use keystone_auth::auth::FixedToken;

    /// A fake Glance that answers by a function, and records the requests.
    #[derive(Debug)]
    struct Double {
        answer: fn(usize, &str) -> Value,
        asked: Mutex<Vec<String>>,
    }

    #[async_trait]
    impl Transport for Double {
        async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
            let (head, body) = request.into_parts();
            let line = format!("{} {}", head.method, head.uri.path_and_query().unwrap());
            let sent = body.collect(1 << 20).await.unwrap();
            let mut asked = self.asked.lock().unwrap();
            let answer = (self.answer)(asked.len(), &line).to_string();
            asked.push(format!("{line} {}", String::from_utf8_lossy(&sent)).trim().to_owned());
            assert!(asked.len() < 100, "endless requests");
            Ok(Response::new(Body::from(Bytes::from(answer))))
        }
    }

    fn glance(answer: fn(usize, &str) -> Value) -> (GlanceStore, Arc<Double>) {
        let double = Arc::new(Double { answer, asked: Mutex::default() });
        let token = FixedToken { token: "hush".into(), endpoint: None };
        let session = Arc::new(Session::new(double.clone(), Arc::new(token)));
        (GlanceStore::new("g", double.clone(), "https://g/image", session), double)
    }

    fn page(name: usize, next: &str) -> Value {
        match next {
            "" => json!({"namespaces": [{"namespace": name.to_string(), "tags": []}]}),
            next => json!({"namespaces": [{"namespace": name.to_string()}], "next": next}),
        }
    }

    #[tokio::test]
    async fn all_pages_are_read_and_none_elsewhere_or_twice() {
        let (store, double) = glance(|number, _| match number {
            0 => page(0, "/v2/metadefs/namespaces?marker=0"),
            1 => page(1, "https://g/v2/metadefs/namespaces?marker=1"),
            _ => page(number, ""),
        });
        assert_eq!(store.names().await.unwrap().len(), 3);
        let asked = double.asked.lock().unwrap().clone();
        assert!(asked.iter().all(|line| line.starts_with("GET /image/v2/metadefs/namespaces?")));
        assert!(asked[2].ends_with("?marker=1"), "{asked:?}");
        for (answer, why, most) in [
            (
                (|n, _| page(n, "https://evil/?a")) as fn(usize, &str) -> Value,
                "must not receive the token",
                1,
            ),
            (|n, _| page(n, "//g:1/?a"), "must not receive the token", 1),
            (|n, _| page(n % 3, "?a"), "form a loop", 4),
            (|_, _| json!({"namespaces": [], "next": "?a"}), "form a loop", 1),
        ] {
            let (store, double) = glance(answer);
            let error = store.names().await.unwrap_err();
            assert!(error.reason.contains(why) && error.hint.is_some(), "{error}");
            assert!(double.asked.lock().unwrap().len() <= most);
        }
    }

    #[tokio::test]
    async fn a_name_that_means_something_else_in_an_address_is_never_sent() {
        let (store, double) = glance(|_, _| Value::Null);
        for name in ["", ".", "..", "a/b", "größe", "a\nb"] {
            let error = store.namespace(name).await.unwrap_err();
            assert!(error.kind == StoreErrorKind::Invalid && error.hint.is_some());
            let shown = json!({"namespace": "n", "properties": {(name): {"title": "t"}}});
            let found = Namespace::of(&shown).unwrap();
            let wanted = Namespace::of(&json!({"namespace": "n", "description": "d"})).unwrap();
            let differences = wanted.differences(&found);
            store.change(&found, &wanted, &differences).await.unwrap_err();
        }
        assert_eq!(*double.asked.lock().unwrap(), [""; 0]);
        store.namespace("a:b%2F c?#").await.unwrap_err();
        let asked = double.asked.lock().unwrap().clone();
        assert_eq!(asked, ["GET /image/v2/metadefs/namespaces/a%3Ab%252F%20c%3F%23"]);
    }

    #[tokio::test]
    async fn protection_is_lifted_for_removals_alone_and_set_last() {
        let found = json!({
            "namespace": "n", "protected": true, "properties": {"p": {"title": "t"}},
            "resource_type_associations": [{"name": "r"}], "tags": [{"name": "ö"}],
        });
        let changed = json!({
            "namespace": "n", "protected": true, "properties": {"p": {"title": "u"}, "ö": {}},
            "resource_type_associations": [{"name": "r"}], "tags": [{"name": "ö"}, {"name": "é"}],
        });
        let removed = json!({
            "namespace": "n", "protected": true,
            "resource_type_associations": [{"name": "r", "prefix": "x"}],
        });
        let [found, changed, removed] =
            [found, changed, removed].map(|one| Namespace::of(&one).unwrap());
        let base = "/image/v2/metadefs/namespaces/n";
        for (wanted, expected) in [
            (changed, &["PUT /properties/p", "POST /properties", "POST /tags"][..]),
            (
                removed.clone(),
                &[
                    "PUT  false",
                    "DELETE /resource_types/r",
                    "POST /resource_types",
                    "DELETE /properties/p",
                    "DELETE /tags",
                    "PUT  true",
                ],
            ),
        ] {
            let (store, double) = glance(|_, _| Value::Null);
            let differences = wanted.differences(&found);
            store.change(&found, &wanted, &differences).await.unwrap();
            let asked = double.asked.lock().unwrap().clone();
            let short = asked.iter().map(|line| {
                let (line, document) = line.split_once(" {").unwrap_or((line, ""));
                let protection = ["true", "false"].map(|it| format!("\"protected\":{it}"));
                let said = match protection.map(|it| document.contains(&it)) {
                    [true, _] => " true",
                    [_, true] => " false",
                    _ => "",
                };
                format!("{}{said}", line.replace(base, ""))
            });
            assert_eq!(short.collect::<Vec<_>>(), expected, "{asked:#?}");
        }
        let (store, double) = glance(|_, _| Value::Null);
        store.make(&removed).await.unwrap();
        let asked = double.asked.lock().unwrap().clone();
        assert!(asked[0].starts_with("POST") && asked[0].contains("\"protected\":false"));
        assert!(asked[1].starts_with("PUT") && asked[1].contains("\"protected\":true"));
        assert_eq!(asked.len(), 2);
    }
}
