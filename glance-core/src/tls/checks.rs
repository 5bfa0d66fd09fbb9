//! What is asked of a server's certificates beside what the TLS libraries ask, so that all of them
//! come to the same verdict.

use std::time::{SystemTime, UNIX_EPOCH};

use super::authority::{may_serve, may_sign, may_sign_for_servers, may_sign_lists};
use super::verdict::Fault;
use super::{Pin, RevocationList, TlsPolicy};

/// The checks of one policy.
#[derive(Debug)]
pub struct Checks {
    lists: Vec<RevocationList>,
    pins: Vec<Pin>,
}

/// Whether the key of a certificate (DER, the second) signed the list.
pub type Signed<'a> = &'a dyn Fn(&RevocationList, &[u8]) -> bool;

impl Checks {
    /// The checks that `policy` wants.
    pub fn of(policy: &TlsPolicy) -> Self {
        Self { lists: policy.revocation.clone(), pins: policy.pins.clone() }
    }

    /// What speaks against a path (DER) from the server's certificate to one that is trusted,
    /// though the TLS library has verified its names, dates and signatures. A certificate that is
    /// trusted for itself is a path of one.
    pub fn objection(&self, path: &[Vec<u8>], signed: Signed<'_>) -> Option<Fault> {
        let (own, above) = path.split_first()?;
        if above.iter().any(|one| !may_sign(one)) {
            return Some(Fault::UnknownIssuer);
        }
        if !may_serve(own) || above.iter().any(|one| !may_sign_for_servers(one)) {
            return Some(Fault::WrongPurpose);
        }
        let revoked = match above {
            [] => self.on_any_list(own),
            _ => path.windows(2).find_map(|pair| self.status(&pair[0], &pair[1], signed)),
        };
        revoked.or_else(|| self.pinned(own))
    }

    /// For a certificate that is trusted for itself: who signed the list does not matter when it
    /// can only take trust away.
    fn on_any_list(&self, own: &[u8]) -> Option<Fault> {
        let listed = self.lists.iter().any(|list| list.covers(own) && list.revokes(own));
        listed.then(|| Fault::Revoked(own.to_vec()))
    }

    /// Looks for a certificate on the lists of its issuer.
    fn status(&self, one: &[u8], issuer: &[u8], signed: Signed<'_>) -> Option<Fault> {
        if self.lists.is_empty() {
            return None;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
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
