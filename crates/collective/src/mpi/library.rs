//! An MPI library: opened at run time, so that a build needs none.

use super::error::MpiError;
use super::interface::{Answer, Calls, Constants, is_open_mpi, symbol};
use super::places::Server;
use libloading::os::unix::{Library as Shared, RTLD_GLOBAL, RTLD_NOW};
use std::error::Error;
use std::ffi::{CStr, OsString, c_char, c_int};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Room for any text that MPI writes: the longest, the version, has 8192 bytes.
const TEXT: usize = 16384;

/// What the dynamic linker says about a file that is not there.
const ABSENT: &str = "No such file or directory";

/// A library, opened for as long as the process lives.
pub(crate) struct Library {
    /// Its file, as far as the system tells it.
    pub path: PathBuf,
    /// What it says about itself, on one line, but for how it was compiled.
    pub version: String,
    /// Whether it is Open MPI, by whatever interface.
    pub open_mpi: bool,
    pub(super) calls: Calls,
    pub(super) constants: Constants,
    shared: &'static Shared,
}

// SAFETY: code and constants; the addresses among them are never read through.
unsafe impl Send for Library {}
// SAFETY: the same.
unsafe impl Sync for Library {}

impl Library {
    /// The library; it is looked for once.
    pub fn get() -> Result<&'static Self, MpiError> {
        static LIBRARY: OnceLock<Result<Library, MpiError>> = OnceLock::new();
        let opened = LIBRARY.get_or_init(|| Self::open(std::env::var_os("DUEL_MPI")));
        opened.as_ref().map_err(Clone::clone)
    }

    fn open(given: Option<OsString>) -> Result<Self, MpiError> {
        let launcher = Server::here();
        let Some(given) = given.filter(|given| !given.is_empty()) else {
            let paths = launcher.candidates(&|name| std::env::var_os(name));
            return first(&paths).map_err(|failure| match failure {
                Failure::Closed(tried) => MpiError::Absent { tried },
                Failure::Unknown(error) => error,
            });
        };
        let given = Path::new(&given);
        let paths = match given.is_dir() {
            true => launcher.within(given),
            false => vec![given.to_path_buf()],
        };
        let not_there = |why| MpiError::NotThere { given: given.display().to_string(), why };
        if paths.is_empty() {
            return Err(not_there("the folder holds no library of MPI".to_string()));
        }
        first(&paths).map_err(|failure| match failure {
            Failure::Closed(why) => not_there(why),
            Failure::Unknown(error) => error,
        })
    }

    /// What is in an open library, if it is MPI.
    fn of(shared: &'static Shared, path: &Path) -> Result<Self, Failure> {
        let missing = |why: libloading::Error| {
            Failure::Closed(format!("{} is not MPI ({})", path.display(), in_full(&why)))
        };
        let get_version: unsafe extern "C" fn(*mut c_char, *mut c_int) -> Answer =
            symbol(shared, c"MPI_Get_library_version").map_err(missing)?;
        // SAFETY: the call may be made before MPI is started; it writes a text and its length.
        let version = brief(text(|to, len| unsafe { get_version(to, len) }));
        let path = mapped(get_version as usize).unwrap_or_else(|| path.to_path_buf());
        let Some(constants) = Constants::of(shared, &version).map_err(missing)? else {
            return Err(Failure::Unknown(MpiError::Unknown { path, version }));
        };
        let open_mpi = is_open_mpi(shared) || version.contains("Open MPI");
        let calls = Calls::of(shared).map_err(missing)?;
        Ok(Self { path, version, open_mpi, calls, constants, shared })
    }

    /// A call that not every library has.
    pub(super) fn optional<F: Copy>(&self, name: &CStr) -> Option<F> {
        symbol(self.shared, name).ok()
    }

    /// An answer in MPI's own words.
    pub(super) fn said(&self, answer: Answer) -> String {
        // SAFETY: any number may be asked about; the call writes a text and its length.
        let said = text(|to, len| unsafe { (self.calls.error_string)(answer, to, len) });
        if said.is_empty() { format!("error {answer}") } else { said }
    }

    /// Takes success for good.
    pub(super) fn answer(&self, answer: Answer, doing: &str) -> Result<(), MpiError> {
        match answer {
            0 => Ok(()),
            _ => Err(MpiError::Refused { doing: doing.to_string(), why: self.said(answer) }),
        }
    }

    /// Name and version, such as `Open MPI 4.1.4`.
    pub fn name(&self) -> String {
        let words: Vec<&str> = self.version.split_whitespace().collect();
        let digits =
            |word: &&&str| word.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit());
        let number = words.iter().find(digits);
        let number = number.map(|word| word.trim_start_matches('v').trim_end_matches(','));
        let kind = match words.first() {
            _ if self.open_mpi => "Open MPI",
            Some(first) if first.starts_with("Intel") => "Intel MPI",
            first => first.copied().unwrap_or("MPI"),
        };
        match number {
            Some(number) => format!("{kind} {number}"),
            None => kind.to_string(),
        }
    }
}

/// Why a library is not taken.
enum Failure {
    /// It does not open, or is no MPI.
    Closed(String),
    /// It is an MPI, but what are its constants?
    Unknown(MpiError),
}

/// The first library that opens and is MPI, or why none is. One of an unknown kind ends the search: to go
/// on would hide it.
fn first(paths: &[PathBuf]) -> Result<Library, Failure> {
    let (mut absent, mut wrong) = (Vec::new(), Vec::new());
    for path in paths {
        let name = path.display().to_string();
        // SAFETY: initialisers of MPI libraries only set up their own state. Global, since Open MPI's own
        // plug-ins look for its symbols.
        match unsafe { Shared::open(Some(path), RTLD_NOW | RTLD_GLOBAL) } {
            // Whatever it is, it stays: MPI leaves handlers behind that are called when the process ends.
            Ok(shared) => match Library::of(Box::leak(Box::new(shared)), path) {
                Err(Failure::Closed(why)) => wrong.push(why),
                found => return found,
            },
            Err(error) => match in_full(&error) {
                why if why.starts_with(&name) && why.ends_with(ABSENT) => absent.push(name),
                // Of another library that this one needs.
                why => wrong.push(why),
            },
        }
    }
    if !absent.is_empty() {
        wrong.push(format!("{} ({ABSENT})", absent.join(", ")));
    }
    Err(Failure::Closed(wrong.join("; ")))
}

/// What a call writes that takes room for a text and for its length, on one line.
pub(super) fn text(write: impl FnOnce(*mut c_char, *mut c_int) -> Answer) -> String {
    let mut bytes = vec![0_u8; TEXT];
    let mut len = 0;
    write(bytes.as_mut_ptr().cast(), &raw mut len);
    // It ends with a zero byte; lengths are counted with or without it.
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(TEXT);
    let text = String::from_utf8_lossy(&bytes[..end]);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A version up to MPICH's arguments of `configure` and flags of compilers, which are long.
fn brief(mut version: String) -> String {
    let end = version.find(" MPICH configure:").unwrap_or(version.len());
    version.truncate(end);
    version
}

/// The file that lies at an address of this process.
fn mapped(address: usize) -> Option<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    maps.lines().find_map(|line| {
        let (from, to) = line.split_once(' ')?.0.split_once('-')?;
        let [from, to] = [from, to].map(|number| usize::from_str_radix(number, 16).ok());
        (from?..to?).contains(&address).then_some(())?;
        Some(PathBuf::from(&line[line.find('/')?..]))
    })
}

/// An error with what it came from, which is what the dynamic linker said.
fn in_full(error: &dyn Error) -> String {
    error.source().map_or_else(|| error.to_string(), in_full)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_leads_nowhere_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let text_file = folder.path().join("libmpi.so.12");
        for given in [folder.path().to_path_buf(), folder.path().join("no-such-file")] {
            let error = Library::open(Some(given.clone().into())).err().expect("no MPI");
            assert!(matches!(error, MpiError::NotThere { .. }), "{error:?}");
            let text = error.to_string();
            assert!(text.contains(&format!("DUEL_MPI is `{}`", given.display())), "{text}");
        }
        fs::write(&text_file, "no library").unwrap();
        let error = Library::open(Some(folder.path().into())).err().expect("no MPI").to_string();
        assert!(error.contains("libmpi.so.12"), "{error}");
    }

    #[test]
    fn what_is_not_there_is_listed() {
        let names = ["libduel-none.so.1", "libduel-none.so.2"].map(PathBuf::from);
        let Err(Failure::Closed(tried)) = first(&names) else { panic!("no such library") };
        assert_eq!(tried, "libduel-none.so.1, libduel-none.so.2 (No such file or directory)");
    }

    #[test]
    fn a_library_of_something_else_is_not_mpi() {
        let libc = mapped(libc_function()).expect("libc is mapped");
        let error = Library::open(Some(libc.clone().into())).err().expect("no MPI").to_string();
        assert!(error.contains(&format!("{} is not MPI", libc.display())), "{error}");
        assert!(error.contains("MPI_Get_library_version"), "{error}");
    }

    /// An address in libc.
    fn libc_function() -> usize {
        // SAFETY: the program itself and what it has loaded; only an address is taken.
        unsafe { Shared::this().get::<*const ()>(b"strlen\0").unwrap().as_raw_ptr() as usize }
    }

    #[test]
    fn texts_are_put_on_one_line() {
        let written = text(|to, len| {
            let words = b"MPICH Version:\t4.0.2\n Device: x\0";
            // SAFETY: there is room for more.
            unsafe { std::ptr::copy_nonoverlapping(words.as_ptr(), to.cast(), words.len()) };
            // SAFETY: an integer of the caller's.
            unsafe { *len = 1 };
            0
        });
        assert_eq!(written, "MPICH Version: 4.0.2 Device: x");
        let whole = format!("{written} MPICH configure: --prefix=/usr MPICH CC: gcc");
        assert_eq!(brief(whole), written);
        assert_eq!(brief("Open MPI v4.1.4".to_string()), "Open MPI v4.1.4");
    }
}
