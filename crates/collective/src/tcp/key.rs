//! A secret of the job that keeps strangers out.

use super::message::{Nonce, Proof};
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The key itself.
const KEY: &str = "DUEL_JOB_KEY";
/// A file that holds it.
const KEY_FILE: &str = "DUEL_JOB_KEY_FILE";
/// More is no key but some other file.
const LONGEST: u64 = 64 * 1024;
/// Bytes that SHA-256 takes at a time.
const BLOCK: usize = 64;

/// A secret that all ranks of a job have, and nobody else. Ranks prove to each other that they have it; it
/// is never sent. What they say afterwards is not enciphered.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Vec<u8>);

/// It is a secret.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Which of them?
    #[error("{KEY} and {KEY_FILE} are both set: unset one of them")]
    Both,
    /// An empty variable, or bytes that are no text.
    #[error("{KEY} is set, and holds no text: set it to a secret of the job, or unset it")]
    Empty,
    /// The file cannot be read.
    #[error("{KEY_FILE} is `{}`, and that cannot be read: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The file can be read by others than its owner.
    #[error(
        "{KEY_FILE} is `{0}`, which others than its owner may use (its mode is {mode:o}): `chmod 600 {0}`",
        path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file is empty, or far too long for a key.
    #[error(
        "{KEY_FILE} is `{}`, which holds {size} bytes, and 1 to {LONGEST} were expected: `head -c 32 \
         /dev/urandom` makes a good key",
        path.display()
    )]
    Size {
        /// The file.
        path: PathBuf,
        /// Its size, in bytes.
        size: u64,
    },
}

impl Key {
    /// From these bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// From `DUEL_JOB_KEY`, or the private file that `DUEL_JOB_KEY_FILE` names, whose last line break does
    /// not count.
    ///
    /// # Errors
    /// Both are set; a key that is empty; a file that others may read or write, or that cannot be read.
    pub fn find(env: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, KeyError> {
        match (env(KEY), env(KEY_FILE)) {
            (None, None) => Ok(None),
            (Some(_), Some(_)) => Err(KeyError::Both),
            (Some(key), None) if key.is_empty() => Err(KeyError::Empty),
            (Some(key), None) => Ok(Some(Self::new(key))),
            (None, Some(path)) => Self::read(Path::new(&path)).map(Some),
        }
    }

    fn read(path: &Path) -> Result<Self, KeyError> {
        let path = path.to_path_buf();
        let unreadable = |error| KeyError::Unreadable { path: path.clone(), error };
        // Asked of the open file: a name may come to mean another one.
        let file = File::open(&path).map_err(unreadable)?;
        let about = file.metadata().map_err(unreadable)?;
        let mode = about.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Open { path, mode });
        }
        let mut bytes = Vec::new();
        file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        let size = bytes.len() as u64;
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
        }
        if bytes.is_empty() || size > LONGEST {
            return Err(KeyError::Size { path, size });
        }
        Ok(Self(bytes))
    }

    /// The key of these bytes, HMAC-SHA256 (RFC 2104).
    fn hmac(&self, parts: &[&[u8]]) -> Proof {
        let mut key = [0; BLOCK];
        match self.0.len() {
            0..=BLOCK => key[..self.0.len()].copy_from_slice(&self.0),
            _ => key[..32].copy_from_slice(&Sha256::digest(&self.0)),
        }
        let mut inner = Sha256::new_with_prefix(key.map(|byte| byte ^ 0x36));
        for part in parts {
            inner.update(part);
        }
        let outer = Sha256::new_with_prefix(key.map(|byte| byte ^ 0x5c));
        outer.chain_update(inner.finalize()).finalize().into()
    }
}

/// What a proof is about. Different words, so that nobody's proof is good for somebody else.
pub(super) enum Claim<'a> {
    /// Rank 0 holds the key.
    Leader,
    /// The rank that says this of itself holds the key.
    Rank(&'a [u8]),
}

/// The proof, for these nonces of the rank and of rank 0; zeros without a key.
pub(super) fn proof(key: Option<&Key>, claim: &Claim<'_>, rank: &Nonce, leader: &Nonce) -> Proof {
    let Some(key) = key else { return [0; 32] };
    match claim {
        Claim::Leader => key.hmac(&[b"duel: rank 0", rank, leader]),
        Claim::Rank(about) => key.hmac(&[b"duel: a rank", rank, leader, about]),
    }
}

/// Whether two proofs are equal, in a time that does not tell where they differ.
pub(super) fn equal(one: &Proof, other: &Proof) -> bool {
    one.iter().zip(other).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

/// Fresh random bytes.
pub(super) fn nonce() -> io::Result<Nonce> {
    let mut nonce = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut nonce)?;
    Ok(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// RFC 4231: cases 1, 2, 3, 6 and 7.
    #[test]
    fn hmac_is_that_of_the_rfc() {
        let long = b"This is a test using a larger than block-size key and a larger than block-size data. \
                     The key needs to be hashed before being used by the HMAC algorithm.";
        for (key, data, hmac) in [
            (
                vec![0x0b; 20],
                &b"Hi There"[..],
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe".to_vec(),
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                vec![0xaa; 20],
                &[0xdd; 50],
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
            ),
            (
                vec![0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
            (
                vec![0xaa; 131],
                long,
                "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
            ),
        ] {
            assert_eq!(hex(&Key::new(key.clone()).hmac(&[data])), hmac);
            let (one, two) = data.split_at(3);
            assert_eq!(hex(&Key::new(key).hmac(&[one, two])), hmac);
        }
    }

    #[test]
    fn a_proof_is_good_for_one_thing() {
        let key = Key::new("secret");
        let (a, b) = ([1; 32], [2; 32]);
        let leader = proof(Some(&key), &Claim::Leader, &a, &b);
        let others = [
            proof(Some(&key), &Claim::Leader, &b, &a),
            proof(Some(&key), &Claim::Rank(b""), &a, &b),
            proof(Some(&Key::new("Secret")), &Claim::Leader, &a, &b),
            proof(None, &Claim::Leader, &a, &b),
        ];
        assert!(equal(&leader, &proof(Some(&key), &Claim::Leader, &a, &b)));
        assert!(others.iter().all(|other| !equal(&leader, other)));
        assert_ne!(nonce().unwrap(), nonce().unwrap());
    }

    #[test]
    fn keys_come_from_the_environment_or_a_private_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let find = |key: Option<&str>, file: bool| {
            Key::find(|name| match name {
                "DUEL_JOB_KEY" => key.map(str::to_string),
                "DUEL_JOB_KEY_FILE" => file.then(|| path.display().to_string()),
                _ => None,
            })
        };
        let refusal = |key, file| find(key, file).unwrap_err().to_string();
        assert_eq!(find(None, false).unwrap(), None);
        assert_eq!(find(Some("secret"), false).unwrap(), Some(Key::new("secret")));
        assert!(refusal(Some(""), false).contains("DUEL_JOB_KEY"));
        assert!(refusal(Some("secret"), true).contains("both set"));
        assert!(refusal(None, true).contains("cannot be read"));

        let write = |bytes: &[u8], mode| {
            fs::write(&path, bytes).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        };
        write(b"secret\n", 0o600);
        assert_eq!(find(None, true).unwrap(), Some(Key::new("secret")));
        for mode in [0o640, 0o604, 0o620] {
            write(b"secret\n", mode);
            let text = refusal(None, true);
            assert!(text.contains(&format!("{mode:o}")) && text.contains("chmod 600"), "{text}");
        }
        for empty in [&b""[..], b"\n"] {
            write(empty, 0o600);
            assert!(refusal(None, true).contains("1 to 65536 were expected"));
        }
        write(&[b'x'; 70_000], 0o600);
        assert!(refusal(None, true).contains("1 to 65536"));
        assert_eq!(format!("{:?}", Key::new("secret")), "Key");
    }
}
