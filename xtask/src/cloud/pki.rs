//! The cloud's certificates: root, intermediate, servers, and servers with a fault.

use std::fs;

use tests::pki::{Authority, Issued, Leaf, Validity, self_signed};

use super::config::{once, write_private};
use super::layout::Layout;
use crate::failure::{Context, Failure};

const VERSION: &str = "1";
const LOOPBACK: [&str; 2] = ["localhost", "127.0.0.1"];

/// Makes the certificates, once.
pub(crate) fn make(layout: &Layout) -> Result<(), Failure> {
    once(&layout.path("pki/made"), VERSION, || certificates(layout))
}

/// The text of the root certificate: a service that read another one has to start anew.
pub(crate) fn root(layout: &Layout) -> Result<String, Failure> {
    fs::read_to_string(layout.path("pki/root.pem")).context(|| "cannot read the root certificate")
}

fn certificates(layout: &Layout) -> Result<(), Failure> {
    let failed = || "cannot make a certificate";
    let root = Authority::root("Cloud Root").context(failed)?;
    let other = Authority::root("Another Root").context(failed)?;
    let intermediate = root.intermediate("Cloud Intermediate").context(failed)?;
    write_private(&layout.path("pki/root.pem"), root.pem())?;
    write_private(&layout.path("pki/other.pem"), other.pem())?;

    let leaf = |name: &str| Leaf::new(name, &LOOPBACK);
    let expired = leaf("expired").with_validity(Validity::Expired);
    let wrong_host = Leaf::new("wronghost", &["wronghost.invalid"]);
    for (name, leaf) in [
        ("keystone", leaf("keystone")),
        ("glance-a", leaf("glance-a")),
        ("glance-b", leaf("glance-b")),
        ("expired", expired),
        ("wronghost", wrong_host),
    ] {
        let issued = intermediate.issue(&leaf).context(failed)?;
        write(layout, name, &issued.chain_pem, &issued)?;
    }
    let without_chain = intermediate.issue(&leaf("nochain")).context(failed)?;
    write(layout, "nochain", &without_chain.leaf_pem, &without_chain)?;
    let own = self_signed(&leaf("selfsigned")).context(failed)?;
    write(layout, "selfsigned", &own.chain_pem, &own)
}

fn write(layout: &Layout, name: &str, chain: &str, issued: &Issued) -> Result<(), Failure> {
    write_private(&layout.path(format!("pki/{name}.chain.pem")), chain)?;
    write_private(&layout.path(format!("pki/{name}.key")), &issued.key_pem)
}
