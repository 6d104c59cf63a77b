"""One account with two devices, with slixmpp: each sees what the other writes and reads (XEP-0280), and one that sleeps
is told only what is urgent until it wakes (XEP-0352).

usage: devices.py PORT CERTIFICATE

Prints one line a step that worked and exits 0, or says which step did not and exits 1. Nothing sleeps: that nothing came
is known from what came behind it.
"""

import argparse
import asyncio
import secrets
import sys

from slixmpp.exceptions import IqError

from life import HOST, STEP_S, Client, become_contacts, expect, step


class Device(Client):
    """A client that gets copies."""

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        self.register_plugin("xep_0280")
        self.register_plugin("xep_0352")
        self.register_plugin("xep_0085")
        # What waits for a stream that can be resumed is counted, so nothing of it is replaced.
        self.plugin["xep_0198"].allow_resume = False
        self.copies = asyncio.Queue()
        self.shows = asyncio.Queue()
        self.add_event_handler("presence", self.on_presence)
        self.add_event_handler("carbon_received", self.copies.put_nowait)
        self.add_event_handler("carbon_sent", self.copies.put_nowait)

    def on_presence(self, presence):
        # An event of slixmpp's own type of presence stands for each <show/>.
        if presence["from"].bare != self.boundjid.bare:
            self.shows.put_nowait(presence["show"])

    async def come_online(self):
        await super().come_online()
        await step("copies", self.plugin["xep_0280"].enable(timeout=STEP_S))
        return self

    async def round_trip(self):
        """What was sent to it before has come when this has."""
        await step(f"{self.boundjid.resource} hears the server",
                   self.plugin["xep_0199"].ping(HOST, timeout=STEP_S))


async def copies(home, garden, juliet):
    juliet.send_message(mto=home.boundjid.full, mbody="what man art thou", mtype="chat")
    message = await step("home reads", home.message_from(juliet))
    copy = await step("garden gets a copy", garden.copies.get())
    expect("it is from the own account", copy["from"] == home.boundjid.bare)
    expect("it holds the message", copy["carbon_received"]["body"] == message["body"])
    home.send_message(mto=juliet.boundjid.bare, mbody="neither, fair saint", mtype="chat")
    await step("juliet reads", juliet.message_from(home))
    copy = await step("garden gets what home sent", garden.copies.get())
    expect("it holds the words", copy["carbon_sent"]["body"] == "neither, fair saint")
    expect("home gets no copy of its own", home.copies.empty())
    await step("no more copies", garden.plugin["xep_0280"].disable(timeout=STEP_S))
    juliet.send_message(mto=home.boundjid.full, mbody="again", mtype="chat")
    await step("home reads again", home.message_from(juliet))
    await garden.round_trip()
    expect("garden gets no copy", garden.copies.empty())


async def sleep(home, juliet):
    home.plugin["xep_0352"].send_inactive()
    # The answer comes at once, and so late that it sleeps.
    await home.plugin["xep_0199"].ping(HOST, timeout=STEP_S)
    while not home.shows.empty():
        home.shows.get_nowait()
    for show in ("away", "xa", "dnd"):
        juliet.send_presence(pshow=show)
    state = juliet.make_message(mto=home.boundjid.full, mtype="chat")
    state["chat_state"] = "composing"
    state.send()
    await juliet.plugin["xep_0199"].ping(home.boundjid.full, timeout=STEP_S)
    expect("an urgent stanza brings the last presence", home.shows.qsize() == 1)
    expect("it is the last", home.shows.get_nowait() == "dnd")
    juliet.send_presence(pshow="chat")
    # Once this came back the server has given the presence to home.
    await juliet.plugin["xep_0199"].ping(HOST, timeout=STEP_S)
    home.plugin["xep_0352"].send_active()
    expect("it is the newest", await step("what waited comes", home.shows.get()) == "chat")


async def main(options):
    words = [secrets.token_urlsafe(12) for _ in range(2)]
    names = [f"{name}{secrets.token_hex(4)}" for name in ("romeo", "juliet")]
    home, juliet = [
        await Device(name, password, options, register=True).come_online()
        for name, password in zip(names, words)
    ]
    await become_contacts(home, juliet)
    garden = await Device(home.name, words[0], options).come_online()
    features = (await garden.plugin["xep_0030"].get_info(jid=HOST))["disco_info"]["features"]
    expect("the rules are announced",
           {"urn:xmpp:carbons:2", "urn:xmpp:carbons:rules:0"} <= features)
    expect("client state is announced", garden.plugin["xep_0352"].enabled)
    await copies(home, garden, juliet)
    await garden.leave()
    await sleep(home, juliet)
    await home.leave()
    await juliet.leave()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("certificate")
    parser.set_defaults(direct_tls=False)
    try:
        asyncio.run(main(parser.parse_args()))
    except (RuntimeError, IqError, asyncio.TimeoutError) as error:
        print(f"FAILED {error}")
        sys.exit(1)
