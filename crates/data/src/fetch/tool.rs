//! The transport: `curl`, `apt-get`, `npm`. Fixed argument lists, no shell, bounded size and time.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::archive::Package;

/// The most that a package may weigh.
const PACKAGE_LIMIT: u64 = 2 << 30;
/// The longest that a tool may run.
const TIME_LIMIT: Duration = Duration::from_secs(3600);
/// How often a running tool is looked at.
const PULSE: Duration = Duration::from_millis(50);

/// The programs, by name or by path.
pub(crate) struct Tools {
    pub(crate) curl: PathBuf,
    pub(crate) apt_get: PathBuf,
    pub(crate) dpkg_deb: PathBuf,
    pub(crate) npm: PathBuf,
}

impl Default for Tools {
    fn default() -> Self {
        Tools {
            curl: "curl".into(),
            apt_get: "apt-get".into(),
            dpkg_deb: "dpkg-deb".into(),
            npm: "npm".into(),
        }
    }
}

/// Is told how many bytes have arrived.
pub(crate) type Arrived<'a> = &'a mut dyn FnMut(u64);

impl Tools {
    /// Downloads `url`, at most `limit` bytes, into a fresh folder in `staging`.
    pub(crate) fn curl(
        &self,
        url: &str,
        limit: u64,
        staging: &Path,
        arrived: Arrived,
    ) -> Result<PathBuf, String> {
        let bound = limit.to_string();
        let args = [
            "--proto",
            "=https",
            "--fail",
            "--location",
            "--max-redirs",
            "10",
            "--globoff",
            "--silent",
            "--show-error",
            "--connect-timeout",
            "20",
            "--speed-limit",
            "1000",
            "--speed-time",
            "60",
            "--retry",
            "2",
            "--retry-delay",
            "1",
            "--max-filesize",
            &bound,
            "--output",
            "download",
            "--url",
            url,
        ];
        let dir = fresh(staging)?;
        run(&self.curl, args, &dir, limit, arrived)?;
        Ok(dir.join("download"))
    }

    /// Downloads a Debian package. If the system's package lists do not know it, private ones are kept in
    /// `cache`, which needs no root and leaves the system as it is.
    pub(crate) fn apt(
        &self,
        package: &str,
        cache: &Path,
        staging: &Path,
        arrived: Arrived,
    ) -> Result<Package, String> {
        let dir = fresh(staging)?;
        if let Err(reason) =
            run(&self.apt_get, ["--quiet", "download", package], &dir, PACKAGE_LIMIT, arrived)
        {
            self.apt_with_own_lists(package, cache, &dir, arrived).map_err(|own| {
                if own == reason {
                    own
                } else {
                    format!("{reason}; with package lists of our own: {own}")
                }
            })?;
        }
        Ok(Package::Deb(only_file(&dir, "deb")?, self.dpkg_deb.clone()))
    }

    fn apt_with_own_lists(
        &self,
        package: &str,
        cache: &Path,
        dir: &Path,
        arrived: Arrived,
    ) -> Result<(), String> {
        let cache = std::path::absolute(cache).map_err(|e| e.to_string())?.join(".apt");
        let (lists, archives) = (cache.join("lists"), cache.join("cache"));
        for folder in [lists.join("partial"), archives.join("archives/partial")] {
            fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        }
        let option = |key: &str, path: &Path| {
            let mut option = OsString::from(key);
            option.push(path);
            option
        };
        let (lists, archives) =
            (option("Dir::State::Lists=", &lists), option("Dir::Cache=", &archives));
        let own = [OsStr::new("--quiet"), "-o".as_ref(), &lists, "-o".as_ref(), &archives];
        let call = |words: &[&'static str]| {
            own.iter()
                .map(|&w| w.to_owned())
                .chain(words.iter().map(OsString::from))
                .collect::<Vec<_>>()
        };
        run(&self.apt_get, call(&["update"]), dir, PACKAGE_LIMIT, arrived)?;
        let mut download = call(&["download"]);
        download.push(package.into());
        run(&self.apt_get, download, dir, PACKAGE_LIMIT, arrived)
    }

    /// Downloads an npm package without running anything in it.
    pub(crate) fn npm(
        &self,
        package: &str,
        staging: &Path,
        arrived: Arrived,
    ) -> Result<Package, String> {
        let dir = fresh(staging)?;
        let args =
            ["pack", "--ignore-scripts", "--no-update-notifier", "--loglevel=error", package];
        run(&self.npm, args, &dir, PACKAGE_LIMIT, arrived)?;
        Ok(Package::Npm(only_file(&dir, "tgz")?))
    }
}

/// Why a program did not start.
pub(crate) fn not_started(program: &Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!("`{}` is not installed", program.display()),
        _ => format!("`{}` could not be started: {error}", program.display()),
    }
}

/// Runs a program in `dir` with no input, and kills it when the files in `dir` outgrow `limit` or the time
/// is up. The error is the end of what it said.
fn run(
    program: &Path,
    args: impl IntoIterator<Item = impl AsRef<OsStr>>,
    dir: &Path,
    limit: u64,
    arrived: Arrived,
) -> Result<(), String> {
    let said = dir.with_extension("log");
    let log = File::create(&said).map_err(|e| format!("{}: {e}", said.display()))?;
    let errors = log.try_clone().map_err(|e| format!("{}: {e}", said.display()))?;
    let mut child = Command::new(program)
        .args(args)
        .current_dir(dir)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .map_err(|e| not_started(program, &e))?;
    let began = Instant::now();
    let ended = loop {
        if let Some(status) = child.try_wait().map_err(|e| e.to_string())? {
            break Ok(status);
        }
        let bytes = weight(dir);
        arrived(bytes);
        if bytes > limit {
            break Err(format!("it delivers more than {limit} bytes"));
        }
        if began.elapsed() > TIME_LIMIT {
            break Err(format!("it runs for more than {} minutes", TIME_LIMIT.as_secs() / 60));
        }
        std::thread::sleep(PULSE);
    };
    let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy();
    match ended {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{name}: {status}: {}", last_words(&said))),
        Err(reason) => {
            child.kill().ok();
            child.wait().ok();
            Err(format!("{name}: stopped, because {reason}"))
        }
    }
}

/// The end of a log on one line.
fn last_words(log: &Path) -> String {
    let text = fs::read(log).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    match lines.as_slice() {
        [] => "it said nothing".into(),
        lines => lines[lines.len().saturating_sub(3)..].join(" | ").chars().take(400).collect(),
    }
}

/// Bytes of the files in `dir`.
fn weight(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|m| m.len()).sum()
}

/// A new folder in `staging`, for one run of one tool.
fn fresh(staging: &Path) -> Result<PathBuf, String> {
    let made = tempfile::Builder::new().prefix("run-").tempdir_in(staging);
    // `staging` removes itself with all that is in it.
    made.map(tempfile::TempDir::keep).map_err(|e| format!("{}: {e}", staging.display()))
}

/// The one file in `dir` with this extension.
fn only_file(dir: &Path, extension: &str) -> Result<PathBuf, String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let found: Vec<PathBuf> =
        entries.filter(|path| path.extension() == Some(OsStr::new(extension))).collect();
    match found.as_slice() {
        [file] => Ok(file.clone()),
        files => {
            Err(format!("it was to deliver one .{extension} file and delivered {}", files.len()))
        }
    }
}
