use super::*;

fn receipt(given: &Value, required: &Value) -> Response<Body> {
    let document = json!({
        "receipt": {"methods": given, "user": {"id": "u", "name": "bob"}},
        "required_auth_methods": required,
    });
    let mut answer = reply(401, &document);
    answer.headers_mut().insert("openstack-auth-receipt", "a-receipt".parse().unwrap());
    answer
}

fn by_two_factors() -> Keystone {
    let mut plugin = by_password();
    plugin.methods.push(Method::Totp { user: bob(), passcode: "012345".into() });
    plugin
}

#[tokio::test]
async fn all_factors_go_at_once() {
    let double = Double::new(|_| token("t"));
    let grant = by_two_factors().sign_in(&*double).await.unwrap();
    assert_eq!(proof(&grant), [("x-auth-token".into(), "t".into())]);
    assert_eq!(double.asked(), ["https://ks/v3/auth/tokens"]);
    let sent: Value = serde_json::from_slice(double.sent(0).body()).unwrap();
    let identity = &sent["auth"]["identity"];
    assert_eq!(identity["methods"], json!(["password", "totp"]));
    assert_eq!(identity["totp"]["user"]["passcode"], "012345");
    assert_eq!(identity["password"]["user"]["password"], "hush");
}

#[tokio::test]
async fn a_receipt_brings_the_missing_factor() {
    let double = Double::new(|request| match request.headers().get("openstack-auth-receipt") {
        None => receipt(&json!(["password"]), &json!([["password", "totp"]])),
        Some(_) => token("t"),
    });
    by_two_factors().sign_in(&*double).await.unwrap();
    let second = double.sent(1);
    assert_eq!(second.headers()["openstack-auth-receipt"], "a-receipt");
    assert!(second.headers()["openstack-auth-receipt"].is_sensitive());
    let sent: Value = serde_json::from_slice(second.body()).unwrap();
    assert_eq!(sent["auth"]["identity"]["methods"], json!(["totp"]));
    assert!(sent["auth"]["identity"].get("password").is_none());
}

#[tokio::test]
async fn a_factor_that_is_not_there_is_named() {
    let double = Double::new(|_| receipt(&json!(["password"]), &json!([["password", "totp"]])));
    let error = by_password().sign_in(&*double).await.unwrap_err();
    assert_eq!(error.kind, SignInErrorKind::Unauthenticated);
    assert!(error.reason.contains("accepted the password"), "{error}");
    assert!(error.hint.as_ref().unwrap().contains("password and totp"), "{error:?}");
    assert!(!format!("{error:?}").contains("a-receipt"));
    assert_eq!(double.asked().len(), 1);
    // With both factors given, another receipt does not cause an endless loop.
    assert!(by_two_factors().sign_in(&*double).await.is_err());
    assert_eq!(double.asked().len(), 3);
}

#[tokio::test]
async fn a_receipt_cannot_put_words_on_the_screen() {
    let double = Double::new(|_| receipt(&json!(["\u{1b}[2J"]), &json!([["x\ny"]])));
    let error = by_password().sign_in(&*double).await.unwrap_err();
    assert!(error.reason.contains("rejected the credentials of user `bob`"), "{error}");
    assert!(!format!("{error:?}").contains("1b"));
}
