//! The Unix socket: for its owner only, and never in place of something that is not ours.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

/// Why there is no socket; for the operator to solve.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// A server answers there.
    #[error("another server answers on {}: stop it, or set admin.socket", .0.display())]
    InUse(PathBuf),
    /// Something else lies there.
    #[error("{} is not a socket of this user: remove it, or set admin.socket", .0.display())]
    NotOurs(PathBuf),
    /// The system refuses.
    #[error("cannot listen on {}: {cause}", path.display())]
    Refused {
        /// Where.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

/// Listens on `path`, in place of a socket that a dead server left.
///
/// The socket is made under another name, closed to others, and then moved into place: at no time
/// does one stand there that others could open.
pub(super) fn bind(path: &Path) -> Result<UnixListener, SocketError> {
    let refused = |cause| SocketError::Refused {
        path: path.to_owned(),
        cause,
    };
    check_what_is_there(path)?;
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let fresh = PathBuf::from(name);
    let _ = fs::remove_file(&fresh);
    let listener = UnixListener::bind(&fresh).map_err(refused)?;
    fs::set_permissions(&fresh, Permissions::from_mode(0o600)).map_err(refused)?;
    fs::rename(&fresh, path).map_err(refused)?;
    Ok(listener)
}

fn check_what_is_there(path: &Path) -> Result<(), SocketError> {
    // Not `metadata`: a link could lead anywhere.
    let Ok(found) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    let ours = found.uid() == rustix::process::geteuid().as_raw();
    if !found.file_type().is_socket() || !ours {
        return Err(SocketError::NotOurs(path.to_owned()));
    }
    match BlockingStream::connect(path) {
        Ok(_) => Err(SocketError::InUse(path.to_owned())),
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_socket_is_for_its_owner_and_takes_the_place_of_a_dead_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        let first = bind(&path).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert!(matches!(bind(&path), Err(SocketError::InUse(_))));
        drop(first);
        bind(&path).unwrap();
    }

    #[tokio::test]
    async fn a_file_or_a_link_in_its_place_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("notes.txt");
        fs::write(&file, "precious").unwrap();
        let link = dir.path().join("admin.sock");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(matches!(bind(&file), Err(SocketError::NotOurs(_))));
        assert!(matches!(bind(&link), Err(SocketError::NotOurs(_))));
        assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    }
}
