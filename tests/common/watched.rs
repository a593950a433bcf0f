//! Runs the program under limits of memory and time, so that a bomb fails a test instead of a machine.

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// What a run took.
pub struct Watched {
    pub output: Output,
    /// Peak of resident memory in MB, as far as the system tells (Linux).
    pub megabytes: u64,
    pub seconds: f64,
}

/// The most address space that a run gets, in kB: for machines on which nobody watches resident memory.
const ADDRESS_SPACE: &str = "12000000";

/// Runs a command to its end, or kills it beyond so many seconds or megabytes.
pub fn watch(command: &Command, seconds: u64, megabytes: u64) -> Watched {
    let mut limited = limited(command);
    let start = Instant::now();
    let mut child = limited.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Read all the time, so that the program never waits for us.
    let read = |mut pipe: Box<dyn std::io::Read + Send>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            pipe.read_to_end(&mut bytes).unwrap();
            bytes
        })
    };
    let stdout = read(Box::new(child.stdout.take().unwrap()));
    let stderr = read(Box::new(child.stderr.take().unwrap()));
    let mut peak = 0;
    let mut broken = None;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        peak = peak.max(resident(child.id()));
        // A machine with other work takes longer; the work that is asked of the processor stays the same.
        let wall = start.elapsed();
        if wall > Duration::from_secs(4 * seconds)
            || wall.min(processor_time(child.id())) > Duration::from_secs(seconds)
        {
            broken = broken.or_else(|| Some(format!("more than {seconds} seconds")));
        }
        if peak > megabytes {
            broken = broken.or_else(|| Some(format!("{peak} MB, more than {megabytes}")));
        }
        if broken.is_some() {
            let _ = child.kill();
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let (stdout, stderr) = (stdout.join().unwrap(), stderr.join().unwrap());
    let shown = String::from_utf8_lossy(&stderr).into_owned();
    assert!(broken.is_none(), "{command:?} took {}\n{shown}", broken.unwrap());
    assert!(status.code().is_some_and(|code| [0, 1, 2, 3].contains(&code)), "{command:?}: {status}\n{shown}");
    assert!(!shown.contains("panicked"), "{command:?}\n{shown}");
    Watched { output: Output { status, stdout, stderr }, megabytes: peak, seconds: start.elapsed().as_secs_f64() }
}

/// The same command with a limit of the operating system behind ours.
fn limited(command: &Command) -> Command {
    if !cfg!(target_os = "linux") {
        let mut same = Command::new(command.get_program());
        same.args(command.get_args());
        return with_surroundings(same, command);
    }
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("ulimit -v {ADDRESS_SPACE}; exec \"$0\" \"$@\"")]);
    limited.arg(command.get_program()).args(command.get_args());
    with_surroundings(limited, command)
}

fn with_surroundings(mut command: Command, like: &Command) -> Command {
    if let Some(folder) = like.get_current_dir() {
        command.current_dir(folder);
    }
    for (name, value) in like.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

/// Peak of resident memory so far, in MB.
fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok()).unwrap_or(0) / 1000
}

/// What a process has used of the processor; where the system does not say so, the longest time.
fn processor_time(process: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // User and system time are fields 14 and 15, in hundredths of a second; the second field may hold blanks.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: Vec<u64> = fields.skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    if ticks.len() == 2 { Duration::from_millis(10 * (ticks[0] + ticks[1])) } else { Duration::MAX }
}
