use std::fs;
use std::time::Duration;

use super::*;
use glance_core::transport::RetryLimit;

const AUTH: &str = "auth: {auth_url: 'https://ks:5000', username: u, password: 0123, \
                    project_name: p, domain_name: D}";

/// Reads the cloud `a` from a file that also has an empty cloud `b`.
fn find(cloud: &str, region: Option<&str>) -> Result<Cloud, ConfigError> {
    find_with(cloud, &Overrides::region(region))
}

fn find_with(cloud: &str, said: &Overrides) -> Result<Cloud, ConfigError> {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("c.yaml");
    fs::write(&file, format!("clouds:\n  a: {{{cloud}}}\n  b: {{}}\n")).unwrap();
    let variables = [("OS_CLIENT_CONFIG_FILE", file.to_str().unwrap()), ("HOME", "/h")];
    let prompt: Prompt = std::sync::Arc::new(|cloud, option| {
        assert_eq!(cloud, "a");
        (option == "passcode").then(|| "told".into())
    });
    let clouds = Clouds::load(environment(&variables).asking(prompt)).unwrap();
    assert_eq!(clouds.names().collect::<Vec<_>>(), ["a", "b"]);
    assert!(clouds.cloud("c", &Overrides::default()).unwrap().is_none());
    clouds.cloud("a", said).map(Option::unwrap)
}

fn environment(variables: &[(&str, &str)]) -> Environment {
    let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    Environment::new(variables, "/nowhere")
}

#[test]
fn a_password_cloud() {
    let extra = "interface: internalURL, cacert: ~/ca.pem, region_name: R, \
                 image_endpoint_override: 'https://g/{region_name}/{{v2}}', verify: 'Yes', \
                 insecure: off";
    let cloud = find(&format!("{AUTH}, {extra}"), None).unwrap();
    assert_eq!(cloud.image.interfaces, ["internal"]);
    assert_eq!(cloud.cacert, Some("/h/ca.pem".into()));
    assert_eq!(cloud.image.region.as_deref(), Some("R"));
    assert_eq!(cloud.image.endpoint_override.as_deref(), Some("https://g/R/{v2}"));
    assert!(matches!(&cloud.place, Place::File(file) if file.ends_with("c.yaml")));
    assert!(!format!("{cloud:?}").contains("0123"));
}

#[test]
fn there_is_no_insecure_mode() {
    for insecure in [
        "verify: false",
        "verify: 'False'",
        "verify: no",
        "verify: \"off\"",
        "insecure: true",
        "insecure: 'yes'",
        "insecure: On",
        "regions: [{name: R, values: {verify: no}}]",
    ] {
        let error = find(&format!("{AUTH}, {insecure}"), None).unwrap_err();
        assert!(error.reason.contains("no insecure mode"), "{insecure}: {error}");
        assert!(error.hint.unwrap().contains("cacert"), "{insecure}");
    }
    assert!(find(&format!("{AUTH}, verify: maybe"), None).is_err());
}

#[test]
fn regions_are_a_closed_list() {
    let error = find(&format!("{AUTH}, regions: [A, B]"), Some("C")).unwrap_err();
    assert!(error.hint.unwrap().contains("A, B"));
}

#[test]
fn what_is_not_supported_says_what_to_use() {
    for (kind, instead) in [
        ("v2password", "auth_type: password"),
        ("v3kerberos", "v3applicationcredential"),
        ("v3oidcauthcode", "v3oidcdeviceauthz"),
        ("v3tokenlessauth", "v3applicationcredential"),
        ("v3pasword", "one of none, http_basic"),
    ] {
        let error = find(&format!("auth_type: {kind}"), None).unwrap_err();
        assert!(error.reason.contains(kind), "{error}");
        assert!(error.hint.unwrap().contains(instead), "{kind}");
    }
}

#[test]
fn errors_name_file_and_key_but_no_secret() {
    for (auth, key) in [
        ("auth: {username: u, password: hush}", "user_domain_name"),
        ("auth: {user_id: u, password: hush}", "auth_url"),
        ("auth: {auth_url: 'https://ks', username: u, password: hush}", "user_domain_name"),
        ("auth: {auth_url: 'https://u:hush@ks', user_id: u, password: hush}", "auth_url"),
        ("auth: {auth_url: 'https://{hush}', user_id: u, password: hush}", "auth_url"),
        ("auth: {auth_url: ks, user_id: u, password: hush}", "auth_url"),
        ("auth: {auth_url: 'https://ks', user_id: u, password: [hush]}", "password"),
        ("auth: {auth_url: 'https://ks', user_id: u, pasword: hush}", "pasword"),
        (
            "auth: {auth_url: 'https://ks', user_id: u, password: hush, trust_id: t, \
          project_id: p}",
            "scope",
        ),
        ("auth: hush", "auth"),
        ("auth: {auth_url: 'https://ks', user_id: u, password: hush}, interface: hidden", "hidden"),
        (
            "auth: {auth_url: 'https://ks', user_id: u, password: hush}, image_api_version: 1",
            "image_api_version",
        ),
        (
            "auth: {auth_url: 'https://ks', user_id: u, password: hush}, connect_retries: x",
            "connect_retries",
        ),
        (
            "auth_type: v3multifactor, auth_methods: [v3kerberos], auth: {auth_url: 'https://ks'}",
            "v3kerberos",
        ),
        ("auth_type: http_basic, auth: {username: 'a:b', password: hush}", "username"),
        (
            "auth_type: v3oidcaccesstoken, auth: {auth_url: 'https://ks', identity_provider: i, \
          protocol: p, access_token: [hush]}",
            "access_token",
        ),
    ] {
        let error = find(auth, None).unwrap_err();
        let text = format!("{error} {:?}", error.hint);
        assert!(text.contains(key) && text.contains("c.yaml"), "{text}");
        assert!(!text.contains("hush"), "{text}");
    }
}

#[test]
fn the_environment_is_named_as_such() {
    let variables = [("OS_AUTH_URL", "https://ks"), ("OS_USERNAME", "u"), ("OS_PASSWORD", "hush")];
    let clouds = Clouds::load(environment(&variables)).unwrap();
    assert_eq!(clouds.default_name(), Some("envvars"));
    let error = clouds.cloud("envvars", &Overrides::default()).unwrap_err();
    assert_eq!(error.place, Place::Environment);
    assert!(error.to_string().starts_with("the environment: cloud `envvars`: "), "{error}");
    assert!(!format!("{clouds:?} {error:?}").contains("hush"));
}

#[test]
fn what_is_said_for_one_run_counts_more() {
    let said = Overrides {
        region: Some("B".into()),
        interface: Some("admin".into()),
        project: Some("other".into()),
        endpoint: Some("https://other/v2".into()),
    };
    let configured = "regions: [A, B], interface: internal, image_interface: public, \
                      image_endpoint_override: 'https://g'";
    let user = "auth_url: 'https://ks', username: u, password: hush";
    for scope in [
        "project_name: p, user_domain_name: D, project_domain_name: D",
        "project_id: p, domain_name: D",
        "domain_name: D",
        "trust_id: t, default_domain_name: D",
        "system_scope: all, user_domain_name: D",
    ] {
        let cloud = format!("auth: {{{user}, {scope}}}, {configured}");
        let found = find_with(&cloud, &said).unwrap();
        assert_eq!(found.image.region.as_deref(), Some("B"));
        assert_eq!(found.image.interfaces, ["admin"]);
        assert_eq!(found.image.endpoint_override.as_deref(), Some("https://other/v2"));
        let scope = r#"scope: ProjectName { name: "other", domain: Name("D") }"#;
        assert!(format!("{found:?}").contains(scope), "{found:?}");
    }
    let id = "0123456789abcdef0123456789abcdef";
    let by_id = Overrides { project: Some(id.into()), ..Overrides::default() };
    let found = find_with(AUTH, &by_id).unwrap();
    assert!(format!("{found:?}").contains(&format!("scope: ProjectId({id:?})")), "{found:?}");
}

#[test]
fn a_missing_secret_is_asked_for() {
    let auth = "auth_type: v3totp, auth: {auth_url: 'https://ks', user_id: u";
    let cloud = find(&format!("{auth}}}"), None).unwrap();
    assert_eq!(
        (cloud.auth_type.as_str(), format!("{cloud:?}").contains("told")),
        ("v3totp", false)
    );
    // No prompt answers for the password.
    let error = find("auth: {auth_url: 'https://ks', user_id: u}", None).unwrap_err();
    assert!(error.reason.contains("`auth.password`, which is missing"), "{error}");
}

#[test]
fn what_the_owner_says_of_retries_counts_and_the_rest_is_ours() {
    let seconds = Duration::from_secs;
    let repeats = |times, pause| RetryLimit { times, pause };
    let said = CloudRetries {
        connect: Some(0),
        connect_delay: None,
        status: Some(3),
        status_delay: Some(seconds(2)),
        status_codes: Some(vec![503]),
    };
    for (said, unanswered, refused, statuses) in [
        (CloudRetries::default(), repeats(10, None), repeats(10, None), 7),
        (said, repeats(0, None), repeats(3, Some(seconds(2))), 1),
    ] {
        let wanted = said.persistence();
        assert_eq!((wanted.unanswered, wanted.refused), (unanswered, refused));
        assert_eq!(wanted.statuses.len(), statuses);
        let typed = wanted.times(5);
        assert_eq!((typed.unanswered.times, typed.refused.times), (5, 5));
        assert_eq!(typed.refused.pause, refused.pause);
    }
}

#[test]
fn the_regions_of_a_cloud_are_listed() {
    let regions = |cloud: &str| {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("c.yaml");
        fs::write(&file, format!("clouds: {{a: {{{cloud}}}}}\n")).unwrap();
        let variables = [("OS_CLIENT_CONFIG_FILE", file.to_str().unwrap())];
        let clouds = Clouds::load(environment(&variables)).unwrap();
        assert!(clouds.regions("b").is_empty());
        clouds.regions("a")
    };
    assert_eq!(regions("regions: [A, {name: B, values: {}}]"), ["A", "B"]);
    assert_eq!(regions("region_name: A"), ["A"]);
    assert!(regions("").is_empty());
    assert!(regions("regions: [{values: {}}]").is_empty());
}
