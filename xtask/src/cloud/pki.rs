//! The private certificate authority of the cloud, and certificates that no client should trust.

use std::fs;
use std::path::Path;

use tests::pki::{Authority, Issued, Leaf, Validity, self_signed};

use super::config::write_private;
use super::layout::Layout;
use crate::cloud::services::glance::Glance;
use crate::cloud::services::keystone::Keystone;
use crate::failure::{Context, Failure};
use crate::stamp::once;

/// Creates the certificates the first time.
pub(crate) fn make(layout: &Layout) -> Result<(), Failure> {
    let directory = layout.path("pki");
    once(&directory.join("made"), "2", || {
        certificates(&directory).context(|| "cannot make the certificates")
    })
}

fn certificates(directory: &Path) -> Result<(), Failure> {
    let root = authority(Authority::root("Cloud root CA"))?;
    let other = authority(Authority::root("Unrelated root CA"))?;
    let intermediate = authority(root.intermediate("Cloud intermediate CA"))?;
    write(directory, "root.pem", root.pem())?;
    write(directory, "other.pem", other.pem())?;

    let server = |name| Leaf::new(name, &["localhost", "127.0.0.1"]);
    let keystones = Keystone::ALL.map(Keystone::name);
    for name in keystones.into_iter().chain(Glance::ALL.map(Glance::name)) {
        install(directory, name, intermediate.issue(&server(name)))?;
    }
    let expired = server("expired").with_validity(Validity::Expired);
    install(directory, "expired", intermediate.issue(&expired))?;
    let wrong_host = Leaf::new("wronghost", &["wronghost.test"]);
    install(directory, "wronghost", intermediate.issue(&wrong_host))?;
    install(directory, "selfsigned", self_signed(&server("selfsigned")))?;
    let no_chain = intermediate
        .issue(&server("nochain"))
        .map(|issued| Issued { chain_pem: issued.leaf_pem.clone(), ..issued });
    install(directory, "nochain", no_chain)
}

fn authority<E: std::fmt::Display>(made: Result<Authority, E>) -> Result<Authority, Failure> {
    made.context(|| "authority")
}

fn install<E: std::fmt::Display>(
    directory: &Path,
    name: &str,
    made: Result<Issued, E>,
) -> Result<(), Failure> {
    let issued = made.context(|| name.to_owned())?;
    write(directory, &format!("{name}.pem"), &issued.chain_pem)?;
    write_private(&directory.join(format!("{name}.key")), &issued.key_pem)
}

fn write(directory: &Path, name: &str, pem: &str) -> Result<(), Failure> {
    let path = directory.join(name);
    fs::write(&path, pem).context(|| format!("cannot write {}", path.display()))
}
