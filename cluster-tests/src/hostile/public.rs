//! What a stranger may try at a server on which anyone may register.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::server::Server;
use crate::suite::{Suite, wait_for};
use crate::wire::{HEADER, Wire};

/// A form that asks for the captcha.
const ASK: &str = "<iq type='get' id='g'><query xmlns='jabber:iq:register'/></iq>";

/// What a new connection of the same network is answered.
fn answered(server: &Server, iq: &str) -> Result<String> {
    let mut wire = Wire::tls(server)?;
    wire.send(HEADER)?;
    wire.read_until("</stream:features>")?;
    wire.forget();
    wire.send(iq)?;
    wire.read_until("</iq>")
}

/// A program that looks for an easy picture is counted, however often it connects.
pub(super) fn captchas_of_a_network(suite: &Suite) -> Result<()> {
    let (kinds, most) = ("captcha.kinds=[\"image\"]", "captcha.asked_per_hour_max=3");
    let server = Server::start(suite, &["--set", kinds, "--set", most])?;
    for time in 0..3 {
        let form = answered(&server, ASK)?;
        ensure!(form.contains("image/png"), "{time}: {form:.200}");
    }
    let refused = answered(&server, ASK)?;
    ensure!(refused.contains("too many captchas"), "{refused:.200}");
    Ok(())
}

/// Names that are taken cost no place in a window: trying them is bounded all the same.
pub(super) fn registrations_in_vain(suite: &Suite) -> Result<()> {
    let most = "flood.registrations_per_address=3/1h";
    let server = Server::start(suite, &["--unlimited", "--set", most])?;
    let set = "<iq type='set' id='r'><query xmlns='jabber:iq:register'>\
        <username>admin</username><password>correct horse</password></query></iq>";
    for time in 0..3 {
        let answer = answered(&server, set)?;
        ensure!(!answer.contains("resource-constraint"), "{time}: {answer}");
    }
    let refused = answered(&server, set)?;
    ensure!(refused.contains("resource-constraint"), "{refused}");
    let form = answered(&server, ASK)?;
    ensure!(
        form.contains("username"),
        "who only asks is answered: {form}"
    );
    Ok(())
}

/// Who knocks and says nothing from one network leaves places to others, and to who comes when one of them has left.
pub(super) fn places_of_strangers(suite: &Suite) -> Result<()> {
    let most = "connection.handshakes_per_prefix_max=3";
    let server = Server::start(suite, &["--set", most])?;
    let mut idle = Vec::new();
    for _ in 0..3 {
        let mut wire = Wire::plain(&server)?;
        wire.send(HEADER)?;
        wire.read_until("</stream:features>")?;
        idle.push(wire);
    }
    let let_in = |wire: Result<Wire>| -> Result<()> {
        let mut wire = wire?;
        wire.send(HEADER)?;
        wire.read_until("</stream:features>").map(drop)
    };
    ensure!(let_in(Wire::plain(&server)).is_err(), "a fourth is let in");
    drop(idle.pop());
    wait_for("a place is free", Duration::from_secs(10), || {
        let_in(Wire::plain(&server)).ok()
    })
}
