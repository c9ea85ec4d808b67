//! The ports: bound before anything that takes time, so that a port in use shows at once.

use std::net::{SocketAddr, TcpListener};

use anyhow::anyhow;

use crate::{addresses::Addresses, options::ServeOptions};

/// The bound ports.
pub(super) struct Listeners {
    pub(super) http: TcpListener,
    pub(super) admin: TcpListener,
    pub(super) aws: TcpListener,
}

impl Listeners {
    pub(super) fn bind(options: &ServeOptions) -> anyhow::Result<Self> {
        Ok(Self {
            http: bind(options.http, "--http")?,
            admin: bind(options.admin, "--admin")?,
            aws: bind(options.aws, "--aws")?,
        })
    }

    pub(super) fn addresses(&self) -> std::io::Result<Addresses> {
        Ok(Addresses {
            http: self.http.local_addr()?,
            admin: self.admin.local_addr()?,
            aws: self.aws.local_addr()?,
        })
    }
}

fn bind(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => anyhow!(
            "port {} is in use by another program: end that one, or choose another port with \
             {flag} {}:PORT (port 0 picks a free one)",
            address.port(),
            address.ip()
        ),
        _ => anyhow!("cannot listen on {address} ({flag}): {error}"),
    })?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
