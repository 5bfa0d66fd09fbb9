//! Compares how keystone-auth and openstacksdk interpret the same clouds files and variables,
//! including the sign-in requests.
//!
//! `tests/identity/cases.py` has the cases, and the reason of each deliberate difference. The
//! results of openstacksdk are in `expected.json` next to it, written by `generate.py`.

use std::fs;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use glance_core::{Body, Transport, TransportError};
use http::{Method, Request, Response, header};
use keystone_auth::{Cloud, Clouds, Environment, Overrides, Session};
use serde_json::{Value, json};
use url::form_urlencoded;

#[tokio::test(start_paused = true)]
async fn clouds_are_understood_as_openstacksdk_does() {
    let expected: Value = serde_json::from_str(EXPECTED).unwrap();
    let (mut agree, mut differ, mut wrong) = (0, 0, Vec::new());
    for case in expected["cases"].as_array().unwrap() {
        let ours = understand(case, &expected["answers"]).await;
        let theirs = &case["openstacksdk"];
        let verdict = match case["difference"].is_null() {
            true => agrees(&ours, theirs).inspect(|()| agree += 1),
            false => differs(&ours, theirs, &case["ours"]).inspect(|()| differ += 1),
        };
        if let Err(why) = verdict {
            wrong.push(format!("{}: {why}", case["name"]));
        }
    }
    assert!(wrong.is_empty(), "{} cases are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(agree >= 60 && differ < agree / 2, "{agree} agree, {differ} differ");
}

/// Every auth type of keystoneauth is either supported, or refused with an alternative.
#[test]
fn every_auth_type_is_known() {
    let expected: Value = serde_json::from_str(EXPECTED).unwrap();
    let kinds = expected["auth_types"].as_array().unwrap();
    let mut refused = Vec::new();
    for kind in kinds.iter().map(|kind| kind.as_str().unwrap()) {
        let variables = [("OS_AUTH_TYPE".to_owned(), kind.to_owned())];
        let clouds = Clouds::load(Environment::new(variables, "/nowhere")).unwrap();
        match clouds.cloud("envvars", &Overrides::default()) {
            Err(error) if error.reason.contains("is not supported") => {
                assert!(error.hint.unwrap().contains("set `auth_type: "), "{kind}");
                refused.push(kind);
            }
            // The case gives only the type, so most types report a missing option.
            Err(error) => assert!(error.reason.contains("is missing"), "{kind}: {error}"),
            Ok(cloud) => assert!(cloud.is_some() && kind == "none"),
        }
    }
    assert_eq!(refused.join(" "), REFUSED);
}

fn agrees(ours: &Result<Value, String>, theirs: &Value) -> Result<(), String> {
    match (ours, theirs.get("error")) {
        (Err(_), Some(_)) => Ok(()),
        (Ok(ours), None) if *ours == without_nulls(theirs.clone()) => Ok(()),
        (Ok(ours), _) => Err(format!("ours\n  {ours}\n theirs\n  {theirs}")),
        (Err(ours), _) => Err(format!("ours\n  {ours}\n theirs\n  {theirs}")),
    }
}

/// The results must differ, and ours must be the documented one.
fn differs(ours: &Result<Value, String>, theirs: &Value, told: &Value) -> Result<(), String> {
    if agrees(ours, theirs).is_ok() {
        return Err("the difference is gone".into());
    }
    match (ours, told["error"].as_str()) {
        (Err(error), Some(part)) if error.contains(part) => Ok(()),
        (Ok(ours), None) if *ours == patched(theirs.clone(), told) => Ok(()),
        _ => Err(format!("ours\n  {ours:?}\n not as told\n  {told}\n theirs\n  {theirs}")),
    }
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let said = map.into_iter().filter(|(_, value)| !value.is_null());
            said.map(|(key, value)| (key, without_nulls(value))).collect()
        }
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

fn patched(theirs: Value, told: &Value) -> Value {
    match (theirs, told) {
        (Value::Object(mut theirs), Value::Object(told)) => {
            theirs.remove("error");
            for (key, told) in told {
                let before = theirs.remove(key).unwrap_or_default();
                theirs.insert(key.clone(), patched(before, told));
            }
            without_nulls(Value::Object(theirs))
        }
        (_, told) => without_nulls(told.clone()),
    }
}

/// Our interpretation of a case.
async fn understand(case: &Value, answers: &Value) -> Result<Value, String> {
    let root = tempfile::tempdir().unwrap();
    let root_name = root.path().display().to_string();
    for (path, text) in case["files"].as_object().unwrap() {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text.as_str().unwrap().replace("$ROOT", &root_name)).unwrap();
    }
    let said = case["env"].as_object().unwrap().iter();
    let variables = said
        .map(|(name, value)| (name.clone(), value.as_str().unwrap().replace("$ROOT", &root_name)))
        .chain([("HOME".to_owned(), format!("{root_name}/home"))]);
    let environment = Environment::new(variables, root.path().join("work"));
    let clouds = Clouds::load(environment).map_err(|error| error.to_string())?;
    let name = case["cloud"].as_str().or(clouds.default_name()).ok_or("no default cloud")?;
    let cloud = clouds
        .cloud(name, &Overrides::region(case["region"].as_str()))
        .map_err(|error| error.to_string())?;
    let outcome = outcome(cloud.ok_or("no such cloud")?, answers).await?;
    let text = outcome.to_string().replace(&root_name, "$ROOT");
    Ok(without_nulls(serde_json::from_str(&text).unwrap()))
}

async fn outcome(cloud: Cloud, answers: &Value) -> Result<Value, String> {
    let double = Arc::new(Double { answers: answers.clone(), requests: Mutex::default() });
    let session = Session::new(double.clone(), cloud.auth);
    let proof = session.proof().await.map_err(|error| error.to_string())?;
    let endpoint = session.image_endpoint(&cloud.image).await.map_err(|error| error.to_string())?;
    let headers: serde_json::Map<String, Value> = proof
        .headers(&"https://glance.test".parse().unwrap())
        .map_err(|error| error.to_string())?
        .map(|(name, value)| (name.to_string(), json!(value.to_str().unwrap())))
        .collect();
    let seconds = |delay: std::time::Duration| delay.as_secs_f64();
    Ok(json!({
        "region": cloud.image.region,
        "interfaces": cloud.image.interfaces,
        "endpoint": endpoint.url,
        "verify": true,
        "cacert": cloud.cacert,
        "cert": cloud.cert,
        "key": cloud.key,
        "retries": {
            "connect": cloud.retries.connect,
            "connect_delay": cloud.retries.connect_delay.map(seconds),
            "status": cloud.retries.status.unwrap_or(5),
            "status_delay": cloud.retries.status_delay.map(seconds),
            "status_codes": cloud.retries.status_codes,
        },
        "requests": *double.requests.lock().unwrap(),
        "headers": headers,
    }))
}

/// Keystone, an identity provider and Glance in one server, like the one in `generate.py`.
#[derive(Debug)]
struct Double {
    answers: Value,
    requests: Mutex<Vec<Value>>,
}

#[async_trait]
impl Transport for Double {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let path = request.uri().path().to_owned();
        if request.method() == Method::GET {
            return Ok(match path.ends_with("openid-configuration") {
                true => answer(200, None, &self.answers["provider"]),
                false => answer(300, None, &json!({"versions": [{"id": "v2.9", "links": []}]})),
            });
        }
        let written_down = written_down(request).await;
        self.requests.lock().unwrap().push(written_down);
        Ok(match path.as_str() {
            path if path.ends_with("/auth/tokens") => {
                answer(201, Some("keystone-token"), &self.answers["token"])
            }
            path if path.contains("/OS-FEDERATION/") => {
                answer(201, Some("unscoped-token"), &self.answers["token"])
            }
            path if path.ends_with("/device") => answer(200, None, &self.answers["codes"]),
            _ => answer(200, None, &self.answers["access"]),
        })
    }
}

fn answer(status: u16, token: Option<&str>, body: &Value) -> Response<Body> {
    let mut response = Response::builder().status(status);
    if let Some(token) = token {
        response = response.header("x-subject-token", token);
    }
    response.body(Body::from(Bytes::from(body.to_string()))).unwrap()
}

async fn written_down(request: Request<Body>) -> Value {
    let (head, body) = request.into_parts();
    let header = |name| head.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let kind = header(header::CONTENT_TYPE);
    let body = body.collect(1 << 20).await.unwrap();
    let body = match kind.as_deref() {
        Some("application/json") => serde_json::from_slice(&body).unwrap(),
        Some(_) => form_urlencoded::parse(&body).map(masked).collect::<Value>(),
        None => Value::Null,
    };
    json!({
        "method": head.method.as_str(),
        "url": head.uri.to_string(),
        "type": kind,
        "body": body,
        "authorization": header(header::AUTHORIZATION),
    })
}

/// Replaces the random verifiers.
fn masked(
    (name, value): (std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>),
) -> (String, String) {
    match &*name {
        "code_challenge" | "code_verifier" => (name.into_owned(), "*".into()),
        _ => (name.into_owned(), value.into_owned()),
    }
}

// Kerberos and SAML need packages that openstacksdk does not install.
const REFUSED: &str = "v2password v2token v3oauth1 v3oauth2mtlsclientcredential v3oidcauthcode \
                       v3tokenlessauth v3websso";

const EXPECTED: &str = include_str!("../identity/expected.json");
