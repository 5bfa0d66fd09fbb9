//! Name constraints (RFC 5280, 4.2.1.10) on DNS names and addresses. The TLS libraries also check
//! them, but differ on wildcards and malformed names.

use x509_cert::ext::pkix::constraints::name::{GeneralSubtree, NameConstraints};
use x509_cert::ext::pkix::name::GeneralName;

use crate::fault::Fault;
use crate::x509::certificate::Known;

/// Returns the fault of a path from the server's certificate upward in which an authority may not
/// sign for a name of a certificate below it.
pub(crate) fn objection(path: &[Known]) -> Option<Fault> {
    let mut work = 0_usize;
    for (index, authority) in path.iter().enumerate().skip(1) {
        let Ok(Some((_, bounds))) = authority.content().get::<NameConstraints>() else { continue };
        // Self-issued intermediates are exempt (RFC 5280, 6.1.3); the server's certificate is not.
        let below = path[..index].iter().enumerate();
        for (_, one) in below.filter(|(index, one)| *index == 0 || !one.is_self_issued()) {
            let names = one.general_names();
            let kinds = [&bounds.permitted_subtrees, &bounds.excluded_subtrees];
            let subtrees: usize = kinds.into_iter().flatten().map(Vec::len).sum();
            work = work.saturating_add(subtrees.saturating_mul(names.as_ref().map_or(0, Vec::len)));
            if work > MOST_WORK {
                return Some(Fault::TooMuch);
            }
            let outside = match names {
                Some(names) => names.iter().any(|name| is_outside(name, &bounds)),
                None => subtrees > 0,
            };
            if outside {
                return Some(Fault::OutOfBounds);
            }
        }
    }
    None
}

/// The maximum number of comparisons of a name with a constraint on one path. This is webpki's
/// limit; OpenSSL allows four times as many.
const MOST_WORK: usize = 250_000;

fn is_outside(name: &GeneralName, bounds: &NameConstraints) -> bool {
    let permitted = bounds.permitted_subtrees.iter().flatten();
    let mut verdicts = permitted.filter_map(|subtree| is_within(name, subtree, false)).peekable();
    let constrained = verdicts.peek().is_some();
    if constrained && !verdicts.any(|verdict| verdict == Verdict::Within) {
        return true;
    }
    let mut excluded = bounds.excluded_subtrees.iter().flatten();
    excluded.any(|subtree| {
        is_within(name, subtree, true).is_some_and(|verdict| verdict != Verdict::Without)
    })
}

#[derive(PartialEq, Eq)]
enum Verdict {
    Within,
    Without,
    /// The name or the constraint is malformed: no constraint permits it, and every one excludes
    /// it.
    Malformed,
}

/// Compares a name with a constraint. `None` if the constraint concerns another kind of name, or a
/// kind that the TLS libraries check.
fn is_within(name: &GeneralName, subtree: &GeneralSubtree, excluding: bool) -> Option<Verdict> {
    Some(match (name, &subtree.base) {
        (GeneralName::DnsName(name), GeneralName::DnsName(base)) => {
            dns(&name.as_str().to_ascii_lowercase(), &base.as_str().to_ascii_lowercase(), excluding)
        }
        (GeneralName::IpAddress(name), GeneralName::IpAddress(base)) => {
            address(name.as_bytes(), base.as_bytes())
        }
        _ => return None,
    })
}

/// A constraint that begins with a dot applies only to the names below it. A wildcard is excluded
/// if any name that it matches is excluded.
fn dns(name: &str, base: &str, excluding: bool) -> Verdict {
    let suffix = base.strip_prefix('.').unwrap_or(base);
    let of_wildcard = name.strip_prefix("*.");
    let is_name = is_dns_name(of_wildcard.unwrap_or(name));
    if !is_name || of_wildcard.is_some_and(|rest| !rest.contains('.')) {
        return Verdict::Malformed;
    }
    if base.is_empty() {
        return Verdict::Within;
    }
    if !is_dns_name(suffix) {
        return Verdict::Malformed;
    }
    let below = name.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('.'));
    let parent = suffix.split_once('.').map(|(_, parent)| parent);
    let reaches = excluding && of_wildcard.is_some() && of_wildcard == parent;
    match below || reaches || name == base {
        true => Verdict::Within,
        false => Verdict::Without,
    }
}

/// Checks a name by RFC 1034 and RFC 1123; underscores are also accepted, because they are in use.
fn is_dns_name(name: &str) -> bool {
    let is_label = |label: &str| {
        let byte = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=63).contains(&label.len())
            && label.bytes().all(byte)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    name.len() <= 253
        && name.split('.').all(is_label)
        && !last.bytes().all(|byte| byte.is_ascii_digit())
}

/// A constraint consists of an address and a mask of ones followed by zeros.
fn address(name: &[u8], base: &[u8]) -> Verdict {
    if !matches!(name.len(), 4 | 16) || !matches!(base.len(), 8 | 32) {
        return Verdict::Malformed;
    }
    let (network, mask) = base.split_at(base.len() / 2);
    let mut after = mask.iter().skip_while(|byte| **byte == 0xff);
    let is_prefix =
        after.next().is_none_or(|byte| byte.leading_ones() + byte.trailing_zeros() == 8);
    if !is_prefix || after.any(|byte| *byte != 0) {
        return Verdict::Malformed;
    }
    let is_same = |((name, network), mask): ((&u8, &u8), &u8)| (name ^ network) & mask == 0;
    match name.len() == network.len() && name.iter().zip(network).zip(mask).all(is_same) {
        true => Verdict::Within,
        false => Verdict::Without,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_constraints() {
        for (name, base, permitted, excluded) in [
            ("a.test", "a.test", true, true),
            ("a.test", ".a.test", false, false),
            ("b.a.test", ".a.test", true, true),
            ("b.a.test", "a.test", true, true),
            ("ba.test", "a.test", false, false),
            ("anything.test", "", true, true),
            ("*.a.test", "a.test", true, true),
            ("*.a.test", ".a.test", true, true),
            ("*.a.test", "b.a.test", false, true),
            ("*.a.test", ".b.a.test", false, true),
            ("*.a.test", "c.b.a.test", false, false),
            ("*.a.test", "b.test", false, false),
            // Malformed names and constraints.
            (".a.test", "a.test", false, true),
            ("a.test.", "a.test", false, true),
            ("a..test", "a.test", false, true),
            ("a.test", "*.test", false, true),
            ("a.test", "..a.test", false, true),
            ("*.test", "other.test", false, true),
            ("10.0.0.1", "a.test", false, true),
            ("b*.a.test", "a.test", false, true),
        ] {
            let verdict = |excluding| dns(name, base, excluding);
            assert_eq!(verdict(false) == Verdict::Within, permitted, "{name} permitted by {base}");
            assert_eq!(verdict(true) != Verdict::Without, excluded, "{name} excluded by {base}");
        }
    }

    #[test]
    fn addresses_and_constraints() {
        let is = |name: &[u8], base: &[u8], right: Verdict| {
            assert!(address(name, base) == right, "{name:?} {base:?}");
        };
        is(&[10, 0, 0, 1], &[10, 0, 0, 0, 255, 0, 0, 0], Verdict::Within);
        is(&[11, 0, 0, 1], &[10, 0, 0, 0, 255, 0, 0, 0], Verdict::Without);
        is(&[10, 0, 0, 1], &[0; 8], Verdict::Within);
        is(&[10, 0, 0, 1], &[0; 32], Verdict::Without);
        is(&[0; 16], &[0; 32], Verdict::Within);
        is(&[10, 0, 0, 1], &[10, 0, 0, 0, 255, 0, 255, 0], Verdict::Malformed);
        is(&[10, 0, 0, 1], &[10, 0, 0, 0, 255, 0xf1, 0, 0], Verdict::Malformed);
        is(&[10, 0, 0, 1], &[10, 0, 0, 0], Verdict::Malformed);
        is(&[10, 0, 0], &[10, 0, 0, 0, 255, 0, 0, 0], Verdict::Malformed);
    }
}
