//! A CA, a server certificate, and TLS servers with it.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use glance_core::conformance::transport::Front;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, SerialNumber, date_time_ymd,
};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tls_policy::files::crl;
use tls_policy::{ClientIdentity, RevocationList, Roots, TlsPolicy, bundle};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A server, and the CA that signed its certificate, all in PEM.
pub(crate) struct Site {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) root: String,
    pub(crate) leaf: String,
    pub(crate) key: String,
}

impl Site {
    /// A server for `localhost`.
    pub(crate) fn new() -> Self {
        Self::with(&CertificateParams::new(vec!["localhost".to_owned()]).unwrap())
    }

    /// A server whose certificate has these contents.
    pub(crate) fn with(leaf: &CertificateParams) -> Self {
        Self::below(|_| {}, leaf)
    }

    /// A server with a CA of other contents.
    pub(crate) fn below(
        change: impl FnOnce(&mut CertificateParams),
        leaf: &CertificateParams,
    ) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "conformance");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate().unwrap();
        let leaf = leaf.signed_by(&key, &issuer).unwrap().pem();
        Self { issuer, root, leaf, key: key.serialize_pem() }
    }

    /// Trusts the CA.
    pub(crate) fn policy(&self) -> TlsPolicy {
        policy(&self.root)
    }

    /// The same certificate as that of a client.
    pub(crate) fn identity(&self) -> ClientIdentity {
        let file = file(&[&self.leaf, &self.key]);
        ClientIdentity::load(file.path(), None, &|_| unreachable!("the key is not encrypted"))
            .unwrap()
    }

    /// An empty revocation list of the CA.
    pub(crate) fn revocation_lists(&self) -> Vec<RevocationList> {
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(2100, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        crl::load(file(&[&list.signed_by(&self.issuer).unwrap().pem().unwrap()]).path()).unwrap()
    }

    /// The root of the CA as rustls trusts it.
    pub(crate) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.root.as_bytes()).unwrap()).unwrap();
        roots
    }

    /// The server, in front of a server without TLS.
    pub(crate) fn front(&self) -> Front {
        let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        self.serving(builder.with_no_client_auth())
    }

    /// Like [`front`](Self::front), for clients with a certificate of the CA only.
    pub(crate) fn front_for_clients(&self) -> Front {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(self.roots().into(), Arc::clone(&provider));
        let builder = ServerConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        self.serving(builder.with_client_cert_verifier(verifier.build().unwrap()))
    }

    fn serving(
        &self,
        builder: rustls::ConfigBuilder<ServerConfig, rustls::server::WantsServerCert>,
    ) -> Front {
        let leaf = CertificateDer::from_pem_slice(self.leaf.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap();
        let config = builder.with_single_cert(vec![leaf], key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Box::new(move |address| Box::pin(open(acceptor.clone(), address)))
    }
}

async fn open(acceptor: TlsAcceptor, address: SocketAddr) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut behind = TcpStream::connect(address).await.unwrap();
                let Ok(mut stream) = acceptor.accept(tcp).await else { return };
                // Either side may close the connection early; the suite checks what the other side
                // sees.
                let _ = copy_bidirectional(&mut stream, &mut behind).await;
            });
        }
    });
    format!("https://localhost:{port}")
}

/// Trusts this certificate (PEM).
pub(crate) fn policy(pem: &str) -> TlsPolicy {
    TlsPolicy::new(Roots::Bundle(bundle::load(file(&[pem]).path()).unwrap()))
}

pub(crate) fn file(parts: &[&str]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(parts.concat().as_bytes()).unwrap();
    file
}
