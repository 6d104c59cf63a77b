//! What a process owes to the machine it runs on: its folder, its limits, its log.

mod ceilings;
mod durable;
mod folder;
mod logging;
mod machine_memory;
mod open_files;
mod port;
mod process_usage;
mod secret;

pub use ceilings::{Ceilings, MemoryShare, mebibytes};
pub(crate) use durable::{make_folder, replace, sync_folder_of, write_file};
pub use folder::{Folder, FolderError, PidFile};
pub use logging::{FilterError, LogHandle, check_filter};
pub use machine_memory::MachineMemory;
pub use open_files::OpenFiles;
pub use port::listen_on;
pub use process_usage::ProcessUsage;
pub(crate) use secret::keep_secret;
