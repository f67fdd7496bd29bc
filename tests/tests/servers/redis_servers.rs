//! Redis servers of a test's own: made in its folder, reached by TLS at ports that were free, and stopped when the test ends.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, FromRedisValue, ProtocolVersion, RedisConnectionInfo};
use shared::dial::{Dial, Endpoint, Sockets};
use tempfile::TempDir;
use tokio_rustls::rustls::pki_types::CertificateDer;

use crate::postgresql::eventually;

/// Where Debian puts it.
const PROGRAM: &str = "/usr/bin/redis-server";
/// The host of all of them.
const HOST: &str = "127.0.0.1";
pub const PASSWORD: &str = "a-password-of-a-test";

/// The folder of a test, with a certificate for this host.
pub struct Folder {
    folder: TempDir,
    authority: CertificateDer<'static>,
}

impl Folder {
    pub fn new() -> Self {
        let folder = TempDir::with_prefix("redis-").unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // OpenSSL takes what has the name of its issuer for its own authority.
        params
            .distinguished_name
            .push(DnType::CommonName, "the authority of a test");
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let server = CertificateParams::new([HOST.to_owned()]).unwrap();
        let server = server.signed_by(&key, &authority).unwrap();
        let keep = |name: &str, text: String| fs::write(folder.path().join(name), text).unwrap();
        keep("authority.pem", authority.pem());
        keep("server.pem", server.pem());
        keep("server.key", key.serialize_pem());
        let authority = authority.der().clone();
        Self { folder, authority }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The network, for whoever trusts this folder's authority.
    pub fn network(&self) -> Sockets {
        Sockets::trusting(vec![self.authority.clone()])
    }
}

/// A server that runs.
pub struct Redis {
    process: Child,
    pub port: u16,
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((HOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

impl Redis {
    /// One with a password, and with these settings beside that.
    pub async fn start(folder: &Folder, settings: &[&str]) -> Self {
        assert!(
            Path::new(PROGRAM).exists(),
            "there is no {PROGRAM}: run `make redis`, or `apt-get install --no-install-recommends redis-server`"
        );
        let port = free_port();
        let log = File::create(folder.path().join(format!("{port}.log"))).unwrap();
        let mut command = Command::new(PROGRAM);
        command
            .current_dir(folder.path())
            .args(["--bind", HOST, "--port", "0", "--tls-port", &port.to_string()])
            .args(["--tls-cert-file", "server.pem", "--tls-key-file", "server.key"])
            .args(["--tls-ca-cert-file", "authority.pem", "--tls-auth-clients", "no"])
            .args(["--requirepass", PASSWORD, "--save", "", "--appendonly", "no"])
            .args(["--cluster-config-file", &format!("{port}.nodes")])
            .args(settings);
        let process = command.stdout(log).stderr(Stdio::null()).spawn().unwrap();
        let server = Self { process, port };
        eventually("a new server", async || server.connect(folder).await.map(drop)).await;
        server
    }

    pub fn endpoint(&self) -> String {
        format!("{HOST}:{}", self.port)
    }

    /// A connection. Errors: why there is none.
    async fn connect(&self, folder: &Folder) -> Result<MultiplexedConnection, String> {
        let endpoint = Endpoint {
            host: HOST.to_owned(),
            port: self.port,
            tls: true,
        };
        let stream = folder.network().dial(endpoint).await;
        let stream = stream.map_err(|error| error.to_string())?;
        let info = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP2)
            .set_password(PASSWORD);
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let connected = MultiplexedConnection::new_with_config(&info, stream, config).await;
        let (connection, driver) = connected.map_err(|error| error.to_string())?;
        tokio::spawn(driver);
        Ok(connection)
    }

    /// Has it answer a command.
    pub async fn ask<T: FromRedisValue>(&self, folder: &Folder, words: &[&str]) -> T {
        let mut connection = self.connect(folder).await.unwrap();
        let answer = redis::cmd(words[0]).arg(&words[1..]).query_async(&mut connection).await;
        answer.unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// Keeps so many keys with this beginning. The server makes them itself.
    pub async fn fill(&self, folder: &Folder, prefix: &str, count: usize) {
        let script = "for i = 1, tonumber(ARGV[2]) do redis.call('SET', ARGV[1] .. i, 'x') end";
        let () = self
            .ask(folder, &["EVAL", script, "0", prefix, &count.to_string()])
            .await;
    }

    /// Keeps some keys, each where it belongs: a cluster has each at one of its servers.
    pub async fn fill_own(&self, folder: &Folder, prefix: &str, count: usize) -> usize {
        let mut connection = self.connect(folder).await.unwrap();
        let mut kept = 0;
        for number in 0..count {
            let set: Result<(), _> = redis::cmd("SET")
                .arg(format!("{prefix}{number}"))
                .arg("x")
                .query_async(&mut connection)
                .await;
            kept += usize::from(set.is_ok());
        }
        kept
    }

    /// How many keys it has.
    pub async fn size(&self, folder: &Folder) -> usize {
        self.ask(folder, &["DBSIZE"]).await
    }

    /// Primaries of one cluster, which share the slots.
    pub async fn cluster(folder: &Folder, count: u16) -> Vec<Self> {
        const SLOTS: u16 = 16_384;
        let mut servers = Vec::new();
        let mut buses = Vec::new();
        for number in 0..count {
            let bus = free_port().to_string();
            let server = Self::start(
                folder,
                &[
                    "--cluster-enabled",
                    "yes",
                    "--tls-cluster",
                    "yes",
                    "--cluster-port",
                    &bus,
                ],
            )
            .await;
            let (from, to) = (SLOTS / count * number, SLOTS / count * (number + 1) - 1);
            let to = if number + 1 == count { SLOTS - 1 } else { to };
            let own = ["CLUSTER", "ADDSLOTSRANGE", &from.to_string(), &to.to_string()];
            let () = server.ask(folder, &own).await;
            let epoch = (number + 1).to_string();
            let () = server.ask(folder, &["CLUSTER", "SET-CONFIG-EPOCH", &epoch]).await;
            servers.push(server);
            buses.push(bus);
        }
        for (server, bus) in servers.iter().zip(&buses).skip(1) {
            let port = server.port.to_string();
            let () = servers[0].ask(folder, &["CLUSTER", "MEET", HOST, &port, bus]).await;
        }
        for server in &servers {
            eventually("the cluster", async || {
                let info: String = server.ask(folder, &["CLUSTER", "INFO"]).await;
                let nodes = format!("cluster_size:{count}\r\n");
                match info.contains("cluster_state:ok") && info.contains(&nodes) {
                    true => Ok(()),
                    false => Err(info),
                }
            })
            .await;
        }
        servers
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
