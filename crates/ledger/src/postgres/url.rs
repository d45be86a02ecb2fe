//! The connection URL, with the TLS settings that cannot be turned off by accident.

use crate::{Error, Result};
use skyfresh_sky::Kind;
use std::path::PathBuf;
use std::time::Duration;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// A peer that answers nothing for this long is gone.
const SILENCE_LIMIT: Duration = Duration::from_secs(10);

/// `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, read and checked. `Debug` shows no password.
///
/// TLS is required and verified, the name in the certificate included. `?sslmode=disable` turns it off, and nothing else
/// does; `?sslrootcert=FILE` trusts the authorities in a PEM file instead of the system's. Over a Unix socket
/// (`?host=/run/postgresql`) there is no TLS.
#[derive(Clone, Debug)]
pub struct PostgresUrl {
    pub(super) driver: Config,
    pub(super) encrypted: bool,
    pub(super) root_certificates: Option<PathBuf>,
}

impl PostgresUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`Kind::Invalid`]: it cannot be used. The error quotes nothing of it, as it may hold a password.
    pub fn parse(text: &str) -> Result<Self> {
        if !(text.starts_with("postgres://") || text.starts_with("postgresql://")) {
            return Err(invalid(
                "expected postgres://USER:PASSWORD@HOST:PORT/DATABASE",
            ));
        }
        let (address, query) = text.split_once('?').unwrap_or((text, ""));
        let (mut mode, mut root_certificates, mut rest) = (None, None, Vec::new());
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=') {
                Some(("sslmode", value)) => mode = Some(value),
                Some(("sslrootcert", "system")) => {}
                Some(("sslrootcert", value)) => root_certificates = Some(PathBuf::from(value)),
                _ => rest.push(parameter),
            }
        }
        let mut encrypted = match mode {
            // What libpq calls `require` does not verify; here everything that encrypts verifies.
            None | Some("require" | "verify-full") => true,
            Some("disable") => false,
            Some("allow" | "prefer" | "verify-ca") => {
                return Err(invalid(
                    "sslmode allow, prefer and verify-ca can be talked out of TLS or of the right server: write \
                     sslmode=verify-full, which is the default, or sslmode=disable",
                ));
            }
            Some(_) => return Err(invalid("sslmode is verify-full (the default) or disable")),
        };
        let mut driver: Config = [address, &rest.join("&")]
            .join("?")
            .parse()
            .map_err(|_| {
                invalid(
                    "it cannot be read: characters with a meaning in an address (as @, :, /, ? and % in a password) are \
                     written %40, %3A, %2F, %3F, %25",
                )
            })?;
        if driver.get_hosts().is_empty() {
            return Err(invalid("it names no host"));
        }
        #[cfg(unix)]
        if driver
            .get_hosts()
            .iter()
            .all(|host| matches!(host, Host::Unix(_)))
        {
            encrypted = false;
        }
        driver
            .ssl_mode(if encrypted {
                SslMode::Require
            } else {
                SslMode::Disable
            })
            // A replica would show the past.
            .target_session_attrs(TargetSessionAttrs::ReadWrite)
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_user_timeout(SILENCE_LIMIT)
            .application_name("skyfresh");
        Ok(PostgresUrl {
            driver,
            encrypted,
            root_certificates,
        })
    }

    /// The same with this password, written as it is: in the URL itself, characters with a meaning there are escaped.
    #[must_use]
    pub fn with_password(mut self, password: &str) -> Self {
        self.driver.password(password);
        self
    }

    /// Where it leads, for messages.
    pub(super) fn target(&self) -> String {
        let hosts = self.driver.get_hosts().iter().map(|host| match host {
            Host::Tcp(host) => host.clone(),
            #[cfg(unix)]
            Host::Unix(path) => path.display().to_string(),
        });
        let hosts: Vec<String> = hosts.collect();
        let database = self.driver.get_dbname().unwrap_or_default();
        format!("postgres://{}/{database}", hosts.join(","))
    }
}

fn invalid(why: &str) -> Error {
    Error::new(Kind::Invalid, "open", "the PostgreSQL URL", why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(url: &str) -> SslMode {
        PostgresUrl::parse(url).unwrap().driver.get_ssl_mode()
    }

    #[test]
    fn tls_is_off_only_where_the_url_says_disable() {
        for url in [
            "postgres://u:p@h/d",
            "postgresql://u@h:5432/d?sslmode=require",
            "postgres://u@h/d?sslmode=verify-full&application_name=x",
            "postgres://u@h/d?sslrootcert=system",
        ] {
            assert_eq!(mode(url), SslMode::Require, "{url}");
        }
        assert_eq!(mode("postgres://u@h/d?sslmode=disable"), SslMode::Disable);
        assert_eq!(
            mode("postgres://u@/d?host=/run/postgresql"),
            SslMode::Disable
        );
        for refused in ["allow", "prefer", "verify-ca", "", "Disable"] {
            let url = format!("postgres://u@h/d?sslmode={refused}");
            assert_eq!(
                PostgresUrl::parse(&url).unwrap_err().kind,
                Kind::Invalid,
                "{url}"
            );
        }
    }

    #[test]
    fn passwords_stay_out_of_messages() {
        let url = PostgresUrl::parse("postgres://u:hunter2@h:1/d").unwrap();
        let shown = format!("{url:?} {}", url.target());
        assert!(!shown.contains("hunter2"), "{shown}");
        let url = url.with_password("hunter2/@");
        assert_eq!(url.driver.get_password(), Some(&b"hunter2/@"[..]));
        assert!(!format!("{url:?}").contains("hunter2"));
        assert_eq!(url.target(), "postgres://h/d");
        for bad in [
            "postgres://u:hunter2@h:port/d",
            "host=h password=hunter2",
            "postgres://u:hunter2@",
        ] {
            let error = PostgresUrl::parse(bad).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn reads_come_from_the_primary() {
        let url = PostgresUrl::parse("postgres://u@a,b/d?target_session_attrs=any").unwrap();
        assert_eq!(
            url.driver.get_target_session_attrs(),
            TargetSessionAttrs::ReadWrite
        );
    }
}
