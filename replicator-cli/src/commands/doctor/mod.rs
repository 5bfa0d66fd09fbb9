//! `doctor`: checks everything that access to the images of a store depends on, and judges each
//! check.

use std::sync::Arc;

use glance_client::GlanceStore;
use glance_core::store::ImageStore;
use glance_core::transport::Transport;
use keystone_auth::{Cloud, Session};
use tls_policy::{Summary, TlsPolicy, TrustSource};

use crate::args::{Doctor, Options};
use crate::error::CliError;
use crate::exit::Exit;
use crate::report::{DoctorReport, Findings, Stop};
use crate::resolve::address;
use crate::resolve::endpoint::{Endpoint, Side, transport_options};
use crate::resolve::trust::effect;
use crate::resolve::trust::{self, CloudTls};
use crate::tls;
use permissions::look_at_permissions;
use server::look_at_server;

mod permissions;
mod server;

/// Checks each store and prints the report. The exit code is that of the worst finding.
pub(crate) async fn run(doctor: Doctor, options: &Options) -> Result<Exit, CliError> {
    let mut report = DoctorReport::new();
    for word in &doctor.stores {
        let mut findings = Findings::default();
        // The findings contain the reason for an early end.
        let _ = examine(word, &doctor, options, &mut findings).await;
        report.store(word, &findings);
    }
    Ok(report.finish())
}

async fn examine(
    word: &str,
    doctor: &Doctor,
    options: &Options,
    findings: &mut Findings,
) -> Result<(), Stop> {
    let endpoint = Endpoint::parse(word, Side::Source, options);
    let endpoint = endpoint.map_err(|error| findings.fail("configuration", &error))?;
    effect::refuse_without(&[(Side::Source, &endpoint)], options)
        .map_err(|error| findings.fail("trust", &error))?;
    let store = match endpoint {
        Endpoint::Directory(_) | Endpoint::Stream(..) => {
            let opened = endpoint.open(Side::Source, options).await;
            let store = opened.map_err(|error| findings.fail("directory", &error))?.store;
            // A directory has no permissions but those of its files, and a record in a finished
            // dump would leave the dump unfinished.
            return look_at_permissions(&*store, true, findings).await;
        }
        Endpoint::Url(ref url) => {
            let policy = look_at_trust(&CloudTls::default(), options, findings)?;
            look_at_server(&address::text(url), &policy, options, findings).await?;
            let opened = endpoint.open(Side::Source, options).await;
            let opened = opened.map_err(|error| findings.fail("sign-in", &error))?;
            if let Some(session) = &opened.session {
                look_at_sign_in(session, findings).await?;
            }
            opened.store
        }
        Endpoint::Cloud(cloud) => {
            findings.fine("configuration", format!("cloud {} from {}", cloud.name, cloud.place));
            let policy = look_at_trust(&CloudTls::of(&cloud), options, findings)?;
            look_at_cloud(*cloud, &policy, options, findings).await?
        }
    };
    look_at_permissions(&*store, doctor.read_only, findings).await
}

/// Adds the TLS library, the trust store and the client certificate. Returns the certificate trust.
fn look_at_trust(
    cloud: &CloudTls,
    options: &Options,
    findings: &mut Findings,
) -> Result<TlsPolicy, Stop> {
    let policy = trust::policy(&options.trust, Side::Source, cloud);
    let (policy, source) = policy.map_err(|error| findings.fail("trust", &error))?;
    let library = tls::describe(options.tls);
    let library = library.map_err(|error| findings.fail("TLS library", &error))?;
    findings.fine("TLS library", library);
    findings.lines("trust", trust_lines(&policy, &source));
    if let Some(identity) = &policy.identity {
        let own = identity.chain.first().and_then(|own| Summary::from_der(&own.der));
        if let Some(own) = own {
            server::judge_own(&own, findings);
        }
    }
    Ok(policy)
}

fn trust_lines(policy: &TlsPolicy, source: &TrustSource) -> Vec<String> {
    let mut lines = vec![source.to_string()];
    if let count @ 1.. = policy.roots.bundle().len() {
        lines.push(format!("certificates in the bundle: {count}"));
    }
    if let count @ 1.. = policy.revocation.len() {
        lines.push(format!("revocation lists: {count}"));
    }
    lines.extend(policy.pins.iter().map(|pin| format!("pinned: {pin}")));
    lines
}

/// Checks the server of Keystone, signs in, finds Glance in the service catalog and checks its
/// server.
async fn look_at_cloud(
    cloud: Cloud,
    policy: &TlsPolicy,
    options: &Options,
    findings: &mut Findings,
) -> Result<Arc<dyn ImageStore>, Stop> {
    if let Some(url) = &cloud.auth_url {
        look_at_server(url, policy, options, findings).await?;
    }
    let connect = transport_options(options).map_err(|error| findings.fail("proxy", &error))?;
    let transport: Arc<dyn Transport> = tls::transport(options.tls, policy, connect)
        .map_err(|error| findings.fail("TLS", &error))?;
    let session = Arc::new(Session::new(Arc::clone(&transport), Arc::clone(&cloud.auth)));
    look_at_sign_in(&session, findings).await?;
    let glance = session.image_endpoint(&cloud.image).await;
    let glance = glance.map_err(|error| findings.fail("catalog", &error.into()))?;
    effect::check_found(&cloud, &glance.url, Side::Source, options)
        .map_err(|error| findings.fail("trust", &error))?;
    let version = glance.minor_version.map(|minor| format!(", API version 2.{minor}"));
    findings.fine("catalog", format!("Glance is {}{}", glance.url, version.unwrap_or_default()));
    look_at_server(&glance.url, policy, options, findings).await?;
    Ok(Arc::new(GlanceStore::new(cloud.name, transport, glance.url, session)))
}

/// Signs in, and adds the user, the project and the roles.
async fn look_at_sign_in(session: &Session, findings: &mut Findings) -> Result<(), Stop> {
    let proof = session.proof().await;
    let proof = proof.map_err(|error| findings.fail("sign-in", &error.into()))?;
    findings.fine(
        "sign-in",
        match session.holder().await {
            _ if proof.is_none() => "no token is sent".to_owned(),
            Some(holder) => format!("the credentials are valid: {holder}"),
            None => "credentials are sent; their user and project are unknown".to_owned(),
        },
    );
    Ok(())
}
