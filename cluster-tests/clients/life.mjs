// The life of two accounts with xmpp.js: register, log in, become contacts, talk, change a password, leave.
//
// usage: NODE_EXTRA_CA_CERTS=CERTIFICATE node life.mjs STARTTLS_PORT DIRECT_TLS_PORT
//
// Prints one line a step that worked and exits 0, or says which step did not and exits 1. Every step waits for what it
// needs, for at most STEP_MS.

import { randomBytes } from "node:crypto";
import tls from "node:tls";

import { client, xml } from "@xmpp/client";

const STEP_MS = 20_000;
const HOST = "localhost";
const [starttlsPort, directPort] = process.argv.slice(2);

/** Waits for a step, or says which one did not come. */
async function step(name, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${name}: nothing came for ${STEP_MS} ms`)), STEP_MS);
  });
  try {
    const result = await Promise.race([promise, late]);
    console.log(`ok ${name}`);
    return result;
  } finally {
    clearTimeout(timer);
  }
}

function expect(name, condition) {
  if (!condition) throw new Error(name);
  console.log(`ok ${name}`);
}

/** xmpp.js does not register accounts, so this speaks XEP-0077 on a stream of its own, over direct TLS. */
function register(username, password) {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({ host: "127.0.0.1", port: directPort, servername: HOST, ALPNProtocols: ["xmpp-client"] });
    let received = "";
    let asked = false;
    socket.setEncoding("utf8");
    socket.on("error", reject);
    socket.on("secureConnect", () =>
      socket.write(`<?xml version='1.0'?><stream:stream to='${HOST}' version='1.0' xmlns='jabber:client'
        xmlns:stream='http://etherx.jabber.org/streams'>`));
    socket.on("data", (data) => {
      received += data;
      if (!asked && received.includes("</stream:features>")) {
        asked = true;
        socket.write(`<iq type='set' id='reg'><query xmlns='jabber:iq:register'><username>${username}</username>
          <password>${password}</password></query></iq>`);
      }
      const answer = /<iq [^>]*?(?:\/>|>.*?<\/iq>)/s.exec(received);
      if (answer) {
        socket.end("</stream:stream>");
        if (/type=["']result["']/.test(answer[0])) resolve();
        else reject(new Error(`registration refused: ${answer[0]}`));
      }
    });
  });
}

/** A client that remembers what it was sent and lets a step wait for it. */
class Friend {
  constructor(name, password, service) {
    this.name = name;
    this.password = password;
    this.service = service;
    this.seen = [];
    this.waiting = [];
    this.xmpp = client({ service, domain: HOST, username: name, password, resource: randomBytes(4).toString("hex") });
    this.xmpp.reconnect.stop();
    this.xmpp.timeout = STEP_MS;
    this.errors = [];
    this.xmpp.on("error", (error) => this.errors.push(error));
    this.xmpp.on("stanza", (stanza) => {
      this.seen.push(stanza);
      this.waiting = this.waiting.filter((look) => !look());
    });
    this.ended = new Promise((resolve) => this.xmpp.on("disconnect", resolve));
  }

  get bare() {
    return `${this.name}@${HOST}`;
  }

  async comeOnline() {
    await step(`${this.name} comes online`, this.xmpp.start());
    await this.xmpp.iqCaller.get(xml("query", "jabber:iq:roster"));
    await this.xmpp.send(xml("presence"));
    return this;
  }

  /** The first stanza, past or future, that fits; each is given once. */
  next(fits) {
    return new Promise((resolve) => {
      const look = () => {
        const at = this.seen.findIndex(fits);
        if (at < 0) return false;
        resolve(this.seen.splice(at, 1)[0]);
        return true;
      };
      if (!look()) this.waiting.push(look);
    });
  }

  presenceFrom(friend, type) {
    return this.next((s) => s.is("presence") && s.attrs.from?.startsWith(friend.bare) && s.attrs.type === type);
  }

  messageFrom(friend) {
    return this.next((s) => s.is("message") && s.attrs.from?.startsWith(friend.bare) && s.getChild("body"));
  }

  presence(to, type) {
    return this.xmpp.send(xml("presence", { to: to.bare, type }));
  }
}

async function becomeContacts(one, two) {
  await one.presence(two, "subscribe");
  await step("the request comes", two.presenceFrom(one, "subscribe"));
  await two.presence(one, "subscribed");
  await two.presence(one, "subscribe");
  await step("the request back comes", one.presenceFrom(two, "subscribe"));
  await one.presence(two, "subscribed");
  await step("one sees two", one.presenceFrom(two, undefined));
  await step("two sees one", two.presenceFrom(one, undefined));
}

async function talk(from, to) {
  const body = "Grüße <&> \"'\" 🌹 \u{1F469}\u200D\u{1F4BB}";
  await from.xmpp.send(xml("message", { to: to.bare, type: "chat" }, xml("body", {}, body)));
  const message = await step(`${to.name} reads`, to.messageFrom(from));
  expect("the words came as written", message.getChildText("body") === body);
  expect("the sender is stamped", message.attrs.from === from.xmpp.jid.toString());
}

async function changePassword(friend) {
  const password = randomBytes(12).toString("hex");
  const query = xml("query", "jabber:iq:register", xml("username", {}, friend.name), xml("password", {}, password));
  await step("password change", friend.xmpp.iqCaller.set(query, HOST));
  await step("leaves", friend.xmpp.stop());
  const old = new Friend(friend.name, friend.password, friend.service);
  const refused = await old.xmpp.start().then(() => false, (error) => error.condition === "not-authorized");
  await old.xmpp.stop();
  expect("the old password is refused", refused);
  return new Friend(friend.name, password, friend.service).comeOnline();
}

async function remove(friend) {
  const query = xml("query", "jabber:iq:register", xml("remove"));
  await step("removal", friend.xmpp.iqCaller.set(query));
  await step("the stream is closed", friend.ended);
  expect("with not-authorized", friend.errors.some((error) => error.condition === "not-authorized"));
}

async function main() {
  const services = [`xmpp://127.0.0.1:${starttlsPort}`, `xmpps://127.0.0.1:${directPort}`];
  const friends = [];
  for (const service of services) {
    const name = `friend${randomBytes(4).toString("hex")}`;
    const password = randomBytes(12).toString("hex");
    await step(`${name} registers`, register(name, password));
    friends.push(await new Friend(name, password, service).comeOnline());
  }
  let [one, two] = friends;
  await becomeContacts(one, two);
  await talk(one, two);
  await talk(two, one);
  await step("ping", one.xmpp.iqCaller.get(xml("ping", "urn:xmpp:ping"), HOST));
  one = await changePassword(one);
  await talk(two, one);
  await remove(one);
  await step("two sees one no more", two.presenceFrom(one, "unavailable"));
  await remove(two);
}

main().then(
  () => process.exit(0),
  (error) => {
    console.log(`FAILED ${error.stack ?? error}`);
    process.exit(1);
  },
);
