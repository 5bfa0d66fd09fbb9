//! Finds useless certificates in a trust store. The tool reports them when it reads the store:
//! otherwise the operator learns of them much later, from a rejected server with an unrelated
//! message.

use std::path::Path;
use std::time::Duration;

use super::flaws;
use crate::bundle::Certificate;
use crate::fault::Fault;
use crate::files::pem::TlsFileError;
use crate::time::{date, now};
use crate::x509::certificate::Known;

/// Returns a line for each certificate that can be used neither as an authority nor as a server's
/// own certificate.
///
/// # Errors
/// When no certificate is usable.
pub(crate) fn check(path: &Path, all: &[Certificate]) -> Result<Vec<String>, TlsFileError> {
    let now = now();
    let useless: Vec<_> = all.iter().filter_map(|one| Some((one, useless(one, now)?))).collect();
    match useless.as_slice() {
        [(one, why)] if all.len() == 1 => {
            let what = format!("unusable certificate: {why}");
            Err(TlsFileError::new(&one.file, (one.line > 0).then_some(one.line), &what))
        }
        [(one, why), ..] if all.len() == useless.len() => {
            let what =
                format!("all {} certificates are unusable; the first: {why} ({one})", all.len());
            Err(TlsFileError::new(path, None, &what))
        }
        _ => Ok(useless.into_iter().map(|(one, why)| line(one, &why)).collect()),
    }
}

/// Whether the certificate can be used as an authority, or as a server's own certificate.
pub(crate) fn is_usable(one: &Certificate) -> bool {
    Known::read(&one.der).is_some() && useless(one, now()).is_none()
}

/// Why the certificate has expired or is not valid yet, as the end of a sentence; `None` if it is
/// valid now.
pub(crate) fn expired(one: &Certificate) -> Option<String> {
    out_of_date(&Known::read(&one.der)?, now())
}

fn line(one: &Certificate, why: &str) -> String {
    format!("{one}: unusable certificate: {why}; replace or remove it")
}

/// The reason why the certificate can be used neither as an authority nor as a server's own
/// certificate, as a sentence that begins with its name.
fn useless(one: &Certificate, now: Duration) -> Option<String> {
    let known = Known::read(&one.der)?;
    let why = flawed(&known).or_else(|| out_of_date(&known, now)).or_else(|| roleless(&known))?;
    Some(format!("{} {why}", known.subject()))
}

fn flawed(one: &Known) -> Option<String> {
    Some(match flaws::flaw(one)? {
        Fault::Unfit(_, why) => why,
        Fault::UnknownExtension => {
            let which = one.unknown_extension().map(|oid| oid.to_string()).unwrap_or_default();
            format!("has an unsupported critical extension ({which})")
        }
        _ => one.weak_key()?,
    })
}

fn out_of_date(one: &Known, now: Duration) -> Option<String> {
    if one.not_after() < now {
        return Some(format!("expired on {}", date(one.not_after())));
    }
    let early = one.not_before() > now;
    early.then(|| format!("is not valid before {}", date(one.not_before())))
}

/// Why the certificate is neither an authority for servers nor a server's own certificate, as the
/// end of a sentence; `None` if it is one of them.
fn roleless(one: &Known) -> Option<String> {
    let purpose = (!one.has_purpose()).then_some("is not valid for servers (extended key usage)");
    let why = one.no_authority().or(purpose)?;
    match one.names().is_empty() {
        true => Some(format!("{why} and names no server")),
        false if !one.may_serve() => Some(why.to_owned()),
        false => None,
    }
}
