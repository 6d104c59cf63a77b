//! The store on a real CQL server: what every store promises, and what becomes of it when nodes of the database die,
//! hang, or are used by many at once.

mod conformance;
mod faults;
mod jars;
mod node;
mod races;
mod ring;
mod wipe;

use std::path::Path;

use anyhow::Result;
use rookery_store::{ScyllaOptions, ScyllaStore};

use self::ring::Ring;
use crate::suite::Test;

/// The names of the tests.
pub(crate) const NAMES: &[&str] = &[
    "the store on CQL keeps what every store promises",
    "a schema that is newer than the binary is refused",
    "two nodes that start at once bring the schema up to date together",
    "of 16 who create one account at once exactly one succeeds",
    "a database node that is killed costs no error",
    "a database node that hangs costs no error and little time",
];

/// The tests. `cache` keeps the database's jars.
pub(crate) fn tests(cache: &Path) -> Vec<Test<'_>> {
    vec![
        (
            NAMES[0],
            Box::new(move |_| conformance::run(&Ring::start(cache, 1)?)),
        ),
        (
            NAMES[1],
            Box::new(move |_| races::newer_schema(&Ring::start(cache, 1)?)),
        ),
        (
            NAMES[2],
            Box::new(move |_| races::two_migrators(&Ring::start(cache, 3)?)),
        ),
        (
            NAMES[3],
            Box::new(move |_| races::one_account(&Ring::start(cache, 3)?)),
        ),
        (
            NAMES[4],
            Box::new(move |_| faults::killed_node(Ring::start(cache, 3)?)),
        ),
        (
            NAMES[5],
            Box::new(move |_| faults::hanging_node(Ring::start(cache, 3)?)),
        ),
    ]
}

/// The store in a keyspace of a ring, with as many copies as there are nodes.
fn options(ring: &Ring, keyspace: &str) -> Result<ScyllaOptions> {
    let nodes = ring.addresses();
    Ok(ScyllaOptions {
        copies: u32::try_from(nodes.len())?,
        nodes,
        keyspace: keyspace.to_owned(),
        ..ScyllaOptions::default()
    })
}

/// Opens it.
async fn open(ring: &Ring, keyspace: &str) -> Result<ScyllaStore> {
    Ok(ScyllaStore::open(options(ring, keyspace)?).await?)
}

/// Runs asynchronous work to its end.
fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(work)
}
