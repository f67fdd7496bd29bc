//! The way of steps into the world: to the simulated AWS, and to real servers where they send SQL or have a cluster restored.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use shared::aws::Aws;
use shared::restore::cluster_arn;
use simulator::aws::door::Door;
use simulator::cloud::Cloud;
use simulator::workload::Platform;
use tokio_postgres::Config;

use crate::data_api::{Refusal, Session, Statement};
use crate::postgresql::{Folder, Server};

/// The servers behind clusters, by the clusters' ARNs.
pub struct Servers {
    running: Mutex<BTreeMap<String, Arc<Server>>>,
    /// What they stand in: it goes after they have.
    pub folder: Folder,
    /// ARN of the cluster that others are restored from.
    production: String,
    /// The platform's user.
    user: String,
    /// How far the simulated clock is ahead of the servers' one.
    ahead: Mutex<SignedDuration>,
    /// Of each restore that RDS took, whether whoever asked for it had the answer.
    restores: Mutex<Vec<bool>>,
    /// Transactions of the Data API, by id.
    transactions: Mutex<BTreeMap<String, Arc<Session>>>,
}

impl Servers {
    /// A production server, which is behind this cluster, and who the platform is in it.
    pub fn new(folder: Folder, production: &str, server: Server, user: &str) -> Arc<Self> {
        Arc::new(Self {
            folder,
            user: user.to_owned(),
            running: Mutex::new(BTreeMap::from([(production.to_owned(), Arc::new(server))])),
            production: production.to_owned(),
            ahead: Mutex::default(),
            restores: Mutex::default(),
            transactions: Mutex::default(),
        })
    }

    /// The server behind a cluster, if there is one.
    pub fn behind(&self, cluster_arn: &str) -> Option<Arc<Server>> {
        self.running.lock().unwrap().get(cluster_arn).cloned()
    }

    /// From now on, this one is behind the production cluster; none, if there is none.
    pub fn replace_production(&self, server: Option<Server>) {
        let mut running = self.running.lock().unwrap();
        running.remove(&self.production);
        running.extend(server.map(|server| (self.production.clone(), Arc::new(server))));
    }

    pub fn production(&self) -> Arc<Server> {
        self.behind(&self.production).unwrap()
    }

    /// ARN of the cluster that was restored, once there is a server behind it.
    pub fn restored(&self) -> Option<String> {
        let running = self.running.lock().unwrap();
        running.keys().find(|arn| **arn != self.production).cloned()
    }

    /// Says what the simulated clock shows now.
    pub fn set_clock(&self, shows: Timestamp) {
        *self.ahead.lock().unwrap() = shows.duration_since(Timestamp::now());
    }

    /// What the servers' clock shows when the simulated one shows `at`.
    pub fn by_their_clock(&self, at: Timestamp) -> Timestamp {
        at - *self.ahead.lock().unwrap()
    }

    /// Of each restore that RDS took, whether whoever asked for it had the answer.
    pub fn restores(&self) -> Vec<bool> {
        self.restores.lock().unwrap().clone()
    }

    /// What RDS does when it makes a cluster with the data of then.
    async fn restore(self: Arc<Self>, arn: String, to: Timestamp) {
        self.production().archive_all(&self.folder).await;
        let (servers, to) = (Arc::clone(&self), self.by_their_clock(to));
        let restoring = tokio::task::spawn_blocking(move || Server::restored(&servers.folder, "restored", Some(to)));
        let restored = restoring.await.unwrap();
        self.running.lock().unwrap().insert(arn, Arc::new(restored));
    }

    async fn execute(&self, body: &Value, password: &str) -> Result<Value, Refusal> {
        let statement = Statement::deserialize(body).map_err(|error| Refusal {
            status: 400,
            code: "BadRequestException",
            message: error.to_string(),
        })?;
        let transaction = body["transactionId"].as_str().unwrap_or_default();
        let begun = self.transactions.lock().unwrap().get(transaction).cloned();
        if let Some(session) = begun {
            return session.execute(&statement).await;
        }
        let session = Session::begin(&self.config(body, password)?).await?;
        let answer = session.execute(&statement).await;
        session.end().await;
        answer
    }

    /// Begins a transaction on a server that the simulated Data API has begun.
    async fn begin_transaction(&self, body: &Value, password: &str, id: &str) -> Result<(), Refusal> {
        let session = Session::begin_transaction(&self.config(body, password)?).await?;
        let mut transactions = self.transactions.lock().unwrap();
        transactions.insert(id.to_owned(), Arc::new(session));
        Ok(())
    }

    /// Why the server behind a cluster lets nobody in with a password that the simulated database refuses.
    async fn refuses(&self, body: &Value, password: &str) -> Refusal {
        let begun = match self.config(body, password) {
            Ok(config) => Session::begin(&config).await,
            Err(refusal) => Err(refusal),
        };
        match begun {
            Ok(_) => panic!("the server takes a password that the simulated database refuses"),
            Err(refusal) => refusal,
        }
    }

    /// Sets the password of the platform's user in a server.
    pub async fn set_password(&self, server: &Server, password: &str) {
        let superuser = server.superuser().await.unwrap();
        let sql = format!("ALTER ROLE {} PASSWORD '{password}'", self.user);
        superuser.batch_execute(&sql).await.unwrap();
    }

    fn end_transaction(&self, body: &Value) {
        let id = body["transactionId"].as_str().unwrap_or_default();
        self.transactions.lock().unwrap().remove(id);
    }

    /// How the server behind a cluster is reached.
    fn config(&self, body: &Value, password: &str) -> Result<Config, Refusal> {
        let text = |name: &str| body[name].as_str().unwrap_or_default();
        let server = self.behind(text("resourceArn")).ok_or_else(|| Refusal {
            status: 504,
            code: "DatabaseUnavailableException",
            message: "there is no server behind this cluster yet".to_owned(),
        })?;
        // The user of the platform is called like its database.
        let database = text("database");
        let mut config = server.config(database, database);
        config.password(password);
        Ok(config)
    }
}

/// The door of one caller, and the servers beside it.
#[derive(Clone)]
pub struct Front {
    cloud: Arc<Cloud>,
    servers: Arc<Servers>,
    door: Door,
}

impl fmt::Debug for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "front of {:?}", self.door)
    }
}

impl Front {
    /// The door of `function` in a Region.
    pub fn new(
        cloud: &Arc<Cloud>,
        platform: &Arc<Platform>,
        servers: &Arc<Servers>,
        function: &str,
        region: &str,
    ) -> Self {
        Self {
            cloud: Arc::clone(cloud),
            servers: Arc::clone(servers),
            door: Door::new(cloud, platform, function, region),
        }
    }

    /// The world as this caller sees it; `table` is the table of records.
    pub fn aws(&self, table: &str) -> Aws {
        self.door.aws_through(SharedHttpClient::new(self.clone()), table)
    }

    /// The simulated Data API says whether the caller reaches the cluster, the server what it answers.
    async fn statement(&self, mut request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let body = request.body().bytes().unwrap_or_default();
        let body: Value = serde_json::from_slice(body).map_err(|error| ConnectorError::user(error.into()))?;
        let uri = request.uri().to_owned();
        if uri.ends_with("/Execute") {
            let mut plain = body.clone();
            plain["sql"] = json!("SELECT 1");
            plain["parameters"] = json!([]);
            plain["transactionId"] = Value::Null;
            *request.body_mut() = SdkBody::from(plain.to_string());
        }
        let reached = self.door.call(request).await?;
        // Whether a password fits is for the server to say.
        let is_refused = says(&reached, "28P01");
        if !reached.status().is_success() && !is_refused {
            return Ok(reached);
        }
        let secret = body["secretArn"].as_str().unwrap_or_default();
        let login = self.cloud.secretsmanager.login(secret);
        let password = login.map_err(|code| ConnectorError::user(code.into()))?.password;
        if is_refused {
            let refusal = self.servers.refuses(&body, &password).await;
            return match refusal.message.contains("28P01") {
                true => Ok(reached),
                false => refused(&refusal),
            };
        }
        let answer: Value = match reached.body().bytes() {
            Some(answer) => serde_json::from_slice(answer).map_err(|error| ConnectorError::user(error.into()))?,
            None => Value::Null,
        };
        let on_the_server = match uri.rsplit('/').next() {
            Some("Execute") => self.servers.execute(&body, &password).await,
            Some("BeginTransaction") => {
                let id = answer["transactionId"].as_str().unwrap_or_default();
                self.servers
                    .begin_transaction(&body, &password, id)
                    .await
                    .map(|()| answer)
            }
            _ => {
                self.servers.end_transaction(&body);
                Ok(answer)
            }
        };
        match on_the_server {
            Ok(answer) => response(200, None, &answer),
            Err(refusal) => refused(&refusal),
        }
    }

    /// The simulated RDS takes the call, and the server has the new password at once.
    async fn modify(&self, request: HttpRequest, form: String) -> Result<HttpResponse, ConnectorError> {
        let answer = self.door.call(request).await?;
        let id = text_in(&form, "DBClusterIdentifier").unwrap_or_default();
        let server = self.servers.behind(&cluster_arn(&self.servers.production, &id));
        if let Some((server, password)) = server.zip(text_in(&form, "MasterUserPassword"))
            && answer.status().is_success()
        {
            self.servers.set_password(&server, &password).await;
        }
        Ok(answer)
    }

    /// The simulated RDS takes the call, and a server is made, whatever becomes of whoever called.
    async fn restore(&self, request: HttpRequest, form: String) -> Result<HttpResponse, ConnectorError> {
        let to = text_in(&form, "RestoreToTime").and_then(|to| to.parse().ok());
        let Some((id, to)) = text_in(&form, "DBClusterIdentifier").zip(to) else {
            return Err(ConnectorError::user("it names no cluster and no time".into()));
        };
        let mut asked = Asked {
            cloud: Arc::clone(&self.cloud),
            servers: Arc::clone(&self.servers),
            id,
            to,
            is_answered: false,
        };
        let answer = self.door.call(request).await;
        asked.is_answered = true;
        answer
    }
}

/// A parameter of a call to RDS.
fn text_in(form: &str, name: &str) -> Option<String> {
    let mut fields = form.split('&').filter_map(|field| field.split_once('='));
    let found = fields.find(|(field, _)| *field == name);
    found.map(|(_, value)| value.replace("%3A", ":"))
}

/// Whether an answer says this somewhere.
fn says(answer: &HttpResponse, what: &str) -> bool {
    let body = answer.body().bytes().unwrap_or_default();
    String::from_utf8_lossy(body).contains(what)
}

/// A restore that RDS was asked for. It begins when that was answered, or when whoever asked is gone.
struct Asked {
    cloud: Arc<Cloud>,
    servers: Arc<Servers>,
    id: String,
    to: Timestamp,
    is_answered: bool,
}

impl Drop for Asked {
    fn drop(&mut self) {
        let arn = cluster_arn(&self.servers.production, &self.id);
        if self.cloud.rds.region_of(&arn).is_some() {
            self.servers.restores.lock().unwrap().push(self.is_answered);
            tokio::task::spawn_local(Arc::clone(&self.servers).restore(arn, self.to));
        }
    }
}

impl HttpConnector for Front {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let front = self.clone();
        let form = String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned();
        if request.uri().starts_with("https://rds-data.") {
            return HttpConnectorFuture::new(async move { front.statement(request).await });
        }
        if form.starts_with("Action=ModifyDBCluster&") {
            return HttpConnectorFuture::new(async move { front.modify(request, form).await });
        }
        if form.starts_with("Action=RestoreDBClusterToPointInTime&") {
            return HttpConnectorFuture::new(async move { front.restore(request, form).await });
        }
        self.door.call(request)
    }
}

impl HttpClient for Front {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }

    fn validate_final_config(&self, components: &RuntimeComponents, config: &ConfigBag) -> Result<(), BoxError> {
        self.door.validate_final_config(components, config)
    }
}

fn refused(refusal: &Refusal) -> Result<HttpResponse, ConnectorError> {
    let message = json!({ "message": refusal.message });
    response(refusal.status, Some(refusal.code), &message)
}

fn response(status: u16, error: Option<&'static str>, body: &Value) -> Result<HttpResponse, ConnectorError> {
    let status = status
        .try_into()
        .map_err(|error| ConnectorError::user(Box::new(error)))?;
    let mut response = HttpResponse::new(status, SdkBody::from(body.to_string()));
    if let Some(code) = error {
        response.headers_mut().insert("x-amzn-errortype", code);
    }
    Ok(response)
}
