//! `doctor`: checks everything that access to the images of a store depends on, and reports the
//! findings.

use std::sync::Arc;

use futures_util::StreamExt;
use glance_client::GlanceStore;
use glance_core::image::{Attributes, Owner, Visibility};
use glance_core::store::{ImageStore, StoreError};
use glance_core::tls::{Summary, TlsPolicy, TrustSource};
use glance_core::transport::{ClientCertificate, Transport};
use glance_core::{Image, Selection};
use http::Uri;
use keystone_auth::{Cloud, Session};
use transport_hyper::{Inspection, TlsSession};

use crate::args::{Doctor, Options};
use crate::error::CliError;
use crate::exit::Exit;
use crate::report::{DoctorReport, Findings};
use crate::resolve::address;
use crate::resolve::endpoint::{Endpoint, Side, transport_options};
use crate::resolve::trust::effect;
use crate::resolve::trust::{self, CloudTls};
use crate::tls;

/// Checks each store and prints the report. The exit code is that of the worst finding.
pub(crate) async fn run(doctor: Doctor, options: &Options) -> Result<Exit, CliError> {
    let mut report = DoctorReport::new();
    for word in &doctor.stores {
        let mut findings = Findings::default();
        let topic_and_error = examine(word, &doctor, options, &mut findings).await;
        if let Err((topic, error)) = topic_and_error {
            findings.wrong(topic, &error);
        }
        report.store(word, &findings);
    }
    Ok(report.finish())
}

/// The subject and the error of the first check that failed, so that later checks are impossible.
type Stopped = (&'static str, CliError);

async fn examine(
    word: &str,
    doctor: &Doctor,
    options: &Options,
    findings: &mut Findings,
) -> Result<(), Stopped> {
    let at = |topic| move |error: CliError| (topic, error);
    let endpoint = Endpoint::parse(word, Side::Source, options).map_err(at("configuration"))?;
    effect::refuse_without(&[(Side::Source, &endpoint)], options).map_err(at("trust"))?;
    let store = match endpoint {
        Endpoint::Directory(_) | Endpoint::Dump(..) | Endpoint::Stream(..) => {
            endpoint.open(Side::Source, options).await.map_err(at("directory"))?.store
        }
        Endpoint::Url(ref url) => {
            let (policy, source) = trust(&CloudTls::default(), options)?;
            show_trust(&policy, &source, options, findings)?;
            look_at_server(&address::text(url), &policy, options, findings).await?;
            endpoint.open(Side::Source, options).await.map_err(at("sign-in"))?.store
        }
        Endpoint::Cloud(cloud) => {
            findings.fine("configuration", format!("cloud {} from {}", cloud.name, cloud.place));
            let (policy, source) = trust(&CloudTls::of(&cloud), options)?;
            show_trust(&policy, &source, options, findings)?;
            sign_in(*cloud, &policy, options, findings).await?
        }
    };
    look_at_permissions(&*store, doctor.read_only, findings).await
}

fn trust(cloud: &CloudTls, options: &Options) -> Result<(TlsPolicy, TrustSource), Stopped> {
    trust::policy(&options.trust, Side::Source, cloud).map_err(|error| ("trust", error))
}

fn show_trust(
    policy: &TlsPolicy,
    source: &TrustSource,
    options: &Options,
    findings: &mut Findings,
) -> Result<(), Stopped> {
    let library = tls::describe(options.tls).map_err(|error| ("TLS library", error))?;
    findings.fine("TLS library", library);
    let mut lines = vec![source.to_string()];
    if let count @ 1.. = policy.roots.bundle().len() {
        lines.push(format!("certificates in the bundle: {count}"));
    }
    if let count @ 1.. = policy.revocation.len() {
        lines.push(format!("revocation lists: {count}"));
    }
    lines.extend(policy.pins.iter().map(|pin| format!("pinned: {pin}")));
    if let Some(identity) = &policy.identity {
        let own = identity.chain.first().and_then(|own| Summary::from_der(&own.der));
        lines.extend(own.map(|own| format!("client certificate: {}", own.subject)));
    }
    findings.lines("trust", lines);
    Ok(())
}

/// Connects to the server, and reports the TLS parameters and certificates that it presents.
async fn look_at_server(
    url: &str,
    policy: &TlsPolicy,
    options: &Options,
    findings: &mut Findings,
) -> Result<(), Stopped> {
    let Inspection { chain, verdict } = probe(url, policy, options).await?;
    add_certificates(&chain, findings);
    match verdict {
        Ok(session) => add_connection(url, session.as_ref(), findings),
        Err(error) => {
            let hint = error.hint.clone();
            let error = CliError::connection(error);
            return Err(("connection", hint.into_iter().fold(error, CliError::hint)));
        }
    }
    Ok(())
}

/// Connects to the server.
async fn probe(url: &str, policy: &TlsPolicy, options: &Options) -> Result<Inspection, Stopped> {
    let uri: Uri = url
        .parse()
        .map_err(|_| ("address", CliError::usage(format!("{url:?} is not the URL of a server"))))?;
    let connect = transport_options(options).map_err(|error| ("proxy", error))?;
    tls::inspect(options.tls, policy, connect, &uri).await.map_err(|error| ("TLS", error))
}

/// Adds the certificates that a server presented, its own first.
fn add_certificates(chain: &[Vec<u8>], findings: &mut Findings) {
    for (index, one) in chain.iter().filter_map(|der| Summary::from_der(der)).enumerate() {
        match index {
            0 => findings.lines("certificate", describe(&one)),
            // A root certificate in this place is the local copy.
            _ if one.issuer == one.subject => break,
            _ => findings.lines("issuer", describe(&one)),
        }
    }
}

/// Adds the parameters of a connection. `session` is `None` for plain HTTP.
fn add_connection(url: &str, session: Option<&TlsSession>, findings: &mut Findings) {
    let Some(session) = session else {
        let what = format!(
            "{url}: plain http: anyone on the network path can read the token and the data"
        );
        findings.note("connection", what, Some("configure https on the server".to_owned()));
        return;
    };
    findings.fine("connection", format!("{url}: {}, {}", session.version, session.cipher));
    if let Some(asked) = session.client_certificate {
        let what = match asked {
            ClientCertificate::Missing => "the server requested one, and none was sent",
            ClientCertificate::Shown => "the server requested one, and it was sent",
        };
        findings.note("client certificate", what.to_owned(), hint_of(asked));
    }
}

fn hint_of(asked: ClientCertificate) -> Option<String> {
    (asked == ClientCertificate::Missing).then(|| asked.hint().to_owned())
}

fn describe(one: &Summary) -> Vec<String> {
    let (from, until) = one.validity();
    let mut lines = vec![
        format!("{}, signed by {}", one.subject, one.issuer),
        format!("valid from {from} until {until}, key {}", one.key),
    ];
    if !one.names.is_empty() {
        lines.push(format!("for {}", one.names.join(", ")));
    }
    lines
}

/// Checks the server of Keystone, signs in, finds Glance in the service catalog and checks its
/// server.
async fn sign_in(
    cloud: Cloud,
    policy: &TlsPolicy,
    options: &Options,
    findings: &mut Findings,
) -> Result<Arc<dyn ImageStore>, Stopped> {
    if let Some(url) = &cloud.auth_url {
        look_at_server(url, policy, options, findings).await?;
    }
    let connect = transport_options(options).map_err(|error| ("proxy", error))?;
    let transport: Arc<dyn Transport> =
        tls::transport(options.tls, policy, connect).map_err(|error| ("TLS", error))?;
    let session = Arc::new(Session::new(Arc::clone(&transport), Arc::clone(&cloud.auth)));
    session.proof().await.map_err(|error| ("sign-in", error.into()))?;
    findings.fine("sign-in", "the credentials are valid");
    let glance = session.image_endpoint(&cloud.image).await;
    let glance = glance.map_err(|error| ("catalog", error.into()))?;
    effect::check_found(&cloud, &glance.url, Side::Source, options)
        .map_err(|error| ("trust", error))?;
    let version = glance.minor_version.map(|minor| format!(", API version 2.{minor}"));
    findings.fine("catalog", format!("Glance is {}{}", glance.url, version.unwrap_or_default()));
    look_at_server(&glance.url, policy, options, findings).await?;
    Ok(Arc::new(GlanceStore::new(cloud.name, transport, glance.url, session)))
}

/// Checks the permissions that a copy needs. A missing permission that only a target needs is not
/// an error.
async fn look_at_permissions(
    store: &dyn ImageStore,
    read_only: bool,
    findings: &mut Findings,
) -> Result<(), Stopped> {
    let refused = |error: StoreError| ("list", CliError::from(error));
    let mut listing = store.list(&Selection::everything()).await.map_err(refused)?;
    let found = match listing.next().await {
        // A single unreadable record does not indicate missing permissions.
        Some(Err(error)) if error.record.is_none() => return Err(refused(error)),
        Some(_) => "images can be listed",
        None => "images can be listed; there are none",
    };
    drop(listing);
    findings.fine("list", found);
    if read_only {
        return Ok(());
    }
    let owner = try_owner(store).await;
    judge("set owner", "images can be assigned to other projects", owner, findings);
    let record = match try_create(store, Attributes::default()).await {
        Ok(record) => record,
        Err(error) => {
            judge("create", "", Err(error), findings);
            return Ok(());
        }
    };
    findings.fine("create", "records can be created");
    let public = Attributes { visibility: Visibility::Public, ..record.attributes.clone() };
    let publicized = store.update(&record, &public).await.map(drop);
    judge("publicize", "images can be made public", publicized, findings);
    store.delete(&record.id).await.map_err(|error| ("delete", CliError::from(error)))
}

async fn try_create(store: &dyn ImageStore, attributes: Attributes) -> Result<Image, StoreError> {
    let name = Some("glance-replicator doctor: may be deleted".to_owned());
    let attributes = Attributes { name, ..attributes };
    store.create(&Image::queued(glance_core::ImageId::random(), attributes)).await
}

async fn try_owner(store: &dyn ImageStore) -> Result<(), StoreError> {
    let owner = Owner::Project("00000000000000000000000000000000".to_owned());
    let record = try_create(store, Attributes { owner, ..Attributes::default() }).await?;
    store.delete(&record.id).await
}

fn judge(
    topic: &'static str,
    fine: &str,
    outcome: Result<(), StoreError>,
    findings: &mut Findings,
) {
    match outcome {
        Ok(()) => findings.fine(topic, fine),
        Err(error) => {
            let only = "ignore this if the store is only a source";
            let hint = match &error.hint {
                Some(hint) => format!("{only}; {hint}"),
                None => only.to_owned(),
            };
            findings.note(topic, error.to_string(), Some(hint));
        }
    }
}
