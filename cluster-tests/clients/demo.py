"""One half of a talk that must lose nothing, with slixmpp: sends numbered messages, is sent some, and comes back whenever
its connection ends, to any of several addresses, with its stream resumed (XEP-0198) if the server lets it.

usage: demo.py ACCOUNT PASSWORD PEER CERTIFICATES HOST:PORT...

Says what happens in one line of JSON each. Is told `go`, `stop` (to send no more) and, by the end of its input, to leave.
"""

import argparse
import asyncio
import itertools
import json
import os
import ssl
import sys

import slixmpp

EVERY_S = 0.1
FIRST_TRY_S = 0.05
NEXT_TRY_S = 0.3
# From the socket to a session; a node that is about to stop serving may never get there.
ATTEMPT_S = 5
FAILED = "{urn:xmpp:sm:3}failed"


def say(event, **more):
    print(json.dumps({"event": event, **more}), flush=True)


def complete(future, value):
    if not future.done():
        future.set_result(value)


class Talker(slixmpp.ClientXMPP):
    """Holds every message until the server has acknowledged it."""

    def __init__(self, options):
        super().__init__(f"{options.account}/desk", options.password)
        self.peer = options.peer
        self.addresses = itertools.cycle(options.addresses)
        self.session = 0
        self.last = 0
        self.unacknowledged = {}
        self.talks = False
        self.live = False
        loop = asyncio.get_running_loop()
        self.arrived = loop.create_future()
        self.gone = loop.create_future()
        self.left = loop.create_future()
        self.register_plugin("xep_0198")
        self.ssl_context = ssl.create_default_context(cafile=options.certificates)
        self.enable_direct_tls = False
        self.add_filter("in", self.on_any)
        self.add_event_handler("sm_enabled", self.on_bound)
        self.add_event_handler("session_resumed", self.on_resumed)
        self.add_event_handler("stanza_acked", self.on_acknowledged)
        self.add_event_handler("message", self.on_message)
        self.add_event_handler("message_error", self.on_error)
        self.add_event_handler("disconnected", self.on_gone)
        self.add_event_handler("connection_failed", lambda _: complete(self.arrived, False))

    @property
    def streams(self):
        return self.plugin["xep_0198"]

    def on_any(self, stanza):
        # slixmpp forgets its queue when a stream cannot be resumed. The server may say there how far it had come.
        handled = stanza.xml.get("h") if stanza.xml.tag == FAILED else None
        if handled is not None:
            count = int(handled) - self.streams.last_ack
            for _, sent in list(self.streams.unacked_queue)[:max(0, count)]:
                self.on_acknowledged(sent)
        return stanza

    def on_bound(self, _):
        self.session += 1
        say("bound", address=self.address)
        self.send_presence()
        # What the last session left: whether the server had it is not known, so that it may come twice.
        for number in list(self.unacknowledged):
            say("sent_again", n=number)
            self.post(number)
        self.on_live()

    def on_resumed(self, _):
        say("resumed", address=self.address)
        # slixmpp sends again what it had written. What was still on its way to the socket it drops.
        queued = {stanza["id"] for _, stanza in self.streams.unacked_queue}
        for number, name in list(self.unacknowledged.items()):
            if name not in queued:
                self.post(number)
        self.on_live()

    def on_live(self):
        self.live = True
        complete(self.arrived, True)

    def on_acknowledged(self, stanza):
        if stanza.name == "message" and stanza["body"]:
            number = int(stanza["body"])
            if self.unacknowledged.pop(number, None):
                say("acknowledged", n=number)

    def on_message(self, message):
        if message["body"]:
            say("received", n=int(message["body"]), id=message["id"])

    def on_error(self, message):
        say("returned", id=message["id"])

    def on_gone(self, _):
        self.live = False
        if not self.streams.sm_id:
            # Otherwise slixmpp goes on counting where the old session ended, and takes for acknowledged what is not.
            self.event("session_end")
        say("disconnected")
        complete(self.arrived, False)
        complete(self.gone, None)

    def post(self, number):
        message = self.make_message(mto=self.peer, mbody=str(number), mtype="chat")
        message["id"] = self.unacknowledged[number]
        message.send()

    async def stay(self):
        """Connects, and connects again, for as long as this runs."""
        while True:
            loop = asyncio.get_running_loop()
            self.arrived, self.gone = loop.create_future(), loop.create_future()
            self.address = next(self.addresses)
            host, port = self.address.rsplit(":", 1)
            self.connect(host=host, port=int(port))
            await asyncio.wait([self.arrived], timeout=ATTEMPT_S)
            if self.live:
                await self.gone
                await asyncio.sleep(FIRST_TRY_S)
            else:
                self.cancel_connection_attempt()
                self.abort()
                await asyncio.sleep(NEXT_TRY_S)

    async def talk(self):
        """Sends a message at each tick while there is a session, and asks what the server has."""
        for tick in itertools.count():
            await asyncio.sleep(EVERY_S)
            if self.live and self.talks:
                self.last += 1
                self.unacknowledged[self.last] = f"{self.session}-{self.last}"
                say("sent", n=self.last, session=self.session)
                self.post(self.last)
            if self.live and self.unacknowledged and tick % 5 == 0:
                self.streams.request_ack()

    def hear(self):
        """What the one that started this has to say."""
        words = os.read(sys.stdin.fileno(), 1024)
        if not words:
            complete(self.left, None)
        for word in words.decode().split():
            self.talks = word == "go"


async def main(options):
    talker = Talker(options)
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), talker.hear)
    for work in (talker.stay(), talker.talk()):
        task = asyncio.ensure_future(work)
        task.add_done_callback(lambda it: complete(talker.left, it))
    ended = await talker.left
    if ended:
        ended.result()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for argument in ("account", "password", "peer", "certificates"):
        parser.add_argument(argument)
    parser.add_argument("addresses", nargs="+")
    asyncio.run(main(parser.parse_args()))
