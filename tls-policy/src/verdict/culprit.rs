//! The certificate that is at fault.

use crate::fault::Fault;
use crate::time::now;
use crate::x509::certificate::Known;

/// The certificate at fault, on a path from the server's own certificate upward. `None` if the
/// fault is not that of a certificate, or if the certificate cannot be told.
pub(super) fn culprit<'a>(fault: &Fault, path: &'a [Known]) -> Option<&'a Known> {
    let now = now();
    let first = |is_at_fault: &dyn Fn(&Known) -> bool| path.iter().find(|one| is_at_fault(one));
    match fault {
        // OpenSSL treats the last second of the validity period as expired.
        Fault::Expired => first(&|one| one.not_after() <= now),
        Fault::NotYetValid => first(&|one| one.not_before() > now),
        Fault::WrongName | Fault::NotShown | Fault::IsAuthority | Fault::NotPinned => path.first(),
        Fault::UnknownIssuer | Fault::NotThatIssuer(_) => untrusted(path),
        Fault::Unfit(der, _) | Fault::Revoked(der) | Fault::NotCovered(der) => {
            first(&|one| one.is(der))
        }
        Fault::WrongPurpose => first(&|one| !one.has_purpose()),
        Fault::Weak => first(&|one| one.weak_key().is_some() || one.weak_signature().is_some()),
        Fault::OutOfBounds => first(&Known::has_name_constraints),
        Fault::TooLong => too_short(path),
        Fault::UnknownExtension => first(&|one| one.unsupported_extension().is_some()),
        Fault::TooMuch
        | Fault::ClientCertificate(..)
        | Fault::Alert(_)
        | Fault::NotTls
        | Fault::NothingInCommon(_)
        | Fault::Closed(_)
        | Fault::Other(_) => None,
    }
}

/// The certificate because of which the path does not lead to a trusted one: the server's own if
/// it is self-signed, one that may not sign certificates, or else the last one of the path.
fn untrusted(path: &[Known]) -> Option<&Known> {
    let own = path.first()?;
    if own.is_self_issued() {
        return Some(own);
    }
    path.iter().skip(1).find(|one| one.no_authority().is_some()).or(path.last())
}

/// The authority that has more authorities below it than it allows.
fn too_short(path: &[Known]) -> Option<&Known> {
    let is_exceeded = |(below, one): &(usize, &Known)| {
        one.path_length().is_some_and(|limit| usize::from(limit) + 1 < *below)
    };
    path.iter().enumerate().find(is_exceeded).map(|(_, one)| one)
}
