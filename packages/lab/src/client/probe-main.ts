/** The client outside: runs in the client's namespace, holds connections to guests and hears their heartbeats. Driven over stdin by probe.ts. */
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { EchoWatch } from './echo-watch.ts';
import { heartbeatPort, parseHeartbeat } from './heartbeat.ts';
import type { ClientReport, ProbeAnswer, ProbeRequest } from './probe-protocol.ts';
import { SilenceMeter } from './silence-meter.ts';

const controlPort = 9000;

interface Heard {
  readonly silence: SilenceMeter;
  nonces: string[];
  lastCounter: number;
  lastGuestUs: number;
  gapGuestMs: number;
}

const watches = new Map<string, readonly EchoWatch[]>();
const heard = new Map<string, Heard>();

const receiver = createSocket({ type: 'udp4', recvBufferSize: 1 << 20 });
receiver.on('message', (payload, from) => {
  const nowMs = performance.now();
  const heartbeat = parseHeartbeat(payload);
  if (heartbeat === undefined) return;
  let guest = heard.get(from.address);
  if (guest === undefined)
    heard.set(
      from.address,
      (guest = { silence: new SilenceMeter(), nonces: [], lastCounter: 0, lastGuestUs: heartbeat.guestUs, gapGuestMs: 0 }),
    );
  if (guest.silence.sign(nowMs)) guest.gapGuestMs = (heartbeat.guestUs - guest.lastGuestUs) / 1000;
  guest.lastGuestUs = heartbeat.guestUs;
  if (guest.nonces.at(-1) !== heartbeat.nonce) guest.nonces.push(heartbeat.nonce);
  guest.lastCounter = heartbeat.counter;
});

function report(): readonly ClientReport[] {
  const nowMs = performance.now();
  return [...new Set([...watches.keys(), ...heard.keys()])].map((address) => {
    const readings = (watches.get(address) ?? []).map((watch) => watch.read(nowMs));
    const guest = heard.get(address);
    const silence = guest?.silence.read(nowMs);
    const most = (of: (reading: (typeof readings)[number]) => number): number => Math.max(0, ...readings.map(of));
    const sum = (of: (reading: (typeof readings)[number]) => number): number => readings.reduce((total, reading) => total + of(reading), 0);
    return {
      address,
      tcp: {
        connections: readings.length,
        resets: sum((reading) => reading.resets),
        longestSilenceMs: most((reading) => reading.longestSilenceMs),
        longestRoundTripMs: most((reading) => reading.longestRoundTripMs),
        echoes: sum((reading) => reading.echoes),
        corrupt: sum((reading) => reading.corrupt),
      },
      heartbeat: {
        largestGapMs: silence?.longestMs ?? 0,
        largestGapGuestMs: guest?.gapGuestMs ?? 0,
        received: silence?.signs ?? 0,
        nonces: guest?.nonces ?? [],
        lastCounter: guest?.lastCounter ?? 0,
      },
    };
  });
}

/** One question, one line back. Fails when the guest does not answer in time: it may be gone for good. */
function control(address: string, line: string, timeoutMs: number): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: address, port: controlPort, noDelay: true });
    let answer = '';
    const end = (finish: () => void): void => {
      socket.destroy();
      finish();
    };
    socket.setTimeout(timeoutMs, () => end(() => reject(new Error(`${address} did not answer "${line}" within ${timeoutMs} ms`))));
    socket.on('error', (error) => end(() => reject(error)));
    socket.on('close', () => reject(new Error(`${address} closed the connection before it answered "${line}"`)));
    socket.on('connect', () => socket.write(`${line}\n`));
    socket.on('data', (chunk) => {
      answer += chunk.toString('latin1');
      if (answer.endsWith('\n')) end(() => resolve(JSON.parse(answer)));
    });
  });
}

function carryOut(request: ProbeRequest): unknown {
  switch (request.op) {
    case 'watch':
      for (const watch of watches.get(request.address) ?? []) watch.close();
      watches.set(
        request.address,
        Array.from({ length: request.connections }, () => new EchoWatch(request.address, request.everyMs)),
      );
      return null;
    case 'unwatch':
      for (const watch of watches.get(request.address) ?? []) watch.close();
      watches.delete(request.address);
      heard.delete(request.address);
      return null;
    case 'reset':
      for (const watch of [...watches.values()].flat()) watch.reset();
      for (const guest of heard.values()) {
        guest.silence.reset();
        guest.nonces = guest.nonces.slice(-1);
      }
      return null;
    case 'report':
      return report();
    case 'control':
      return control(request.address, request.line, request.timeoutMs);
  }
}

const answer = (reply: ProbeAnswer): void => void process.stdout.write(`${JSON.stringify(reply)}\n`);

receiver.bind(heartbeatPort, () => {
  answer({ id: 0, ok: true, value: 'ready' });
  createInterface({ input: process.stdin })
    .on('line', (line) => {
      const request = JSON.parse(line) as ProbeRequest;
      Promise.resolve()
        .then(() => carryOut(request))
        .then(
          (value) => answer({ id: request.id, ok: true, value }),
          (error: unknown) => answer({ id: request.id, ok: false, message: error instanceof Error ? error.message : String(error) }),
        );
    })
    // Whoever drove it is gone.
    .on('close', () => process.exit(0));
});
