"""A client for trying a server out: each command does one thing, says in a line what came of it, and exits 0 if the
server let it and 1 if not.

usage: client.py --server HOST:PORT [--server …] [--ca FILE] [--from ADDRESS] [--behind ADDRESS] COMMAND …

    form HOST                    the form that strangers are given, and with --picture FILE the picture in it
    limits HOST                  how much a stream may send before login (XEP-0478); with a JID, after it
    register JID                 a new account, with --answer to the question, --field NAME=VALUE and --invite TOKEN
    login JID                    in, and out again
    change JID NEW               another password, with --old where the server asks for it
    remove JID                   the account, as its owner, with --old for its password where the server asks for it
    send JID TO TEXT             a message, until the server has dealt with it
    read JID TEXT                what comes, until a message has TEXT in it
    invite JID                   an invitation to the server, by one who is there (XEP-0401); with --name for that name
    roster JID                   who the contacts are
    subscribe JID WHOM           asks to see somebody's presence, and waits for the answer
    report JID WHOM TEXT         blocks somebody, and says why (XEP-0377)
    contacts JID HOST            whom to write to about a host (XEP-0157)
    serverinfo JID HOST          what a host tells of itself (XEP-0485)
    flood JID KILOBYTES          as fast as the server reads, over --streams streams; with --stanzas so many of these
    knock COUNT                  so many connections at once

The password is that of --password, or in ROOKERY_PASSWORD as for `rookery admin`. With --behind it is a load balancer
that says for whom it connects, in a PROXY header. Needs slixmpp 1.17 or newer.
"""

import argparse
import asyncio
import base64
import functools
import itertools
import logging
import os
import socket
import ssl
import sys
import xml.etree.ElementTree as ElementTree

import slixmpp
from slixmpp.exceptions import IqError, IqTimeout
from slixmpp.stanza.error import Error
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

STEP_S = 30
# Some kilobytes may pass in a burst; then the server reads at its rate.
FLOOD_S = 120
NETWORK_FORM = "http://jabber.org/network/serverinfo"
SERVER_INFO = "urn:xmpp:serverinfo:0"
# slixmpp 1.17 does not know this one (RFC 6120 8.3.3.12), and waits for ever for an answer that has it.
Error.conditions.add("policy-violation")


class Refused(Exception):
    """The server did not let it happen, and said why."""


def why(error):
    """A condition with its text, if there is one."""
    return ": ".join(part for part in (error["condition"], error["text"]) if part)


async def connection(options, create_connection, factory, host, port, **more):
    """A connection from the address that is wanted, with a header in front of it if it is somebody else's."""
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    made.setblocking(False)
    if options.source:
        made.bind((options.source, 0))
    loop = asyncio.get_running_loop()
    await loop.sock_connect(made, (host, port))
    if options.behind:
        await loop.sock_sendall(made, proxy_header(options.behind, port))
    return await create_connection(factory, sock=made, **more)


def proxy_header(source, port):
    family, to = ("TCP6", "::1") if ":" in source else ("TCP4", "127.0.0.1")
    return f"PROXY {family} {source} {to} {port} {port}\r\n".encode()


class Client(slixmpp.ClientXMPP):
    """A stream that is opened once, and whose end before its time is a refusal."""

    def __init__(self, options, jid, server=None):
        super().__init__(jid, options.password)
        self.address = server or options.server[0]
        self.ready = asyncio.get_running_loop().create_future()
        self.messages = asyncio.Queue()
        # The last ones.
        self.features_shown = None
        self.register_handler(Callback("features", MatchXPath("{http://etherx.jabber.org/streams}features"),
                                       self.on_features))
        for number in ("0004", "0030", "0050", "0060", "0066", "0077", "0191", "0198", "0199", "0377"):
            self.register_plugin(f"xep_{number}")
        self.plugin["xep_0198"].allow_resume = False
        # One try: with every mechanism it knows it would fail several times.
        self.plugin["feature_mechanisms"].use_mech = "SCRAM-SHA-256"
        self.ssl_context = ssl.create_default_context(cafile=options.ca)
        self.enable_direct_tls = self.enable_plaintext = False
        if options.source or options.behind:
            # Of the class, for this loop may have another client's already.
            plain = functools.partial(type(self.loop).create_connection, self.loop)
            self.loop.create_connection = functools.partial(connection, options, plain)
        # With stream management (XEP-0198) the server says what it has dealt with.
        self.add_event_handler("sm_enabled", lambda _: self.is_ready())
        self.add_event_handler("message", self.messages.put_nowait)
        self.add_event_handler("message_error", lambda message: self.fail(why(message["error"])))
        self.add_event_handler("failed_auth", lambda failure: self.fail(why(failure)))
        self.add_event_handler("stream_error", lambda error: self.fail(why(error)))
        self.add_event_handler("connection_failed", lambda _: self.fail("no connection"))
        self.add_event_handler("disconnected", lambda _: self.fail("the connection was closed"))

    def on_features(self, features):
        self.features_shown = features.xml

    def is_ready(self):
        if not self.ready.done():
            self.ready.set_result(None)

    def fail(self, reason):
        """Ends what waits for the server."""
        if not self.ready.done():
            self.ready.set_exception(Refused(reason))
        self.messages.put_nowait(Refused(reason))

    async def __aenter__(self):
        self.connect(*self.address)
        await asyncio.wait_for(self.ready, STEP_S)
        return self

    async def __aexit__(self, *_):
        await self.disconnect()


class Stranger(Client):
    """A stream without an account. It goes no further than to where others log in."""

    def __init__(self, options, jid):
        super().__init__(options, jid)
        # slixmpp keeps back what is sent before login.
        self._always_send_everything = True
        self.pictures = []
        self.register_feature("mechanisms", self.on_offer, restart=True, order=0)

    def on_offer(self, features):
        self.is_ready()
        return True

    async def form(self):
        iq = await self.plugin["xep_0077"].get_registration(timeout=STEP_S)
        self.pictures = [data.text for data in iq.xml.iter("{urn:xmpp:bob}data")]
        return iq["register"]

    async def show_invitation(self, token):
        iq = self.make_iq_set(sub=ElementTree.Element("{urn:xmpp:pars:0}preauth", token=token))
        await iq.send(timeout=STEP_S)

    async def fill_in(self, values):
        """Sends the form back with these values; what it hides goes back as it came."""
        shown = await self.form()
        iq = self.make_iq_set()
        iq.enable("register")
        fields = shown["form"].get_fields(use_dict=True).items()
        hidden = {name: field["value"] for name, field in fields if field["type"] == "hidden"}
        iq["register"]["form"]["type"] = "submit"
        for name, value in {**hidden, **values}.items():
            iq["register"]["form"].add_field(var=name, value=value)
        await iq.send(timeout=STEP_S)


async def form(options):
    async with Stranger(options, options.host) as stranger:
        shown = await stranger.form()
        print(shown["form"]["instructions"] or shown["instructions"])
        for link in shown.xml.iter("{jabber:x:oob}url"):
            print(link.text)
        if options.picture and not stranger.pictures:
            raise Refused("there is no picture")
        if options.picture:
            with open(options.picture, "wb") as file:
                file.write(base64.b64decode(stranger.pictures[0]))
        for name, field in shown["form"].get_fields(use_dict=True).items():
            if field["type"] != "hidden":
                print(f"{name}: {field['label']}")


async def limits(options):
    kind = Client if "@" in options.host else Stranger
    async with kind(options, options.host) as client:
        for limit in client.features_shown.iterfind("{urn:xmpp:stream-limits:0}limits/*"):
            print(f"{limit.tag.partition('}')[2]}: {limit.text}")


async def register(options):
    async with Stranger(options, options.jid) as stranger:
        if options.invite:
            await stranger.show_invitation(options.invite)
        values = {"username": stranger.boundjid.user, "password": options.password}
        if options.answer:
            values["qa"] = options.answer
        values.update(field.split("=", 1) for field in options.field)
        await stranger.fill_in(values)
        print(f"{options.jid} has an account")


async def login(options):
    async with Client(options, options.jid) as client:
        print(f"{options.jid} is logged in")
        await client.plugin["xep_0199"].ping(client.boundjid.domain, timeout=STEP_S)


def submit(iq, purpose, values):
    """Fills in a form of XEP-0077 that is known without asking for it."""
    iq["register"]["form"]["type"] = "submit"
    for name, value in {"FORM_TYPE": f"jabber:iq:register:{purpose}", **values}.items():
        iq["register"]["form"].add_field(var=name, value=value)


async def change(options):
    async with Client(options, options.jid) as client:
        iq = client.make_iq_set(ito=client.boundjid.domain)
        values = {"username": client.boundjid.user, "password": options.new}
        if options.old:
            submit(iq, "changepassword", {"old_password": options.old, **values})
        else:
            iq["register"].values = values
        await iq.send(timeout=STEP_S)
        print(f"{options.jid} has another password")


async def remove(options):
    async with Client(options, options.jid) as client:
        iq = client.make_iq_set()
        if options.old:
            submit(iq, "cancel", {"username": client.boundjid.user, "password": options.old})
        else:
            iq["register"]["remove"] = True
        await iq.send(timeout=STEP_S)
        print(f"{options.jid} has no account any more")


async def send(options):
    async with Client(options, options.jid) as client:
        done = asyncio.get_running_loop().create_future()
        client.add_event_handler("stanza_acked", lambda sent: sent.name == "message" and done.set_result(None))
        client.send_message(mto=options.to, mbody=options.text, mtype="chat")
        # slixmpp writes a request at once, before the message, and this behind it.
        await client.plugin["xep_0199"].ping(client.boundjid.domain, timeout=STEP_S)
        client.plugin["xep_0198"].request_ack()
        # An error comes before the acknowledgement.
        await asyncio.wait_for(done, STEP_S)
        while not client.messages.empty():
            if isinstance(message := client.messages.get_nowait(), Refused):
                raise message
        print(f"{options.to} was sent a message")


async def read(options):
    async with Client(options, options.jid) as client:
        client.send_presence()
        while True:
            message = await asyncio.wait_for(client.messages.get(), STEP_S)
            if isinstance(message, Refused):
                raise message
            print(f"{message['from']}: {message['body']}")
            if options.text in message["body"]:
                return


async def invite(options):
    async with Client(options, options.jid) as client:
        command = functools.partial(client.plugin["xep_0050"].send_command, client.boundjid.domain, timeout=STEP_S)
        if options.name:
            node = "urn:xmpp:invite#create-account"
            asked = (await command(node))["command"]
            form = client.plugin["xep_0004"].make_form(ftype="submit")
            form.add_field(var="username", value=options.name)
            iq = await command(node, action="complete", payload=form, sessionid=asked["sessionid"])
        else:
            iq = await command("urn:xmpp:invite#invite")
        form = next(iq.xml.iter("{jabber:x:data}x"))
        for name, values in fields(form).items():
            print(f"{name}: {values[0]}")


async def roster(options):
    async with Client(options, options.jid) as client:
        await client.get_roster(timeout=STEP_S)
        for jid in client.client_roster:
            print(f"{jid}: {client.client_roster[jid]['subscription']}")


async def subscribe(options):
    async with Client(options, options.jid) as client:
        answers = asyncio.Queue()
        for answer in ("subscribed", "unsubscribed"):
            client.add_event_handler(f"presence_{answer}", answers.put_nowait)
        client.send_presence()
        client.send_presence_subscription(options.whom)
        answer = await asyncio.wait_for(answers.get(), STEP_S)
        if answer["type"] == "unsubscribed":
            raise Refused(f"{answer['from']} answers: unsubscribed")
        print(f"{options.jid} sees {answer['from']}")


async def report(options):
    async with Client(options, options.jid) as client:
        iq = client.make_iq_set()
        item = ElementTree.SubElement(iq["block"].xml, "{urn:xmpp:blocking}item", jid=options.whom)
        why_blocked = ElementTree.SubElement(item, "{urn:xmpp:reporting:1}report",
                                             reason="urn:xmpp:reporting:spam")
        ElementTree.SubElement(why_blocked, "{urn:xmpp:reporting:1}text").text = options.text
        await iq.send(timeout=STEP_S)
        print(f"{options.whom} is blocked and reported")


def fields(form):
    """The names and values of a form."""
    return {field.get("var"): [value.text for value in field.iterfind("{jabber:x:data}value")]
            for field in form.iterfind("{jabber:x:data}field")}


async def network_form(client, host):
    """What a host can do, and the form by which it says how to reach it."""
    info = await client.plugin["xep_0030"].get_info(jid=host, timeout=STEP_S)
    forms = [fields(form) for form in info["disco_info"].xml.iter("{jabber:x:data}x")]
    shown = [form for form in forms if form.pop("FORM_TYPE", None) == [NETWORK_FORM]]
    return info["disco_info"]["features"], shown[0] if shown else {}


async def contacts(options):
    async with Client(options, options.jid) as client:
        _, shown = await network_form(client, options.host)
        for name, addresses in shown.items():
            print(f"{name}: {' '.join(addresses)}")


async def serverinfo(options):
    async with Client(options, options.jid) as client:
        features, shown = await network_form(client, options.host)
        if SERVER_INFO not in features:
            raise Refused(f"{options.host} tells nothing of itself")
        uri = shown["serverinfo-pubsub-node"][0]
        service, node = uri.removeprefix("xmpp:").split("?;node=")
        items = await client.plugin["xep_0060"].get_items(service, node, timeout=STEP_S)
        for domain in items.xml.iter(f"{{{SERVER_INFO}}}domain"):
            peers = len(list(domain.iter(f"{{{SERVER_INFO}}}remote-domain")))
            print(f"{uri}: {domain.get('name')} is there, connected with {peers} other domains")


async def pour(client, count, stanzas):
    """Sends spaces or pings; the answer to what comes behind them says that the server has read them."""
    async with client:
        for number in range(count):
            ping = f"<iq type='get' id='n{number}'><ping xmlns='urn:xmpp:ping'/></iq>"
            client.send_raw(ping if stanzas else " " * 1000)
        await client.plugin["xep_0199"].ping(client.boundjid.domain, timeout=FLOOD_S)


async def flood(options):
    servers = itertools.islice(itertools.cycle(options.server), options.streams)
    begun = asyncio.get_running_loop().time()
    clients = [Client(options, options.jid, server) for server in servers]
    await asyncio.gather(*(pour(client, options.kilobytes, options.stanzas) for client in clients))
    took = asyncio.get_running_loop().time() - begun
    print(f"{options.streams * options.kilobytes} {'stanzas' if options.stanzas else 'kB'} in {took:.1f} s")


async def knock(options):
    """Whether a connection is served is seen from the stream that the server opens."""
    async def is_served():
        try:
            source = (options.source, 0) if options.source else None
            reader, writer = await asyncio.open_connection(*options.server[0], local_addr=source)
            writer.write(b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
                         b"version='1.0' to='%s'>" % options.host.encode())
            held.append(writer)
            return bool(await asyncio.wait_for(reader.read(1), STEP_S))
        except ConnectionError:
            return False

    held = []
    served = [await is_served() for _ in range(options.count)]
    for writer in held:
        writer.close()
    print(f"{sum(served)} of {options.count} connections were served")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", action="append", required=True, type=address)
    parser.add_argument("--ca", metavar="FILE", help="certificates to trust, if not those of the system")
    parser.add_argument("--from", dest="source", metavar="ADDRESS", help="the address to connect from")
    parser.add_argument("--behind", metavar="ADDRESS", help="for whom it connects, as a load balancer")
    parser.add_argument("--password", default=os.environ.get("ROOKERY_PASSWORD", ""))
    commands = parser.add_subparsers(required=True)

    def command(run, *words, **more):
        made = commands.add_parser(run.__name__)
        made.set_defaults(run=run, **more)
        for word in words:
            made.add_argument(word, type=int if word in ("kilobytes", "count") else str)
        return made

    command(form, "host").add_argument("--picture", metavar="FILE")
    command(limits, "host")
    registration = command(register, "jid")
    registration.add_argument("--answer")
    registration.add_argument("--field", action="append", default=[], metavar="NAME=VALUE")
    registration.add_argument("--invite", metavar="TOKEN")
    command(login, "jid")
    command(change, "jid", "new").add_argument("--old")
    command(remove, "jid").add_argument("--old")
    command(send, "jid", "to", "text")
    command(read, "jid", "text")
    command(invite, "jid").add_argument("--name")
    command(roster, "jid")
    command(subscribe, "jid", "whom")
    command(report, "jid", "whom", "text")
    command(contacts, "jid", "host")
    command(serverinfo, "jid", "host")
    pouring = command(flood, "jid", "kilobytes")
    pouring.add_argument("--streams", type=int, default=1)
    pouring.add_argument("--stanzas", action="store_true")
    command(knock, "host", "count")
    return parser.parse_args()


def address(text):
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


async def main(options):
    try:
        await options.run(options)
    except Refused as refusal:
        sys.exit(f"refused: {refusal}")
    except IqError as error:
        sys.exit(f"refused: {why(error.iq['error'])}")
    except (IqTimeout, asyncio.TimeoutError):
        sys.exit("refused: the server did not answer in time")


if __name__ == "__main__":
    # What goes wrong is said in a line.
    logging.disable(logging.CRITICAL)
    asyncio.run(main(arguments()))
