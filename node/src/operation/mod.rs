//! What a process owes to the machine it runs on: its folder, its limits, its log.

mod folder;
mod logging;
mod open_files;
mod process_usage;
mod secret;

pub use folder::{Folder, FolderError, PidFile};
pub use logging::{FilterError, LogHandle, check_filter};
pub use open_files::OpenFiles;
pub use process_usage::ProcessUsage;
