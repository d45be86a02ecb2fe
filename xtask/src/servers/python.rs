//! The servers that run on Python: moto, MiniStack and gcplocal.

use super::install::Python;
use super::server::{Health, Kind};
use std::process::Command;

impl Python {
    /// moto, in server mode (docs.getmoto.org, "Non-Python SDKs / Server Mode").
    pub(super) fn moto(&self) -> Kind<'_> {
        Kind {
            name: "moto",
            ports: 1,
            command: Box::new(|ports| {
                let mut command = Command::new(self.program("moto_server"));
                command.args(["-H", "127.0.0.1", "-p", &ports[0].to_string()]);
                command
            }),
            health: Health::Http {
                path: "/moto-api/",
                status: 200,
            },
        }
    }

    /// MiniStack. Its SFTP and MQTT listeners are off: they ignore `BIND_HOST` and would listen on every address.
    pub(super) fn ministack(&self) -> Kind<'_> {
        Kind {
            name: "ministack",
            ports: 1,
            command: Box::new(|ports| {
                let mut command = Command::new(self.program("ministack"));
                command.envs([
                    ("BIND_HOST", "127.0.0.1"),
                    ("MINISTACK_HOST", "127.0.0.1"),
                    ("GATEWAY_PORT", &ports[0].to_string()),
                    ("SFTP_ENABLED", "false"),
                    ("IOT_MTLS_ENABLED", "false"),
                ]);
                command
            }),
            health: Health::Http {
                path: "/_ministack/health",
                status: 200,
            },
        }
    }

    /// gcplocal. Of what it speaks, Compute Engine is used.
    pub(super) fn gcplocal(&self) -> Kind<'_> {
        Kind {
            name: "gcplocal",
            ports: 1,
            command: Box::new(|ports| {
                let mut command = Command::new(self.program("gcplocal"));
                command.args(["start", "--host", "127.0.0.1", "--port"]);
                command.arg(ports[0].to_string());
                command
            }),
            health: Health::Http {
                path: "/health",
                status: 200,
            },
        }
    }
}
