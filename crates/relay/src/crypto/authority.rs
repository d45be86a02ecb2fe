//! A job's certificates.

use super::OWNER;
use crate::frame::Token;
use crate::{Error, JobId, NodeId, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use serde::{Deserialize, Serialize};
use skyfresh_sky::{Kind, Timestamp};
use std::fmt;
use std::time::Duration;

/// Clocks of two machines may differ by as much.
const CLOCK_SKEW: Duration = Duration::from_secs(24 * 3600);

/// What proves one member of one job to the others. Serialisable, because it travels to the node on its standard input; holds a
/// private key, so it never goes anywhere else.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The job.
    pub job: JobId,
    /// The member.
    pub node: NodeId,
    /// The job's secret, in every greeting.
    pub token: Token,
    /// The job's authority (DER).
    pub(super) authority: Vec<u8>,
    /// This member's certificate (DER).
    pub(super) certificate: Vec<u8>,
    /// Its private key (PKCS #8, DER).
    pub(super) key: Vec<u8>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("job", &self.job)
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

/// Makes a job's identities. Dropped with the job; there is nothing to revoke.
pub struct Authority {
    job: JobId,
    token: Token,
    issuer: Issuer<'static, KeyPair>,
    certificate: Vec<u8>,
    validity: (Timestamp, Duration),
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("job", &self.job)
            .finish_non_exhaustive()
    }
}

impl Authority {
    /// A new authority whose certificates are good from now for `life` (and a day of clock skew on both sides). Keys come from
    /// the system's secure generator, never from a seed.
    ///
    /// # Errors
    /// `Internal` where the system gives no randomness.
    pub fn new(job: JobId, now: Timestamp, life: Duration) -> Result<Self> {
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        name(&mut params, &format!("skyfresh job {job}"));
        limit(&mut params, (now, life));
        let certificate = params.self_signed(&key).map_err(failed)?;
        let mut token = [0; 16];
        super::seal::random(&mut token)?;
        Ok(Authority {
            job,
            token: Token(token),
            certificate: certificate.der().to_vec(),
            issuer: Issuer::new(params, key),
            validity: (now, life),
        })
    }

    /// The job.
    pub fn job(&self) -> JobId {
        self.job
    }

    /// A node's identity.
    ///
    /// # Errors
    /// `Invalid` for the owner's name; `Internal` where a certificate cannot be made.
    pub fn identity(&self, node: &NodeId) -> Result<Identity> {
        if node.as_str() == OWNER {
            return Err(Error::invalid(
                "make identity",
                "no node may be called owner: rename it",
            ));
        }
        self.issue(node)
    }

    /// The owner's own identity, which nodes take orders from.
    ///
    /// # Errors
    /// `Internal` where a certificate cannot be made.
    pub fn owner(&self) -> Result<Identity> {
        self.issue(&NodeId::new(OWNER)?)
    }

    fn issue(&self, node: &NodeId) -> Result<Identity> {
        let key = KeyPair::generate().map_err(failed)?;
        let mut params =
            CertificateParams::new(vec![server_name(self.job, node)]).map_err(failed)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        name(&mut params, node.as_str());
        limit(&mut params, self.validity);
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?;
        Ok(Identity {
            job: self.job,
            node: node.clone(),
            token: self.token,
            authority: self.certificate.clone(),
            certificate: certificate.der().to_vec(),
            key: key.serialize_der(),
        })
    }
}

/// The DNS name in a member's certificate. `.invalid` is never resolved (RFC 6761 §6.4).
pub(super) fn server_name(job: JobId, node: &NodeId) -> String {
    format!("{node}.{job}.relay.invalid")
}

fn name(params: &mut CertificateParams, common: &str) {
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common);
}

fn limit(params: &mut CertificateParams, (now, life): (Timestamp, Duration)) {
    let at = |when: Duration| rcgen::date_time_ymd(1970, 1, 1) + when;
    let now = Duration::from_millis(now.unix_ms());
    params.not_before = at(now.saturating_sub(CLOCK_SKEW));
    params.not_after = at(now + life.min(Duration::from_secs(366 * 24 * 3600)) + CLOCK_SKEW);
}

fn failed(error: rcgen::Error) -> Error {
    Error::new(Kind::Internal, "make certificate", error.to_string()).with_source(error)
}
