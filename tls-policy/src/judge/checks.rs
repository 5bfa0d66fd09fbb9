//! Checks of a server's certificates in addition to those of the TLS libraries, so that all
//! libraries reach the same verdict.

use x509_cert::ext::pkix::BasicConstraints;

use super::{anchors, constraints, flaws, names};
use crate::bundle::Certificate;
use crate::fault::Fault;
use crate::time::now;
use crate::x509::authority::{self, may_sign_lists};
use crate::x509::certificate::{self, Known};
use crate::{Pin, RevocationList, TlsPolicy};

/// The checks that a policy requires.
#[derive(Debug)]
pub struct Checks {
    bundle: Vec<Certificate>,
    with_system: bool,
    lists: Vec<RevocationList>,
    pins: Vec<Pin>,
}

/// Returns whether the key of a certificate (DER, the second argument) signed the list.
pub type Signed<'a> = &'a dyn Fn(&RevocationList, &[u8]) -> bool;

impl Checks {
    /// The checks that `policy` requires.
    pub fn of(policy: &TlsPolicy) -> Self {
        Self {
            bundle: policy.roots.bundle().to_vec(),
            with_system: policy.roots.with_system(),
            lists: policy.revocation.clone(),
            pins: policy.pins.clone(),
        }
    }

    /// Returns the fault of a path (DER) from the server's certificate to a trusted one, if there
    /// is any. The TLS library has already verified names, dates and signatures. The path of a
    /// certificate that is itself trusted has one element.
    pub fn objection(&self, path: &[Vec<u8>], signed: Signed<'_>) -> Option<Fault> {
        let known = match certificate::read_all(path) {
            Ok(known) => known,
            Err(fault) => return Some(fault),
        };
        let (own, above) = known.split_first()?;
        let flaw = known.iter().find_map(flaws::flaw);
        let fault = flaw.or_else(|| roles(own, above)).or_else(|| constraints::objection(&known));
        let revoked = || match above {
            [] => self.on_any_list(own.der()),
            _ => path.windows(2).find_map(|pair| self.status(&pair[0], &pair[1], signed)),
        };
        fault.or_else(revoked).or_else(|| self.pinned(own.der()))
    }

    /// Returns the fault of a server's certificate (DER) for `host`, a DNS name or an IP address, if
    /// there is any. The TLS library has already verified its path, but shows only this certificate:
    /// those above it are checked if they are in the bundle, and if they are not, the server is
    /// rejected. Above them, the system's trust store may have the authority, which is not checked.
    /// Revocation lists are not checked.
    pub fn objection_to_server(&self, own: &[u8], host: &str) -> Option<Fault> {
        let sent = [own.to_vec()];
        let is_listed = self.bundle.iter().any(|one| one.der == own);
        let above = match is_listed {
            true => Vec::new(),
            false => anchors::usable(&self.bundle).map(|one| one.der.clone()).collect(),
        };
        let path = certificate::path(&sent, &above);
        let Some(known) = path.first() else { return Some(certificate::unreadable(own)) };
        let untrusted = (!is_listed && known.is_self_issued()).then_some(Fault::UnknownIssuer);
        let is_shown = is_listed || path.last().is_some_and(Known::is_self_issued);
        let all: Vec<_> = path.iter().map(|one| one.der().to_vec()).collect();
        flaws::flaw(known)
            .or_else(|| (!names::is_for(known, host)).then_some(Fault::WrongName))
            .or(untrusted)
            .or_else(|| of_own(&path, is_listed))
            .or_else(|| self.objection(&all, &|_, _| false))
            .or_else(|| (!is_shown && !self.with_system).then_some(Fault::NotShown))
    }

    /// Returns the clearest reason for a rejection by a TLS library. `sent` are the certificates
    /// that the server sent (DER, its own first); `above` are trusted certificates that may have
    /// issued them. The libraries check in different orders and report some faults as others.
    pub fn explained(
        &self,
        fault: Fault,
        sent: &[Vec<u8>],
        above: &[Vec<u8>],
        is_listed: bool,
    ) -> Fault {
        let own = certificate::read_all(sent.get(..1).unwrap_or_default());
        if let Err(unfit) = own {
            return unfit;
        }
        let mut path = certificate::path(sent, above);
        if is_listed {
            path.truncate(1);
        }
        if let Some(flaw) = path.iter().find_map(flaws::flaw) {
            return flaw;
        }
        match fault {
            Fault::UnknownIssuer => self.unknown_issuer(sent),
            Fault::NotPinned | Fault::Revoked(_) | Fault::NotCovered(_) => fault,
            Fault::Other(_) => {
                let wrong = path.split_first().and_then(|(own, above)| roles(own, above));
                wrong.or_else(|| constraints::objection(&path)).unwrap_or(fault)
            }
            _ => of_own(&path, is_listed).unwrap_or(fault),
        }
    }

    /// The certificates of the bundle (DER) that, by name, issued one of `sent`.
    pub fn listed_above(&self, sent: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let sent: Vec<_> = sent.iter().filter_map(|one| Known::read(one)).collect();
        let is_issuer = |listed: &Known| sent.iter().any(|one| one.issuer() == listed.subject());
        let listed = self
            .bundle
            .iter()
            .filter(|one| Known::read(&one.der).is_some_and(|one| is_issuer(&one)));
        listed.map(|one| one.der.clone()).collect()
    }

    /// Finds out why no trusted certificate signed those in `sent`.
    fn unknown_issuer(&self, sent: &[Vec<u8>]) -> Fault {
        if let Some(damaged) = sent.iter().find(|one| Known::read(one).is_none()) {
            return certificate::unreadable(damaged);
        }
        let path = certificate::path(sent, &[]);
        let above = path.iter().skip(1);
        let (Some(own), Some(top)) = (path.first(), path.last()) else {
            return Fault::UnknownIssuer;
        };
        if own.is_self_issued() || above.into_iter().any(|one| one.no_authority().is_some()) {
            return Fault::UnknownIssuer;
        }
        let mut namesakes = self.bundle.iter().filter_map(|one| {
            let known = Known::read(&one.der)?;
            (known.subject() == top.issuer()).then_some((one, known))
        });
        let Some((place, namesake)) = namesakes.next() else { return Fault::UnknownIssuer };
        if namesake.no_authority() == Some(authority::BAD_BASICS) {
            return Fault::Unfit(namesake.der().to_vec(), authority::BAD_BASICS.to_owned());
        }
        let name = namesake.subject();
        let why = match namesake.no_authority() {
            Some(why) => format!("the certificate named {name} in {place} {why}"),
            None => format!(
                "{place} has a certificate named {name}, but its key did not sign {}; the CA may have \
                 a new key",
                top.subject()
            ),
        };
        Fault::NotThatIssuer(why)
    }

    /// Checks a certificate that is itself trusted. The list's signer does not matter here, because
    /// the list can only withdraw trust.
    fn on_any_list(&self, own: &[u8]) -> Option<Fault> {
        let listed = self.lists.iter().any(|list| list.covers(own) && list.revokes(own));
        listed.then(|| Fault::Revoked(own.to_vec()))
    }

    /// Checks a certificate against the lists of its issuer.
    fn status(&self, one: &[u8], issuer: &[u8], signed: Signed<'_>) -> Option<Fault> {
        if self.lists.is_empty() {
            return None;
        }
        let now = now();
        let holds = |list: &&RevocationList| list.covers(one) && now <= list.until;
        let mut lists = self.lists.iter().filter(holds).filter(|list| signed(list, issuer));
        match lists.next().filter(|_| may_sign_lists(issuer)) {
            None => Some(Fault::NotCovered(one.to_vec())),
            Some(first) if first.revokes(one) || lists.any(|list| list.revokes(one)) => {
                Some(Fault::Revoked(one.to_vec()))
            }
            Some(_) => None,
        }
    }

    fn pinned(&self, own: &[u8]) -> Option<Fault> {
        let pinned = || Pin::of(own).is_some_and(|pin| self.pins.contains(&pin));
        (!self.pins.is_empty() && !pinned()).then_some(Fault::NotPinned)
    }
}

/// Returns the fault of a certificate that is not valid in its place on the path.
fn roles(own: &Known, above: &[Known]) -> Option<Fault> {
    if !above.is_empty() {
        // The certificate has the name of a trusted root but is not that root.
        if own.is_self_issued() {
            return Some(Fault::UnknownIssuer);
        }
        if let Some(fault) = as_authority(own) {
            return Some(fault);
        }
    }
    let unfit = above.iter().find_map(|one| Some((one, one.no_authority()?)));
    match unfit {
        Some((one, why)) if why == authority::BAD_BASICS => {
            return Some(Fault::Unfit(one.der().to_vec(), why.to_owned()));
        }
        Some(_) => return Some(Fault::UnknownIssuer),
        None => {}
    }
    let has_purpose = own.has_purpose() && above.iter().all(Known::has_purpose);
    (!has_purpose).then_some(Fault::WrongPurpose)
}

/// Returns the fault of the server's own certificate, regardless of its issuer.
fn of_own(path: &[Known], is_listed: bool) -> Option<Fault> {
    let own = path.first()?;
    let fault = if is_listed { None } else { as_authority(own) };
    fault.or_else(|| (!own.has_purpose()).then_some(Fault::WrongPurpose))
}

/// A server must not present a CA certificate unless that certificate is itself trusted.
fn as_authority(own: &Known) -> Option<Fault> {
    match own.content().get::<BasicConstraints>() {
        Ok(Some((_, basic))) if basic.ca => Some(Fault::IsAuthority),
        Ok(_) => None,
        Err(_) => Some(Fault::Unfit(own.der().to_vec(), authority::BAD_BASICS.to_owned())),
    }
}
