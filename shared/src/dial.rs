//! Connections to servers inside the platform's network, which speak neither HTTP nor AWS's own protocols.

use std::fmt;
use std::io;
use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

pub use crate::waiting::awaited;

/// A connection.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Where a connection leads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// The host, by its name or its address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether TLS is spoken, with a certificate for that host.
    pub tls: bool,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Who opens connections.
pub trait Dial: fmt::Debug + Send + Sync {
    /// Opens a connection. Errors: that of the network; of kind `InvalidData`, where the certificate is not trusted.
    fn dial(&self, to: Endpoint) -> BoxFuture<'static, io::Result<Box<dyn Stream>>>;
}

/// The real network.
#[derive(Clone, Debug, Default)]
pub struct Sockets {
    trusted: Option<Vec<CertificateDer<'static>>>,
}

impl Sockets {
    /// Which trusts these authorities, in place of those that the system has.
    pub fn trusting(authorities: Vec<CertificateDer<'static>>) -> Self {
        Self {
            trusted: Some(authorities),
        }
    }

    fn tls(&self) -> io::Result<TlsConnector> {
        let authorities = self.trusted.clone();
        let authorities = authorities.unwrap_or_else(|| rustls_native_certs::load_native_certs().certs);
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(authorities);
        let provider = Arc::new(crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

impl Dial for Sockets {
    fn dial(&self, to: Endpoint) -> BoxFuture<'static, io::Result<Box<dyn Stream>>> {
        let sockets = self.clone();
        Box::pin(async move {
            let socket = TcpStream::connect((to.host.as_str(), to.port)).await?;
            socket.set_nodelay(true)?;
            if !to.tls {
                return Ok(Box::new(socket) as Box<dyn Stream>);
            }
            let name = ServerName::try_from(to.host).map_err(io::Error::other)?;
            let secured = sockets.tls()?.connect(name, socket).await?;
            Ok(Box::new(secured) as Box<dyn Stream>)
        })
    }
}
