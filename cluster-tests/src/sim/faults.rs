//! What goes wrong, when, and for how long: drawn from the seed before the run begins, so that a run can be
//! repeated with a part of it.

use super::clock::{Drift, MS, Micros, SECOND};
use super::dice::Dice;
use super::world::{CONNECTIONS, CONTROLS, DATABASE, ROUTERS, routers};

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connections of two nodes break; they may connect again at once.
    Break(u32, u32),
    /// Nothing passes from one node to another.
    CutOneWay(u32, u32),
    /// Nothing passes between two nodes.
    Cut(u32, u32),
    /// A node reaches nobody, and nobody reaches it.
    Isolate(u32),
    /// A router reaches no member of the control group, while its clients and the store reach it.
    NoGroup(u32),
    /// A process dies, and starts again afterwards.
    Crash(u32),
    /// A router without clients stands still, as with SIGSTOP.
    Pause(u32),
    /// A member's log takes nothing.
    FullLog(u32),
    /// Disks are slow: the store's and the members'.
    SlowDisks,
    /// The store takes nothing that writes.
    FullStore,
    /// The store dies, with what it had not written, and starts again.
    StoreDies,
    /// The network is slow.
    SlowNetwork,
    /// The operator moves a shard to another router.
    Move(u16, u32),
    /// A connection node sends its clients away.
    Drain(u32),
}

/// A fault in its time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scheduled {
    /// When it begins.
    pub(crate) at: Micros,
    /// How long it lasts.
    pub(crate) lasts: Micros,
    /// What it is.
    pub(crate) fault: Fault,
}

/// What kind of trouble a seed has: some have only what no message may be lost by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weather {
    /// Short breaks, slow disks and networks, and full ones.
    Rough,
    /// Shards move as well, and clients are sent away.
    Moving,
    /// Everything.
    Stormy,
}

/// The weather of a seed.
pub(crate) fn weather(seed: u64) -> Weather {
    match Dice::new(seed, 1).below(10) {
        0..=3 => Weather::Rough,
        4..=5 => Weather::Moving,
        _ => Weather::Stormy,
    }
}

/// The faults of a seed, in the order of their times.
pub(crate) fn faults(seed: u64, shards: u16) -> Vec<Scheduled> {
    let dice = &mut Dice::new(seed, 2);
    let weather = weather(seed);
    let count = dice.between(4, 16);
    let mut faults: Vec<_> = (0..count)
        .map(|_| {
            let fault = draw(weather, shards, &routers(seed), dice);
            let at = dice.between(CHAOS.start, CHAOS.end);
            let longest = match fault {
                Fault::Cut(..) | Fault::CutOneWay(..) if weather != Weather::Stormy => 1_500 * MS,
                Fault::Cut(..)
                | Fault::CutOneWay(..)
                | Fault::Isolate(_)
                | Fault::NoGroup(_)
                | Fault::Pause(_) => 14 * SECOND,
                _ => 6 * SECOND,
            };
            let lasts = dice.between(100 * MS, longest);
            Scheduled { at, lasts, fault }
        })
        .collect();
    faults.sort_by_key(|scheduled| scheduled.at);
    faults
}

/// How a node's clocks are wrong.
pub(crate) fn drift(seed: u64, node: u32) -> Drift {
    let dice = &mut Dice::new(seed, 100 + u64::from(node));
    Drift {
        ppm: dice.below(2 * DRIFT_PPM_MAX as u64) as i64 - DRIFT_PPM_MAX,
        ahead_ms: dice.below(2_000),
    }
}

fn draw(weather: Weather, shards: u16, routers: &[u32], dice: &mut Dice) -> Fault {
    let all: Vec<u32> = CONTROLS.chain(ROUTERS).chain(CONNECTIONS).collect();
    let controls: Vec<u32> = CONTROLS.collect();
    let connections: Vec<u32> = CONNECTIONS.collect();
    let one = dice.pick(&all);
    let other = dice.pick(&all);
    let kinds = match weather {
        Weather::Rough => 8,
        Weather::Moving => 10,
        Weather::Stormy => 15,
    };
    match dice.below(kinds) {
        0 | 1 => Fault::Break(one, other),
        2 => Fault::CutOneWay(one, other),
        3 => Fault::SlowNetwork,
        4 => Fault::SlowDisks,
        5 => Fault::FullStore,
        6 => Fault::FullLog(dice.pick(&controls)),
        7 => Fault::Cut(one, other),
        8 => Fault::Move(dice.below(u64::from(shards)) as u16, dice.pick(routers)),
        9 => Fault::Drain(dice.pick(&connections)),
        10 => Fault::Crash(one),
        11 => Fault::Isolate(one),
        12 => Fault::Pause(dice.pick(&ROUTERS.collect::<Vec<_>>())),
        13 => Fault::NoGroup(dice.pick(routers)),
        _ if dice.below(2) == 0 => Fault::StoreDies,
        _ => Fault::Cut(dice.pick(routers), DATABASE),
    }
}

/// While this lasts, things go wrong.
pub(crate) const CHAOS: std::ops::Range<Micros> = 6 * SECOND..36 * SECOND;

/// Within the margin of a lease: 1 %, a hundred times what a quartz does.
pub(crate) const DRIFT_PPM_MAX: i64 = 10_000;
