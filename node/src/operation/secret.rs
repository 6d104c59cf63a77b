//! Secrets that the server makes for itself and that must outlive it.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::durable::write_file;
use super::{Folder, FolderError};

impl Folder {
    /// The secret in the file `name`, drawn and written at the first call.
    pub fn secret(&self, name: &str) -> Result<[u8; 32], FolderError> {
        let path = self.join(name);
        read_or_make(&path).map_err(|cause| FolderError::Refused { path, cause })
    }
}

/// Keeps another secret in the place of the one in this file.
pub(crate) fn keep_secret(path: &Path, secret: &[u8; 32]) -> io::Result<()> {
    write_file(path, MODE, secret)
}

fn read_or_make(path: &Path) -> io::Result<[u8; 32]> {
    match fs::read(path) {
        Ok(bytes) => bytes.try_into().map_err(|_| {
            let what = "it is damaged: restore it, or remove it and a new secret is made";
            io::Error::new(ErrorKind::InvalidData, what)
        }),
        Err(error) if error.kind() == ErrorKind::NotFound => make(path),
        Err(error) => Err(error),
    }
}

/// Draws a new secret; a crash leaves all of it or nothing.
fn make(path: &Path) -> io::Result<[u8; 32]> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(io::Error::from)?;
    write_file(path, MODE, &secret)?;
    Ok(secret)
}

/// For the owner only.
const MODE: u32 = 0o600;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_stays_the_same_and_is_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(&dir.path().join("data")).unwrap();
        let first = folder.secret("decoy.secret").unwrap();
        assert_ne!(first, [0; 32]);
        assert_eq!(folder.secret("decoy.secret").unwrap(), first);
        assert_ne!(folder.secret("other.secret").unwrap(), first);
        let mode = fs::metadata(folder.join("decoy.secret"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let path = folder.join("decoy.secret");
        keep_secret(&path, &[7; 32]).unwrap();
        assert_eq!(folder.secret("decoy.secret").unwrap(), [7; 32]);
        let mode = fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_secret_is_not_replaced_in_silence() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(&dir.path().join("data")).unwrap();
        fs::write(folder.join("decoy.secret"), "short").unwrap();
        let told = folder.secret("decoy.secret").unwrap_err().to_string();
        assert!(
            told.contains("decoy.secret") && told.contains("damaged"),
            "{told}"
        );
    }
}
