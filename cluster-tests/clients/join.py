"""Strangers with slixmpp who fill in the operator's form, solve a captcha, and are told why they may not join.

usage: join.py PORT CERTIFICATE [--redirect URL]

The server asks for an e-mail address, and for letters on a picture or the answer to "Who wrote Hamlet?". With --redirect it
sends strangers to a web page instead. Prints one line a step that worked and exits 0, or says which step did not and exits 1.
"""

import argparse
import asyncio
import hashlib
import secrets
import struct
import sys
import zlib

from slixmpp.exceptions import IqError
from slixmpp.plugins.xep_0221.stanza import Media
from slixmpp.plugins.xep_0231.stanza import BitsOfBinary

import life
from life import STEP_S, Client, expect, step


class Stranger(Client):
    """Registers with the answers that it is given, one after the other until one is taken; None asks for another form."""

    def __init__(self, name, options, tries):
        super().__init__(name, "", options, register=True)
        self.register_plugin("xep_0004")
        self.register_plugin("xep_0066")
        self.tries = tries
        self.forms = []
        self.refusals = []

    async def on_register(self, form):
        self.forms.append(form)
        for values in self.tries:
            if values is None:
                # Another form replaces the one that is answered below.
                self.forms.append(await self.plugin["xep_0077"].get_registration(timeout=STEP_S))
                continue
            iq = self.Iq()
            iq["type"] = "set"
            shown = form["register"]["form"]
            answers = {"challenge": shown["values"]["challenge"], "sid": shown["values"]["sid"]}
            answers.update(values)
            for var, value in {"FORM_TYPE": "jabber:iq:register", **answers}.items():
                iq["register"]["form"].add_field(var=var, value=value)
            iq["register"]["form"]["type"] = "submit"
            try:
                await iq.send(timeout=STEP_S)
            except IqError as error:
                self.refusals.append(f"{error.condition}: {error.text}")
                continue
            self.boundjid.user, self.password = values["username"], values["password"]
            return
        self.fail("registration refused")


def picture_of(form):
    """The pixels of the picture that comes with a form, decoded here; each check is what a client relies on."""
    query = form["register"].xml
    ocr = form["register"]["form"].get_fields(use_dict=True)["ocr"].xml
    media = Media(ocr.find("{urn:xmpp:media-element}media"))
    data = BitsOfBinary(query.find("{urn:xmpp:bob}data"))
    expect("the field points to the bits", media["uri"]["value"] == "cid:" + data["cid"])
    png = data["data"]
    expect("the bits are those of the hash", hashlib.sha1(png).hexdigest() in data["cid"])
    expect("it is a PNG", png.startswith(b"\x89PNG\r\n\x1a\n") and data["type"] == "image/png")
    at, packed, size = 8, b"", None
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at:at + 8])
        chunk = png[at + 8:at + 8 + length]
        if zlib.crc32(kind + chunk) != struct.unpack(">I", png[at + 8 + length:at + 12 + length])[0]:
            raise RuntimeError("a chunk of the PNG is broken")
        if kind == b"IHDR":
            size = struct.unpack(">II", chunk[:8])
        packed += chunk if kind == b"IDAT" else b""
        at += 12 + length
    expect("it has the size that was told", size == (int(media["width"]), int(media["height"])))
    return zlib.decompress(packed)


async def join(options):
    taken = f"nurse{secrets.token_hex(4)}"
    password = secrets.token_urlsafe(12)
    right = {"password": password, "email": "me@example.org", "qa": "shakespeare"}
    nurse = Stranger(taken, options, [{"username": taken, **right}])
    await nurse.come_online()
    picture_of(nurse.forms[0])

    name = f"romeo{secrets.token_hex(4)}"
    tries = [
        {"username": name, "password": password, "email": "me@example.org"},
        {"username": name, **right, "qa": "Marlowe"},
        {"username": name, **right, "email": "nowhere"},
        {"username": name, **right, "password": "password"},
        {"username": taken, **right},
        {"username": name, **right},
    ]
    romeo = Stranger(name, options, tries)
    await romeo.come_online()
    told = ["captcha must be solved", "answer is wrong", "no address of mail", "most common", "conflict"]
    for part, refusal in zip(told, romeo.refusals, strict=True):
        expect(f"told: {refusal}", part in refusal)
    first, second = nurse.forms[0], romeo.forms[0]
    expect("no two challenges are alike", first["register"]["form"]["values"]["challenge"]
           != second["register"]["form"]["values"]["challenge"])

    await life.become_contacts(romeo, nurse)
    await life.talk(romeo, nurse)
    late = Stranger(f"late{secrets.token_hex(4)}", options, [None, {"username": "late", **right}])
    try:
        await late.come_online()
        expect("an answer to the form before the last is refused", False)
    except RuntimeError:
        expect("an answer counts for the last form", True)


async def sent_away(options):
    """A client with no fields to fill in shows the address."""
    stranger = Stranger(f"romeo{secrets.token_hex(4)}", options, [])
    try:
        await stranger.come_online()
        expect("nobody registers here", False)
    except RuntimeError:
        query = stranger.forms[0]["register"]
        expect("the page is told", query["oob"]["url"] == options.redirect)
        expect("there is nothing to fill in", not query["fields"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("certificate")
    parser.add_argument("--redirect")
    options = parser.parse_args()
    options.direct_tls = False
    try:
        asyncio.run(sent_away(options) if options.redirect else join(options))
    except (RuntimeError, IqError, asyncio.TimeoutError) as error:
        print(f"FAILED {error}")
        sys.exit(1)
