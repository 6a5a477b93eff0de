//! Files that lie beside this program.

use std::env;
use std::path::PathBuf;

/// A file of the bundle.
pub fn beside(name: &str) -> PathBuf {
    let own = env::current_exe().expect("we are some file");
    own.parent().expect("a file has a folder").join(name)
}
