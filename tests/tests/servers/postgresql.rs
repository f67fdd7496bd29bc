//! PostgreSQL servers of a test's own: made in its folder, reached by a socket there, and stopped when the test ends.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use simulator::workload::{FIRST_PASSWORD, SECOND_PASSWORD};
use tempfile::TempDir;
use tokio_postgres::{Client, Config, NoTls};

/// Where Debian puts each version.
const VERSIONS: &str = "/usr/lib/postgresql";
/// The user `nobody` and the group `nogroup` of Debian: PostgreSQL refuses to run as root.
const NOBODY: u32 = 65534;
/// The user who may do everything.
const SUPERUSER: &str = "postgres";
/// How big a file of WAL is: small, since each is copied.
const WAL_FILE_MB: &str = "1";
/// What a base backup says of itself.
const LABEL: &str = "backup_label";
/// Everybody but that user needs a password.
const WHO_SIGNS_IN_HOW: &str =
    "local all postgres trust\nlocal replication postgres trust\nlocal all all scram-sha-256\n";
/// The database that is in every cluster.
const TEMPLATE: &str = "template1";
/// How long a server, or an archive, may take for what is asked of it.
const WITHIN: Duration = Duration::from_secs(20);
const LOOKED_AT_EVERY: Duration = Duration::from_millis(20);

/// What all servers are set to: small, and without care for a loss of power.
const SETTINGS: [&str; 11] = [
    "listen_addresses=",
    "fsync=off",
    "min_wal_size=2MB",
    "max_wal_size=16MB",
    "shared_buffers=16MB",
    "max_connections=30",
    "max_wal_senders=2",
    "jit=off",
    "log_timezone=UTC",
    "timezone=UTC",
    // A test asks each row when it was committed.
    "track_commit_timestamp=on",
];

/// The folder of the newest version that is installed.
fn programs() -> &'static Path {
    static PROGRAMS: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
        let versions = fs::read_dir(VERSIONS).into_iter().flatten().flatten();
        let complete = versions.filter(|version| version.path().join("bin/postgres").exists());
        let newest = complete.max_by_key(|version| version.file_name().to_str()?.parse::<u32>().ok());
        Some(newest?.path().join("bin"))
    });
    PROGRAMS.as_deref().unwrap_or_else(|| {
        panic!(
            "there is no PostgreSQL under {VERSIONS}: run `make postgresql`, or \
             `apt-get install --no-install-recommends postgresql`"
        )
    })
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|this| this.uid() == 0)
}

/// Hands a file or a folder to the user whom the servers run as.
fn hand_over(path: &Path) {
    if is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

/// A program that runs as a user whom PostgreSQL accepts.
fn command(program: impl AsRef<OsStr>, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("LC_ALL", "C.UTF-8");
    command.stdin(Stdio::null());
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// Runs a program to its end.
fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}: {said}", output.status);
}

/// Tries until it comes about.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    let began = Instant::now();
    loop {
        match look().await {
            Ok(found) => return found,
            Err(why) => assert!(
                began.elapsed() < WITHIN,
                "{what} did not come about within {WITHIN:?}: {why}"
            ),
        }
        tokio::time::sleep(LOOKED_AT_EVERY).await;
    }
}

/// The folder of a test: servers, the archive and the base backup in it.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        let folder = TempDir::with_prefix("pg-").unwrap();
        hand_over(folder.path());
        let made = Self(folder);
        made.folder("archive");
        made
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn archive(&self) -> PathBuf {
        self.path().join("archive")
    }

    /// The setting by which a server gets what is archived.
    fn gives_all(&self) -> String {
        format!("restore_command=cp {}/%f %p", self.archive().display())
    }

    /// The setting by which a server gets this file of WAL alone.
    pub fn gives(&self, file: &str) -> String {
        format!(
            "restore_command=test %f = {file} && cp {}/%f %p",
            self.archive().display()
        )
    }

    fn base_backup(&self) -> PathBuf {
        self.path().join("base-backup")
    }

    /// The file of WAL with which the base backup begins.
    pub fn first_file(&self) -> String {
        let label = fs::read_to_string(self.base_backup().join(LABEL)).unwrap();
        let named = label.split_once("(file ").and_then(|(_, named)| named.split_once(')'));
        named.unwrap().0.to_owned()
    }

    /// What the archive holds, by name.
    pub fn archived(&self) -> Vec<String> {
        let files = fs::read_dir(self.archive()).unwrap();
        let mut names: Vec<String> = files
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn folder(&self, name: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir(&path).unwrap();
        hand_over(&path);
        path
    }
}

/// A server that runs.
pub struct Server {
    folder: PathBuf,
    process: Child,
}

impl Server {
    /// A new one that archives its WAL, with an empty database that belongs to a user of the same name, who is no superuser.
    pub async fn production(folder: &Folder, database: &str) -> Self {
        let own = folder.folder("production");
        run(command(programs().join("initdb"), &own)
            .args(["--pgdata", "data", "--username", SUPERUSER, "--auth", "trust"])
            .args(["--encoding", "UTF8", "--locale", "C.UTF-8"])
            .args(["--wal-segsize", WAL_FILE_MB, "--no-sync"]));
        let who = own.join("data/pg_hba.conf");
        fs::write(&who, WHO_SIGNS_IN_HOW).unwrap();
        let archive = folder.archive();
        let archive = archive.display();
        let server = Self::start(
            own,
            &[
                "archive_mode=on".to_owned(),
                // What is there under its name is whole.
                format!(
                    "archive_command=test ! -e {archive}/%f && cp %p {archive}/.%f && mv {archive}/.%f {archive}/%f"
                ),
            ],
        );
        let superuser = eventually("a new server", async || server.superuser().await).await;
        for sql in [
            format!("CREATE ROLE {database} LOGIN PASSWORD '{FIRST_PASSWORD}'"),
            format!("ALTER DATABASE postgres RENAME TO {database}"),
            format!("ALTER DATABASE {database} OWNER TO {database}"),
            // Each database is hundreds of files, which every copy would have.
            "ALTER DATABASE template0 IS_TEMPLATE false".to_owned(),
            "DROP DATABASE template0".to_owned(),
        ] {
            superuser.batch_execute(&sql).await.unwrap();
        }
        server
    }

    /// Copies it for restores, while it is written to: the copy is whole once two files of WAL are replayed.
    pub async fn back_up(&self, folder: &Folder) {
        let superuser = self.superuser().await.unwrap();
        let base = folder.base_backup();
        let mut copying = command(programs().join("pg_basebackup"), &self.folder)
            .arg("--pgdata")
            .arg(&base)
            .arg("--host")
            .arg(&self.folder)
            .args(["--username", SUPERUSER, "--wal-method", "none"])
            .args(["--checkpoint", "fast", "--no-sync"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let a_file = format!("SELECT pg_logical_emit_message(false, 'test', repeat('x', {WAL_FILE_MB} << 20))");
        let mut files = 0..2;
        eventually("the copy", async || {
            if base.join(LABEL).exists() && files.next().is_some() {
                superuser
                    .batch_execute(&a_file)
                    .await
                    .map_err(|error| error.to_string())?;
            }
            match copying.try_wait().unwrap() {
                Some(status) if status.success() => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        self.archive_all(folder).await;
    }

    /// A second one, with what the archive had committed by then; with everything, where no time is given. It may still be on its way
    /// when this returns.
    pub fn restored(folder: &Folder, name: &str, to: Option<Timestamp>) -> Self {
        let mut settings = vec![folder.gives_all(), "recovery_target_action=promote".to_owned()];
        settings.extend(to.map(|to| format!("recovery_target_time={}", to.strftime("%F %T%.6f+00"))));
        Self::from_backup(folder, name, "recovery.signal", &settings)
    }

    /// One that stays in recovery, with what is set beside that.
    pub fn in_recovery(folder: &Folder, name: &str, settings: &[&str]) -> Self {
        // Of what is set twice, the last holds.
        let settings = settings.iter().map(|setting| (*setting).to_owned());
        let settings: Vec<String> = [folder.gives_all()].into_iter().chain(settings).collect();
        Self::from_backup(folder, name, "standby.signal", &settings)
    }

    /// One from the base backup, which begins as this signal says.
    fn from_backup(folder: &Folder, name: &str, signal: &str, settings: &[String]) -> Self {
        let own = folder.folder(name);
        let data = own.join("data");
        run(command("cp", &own)
            .arg("--archive")
            .arg(folder.base_backup())
            .arg(&data));
        let signal = data.join(signal);
        File::create(&signal).unwrap();
        hand_over(&signal);
        // The archive is the production server's.
        Self::start(own, &[&["archive_mode=off".to_owned()], settings].concat())
    }

    fn start(folder: PathBuf, settings: &[String]) -> Self {
        let log = File::create(folder.join("log")).unwrap();
        let mut command = command(programs().join("postgres"), &folder);
        command.args(["-D", "data", "-k"]).arg(&folder);
        for setting in SETTINGS.iter().copied().chain(settings.iter().map(String::as_str)) {
            command.args(["-c", setting]);
        }
        let process = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        Self { folder, process }
    }

    /// How to reach a database of it as somebody.
    pub fn config(&self, user: &str, database: &str) -> Config {
        let mut config = Config::new();
        config.host_path(&self.folder).user(user).dbname(database);
        config
    }

    /// A session of somebody, with the first or the second password. Errors: why there is none, with what the server has said last.
    pub async fn connect(&self, user: &str, database: &str) -> Result<Client, String> {
        let mut failed = None;
        for password in [FIRST_PASSWORD, SECOND_PASSWORD] {
            match self.config(user, database).password(password).connect(NoTls).await {
                Ok((client, connection)) => {
                    tokio::spawn(connection);
                    return Ok(client);
                }
                Err(error) => failed = Some(error),
            }
        }
        Err(format!("{failed:?}; {}", self.said_last()))
    }

    /// A connection of whoever may do everything, to no database of the platform. Errors: why there is none.
    pub async fn superuser(&self) -> Result<Client, String> {
        self.connect(SUPERUSER, TEMPLATE).await
    }

    /// Waits until it has archived what is committed now.
    pub async fn archive_all(&self, folder: &Folder) {
        let superuser = self.superuser().await.unwrap();
        // A restore to a time ends at the first commit after it.
        let marked = superuser.batch_execute("SELECT pg_logical_emit_message(true, 'test', 'after the time')");
        marked.await.unwrap();
        let switched = superuser.query_one("SELECT pg_walfile_name(pg_switch_wal())", &[]);
        let file: String = switched.await.unwrap().get(0);
        eventually("the archive", async || match folder.archived().contains(&file) {
            true => Ok(()),
            false => Err(format!("it lacks {file}; {}", self.said_last())),
        })
        .await;
    }

    /// The end of its log.
    pub fn said_last(&self) -> String {
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut stop = command(programs().join("pg_ctl"), &self.folder);
        stop.args(["stop", "-D", "data", "-m", "immediate", "-s"]);
        // One that has ended by itself cannot be stopped; whatever runs then is killed.
        let _ = stop.output();
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
