"""Invitations with slixmpp: register with an operator's token, invite by an ad-hoc command, register with that one, and
find the inviter among the contacts; without a token, or with a used one, be refused.

usage: invite.py PORT CERTIFICATE TOKEN

The server lets only the invited register, and users invite contacts. slixmpp has no plugin for XEP-0445, so the token is
shown by an IQ of its own, before the registration begins. Output and exit code are those of life.py.
"""

import argparse
import asyncio
import secrets
import sys
import xml.etree.ElementTree as ElementTree

from slixmpp.exceptions import IqError

from life import HOST, STEP_S, Client, expect, step


class Guest(Client):
    """A client that shows a token before it registers."""

    def __init__(self, name, token, options):
        super().__init__(f"{name}{secrets.token_hex(4)}", secrets.token_urlsafe(12), options, register=True)
        self.register_plugin("xep_0004")
        self.register_plugin("xep_0050")
        self.token = token
        self.registration = self.plugin["xep_0077"].get_registration
        self.plugin["xep_0077"].get_registration = self.show_token
        self.pushes = asyncio.Queue()
        self.add_event_handler("roster_update", self.pushes.put_nowait)

    async def show_token(self, *arguments, **named):
        try:
            if self.token is not None:
                iq = self.Iq()
                iq["type"] = "set"
                iq.append(ElementTree.Element("{urn:xmpp:pars:0}preauth", token=self.token))
                # slixmpp keeps back what is sent before login, but for registrations.
                self._always_send_everything = True
                await iq.send(timeout=STEP_S)
                self._always_send_everything = False
            return await self.registration(*arguments, **named)
        except IqError as error:
            self.fail(f"refused: {error.condition}")
            raise


async def is_refused(name, token, options, condition):
    guest = Guest(name, token, options)
    try:
        await guest.come_online()
    except RuntimeError as error:
        expect(f"{name} is refused", str(error) == f"refused: {condition}")
    else:
        expect(f"{name} is refused", False)
    guest.abort()


async def invitation(client):
    commands = await step("the commands are listed", client.plugin["xep_0050"].get_commands(HOST, timeout=STEP_S))
    nodes = [node for _, node, _ in commands["disco_items"]["items"]]
    expect("users may invite", nodes == ["urn:xmpp:invite#invite"])
    answer = await step("an invitation is made",
                        client.plugin["xep_0050"].send_command(HOST, nodes[0], timeout=STEP_S))
    form = answer["command"].xml.find("{jabber:x:data}x")
    fields = {field.get("var"): field.findtext("{jabber:x:data}value") for field in form}
    begin = f"xmpp:{client.boundjid.bare}?roster;preauth="
    expect("it names the inviter", fields["uri"].startswith(begin) and fields["uri"].endswith(";ibr=y"))
    return fields["uri"][len(begin):-len(";ibr=y")]


async def contact_pushed(client, contact):
    while True:
        push = await client.pushes.get()
        item = push["roster"]["items"].get(contact.boundjid.bare)
        if item and item["subscription"] == "both":
            return


async def main(options):
    await is_refused("stranger", None, options, "not-allowed")
    await is_refused("guesser", "a" * 26, options, "item-not-found")
    romeo = await Guest("romeo", options.token, options).come_online()
    await is_refused("late", options.token, options, "item-not-found")
    token = await invitation(romeo)
    juliet = await Guest("juliet", token, options).come_online()
    await step("romeo is told of juliet", contact_pushed(romeo, juliet))
    await step("romeo sees juliet", romeo.presence_from(juliet, "available"))
    await step("juliet sees romeo", juliet.presence_from(romeo, "available"))
    await step("the roster comes", juliet.get_roster(timeout=STEP_S))
    expect("both are contacts", juliet.client_roster[romeo.boundjid.bare]["subscription"] == "both")
    await is_refused("later", token, options, "item-not-found")
    await juliet.leave()
    await romeo.leave()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("certificate")
    parser.add_argument("token")
    arguments = parser.parse_args()
    arguments.direct_tls = False
    try:
        asyncio.run(main(arguments))
    except (RuntimeError, IqError, asyncio.TimeoutError) as error:
        print(f"FAILED {error}")
        sys.exit(1)
