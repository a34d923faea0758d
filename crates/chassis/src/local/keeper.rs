use std::{
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::sync::watch;

/// After this long a server that was asked to stop is killed.
const STOP_WITHIN: Duration = Duration::from_secs(30);

/// A server that ends so many times before its first answer will not come up.
const TRIES: u32 = 8;

/// What a keeper starts, and how it ends it.
pub(super) struct Program {
    /// The server's name in logs.
    pub(super) name: &'static str,
    /// What to run.
    pub(super) command: Command,
    /// The signal that lets it end in good order.
    pub(super) stop_signal: Signal,
    /// Whether it is started again when it ends after it was ready.
    pub(super) supervise: bool,
    /// The file in which the server notes its process id.
    pub(super) pid_file: PathBuf,
    /// The name of its process, as the system lists it.
    pub(super) process_name: &'static str,
}

/// Keeps one child process alive. One thread starts it and waits for it, because the wish to die with the parent is
/// tied to the thread that spawned the child: it must live as long as the child does.
#[derive(Debug)]
pub(super) struct Keeper {
    shared: Arc<Shared>,
    ended: watch::Receiver<bool>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    stop: Condvar,
    stop_signal: Signal,
}

#[derive(Debug, Default)]
struct State {
    pid: Option<Pid>,
    ready: bool,
    stopping: bool,
    ends: u32,
    error: Option<io::Error>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the child end and not begin again.
    fn end(&self, signal: Signal) {
        let mut state = self.state();
        state.stopping = true;
        if let Some(pid) = state.pid {
            // The child may be gone already; then there is nothing to end.
            let _ = kill(pid, signal);
        }
        self.stop.notify_all();
    }
}

impl Keeper {
    /// Starts the program in a thread of its own.
    pub(super) fn start(mut program: Program) -> io::Result<Self> {
        die_with_parent(&mut program.command, program.stop_signal);
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            stop: Condvar::new(),
            stop_signal: program.stop_signal,
        });
        let (ended_tx, ended) = watch::channel(false);
        let thread = std::thread::Builder::new().name(format!("keep-{}", program.name)).spawn({
            let shared = Arc::clone(&shared);
            move || {
                keep(&mut program, &shared);
                ended_tx.send_replace(true);
            }
        })?;
        Ok(Self { shared, ended, thread: Some(thread) })
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.shared.state().pid.and_then(|pid| u32::try_from(pid.as_raw()).ok())
    }

    /// From now on the server counts as up.
    pub(super) fn set_ready(&self) {
        let mut state = self.shared.state();
        state.ready = true;
        state.ends = 0;
    }

    /// Why waiting for the first answer makes no sense any more, if so.
    pub(super) fn failed(&self) -> Option<Result<(), io::Error>> {
        let mut state = self.shared.state();
        state.error.take().map(Err).or_else(|| (state.ends >= TRIES).then_some(Ok(())))
    }

    pub(super) async fn stop(self) {
        self.shared.end(self.shared.stop_signal);
        if tokio::time::timeout(STOP_WITHIN, self.ended()).await.is_err() {
            self.shared.end(Signal::SIGKILL);
            self.ended().await;
        }
    }

    pub(super) async fn kill(self) {
        self.shared.end(Signal::SIGKILL);
        self.ended().await;
    }

    pub(super) async fn ended(&self) {
        // The sender lives in the thread: when it is gone, so is the child.
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.shared.end(self.shared.stop_signal);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported when it happened.
            let _ = thread.join();
        }
    }
}

/// Starts the child, waits for its end, starts it again after a pause, until told to stop.
fn keep(program: &mut Program, shared: &Shared) {
    loop {
        clear_previous(program);
        let started = Instant::now();
        let mut child = {
            let mut state = shared.state();
            if state.stopping {
                return;
            }
            match program.command.spawn() {
                Ok(child) => {
                    state.pid = i32::try_from(child.id()).ok().map(Pid::from_raw);
                    child
                }
                Err(error) => {
                    state.error = Some(error);
                    return;
                }
            }
        };
        let status = child.wait();
        let mut state = shared.state();
        state.pid = None;
        state.ends = if started.elapsed() > Duration::from_secs(60) { 1 } else { state.ends + 1 };
        if state.stopping || (state.ready && !program.supervise) || (!state.ready && state.ends >= TRIES) {
            return;
        }
        if state.ready {
            let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
            tracing::warn!(server = program.name, %status, "a private server ended by itself and is started again");
        }
        let pause = Duration::from_millis(50 << state.ends.min(6));
        let waited = shared.stop.wait_timeout_while(state, pause, |state| !state.stopping);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

/// Deals with what a killed predecessor left: a server that is still on its way out is waited for, and a note of a
/// process id that meanwhile belongs to an unrelated process is removed.
fn clear_previous(program: &Program) {
    let deadline = Instant::now() + STOP_WITHIN;
    while let Some(pid) = noted_pid(&program.pid_file) {
        match process_name(pid) {
            None => return,
            Some(name) if name == program.process_name => {
                let overdue = Instant::now() > deadline;
                // It may end between the look and the signal.
                let _ = kill(pid, if overdue { Signal::SIGKILL } else { program.stop_signal });
                std::thread::sleep(Duration::from_millis(20));
            }
            Some(_) => {
                // A file that cannot be removed makes the server's own start fail, with its own words in its log.
                let _ = std::fs::remove_file(&program.pid_file);
            }
        }
    }
}

fn noted_pid(pid_file: &Path) -> Option<Pid> {
    let text = std::fs::read_to_string(pid_file).ok()?;
    text.lines().next()?.trim().parse().ok().filter(|pid| *pid > 1).map(Pid::from_raw)
}

/// The name of a living process.
fn process_name(pid: Pid) -> Option<String> {
    if cfg!(target_os = "linux") {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        // A process that ended and was not yet collected is not living.
        return field("Name:")
            .filter(|_| !field("State:").is_some_and(|s| s.starts_with('Z')))
            .map(str::to_owned);
    }
    let output = Command::new("ps").args(["-o", "comm=", "-p", &pid.to_string()]).output().ok()?;
    let path = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    path.rsplit('/').next().filter(|name| !name.is_empty()).map(str::to_owned)
}

/// Puts the child into a process group of its own, so that a Ctrl-C in the terminal reaches us and not it, and on
/// Linux has the system signal it when we are gone, however that happened.
fn die_with_parent(command: &mut Command, signal: Signal) {
    command.process_group(0);
    #[cfg(target_os = "linux")]
    {
        let parent = nix::unistd::getpid();
        let ask = move || {
            nix::sys::prctl::set_pdeathsig(signal)?;
            // We may have died between the fork and the request.
            if nix::unistd::getppid() == parent { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
        };
        #[expect(
            unsafe_code,
            reason = "between fork and exec only two system calls are made, which is safe there"
        )]
        // SAFETY: the closure is async-signal-safe: prctl and getppid, no allocation, no lock. It runs after the
        // change of user, which would clear the request.
        unsafe {
            command.pre_exec(ask);
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = signal;
}
