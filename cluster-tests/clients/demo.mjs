// One half of a talk that must lose nothing, with xmpp.js: sends numbered messages, is sent some, and comes back whenever
// its connection ends, to any of several addresses, with its stream resumed (XEP-0198) if the server lets it.
//
// usage: NODE_EXTRA_CA_CERTS=CERTIFICATES node demo.mjs ACCOUNT PASSWORD PEER HOST:PORT...
//
// Says what happens in one line of JSON each. Is told `go`, `stop` (to send no more) and, by the end of its input, to
// leave.

import { createInterface } from "node:readline";

import { client, xml } from "@xmpp/client";

const EVERY_MS = 100;
const FIRST_TRY_MS = 50;
const NEXT_TRY_MS = 300;
// From the socket to a session; a node that is about to stop serving may never get there.
const ATTEMPT_MS = 5_000;
const SM = "urn:xmpp:sm:3";

const [account, password, peer, ...addresses] = process.argv.slice(2);
const [name, domain] = account.split("@");

function say(event, more = {}) {
  process.stdout.write(`${JSON.stringify({ event, ...more })}\n`);
}

/** Holds every message until the server has acknowledged it. */
class Talker {
  constructor() {
    this.session = 0;
    this.last = 0;
    this.unacknowledged = new Map();
    this.talks = false;
    this.live = false;
    this.attempts = 0;
    this.xmpp = client({ service: "", domain, username: name, password, resource: "desk" });
    this.xmpp.reconnect.stop();
    this.streams = this.xmpp.streamManagement;
    // xmpp.js asks what the server has once nothing was sent for this long: not ever, if it is longer than a tick.
    this.streams.requestAckDebounce = EVERY_MS / 2;
    this.xmpp.on("element", (element) => this.onElement(element));
    this.xmpp.on("error", (error) => this.onError(error));
    this.xmpp.on("disconnect", () => this.onGone());
    this.streams.on("ack", (stanza) => this.onAcknowledged(stanza));
    this.streams.on("resumed", () => this.onResumed());
  }

  onElement(element) {
    // The handlers of xmpp.js come right behind this one, and reset its counters.
    if (element.is("enabled", SM)) setImmediate(() => this.onBound());
    if (element.is("failed", SM) && element.attrs.h) this.onFailed(Number(element.attrs.h));
    if (!element.is("message")) return;
    const body = element.getChildText("body");
    if (element.attrs.type === "error") say("returned", { id: element.attrs.id });
    else if (body) say("received", { n: Number(body), id: element.attrs.id });
  }

  /** xmpp.js forgets its queue when a stream cannot be resumed. The server may say there how far it had come. */
  onFailed(handled) {
    const count = Math.max(0, handled - this.streams.outbound);
    for (const { stanza } of this.streams.outbound_q.slice(0, count)) this.onAcknowledged(stanza);
  }

  onBound() {
    if (this.live || this.xmpp.status !== "online") return;
    this.session += 1;
    say("bound", { address: this.address });
    this.xmpp.send(xml("presence")).catch(() => {});
    // What the last session left: whether the server had it is not known, so that it may come twice.
    for (const number of this.unacknowledged.keys()) {
      say("sent_again", { n: number });
      this.post(number);
    }
    this.live = true;
  }

  onResumed() {
    if (this.live) return;
    say("resumed", { address: this.address });
    // xmpp.js sends again what it had written. What the socket did not take it drops.
    const queued = new Set(this.streams.outbound_q.map(({ stanza }) => stanza.attrs.id));
    for (const [number, id] of this.unacknowledged) {
      if (!queued.has(id)) this.post(number);
    }
    this.live = true;
  }

  onAcknowledged(stanza) {
    if (!stanza.is("message")) return;
    const number = Number(stanza.getChildText("body"));
    if (this.unacknowledged.delete(number)) say("acknowledged", { n: number });
  }

  onError(error) {
    process.stderr.write(`${error}\n`);
    // xmpp.js stays connected where it could not log in.
    if (!this.live && this.xmpp.status === "open") this.abandon(this.attempts);
  }

  onGone() {
    const pause = this.live ? FIRST_TRY_MS : NEXT_TRY_MS;
    this.live = false;
    say("disconnected");
    if (!this.streams.id) {
      // Otherwise xmpp.js fails to enable stream management in the next session.
      this.streams.outbound_q = [];
      this.streams.outbound = 0;
    }
    // xmpp.js leaves what it waited for half-way through a login, and would answer in the next one too.
    this.xmpp.removeAllListeners("nonza");
    setTimeout(() => this.connect(), pause);
  }

  async connect() {
    this.attempts += 1;
    const attempt = this.attempts;
    this.address = addresses[(attempt - 1) % addresses.length];
    setTimeout(() => this.abandon(attempt), ATTEMPT_MS);
    try {
      await this.xmpp.connect(`xmpp://${this.address}`);
      await this.xmpp.open({ domain });
    } catch {
      // "disconnect" comes, or the time is over.
    }
  }

  abandon(attempt) {
    if (!this.live && attempt === this.attempts) this.xmpp.disconnect().catch(() => {});
  }

  post(number) {
    const attrs = { to: peer, type: "chat", id: this.unacknowledged.get(number) };
    // Whether it went is known from what is acknowledged.
    this.xmpp.send(xml("message", attrs, xml("body", {}, String(number)))).catch(() => {});
  }

  tick() {
    if (this.live && this.talks) {
      this.last += 1;
      this.unacknowledged.set(this.last, `${this.session}-${this.last}`);
      say("sent", { n: this.last, session: this.session });
      this.post(this.last);
    } else if (this.live && this.unacknowledged.size > 0) {
      this.xmpp.send(xml("r", { xmlns: SM })).catch(() => {});
    }
  }
}

const talker = new Talker();
const words = createInterface({ input: process.stdin });
words.on("line", (word) => {
  talker.talks = word === "go";
});
words.on("close", () => process.exit(0));
setInterval(() => talker.tick(), EVERY_MS);
talker.connect();
