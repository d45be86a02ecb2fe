//! Connections: dialling, answering, and who is at the other end.

use super::authority::{Identity, server_name};
use crate::topology::Security;
use crate::{Error, NodeId, Result};
use rustls::client::{Resumption, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{cipher_suite, default_provider};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use skyfresh_sky::Kind;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// The reading half of a connection.
pub(crate) type Reader = Box<dyn AsyncRead + Send + Unpin>;
/// The writing half of a connection.
pub(crate) type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// One member's end of all its connections.
pub(crate) struct Endpoint {
    identity: Identity,
    security: Security,
    connector: TlsConnector,
    acceptor: TlsAcceptor,
}

/// Who answered or called.
pub(crate) struct Peer {
    certificate: Option<CertificateDer<'static>>,
}

impl Endpoint {
    pub(crate) fn new(identity: Identity, security: Security) -> Result<Self> {
        let refused = |error: &dyn std::fmt::Display| {
            Error::invalid("take identity", format!("node {}: {error}", identity.node))
        };
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from(identity.authority.clone()))
            .map_err(|error| refused(&error))?;
        let roots = Arc::new(roots);
        // AES-128 first: payloads are sealed with AES-256 below it, and relays are bound by their processors.
        let provider = Arc::new(CryptoProvider {
            cipher_suites: vec![
                cipher_suite::TLS13_AES_128_GCM_SHA256,
                cipher_suite::TLS13_AES_256_GCM_SHA384,
                cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
            ],
            ..default_provider()
        });
        let chain = || vec![CertificateDer::from(identity.certificate.clone())];
        let key = || PrivateKeyDer::from(PrivatePkcs8KeyDer::from(identity.key.clone()));
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
                .build()
                .map_err(|error| refused(&error))?;
        let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| refused(&error))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain(), key())
            .map_err(|error| refused(&error))?;
        // Every connection proves itself anew.
        server.send_tls13_tickets = 0;
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| refused(&error))?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain(), key())
            .map_err(|error| refused(&error))?;
        client.resumption = Resumption::disabled();
        Ok(Endpoint {
            security,
            connector: TlsConnector::from(Arc::new(client)),
            acceptor: TlsAcceptor::from(Arc::new(server)),
            identity,
        })
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Connects to `node`, and to nobody else. `forced`: with TLS even in a plain job, as control connections always are.
    pub(crate) async fn dial(
        &self,
        node: &NodeId,
        address: &str,
        forced: bool,
    ) -> Result<(Reader, Writer)> {
        let failed = |error| Error::io("connect", &format!("{node} at {address}"), error);
        let stream = TcpStream::connect(address).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        if !forced && self.security == Security::Plain {
            let (reader, writer) = stream.into_split();
            return Ok((Box::new(reader), Box::new(writer)));
        }
        let name = ServerName::try_from(server_name(self.identity.job, node))
            .map_err(|error| Error::invalid("connect", format!("{node}: {error}")))?;
        let stream = self.connector.connect(name, stream).await.map_err(failed)?;
        let (reader, writer) = tokio::io::split(stream);
        Ok((Box::new(reader), Box::new(writer)))
    }

    /// Takes a call. Plain callers are told from TLS by their first byte: only plain jobs take them, and never for control.
    pub(crate) async fn answer(&self, stream: TcpStream) -> Result<(Reader, Writer, Peer)> {
        let failed = |error| Error::io("answer", "a caller", error);
        stream.set_nodelay(true).map_err(failed)?;
        let mut first = [0];
        stream.peek(&mut first).await.map_err(failed)?;
        // A TLS handshake record begins with 22 (RFC 8446 §5.1), a frame with its magic.
        if first[0] != 22 {
            if self.security != Security::Plain {
                return Err(Error::new(
                    Kind::Denied,
                    "answer",
                    "a caller without TLS: refused",
                ));
            }
            let (reader, writer) = stream.into_split();
            return Ok((
                Box::new(reader),
                Box::new(writer),
                Peer { certificate: None },
            ));
        }
        let stream = self.acceptor.accept(stream).await.map_err(|error| {
            Error::new(
                Kind::Denied,
                "answer",
                format!("a caller is not of this job: {error}"),
            )
            .with_source(error)
        })?;
        let certificates = stream.get_ref().1.peer_certificates();
        let certificate = certificates
            .and_then(|chain| chain.first())
            .map(|one| one.clone().into_owned());
        let (reader, writer) = tokio::io::split(stream);
        Ok((Box::new(reader), Box::new(writer), Peer { certificate }))
    }

    /// Whether a caller is who it says it is. On a plain job only nodes can be meant, and its token must do.
    pub(crate) fn is(&self, peer: &Peer, node: &NodeId) -> bool {
        let Some(certificate) = &peer.certificate else {
            return self.security == Security::Plain && node.as_str() != super::OWNER;
        };
        let Ok(name) = ServerName::try_from(server_name(self.identity.job, node)) else {
            return false;
        };
        ParsedCertificate::try_from(certificate)
            .is_ok_and(|parsed| verify_server_name(&parsed, &name).is_ok())
    }
}
