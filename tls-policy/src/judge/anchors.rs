//! The certificates of a bundle that are worth trusting, for TLS libraries that do not show the path
//! which they verify: they cannot be asked afterwards which certificate they trusted.

use super::usable;
use crate::bundle::Certificate;
use crate::x509::certificate::Known;

/// The certificates that can be used as an authority, or as a server's own certificate.
pub fn usable(bundle: &[Certificate]) -> impl Iterator<Item = &Certificate> {
    bundle.iter().filter(|one| usable::is_usable(one))
}

/// The first usable certificate that is not self-signed and whose issuer is not among the usable
/// certificates. It is trusted for itself, which not every TLS library supports.
pub fn without_issuer(bundle: &[Certificate]) -> Option<&Certificate> {
    let known: Vec<_> =
        usable(bundle).filter_map(|one| Some((one, Known::read(&one.der)?))).collect();
    let is_alone = |one: &Known| {
        let mut others = known.iter().map(|(_, other)| other);
        !one.is_self_issued()
            && !others
                .any(|other| other.no_authority().is_none() && other.subject() == one.issuer())
    };
    known.iter().find(|(_, one)| is_alone(one)).map(|(place, _)| *place)
}
