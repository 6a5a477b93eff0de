//! Hosts of their own on one machine: a network namespace and a name for each, on one switch.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;

/// Programs that it takes, all of them of root.
const PROGRAMS: [&str; 3] = ["ip", "unshare", "hostname"];

/// What names of hosts begin with; the process that has made them comes next.
const PREFIX: &str = "duel";

/// Hosts with addresses in one network that nothing else can reach. They go away with this value.
pub struct Network {
    tag: String,
    hosts: Vec<String>,
    folder: TempDir,
}

impl Network {
    /// So many hosts.
    ///
    /// # Errors
    /// No right to make them, or no programs for it.
    pub fn new(hosts: usize) -> Result<Self, String> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        for program in PROGRAMS {
            let there = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
            if !there.is_ok_and(|output| output.status.success()) {
                return Err(format!("the program {program} is not there"));
            }
        }
        sweep();
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let tag = format!("{PREFIX}{}-{number}", std::process::id());
        let name = |at| format!("{tag}-h{at}");
        let folder = tempfile::tempdir().expect("a temporary folder");
        // Named before they are made: what is half made goes away as well.
        let network = Self { hosts: (0..hosts).map(name).collect(), tag, folder };
        network.make()?;
        Ok(network)
    }

    fn make(&self) -> Result<(), String> {
        let switch = self.switch();
        ip(&format!("netns add {switch}"))?;
        ip(&format!("-n {switch} link add switch type bridge"))?;
        ip(&format!("-n {switch} link set switch up"))?;
        let known: Vec<String> = (0..self.hosts.len())
            .map(|at| format!("{} {}", self.address(at), self.hosts[at]))
            .collect();
        for (at, host) in self.hosts.iter().enumerate() {
            ip(&format!("netns add {host}"))?;
            let port = format!("port{at}");
            ip(&format!("link add eth0 netns {host} type veth peer name {port} netns {switch}"))?;
            ip(&format!("-n {host} addr add {}/24 dev eth0", self.address(at)))?;
            ip(&format!("-n {host} link set lo up"))?;
            ip(&format!("-n {host} link set eth0 up"))?;
            ip(&format!("-n {switch} link set {port} master switch"))?;
            ip(&format!("-n {switch} link set {port} up"))?;
            let etc = etc(host);
            let hosts = format!("127.0.0.1 localhost\n{}\n", known.join("\n"));
            let written =
                fs::create_dir_all(&etc).and_then(|()| fs::write(etc.join("hosts"), hosts));
            written.map_err(|why| format!("{}: {why}", etc.display()))?;
        }
        // Takes what launchers say to ssh: options, a host, a command for a shell.
        let script = "#!/bin/sh
while :; do
  case $1 in
    -[olpi]) shift 2 ;;
    -*) shift ;;
    *) break ;;
  esac
done
host=$1
shift
exec ip netns exec $host unshare --uts sh -c \"hostname $host && $*\"
";
        let shell = self.shell();
        fs::write(&shell, script).expect("a file");
        let run = Command::new("chmod").arg("+x").arg(&shell).status();
        assert!(run.expect("chmod is there").success());
        // Whether a command arrives.
        let output = Command::new(shell).arg(self.host(0)).arg("hostname").output();
        let output = output.map_err(|why| why.to_string())?;
        match output.stdout.starts_with(self.host(0).as_bytes()) {
            true => Ok(()),
            false => Err(told(&output)),
        }
    }

    /// Its name.
    pub fn host(&self, at: usize) -> &str {
        &self.hosts[at]
    }

    /// All names, with a comma between.
    pub fn hosts(&self) -> String {
        self.hosts.join(",")
    }

    /// Its address.
    pub fn address(&self, at: usize) -> String {
        format!("10.77.0.{}", 10 + at)
    }

    /// A program that stands in for ssh.
    pub fn shell(&self) -> PathBuf {
        self.folder.path().join("shell")
    }

    /// Puts a command on a host. Its variables and its folder come with it.
    pub fn on(&self, at: usize, command: &Command) -> Command {
        let host = self.host(at);
        let mut moved = Command::new("ip");
        let name = format!("hostname {host} && exec \"$@\"");
        moved.args(["netns", "exec", host, "unshare", "--uts", "sh", "-c", &name, "sh"]);
        moved.arg(command.get_program()).args(command.get_args());
        moved.env_clear();
        moved.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if let Some(folder) = command.get_current_dir() {
            moved.current_dir(folder);
        }
        moved
    }

    /// Cuts the link between a host and the switch, at the switch: the host's own end loses its carrier.
    pub fn cut(&self, at: usize) {
        ip(&format!("-n {} link set port{at} down", self.switch())).expect("it is there");
    }

    /// What runs on a host.
    pub fn processes(&self, at: usize) -> Vec<u32> {
        let output = Command::new("ip").args(["netns", "pids", self.host(at)]).output();
        let listed = output.expect("ip is there").stdout;
        let listed = String::from_utf8_lossy(&listed).to_string();
        listed.lines().filter_map(|pid| pid.trim().parse().ok()).collect()
    }

    fn switch(&self) -> String {
        format!("{}-sw", self.tag)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for host in self.hosts.iter().chain([&self.switch()]) {
            remove(host);
        }
    }
}

/// Removes a host. One that was never made is no error.
fn remove(host: &str) {
    let _ = ip(&format!("netns del {host}"));
    let _ = fs::remove_dir_all(etc(host));
}

/// Removes hosts of processes that were killed before they could.
fn sweep() {
    for host in fs::read_dir("/run/netns").into_iter().flatten().filter_map(Result::ok) {
        let host = host.file_name().to_string_lossy().to_string();
        let maker = host.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-'));
        let maker = maker.and_then(|(pid, _)| pid.parse::<u32>().ok());
        if maker.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            remove(&host);
        }
    }
}

fn etc(host: &str) -> PathBuf {
    Path::new("/etc/netns").join(host)
}

fn ip(words: &str) -> Result<(), String> {
    let output = Command::new("ip").args(words.split(' ')).output();
    let output = output.map_err(|why| format!("ip: {why}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("ip {words}: {}", told(&output))),
    }
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_string()
}
