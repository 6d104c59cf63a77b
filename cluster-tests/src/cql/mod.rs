//! The store on a real CQL server: what every store promises, and what becomes of it when nodes of the database die,
//! hang, or are used by many at once.

mod conformance;
mod faults;
pub(crate) mod jars;
pub(crate) mod java;
mod node;
mod races;
pub(crate) mod ring;
mod runbook;
mod server;
mod way;
mod wipe;

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

use anyhow::Result;
use rookery_store::{ScyllaOptions, ScyllaStore};

use self::ring::Ring;
use crate::suite::{Suite, Test};

/// The names of the tests.
pub(crate) const NAMES: &[&str] = &[
    "the store on CQL keeps what every store promises",
    "a schema that is newer than the binary is refused",
    "a schema of an earlier version is brought up to date, and what it holds is kept",
    "a server on CQL loses nothing that it answered for when it is killed",
    "a database that cannot be reached for a moment costs no error",
    "a server whose database hangs is not ready until it wakes",
    "rookery check tells whether the database can be used",
    "a backup goes from the embedded store to CQL and back, and is equal all the way",
    "the runbook's section for one machine does what it says, word by word",
    "two nodes that start at once bring the schema up to date together",
    "of 16 who create one account at once exactly one succeeds",
    "a database node that is killed costs no error",
    "a database node that hangs costs no error and little time",
];

/// The tests. `cache` keeps the database's jars.
pub(crate) fn tests(cache: &Path) -> Vec<Test<'_>> {
    let database = Rc::new(Database {
        cache,
        running: RefCell::new(None),
    });
    let test = |name, nodes, run: fn(&Suite, &mut Ring) -> Result<()>| -> Test<'_> {
        let database = database.clone();
        (
            name,
            Box::new(move |suite| database.with(nodes, |ring| run(suite, ring))),
        )
    };
    vec![
        test(NAMES[0], 1, |_, ring| conformance::run(ring)),
        test(NAMES[1], 1, |_, ring| races::newer_schema(ring)),
        test(NAMES[2], 1, |_, ring| races::older_schema(ring)),
        test(NAMES[3], 1, |suite, ring| {
            server::kill_and_look(suite, ring)
        }),
        test(NAMES[4], 1, |_, ring| faults::cut_way(ring)),
        test(NAMES[5], 1, server::readiness),
        test(NAMES[6], 1, |suite, ring| server::check(suite, ring)),
        test(NAMES[7], 1, |suite, ring| server::moved(suite, ring)),
        test(NAMES[8], 1, |suite, ring| runbook::run(suite, ring)),
        test(NAMES[9], 3, |_, ring| races::two_migrators(ring)),
        test(NAMES[10], 3, |_, ring| races::one_account(ring)),
        test(NAMES[11], 3, |_, ring| faults::killed_node(ring)),
        test(NAMES[12], 3, |_, ring| faults::hanging_node(ring)),
    ]
}

/// The database of the tests: one node or three, started by the first test that needs so many.
struct Database<'a> {
    cache: &'a Path,
    running: RefCell<Option<Ring>>,
}

impl Database<'_> {
    fn with(&self, nodes: usize, test: impl FnOnce(&mut Ring) -> Result<()>) -> Result<()> {
        let running = self
            .running
            .take()
            .filter(|ring| ring.addresses().len() == nodes);
        let mut ring = match running {
            Some(ring) => ring,
            None => Ring::start(self.cache, nodes)?,
        };
        // What a failed test leaves may be broken, so the next one gets another.
        test(&mut ring)?;
        self.running.replace(Some(ring));
        Ok(())
    }
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
