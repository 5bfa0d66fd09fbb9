//! Connects to a server, and judges the connection and the certificates.

use std::time::Duration;

use glance_core::TransportError;
use glance_core::clock;
use glance_core::transport::ClientCertificate;
use http::Uri;
use serde_json::{Value, json};
use tls_policy::{Summary, TlsPolicy};
use transport_hyper::{Inspection, TlsSession};

use crate::args::Options;
use crate::certificates;
use crate::error::CliError;
use crate::exit::Exit;
use crate::report::{Finding, Findings, Judgement, Stop};
use crate::resolve::endpoint::{Side, transport_options};
use crate::tls;

/// Connects to the server, and judges the connection and the certificates that the server presents.
pub(super) async fn look_at_server(
    url: &str,
    policy: &TlsPolicy,
    options: &Options,
    findings: &mut Findings,
) -> Result<(), Stop> {
    let uri: Uri = url.parse().map_err(|_| {
        let what = format!("{url:?} is not the URL of a server");
        findings.fail("address", &CliError::usage(what))
    })?;
    let connect = transport_options(options).map_err(|error| findings.fail("proxy", &error))?;
    let inspection = tls::inspect(options.tls, policy, connect, &uri).await;
    let Inspection { chain, at_fault, verdict } =
        inspection.map_err(|error| findings.fail("TLS", &error))?;
    if let Some(own) = chain.first() {
        certificates::note(Side::Source, &uri, &own.as_slice().into());
    }
    match verdict {
        Ok(session) => {
            judge_chain(&chain, None, findings);
            add_connection(url, session.as_ref(), findings);
            Ok(())
        }
        Err(error) => {
            let refusal = Refusal { error: &error, at_fault };
            if !judge_chain(&chain, Some(&refusal), findings) {
                findings.add(refused("connection", &error));
            }
            Err(Stop)
        }
    }
}

/// Why a server was refused, and which of its certificates is at fault.
struct Refusal<'a> {
    error: &'a TransportError,
    at_fault: Option<usize>,
}

/// Adds the certificates that a server presented, its own first. Returns whether one of them is at
/// fault.
fn judge_chain(chain: &[Vec<u8>], refusal: Option<&Refusal<'_>>, findings: &mut Findings) -> bool {
    let at_fault = refusal.and_then(|refusal| refusal.at_fault);
    let mut is_placed = false;
    for (index, der) in chain.iter().enumerate() {
        let Some(one) = Summary::from_der(der) else { continue };
        let is_at_fault = at_fault == Some(index);
        let topic = match index {
            0 => "certificate",
            // A root certificate in this place is only a copy of a trusted one.
            _ if one.issuer == one.subject && !is_at_fault => break,
            _ => "issuer",
        };
        let finding = match refusal {
            Some(refusal) if is_at_fault => refused(topic, refusal.error),
            Some(_) => by_date(topic, &one, REFUSED),
            None => by_date(topic, &one, NOT_NEEDED),
        };
        findings.add(with_contents(finding, &one));
        is_placed |= is_at_fault;
    }
    is_placed
}

/// Adds the client certificate.
pub(super) fn judge_own(own: &Summary, findings: &mut Findings) {
    let finding = by_date("client certificate", own, OWN);
    findings.add(with_contents(finding, own));
}

/// A server, or a certificate of a server, that was refused.
fn refused(topic: &'static str, error: &TransportError) -> Finding {
    Finding {
        judgement: Judgement::Fail,
        lines: vec![error.headline().into_owned(), error.to_string()],
        exit: Exit::Connection,
        hint: error.hint.clone(),
        ..Finding::fine(topic)
    }
}

/// Judges a certificate by its dates. `out_of_date` is the judgement and the hint for one that is not
/// valid now.
fn by_date(topic: &'static str, one: &Summary, out_of_date: (Judgement, &str)) -> Finding {
    let now = Duration::from_secs(clock::seconds());
    let (from, until) = one.validity();
    let expires = when(certificates::days_left(one));
    let (line, (judgement, hint)) = if one.not_after <= now {
        (format!("expired on {until}"), out_of_date)
    } else if one.not_before > now {
        (format!("not valid before {from}"), out_of_date)
    } else if one.not_after <= now + SOON {
        (format!("expires {expires}, on {until}"), (Judgement::Warn, RENEW_SOON))
    } else {
        return Finding::fine(topic);
    };
    let exit = match judgement {
        Judgement::Fail => Exit::Connection,
        _ => Exit::Success,
    };
    let hint = Some(hint.to_owned());
    Finding { judgement, lines: vec![line], exit, hint, ..Finding::fine(topic) }
}

/// The finding, with the contents of its certificate.
fn with_contents(mut finding: Finding, one: &Summary) -> Finding {
    let (from, until) = one.validity();
    let when = when(certificates::days_left(one));
    finding.lines.push(format!("{}, signed by {}", one.subject, one.issuer));
    finding.lines.push(format!("valid from {from} until {until} ({when}), key {}", one.key));
    if !one.names.is_empty() {
        finding.lines.push(format!("for {}", one.names.join(", ")));
    }
    Finding { certificate: Some(to_json(one)), ..finding }
}

fn to_json(one: &Summary) -> Value {
    let (from, until) = one.validity();
    json!({
        "subject": one.subject, "issuer": one.issuer, "names": one.names, "key": one.key,
        "valid_from": from, "expires": until, "days_left": certificates::days_left(one),
    })
}

/// A number of days from now, as an adverb.
fn when(days: i64) -> String {
    match days {
        -1 => "1 day ago".to_owned(),
        ..0 => format!("{} days ago", days.unsigned_abs()),
        0 => "in less than a day".to_owned(),
        1 => "in 1 day".to_owned(),
        2.. => format!("in {days} days"),
    }
}

/// Adds the parameters of a connection. `session` is `None` for plain HTTP, and for a TLS stack that
/// does not describe its sessions.
fn add_connection(url: &str, session: Option<&TlsSession>, findings: &mut Findings) {
    let Some(session) = session else {
        if url.starts_with("https:") {
            findings.fine("connection", format!("{url}: verified TLS"));
            return;
        }
        let what = format!(
            "{url}: plain http: anyone on the network path can read the token and the data"
        );
        findings.warn("connection", &what, "configure https on the server");
        return;
    };
    let parameters = match (session.version, &session.cipher) {
        (Some(version), Some(cipher)) => format!("{version}, {cipher}"),
        _ => "verified TLS".to_owned(),
    };
    findings.fine("connection", format!("{url}: {parameters}"));
    let topic = "client certificate";
    match session.client_certificate {
        Some(asked @ ClientCertificate::Missing) => {
            findings.note(topic, "the server requested one, and none was sent", asked.hint());
        }
        Some(ClientCertificate::Shown) => {
            findings.fine(topic, "the server requested one, and it was sent");
        }
        None => {}
    }
}

/// The remaining validity below which a certificate should be renewed.
const SOON: Duration = Duration::from_secs(30 * 24 * 60 * 60);

const RENEW_SOON: &str = "renew the certificate before this date";

/// The judgement of a certificate out of date: one that a refused server presented, one that was not
/// needed to trust a server, and the own client certificate.
const REFUSED: (Judgement, &str) =
    (Judgement::Fail, "install a current certificate, or correct this machine's clock");
const NOT_NEEDED: (Judgement, &str) = (
    Judgement::Warn,
    "replace or remove this certificate: this tool did not need it, but other clients may",
);
const OWN: (Judgement, &str) =
    (Judgement::Warn, "renew this certificate: servers that ask for one will refuse it");

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate that begins and ends at these times, in seconds from now.
    fn valid(from: i64, until: i64) -> Summary {
        let now = i64::try_from(clock::seconds()).unwrap();
        let time = |offset: i64| Duration::from_secs(u64::try_from(now + offset).unwrap());
        Summary {
            subject: "CN=s".to_owned(),
            issuer: "CN=i".to_owned(),
            names: Vec::new(),
            not_before: time(from),
            not_after: time(until),
            key: "RSA 2048".to_owned(),
        }
    }

    const DAY: i64 = 24 * 60 * 60;

    #[test]
    fn a_certificate_is_judged_by_its_dates() {
        for (from, until, out_of_date, judgement, said) in [
            (-DAY, 31 * DAY, NOT_NEEDED, Judgement::Ok, ""),
            (-DAY, 30 * DAY - 60, NOT_NEEDED, Judgement::Warn, "expires in 29 days, on "),
            (-DAY, 60, NOT_NEEDED, Judgement::Warn, "expires in less than a day, on "),
            (-DAY, 60, REFUSED, Judgement::Warn, "expires in less than a day, on "),
            (-DAY, -60, REFUSED, Judgement::Fail, "expired on "),
            (-DAY, -60, NOT_NEEDED, Judgement::Warn, "expired on "),
            (-DAY, -60, OWN, Judgement::Warn, "expired on "),
            (DAY, 90 * DAY, REFUSED, Judgement::Fail, "not valid before "),
            (DAY, 90 * DAY, NOT_NEEDED, Judgement::Warn, "not valid before "),
        ] {
            let finding = by_date("certificate", &valid(from, until), out_of_date);
            assert_eq!(finding.judgement, judgement, "{from} {until}: {finding:?}");
            let line = finding.lines.first().cloned().unwrap_or_default();
            assert!(line.starts_with(said) && line.is_empty() == said.is_empty(), "{line}");
            assert_eq!(finding.hint.is_some(), judgement != Judgement::Ok);
            assert_eq!(finding.exit == Exit::Connection, judgement == Judgement::Fail);
        }
    }
}
