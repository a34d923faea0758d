use std::{
    net::{Ipv4Addr, TcpStream},
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        process::{CommandExt, ExitStatusExt},
    },
    path::Path,
    process::{Child, Command},
    time::Duration,
};

use chassis::local::{Nats, Postgres, Running, StartError};
use nix::sys::signal::Signal;
use sqlx::{Connection, PgConnection};
use testkit::eventually;

const SOON: Duration = Duration::from_secs(20);

/// A directory that PostgreSQL's user may enter when the tests run as root.
fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).expect("an open directory");
    directory
}

fn small() -> Postgres {
    Postgres { shared_buffers_mb: 32, max_connections: 20, ..Postgres::default() }
}

async fn run(url: &str, sql: &'static str) -> Result<i64, sqlx::Error> {
    let mut connection = PgConnection::connect(url).await?;
    let row: Option<(i64,)> = sqlx::query_as(sql).fetch_optional(&mut connection).await?;
    Ok(row.map_or(0, |row| row.0))
}

fn send(pid: u32, signal: Signal) {
    let pid = nix::unistd::Pid::from_raw(pid.try_into().unwrap());
    nix::sys::signal::kill(pid, signal).expect("a living server");
}

fn kill(pid: u32) {
    send(pid, Signal::SIGKILL);
}

fn is_alive(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
}

#[tokio::test]
async fn postgres_keeps_its_data_and_its_password_between_starts() {
    let directory = directory();
    let first = small().start(directory.path()).await.unwrap();
    run(first.url(), "CREATE TABLE kept AS SELECT 7::bigint AS n").await.unwrap();
    first.stop().await;
    let second = small().start(directory.path()).await.unwrap();
    assert_eq!(run(second.url(), "SELECT n FROM kept").await.unwrap(), 7);
    second.stop().await;
}

#[tokio::test]
async fn postgres_refuses_a_wrong_password_and_hides_the_right_one() {
    let directory = directory();
    let running = small().start(directory.path()).await.unwrap();
    let wrong = format!("postgres://accord:wrong@127.0.0.1:{}/accord", running.port());
    assert!(run(&wrong, "SELECT 1::bigint").await.is_err());
    let mode = std::fs::metadata(directory.path().join("password")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let password = running.url().split(':').nth(2).unwrap().split('@').next().unwrap();
    assert!(!format!("{running:?}").contains(password));
}

#[tokio::test]
async fn a_killed_postgres_is_started_again_on_its_port_and_data() {
    let directory = directory();
    let running = small().start(directory.path()).await.unwrap();
    run(running.url(), "CREATE TABLE kept AS SELECT 7::bigint AS n").await.unwrap();
    for _ in 0..2 {
        kill(running.pid().unwrap());
        eventually(SOON, "postgres answers again", async || {
            run(running.url(), "SELECT n FROM kept").await.is_ok_and(|n| n == 7).then_some(())
        })
        .await;
    }
    running.stop().await;
}

#[tokio::test]
async fn a_killed_nats_is_started_again_on_its_port() {
    let directory = directory();
    let running = Nats::default().start(directory.path()).await.unwrap();
    let first = running.pid().unwrap();
    kill(first);
    eventually(SOON, "nats answers again", async || {
        running.pid().filter(|pid| *pid != first)?;
        TcpStream::connect((Ipv4Addr::LOCALHOST, running.port())).ok()
    })
    .await;
    let config = directory.path().join("nats.conf");
    assert_eq!(std::fs::metadata(config).unwrap().permissions().mode() & 0o777, 0o600);
    running.stop().await;
}

#[tokio::test]
async fn an_unsupervised_server_stays_down_when_it_is_killed() {
    let directory = directory();
    let running = Nats { supervise: false, ..Nats::default() }.start(directory.path()).await.unwrap();
    kill(running.pid().unwrap());
    running.wait().await;
    assert_eq!(running.pid(), None);
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, running.port())).is_err());
}

#[tokio::test]
async fn a_start_after_a_killed_server_recovers_its_data() {
    let directory = directory();
    let first = small().start(directory.path()).await.unwrap();
    run(first.url(), "CREATE TABLE kept AS SELECT 7::bigint AS n").await.unwrap();
    first.kill().await;
    let second = small().start(directory.path()).await.unwrap();
    assert_eq!(run(second.url(), "SELECT n FROM kept").await.unwrap(), 7);
}

#[tokio::test]
async fn a_note_of_a_process_id_that_now_belongs_to_another_process_does_not_hinder_a_start() {
    let directory = directory();
    small().start(directory.path()).await.unwrap().kill().await;
    let note = directory.path().join("data/postmaster.pid");
    let text = std::fs::read_to_string(&note).unwrap();
    let (_, rest) = text.split_once('\n').unwrap();
    let mut stranger = Command::new("sleep");
    if nix::unistd::geteuid().is_root() {
        // PostgreSQL itself passes over the processes of other users.
        stranger.uid(std::fs::metadata(&note).unwrap().uid());
    }
    let mut stranger = stranger.arg("60").spawn().unwrap();
    std::fs::write(&note, format!("{}\n{rest}", stranger.id())).unwrap();
    let running = small().start(directory.path()).await.unwrap();
    assert_eq!(run(running.url(), "SELECT 1::bigint").await.unwrap(), 1);
    assert!(is_alive(stranger.id()), "the stranger is left alone");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[tokio::test]
async fn a_second_server_on_the_same_directory_is_refused() {
    let directory = directory();
    let first = Nats::default().start(directory.path()).await.unwrap();
    let second = Nats::default().start(directory.path()).await.unwrap_err();
    assert!(matches!(second, StartError::InUse { server: "nats", .. }), "{second}");
    first.stop().await;
    Nats::default().start(directory.path()).await.unwrap();
}

#[tokio::test]
async fn a_server_that_cannot_start_says_what_its_log_says() {
    let directory = directory();
    let taken = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = Some(taken.local_addr().unwrap().port());
    let error = Nats { port, ..Nats::default() }.start(directory.path()).await.unwrap_err();
    assert!(error.to_string().contains("address already in use"), "{error}");
}

#[tokio::test]
async fn postgres_names_the_directory_that_its_user_may_not_enter() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let closed = tempfile::tempdir().unwrap();
    std::fs::set_permissions(closed.path(), PermissionsExt::from_mode(0o700)).unwrap();
    let error = small().start(&closed.path().join("postgres")).await.unwrap_err();
    let StartError::Unreachable { dir, .. } = error else { panic!("{error}") };
    assert_eq!(dir, closed.path().canonicalize().unwrap());
}

/// A process that runs both servers in a directory, and their process ids.
struct Victim {
    process: Child,
    postgres: u32,
    nats: u32,
}

impl Victim {
    const DIRECTORY: &str = "ACCORD_VICTIM_DIRECTORY";

    /// Starts the story below once more, as a process of its own.
    async fn start(directory: &Path) -> Self {
        let note = directory.join("pids");
        let process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "local::servers_die_with_a_killed_parent"])
            .env(Self::DIRECTORY, directory)
            .spawn()
            .unwrap();
        eventually(SOON, "the victim's servers run", async || note.exists().then_some(())).await;
        let text = std::fs::read_to_string(&note).unwrap();
        let (postgres, nats) = text.split_once(' ').unwrap();
        Self { process, postgres: postgres.parse().unwrap(), nats: nats.parse().unwrap() }
    }

    /// What that process does: starts both servers, says so, and waits to be killed.
    async fn live(directory: &Path) {
        let postgres = small().start(&directory.join("postgres")).await.unwrap();
        let nats = Nats::default().start(&directory.join("nats")).await.unwrap();
        let pids = |running: &Running| running.pid().unwrap();
        let note = directory.join("pids");
        std::fs::write(note.with_extension("new"), format!("{} {}", pids(&postgres), pids(&nats))).unwrap();
        std::fs::rename(note.with_extension("new"), note).unwrap();
        std::future::pending().await
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[tokio::test]
async fn servers_die_with_a_killed_parent() {
    if let Some(directory) = std::env::var_os(Victim::DIRECTORY) {
        return Victim::live(Path::new(&directory)).await;
    }
    let directory = directory();
    let mut victim = Victim::start(directory.path()).await;
    victim.kill();
    eventually(SOON, "the servers end", async || {
        (!is_alive(victim.postgres) && !is_alive(victim.nats)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_start_right_after_a_killed_parent_takes_over_its_data() {
    let directory = directory();
    Victim::start(directory.path()).await.kill();
    let postgres = small().start(&directory.path().join("postgres")).await.unwrap();
    let nats = Nats::default().start(&directory.path().join("nats")).await.unwrap();
    assert_eq!(run(postgres.url(), "SELECT 1::bigint").await.unwrap(), 1);
    nats.stop().await;
}

#[tokio::test]
async fn a_server_that_a_former_process_left_running_is_ended_before_a_new_one_starts() {
    let directory = directory();
    let program = directory.path().join("nats-server");
    std::fs::copy("/bin/sleep", &program).unwrap();
    let mut left = Command::new(&program).arg("60").spawn().unwrap();
    std::fs::write(directory.path().join("nats.pid"), left.id().to_string()).unwrap();
    let running = Nats::default().start(directory.path()).await.unwrap();
    assert_eq!(left.try_wait().unwrap().and_then(|status| status.signal()), Some(Signal::SIGTERM as i32));
    running.stop().await;
}
