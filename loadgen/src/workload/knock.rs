//! `knock`: somebody connects at a rate and goes no further: no TLS, no login.
//!
//! ```text
//! TCP ─► (PROXY …) ─► <stream:stream …> ─► closed without a byte: refused
//!                                      └─► a byte: admitted, held, closed
//! ```
//!
//! Refusing must cost the server next to nothing; what it costs others, `messages` beside it tells.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::client::{ClientError, Knocked};
use crate::measure::Outcome;
use crate::options::Common;
use crate::worker::Worker;

/// Connects and goes no further, at a rate: from `--source-prefix` or `--networks`, to ports with STARTTLS.
#[derive(Debug, clap::Args)]
pub(crate) struct Knock {
    /// Connections, all processes together.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=MAX_KNOCKS))]
    knocks: u32,
    /// Connections a second, all processes together.
    #[arg(long, default_value_t = 2_000.0, value_name = "PER_SECOND")]
    rate: f64,
    /// How long an admitted one stays before it closes.
    #[arg(long, default_value_t = 1_000, value_name = "MILLISECONDS")]
    hold_ms: u64,
    /// Fail where one process's connections were admitted more often than this.
    #[arg(long, value_name = "CONNECTIONS")]
    admitted_max: Option<u64>,
    /// Common options.
    #[command(flatten)]
    pub(crate) common: Common,
}

impl Knock {
    /// Runs it.
    pub(crate) async fn run(&self, worker: &Rc<Worker>) -> anyhow::Result<Outcome> {
        worker.ready().await;
        let begin = worker.begin();
        let outcome = RefCell::new(Outcome::of("knock"));
        let rate = worker.share.rate(self.rate);
        let numbers = worker.share.of(self.knocks);
        let knocks = worker.paced_at(rate, numbers, |number, due| {
            let outcome = &outcome;
            async move {
                let knocked = timeout(ANSWER_MAX, worker.connector.knock(number)).await;
                let knocked = knocked.unwrap_or(Err(ClientError::TimedOut("a knock")));
                let stands = take(
                    &mut outcome.borrow_mut(),
                    worker,
                    number,
                    knocked,
                    due,
                    begin,
                );
                if let Some(stands) = stands {
                    // Beside the others: it must not keep them from knocking.
                    tokio::task::spawn_local(hold(stands, self.hold_ms));
                }
            }
        });
        knocks.await;
        let mut outcome = outcome.into_inner();
        worker.end(&mut outcome);
        let admitted = outcome.counts.get(ADMITTED).copied().unwrap_or_default();
        if self.admitted_max.is_some_and(|most| admitted > most) {
            outcome.fail(format!("{admitted} connections were admitted"));
        }
        Ok(outcome)
    }
}

/// Leaves a connection alone for a while, and closes it.
async fn hold(stands: TcpStream, ms: u64) {
    sleep(Duration::from_millis(ms)).await;
    drop(stands);
}

/// Counts an answer; gives the connection if it stands.
fn take(
    outcome: &mut Outcome,
    worker: &Worker,
    number: u32,
    knocked: Result<Knocked, ClientError>,
    due: Instant,
    begin: Instant,
) -> Option<TcpStream> {
    let connector = &worker.connector;
    let target = connector.targets[connector.target_of(number)].to_string();
    let (kind, count, stands) = match knocked {
        Ok(Knocked::Refused) => ("refusal", REFUSED, None),
        Ok(Knocked::Admitted(tcp)) => ("admission", ADMITTED, Some(tcp)),
        Err(error) => {
            outcome.fail(error.to_string());
            return None;
        }
    };
    outcome.record(kind, &target, begin.elapsed(), due.elapsed());
    outcome.count(count);
    stands
}

const ADMITTED: &str = "admitted";
const REFUSED: &str = "refused before TLS";
/// How long the server may leave a knock without an answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// An hour at 10,000 a second.
const MAX_KNOCKS: i64 = 36_000_000;
