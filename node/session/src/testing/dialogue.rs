//! Whole connections: a client, a shard, a guard and timers do what fits, and sometimes what does not.

use rookery_xmpp::entropy::Entropy;
use rookery_xmpp::stream_error::{StreamCondition, StreamError};

use super::choices::Choices;
use super::client::Client;
use super::mover::Mover;
use super::world::World;
use super::{Reached, Verdict, ensure};
use crate::event::{Event, Timer};

/// Plays one connection from the accepted socket to its end.
///
/// # Errors
/// What does not hold.
pub fn check_dialogue(entropy: &mut dyn Entropy) -> Result<Reached, String> {
    let mut choices = Choices::new(entropy);
    let world = World::new(&mut choices);
    let orderly = choices.are_orderly();
    let mut mover = Mover::accept(world, choices)?;
    let mut client = Client::default();
    for _ in 0..STEPS_MAX {
        if mover.is_over() {
            break;
        }
        step(&mut mover, &mut client)?;
    }
    let reached = mover.reached();
    ensure(
        !orderly || reached.bound,
        "a client that did all right was not bound",
    )?;
    if let Some(complaint) = client.complaint.filter(|_| orderly) {
        return Err(complaint);
    }
    end(&mut mover)?;
    Ok(reached)
}

fn step(mover: &mut Mover<'_>, client: &mut Client) -> Verdict {
    while let Some(seen) = mover.see() {
        client.see(&seen);
    }
    if mover.choices.odd() {
        return disturb(mover, client);
    }
    if mover.choices.either() && speak(mover, client)? {
        return Ok(());
    }
    if !mover.work()? {
        speak(mover, client)?;
    }
    Ok(())
}

/// The client says what is next. Whether there was anything.
fn speak(mover: &mut Mover<'_>, client: &mut Client) -> Result<bool, String> {
    if !mover.reads() {
        return Ok(false);
    }
    let Some(said) = client.speak(&mut mover.choices, &mover.world) else {
        return Ok(false);
    };
    mover.receive(&said)?;
    Ok(true)
}

/// Something happens that does not fit.
fn disturb(mover: &mut Mover<'_>, client: &mut Client) -> Verdict {
    match mover.choices.below(20) {
        0 => mover.event(Event::Lost),
        1 => mover.event(Event::Kicked(StreamError::new(StreamCondition::Conflict))),
        2 => mover.ring(Timer::Login),
        3 => mover.ring(Timer::Answer),
        4 => mover.ring(Timer::Close),
        5 => mover.ring(Timer::Idle),
        6..=8 => mover.work_again(),
        _ if mover.reads() => {
            let said = client.blurt(&mut mover.choices, &mover.world);
            mover.receive(&said)
        }
        _ => mover.work().map(drop),
    }
}

/// The connection is lost at last, and nothing that comes later changes anything.
fn end(mover: &mut Mover<'_>) -> Verdict {
    mover.event(Event::Lost)?;
    ensure(mover.is_over(), "a lost connection goes on")?;
    for timer in [Timer::Login, Timer::Answer, Timer::Close, Timer::Idle] {
        mover.ring(timer)?;
    }
    while mover.work()? {}
    mover.work_again()
}

/// A login and a binding take about fifteen.
const STEPS_MAX: usize = 60;
