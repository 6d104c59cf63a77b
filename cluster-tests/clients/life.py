"""The life of two accounts with slixmpp: register, log in, become contacts, talk, change a password, leave.

usage: life.py PORT CERTIFICATE [--direct-tls]

Prints one line a step that worked and exits 0, or says which step did not and exits 1. Nothing sleeps: every step waits
for what it needs, for at most STEP_S seconds.
"""

import argparse
import asyncio
import secrets
import ssl
import sys

import slixmpp
from slixmpp.exceptions import IqError

STEP_S = 20
HOST = "localhost"


class Client(slixmpp.ClientXMPP):
    """One client that remembers what it was sent."""

    def __init__(self, name, password, options, register=False):
        super().__init__(f"{name}@{HOST}", password)
        self.options = options
        self.name = name
        self.wants_account = register
        self.messages = asyncio.Queue()
        self.presences = asyncio.Queue()
        self.requests = asyncio.Queue()
        self.acknowledged = asyncio.Queue()
        self.ended = asyncio.get_event_loop().create_future()
        self.online = asyncio.get_event_loop().create_future()
        self.auto_authorize = None
        self.auto_subscribe = False
        for plugin in ("xep_0030", "xep_0077", "xep_0199", "xep_0092", "xep_0202", "xep_0012",
                       "xep_0049", "xep_0054", "xep_0191", "xep_0198", "xep_0203"):
            self.register_plugin(plugin)
        self.plugin["xep_0077"].force_registration = register
        # Otherwise it registers whenever the server offers that.
        self.plugin["xep_0077"].create_account = register
        self.ssl_context = ssl.create_default_context(cafile=options.certificate)
        self.enable_starttls = not options.direct_tls
        self.enable_direct_tls = options.direct_tls
        self.enable_plaintext = False
        self.add_event_handler("register", self.on_register)
        self.add_event_handler("session_start", self.on_start)
        self.add_event_handler("message", self.messages.put_nowait)
        self.add_event_handler("stanza_acked", self.acknowledged.put_nowait)
        self.add_event_handler("presence_available", self.presences.put_nowait)
        self.add_event_handler("presence_unavailable", self.presences.put_nowait)
        self.add_event_handler("presence_subscribe", self.requests.put_nowait)
        self.add_event_handler("disconnected", self.on_disconnected)
        self.add_event_handler("failed_auth", lambda _: self.fail("authentication failed"))

    async def on_register(self, form):
        iq = self.Iq()
        iq["type"] = "set"
        iq["register"]["username"] = self.boundjid.user
        iq["register"]["password"] = self.password
        try:
            await iq.send(timeout=STEP_S)
        except IqError as error:
            self.fail(f"registration refused: {error.condition}")

    async def on_start(self, _):
        await self.get_roster(timeout=STEP_S)
        self.send_presence()
        if not self.online.done():
            self.online.set_result(None)

    def on_disconnected(self, reason):
        if not self.ended.done():
            self.ended.set_result(reason)

    def fail(self, why):
        if not self.online.done():
            self.online.set_exception(RuntimeError(why))

    async def come_online(self):
        self.connect(host="127.0.0.1", port=self.options.port)
        await step(f"{self.name} comes online", self.online)
        return self

    async def leave(self):
        self.disconnect()
        await step(f"{self.name} leaves", self.ended)

    async def message_from(self, sender):
        while True:
            message = await self.messages.get()
            if message["from"].bare == sender.boundjid.bare and message["body"]:
                return message

    async def told_that_it_was_dealt_with(self, body):
        self.plugin["xep_0198"].request_ack()
        while True:
            stanza = await self.acknowledged.get()
            if stanza.name == "message" and stanza["body"] == body:
                return

    async def presence_from(self, sender, kind):
        while True:
            presence = await self.presences.get()
            if presence["from"].bare == sender.boundjid.bare and presence["type"] == kind:
                return presence


async def step(name, awaitable):
    """Waits for a step, or says which one did not come."""
    try:
        result = await asyncio.wait_for(awaitable, STEP_S)
    except asyncio.TimeoutError:
        raise RuntimeError(f"{name}: nothing came for {STEP_S} s") from None
    print(f"ok {name}")
    return result


def expect(name, condition):
    if not condition:
        raise RuntimeError(name)
    print(f"ok {name}")


async def become_contacts(romeo, juliet):
    romeo.send_presence_subscription(pto=juliet.boundjid.bare)
    await step("juliet is asked", juliet.requests.get())
    juliet.send_presence(pto=romeo.boundjid.bare, ptype="subscribed")
    juliet.send_presence_subscription(pto=romeo.boundjid.bare)
    await step("romeo is asked", romeo.requests.get())
    romeo.send_presence(pto=juliet.boundjid.bare, ptype="subscribed")
    await step("romeo sees juliet", romeo.presence_from(juliet, "available"))
    await step("juliet sees romeo", juliet.presence_from(romeo, "available"))
    # slixmpp asks with its version, so an answer that says nothing means that the pushes said all.
    await step("the roster comes", romeo.get_roster(timeout=STEP_S))
    item = romeo.client_roster[juliet.boundjid.bare]
    expect("the roster says both", item["subscription"] == "both")


async def talk(romeo, juliet):
    body = "wherefore <art> \"thou\" & 'I'? \U0001f339"
    romeo.send_message(mto=juliet.boundjid.bare, mbody=body, mtype="chat")
    message = await step("juliet reads", juliet.message_from(romeo))
    expect("the words came as written", message["body"] == body)
    expect("the sender is stamped", message["from"] == romeo.boundjid)
    await step("the server acknowledges it", romeo.told_that_it_was_dealt_with(body))


async def ask_the_server(romeo, juliet):
    await step("ping", romeo.plugin["xep_0199"].ping(HOST, timeout=STEP_S))
    info = await step("disco", romeo.plugin["xep_0030"].get_info(jid=HOST, timeout=STEP_S))
    expect("pings are announced", "urn:xmpp:ping" in info["disco_info"]["features"])
    version = await step("version", romeo.plugin["xep_0092"].get_version(HOST))
    expect("it is Rookery", version["software_version"]["name"] == "Rookery")
    await step("time", romeo.plugin["xep_0202"].get_entity_time(HOST))
    await step("uptime", romeo.plugin["xep_0012"].get_last_activity(HOST, timeout=STEP_S))
    card = romeo.plugin["xep_0054"].make_vcard()
    card["FN"] = "Romeo Montague"
    await step("vCard set", romeo.plugin["xep_0054"].publish_vcard(card, timeout=STEP_S))
    seen = await step("vCard get", juliet["xep_0054"].get_vcard(romeo.boundjid.bare, cached=False))
    expect("the vCard is the one", seen["vcard_temp"]["FN"] == "Romeo Montague")


async def block(romeo, juliet):
    await step("block", romeo.plugin["xep_0191"].block(juliet.boundjid.bare, timeout=STEP_S))
    await step("juliet sees romeo go", juliet.presence_from(romeo, "unavailable"))
    try:
        await juliet["xep_0199"].send_ping(romeo.boundjid.full, timeout=STEP_S)
        expect("a blocked ping is refused", False)
    except IqError as error:
        expect("a blocked ping is refused", error.condition == "service-unavailable")
    await step("unblock", romeo.plugin["xep_0191"].unblock(juliet.boundjid.bare, timeout=STEP_S))
    await step("juliet sees romeo again", juliet.presence_from(romeo, "available"))


async def message_for_the_absent(romeo, juliet, options):
    await juliet.leave()
    await step("romeo sees juliet go", romeo.presence_from(juliet, "unavailable"))
    for number in range(30):
        romeo.send_message(mto=juliet.boundjid.bare, mbody=f"waiting {number}", mtype="chat")
    # An IQ to the absent account comes back after the messages before it were taken.
    await step("the server took them", romeo.plugin["xep_0199"].ping(HOST, timeout=STEP_S))
    juliet = await Client(juliet.name, juliet.password, options).come_online()
    for number in range(30):
        message = await asyncio.wait_for(juliet.message_from(romeo), STEP_S)
        if message["body"] != f"waiting {number}" or not message["delay"]["stamp"]:
            raise RuntimeError(f"message {number} came as {message['body']!r}")
    print("ok thirty messages waited, in order, with their time")
    return juliet


async def change_password(romeo, options):
    new = secrets.token_urlsafe(12)
    await step("password change",
               romeo.plugin["xep_0077"].change_password(new, jid=HOST, timeout=STEP_S))
    old = romeo.password
    await romeo.leave()
    try:
        await Client(romeo.name, old, options).come_online()
        expect("the old password is refused", False)
    except RuntimeError as error:
        expect("the old password is refused", "authentication failed" in str(error))
    return await Client(romeo.name, new, options).come_online()


async def remove(client, options):
    await step("removal", client.plugin["xep_0077"].cancel_registration(jid=HOST, timeout=STEP_S))
    await step("the stream is closed", client.ended)
    try:
        await Client(client.name, client.password, options).come_online()
        expect("the account is gone", False)
    except RuntimeError as error:
        expect("the account is gone", "authentication failed" in str(error))


async def main(options):
    names = [f"{name}{secrets.token_hex(4)}" for name in ("romeo", "juliet")]
    romeo, juliet = [
        await Client(name, secrets.token_urlsafe(12), options, register=True).come_online()
        for name in names
    ]
    await become_contacts(romeo, juliet)
    await talk(romeo, juliet)
    await talk(juliet, romeo)
    await ask_the_server(romeo, juliet)
    await block(romeo, juliet)
    juliet = await message_for_the_absent(romeo, juliet, options)
    romeo = await change_password(romeo, options)
    await talk(romeo, juliet)
    await remove(romeo, options)
    await step("juliet sees romeo no more", juliet.presence_from(romeo, "unavailable"))
    await remove(juliet, options)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("certificate")
    parser.add_argument("--direct-tls", action="store_true")
    try:
        asyncio.run(main(parser.parse_args()))
    except (RuntimeError, IqError, asyncio.TimeoutError) as error:
        print(f"FAILED {error}")
        sys.exit(1)
