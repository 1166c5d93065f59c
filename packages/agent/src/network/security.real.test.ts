import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { promisify } from 'node:util';
import { as, type PortId } from '@godwit/domain/ids';
import type { NetworkPolicy, PortPolicy, SecurityRule } from '@godwit/domain/network-policy';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { GuestNetworks } from './guest-networks.ts';
import { nftables } from './nft.ts';
import { tapName } from './tap.ts';

/* A host whose "taps" are ends of veth pairs, the other ends being in namespaces that stand for guests: the rules know interfaces by name. */

const name = (part: string): string => `gwn${process.pid}${part}`;
const host = name('h');
const run = promisify(execFile);
const inside = async (namespace: string, ...command: readonly string[]): Promise<string> =>
  (await run('ip', ['netns', 'exec', namespace, ...command])).stdout;
const sync = (namespace: string, ...command: readonly string[]): string =>
  execFileSync('ip', ['netns', 'exec', namespace, ...command], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

type Guest = {
  readonly namespace: string;
  readonly portId: string;
  readonly tapName: string;
  readonly mac: string;
  readonly address: string;
};
const guest = (index: number): Guest => {
  const portId = `${index}a1b2c3d-0000-4000-8000-000000000000`;
  return {
    namespace: name(String(index)),
    portId,
    tapName: tapName(as<PortId>(portId)),
    mac: `fa:16:3e:00:00:0${index}`,
    address: `10.7.0.${index}`,
  };
};
const [one, two] = [guest(1), guest(2)];
/** Beyond the host's uplink: no rules there. */
const outside = { namespace: name('o'), address: '10.7.0.9' };
const ipv6 = (address: string): string => address.replace('10.7.0.', 'fd07::');

let directory: string;
let networks: GuestNetworks;
let number = 0;
const children = new Set<ChildProcess>();

beforeAll(async () => {
  directory = mkdtempSync('/tmp/gw-security-');
  for (const namespace of [host, one.namespace, two.namespace, outside.namespace]) execFileSync('ip', ['netns', 'add', namespace]);
  sync(host, 'ip', 'link', 'add', 'br0', 'type', 'bridge', 'forward_delay', '0', 'mcast_snooping', '0');
  sync(host, 'ip', 'link', 'set', 'br0', 'up');
  for (const [port, { namespace, address }, mac] of [
    [one.tapName, one, one.mac],
    [two.tapName, two, two.mac],
    ['up0', outside, 'fa:16:3e:00:00:09'],
  ] as const) {
    sync(host, 'ip', 'link', 'add', port, 'type', 'veth', 'peer', 'name', 'eth0', 'address', mac, 'netns', namespace);
    sync(host, 'ip', 'link', 'set', port, 'master', 'br0', 'up');
    sync(namespace, 'ip', 'link', 'set', 'lo', 'up');
    sync(namespace, 'ip', 'addr', 'add', `${address}/24`, 'dev', 'eth0');
    sync(namespace, 'ip', 'addr', 'add', `${ipv6(address)}/64`, 'dev', 'eth0', 'nodad');
    sync(namespace, 'ip', 'link', 'set', 'eth0', 'up');
  }
  await Promise.all([serve(one.namespace, 80), serve(one.namespace, 81), serve(outside.namespace, 90)]);
});
afterAll(async () => {
  for (const child of children) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  for (const namespace of [host, one.namespace, two.namespace, outside.namespace]) execFileSync('ip', ['netns', 'del', namespace]);
  rmSync(directory, { recursive: true });
});
beforeEach(async () => {
  networks = await open([one.tapName, two.tapName]);
  await admit(one, [...outwards]);
  await networks.leave([nic(two)]);
});

const open = async (taps: readonly string[]): Promise<GuestNetworks> => {
  const opened = await GuestNetworks.open(nftables(['ip', 'netns', 'exec', host]), directory);
  await opened.keepOnly(new Set(taps));
  return opened;
};
const nic = ({ portId, tapName: tap }: Guest) => ({ portId: as<PortId>(portId), tapName: tap });
const any = { kind: 'any' } as const;
const rule = (over: Partial<SecurityRule>): SecurityRule => ({
  direction: 'ingress',
  ipVersion: 4,
  protocol: null,
  first: null,
  last: null,
  remote: any,
  ...over,
});
const outwards = [rule({ direction: 'egress' }), rule({ direction: 'egress', ipVersion: 6 })];
const port = ({ portId, mac, address }: Guest, rules: PortPolicy['rules']): PortPolicy => ({
  portId,
  sources: [
    { mac, address },
    { mac, address: ipv6(address) },
  ],
  rules,
  lease: null,
});
const policyOf = (ports: readonly PortPolicy[], groups: NetworkPolicy['groups'] = {}): NetworkPolicy => ({
  number: ++number,
  ports,
  groups,
});
const admit = (at: Guest, rules: PortPolicy['rules'], groups: NetworkPolicy['groups'] = {}): Promise<void> =>
  networks.admit([nic(at)], policyOf([port(at, rules)], groups));
const change = (at: Guest, rules: PortPolicy['rules'], groups: NetworkPolicy['groups'] = {}): Promise<unknown> =>
  networks.update(policyOf([port(at, rules)], groups));

/** One echo, answered within a second. */
const pings = (from: string, to: string, ...more: readonly string[]): Promise<boolean> =>
  inside(from, 'busybox', to.includes(':') ? 'ping6' : 'ping', '-c', '1', '-W', '1', ...more, to).then(
    () => true,
    () => false,
  );

/**
 * An echo is answered within 10 s. For what must get through: after one that did not, the kernel asks for the address again only with
 * its next try, a second after the last, which is just when a single echo's time is up.
 */
async function pingsSoon(from: string, to: string, ...more: readonly string[]): Promise<boolean> {
  for (const until = performance.now() + 10_000; performance.now() < until; ) if (await pings(from, to, ...more)) return true;
  return false;
}

/** A TCP server that says `hello` at once, and then echoes; resolves when it listens. */
async function serve(at: string, portNumber: number): Promise<void> {
  const program = `require('net').createServer((s) => { s.write('hello'); s.on('data', (d) => s.write(d)); s.on('error', () => {}); }).listen(${portNumber}, '::', () => console.log('up'))`;
  const child = spawn('ip', ['netns', 'exec', at, process.execPath, '-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.add(child);
  await once(child.stdout, 'data');
}

type Connection = { answered(text: string, limitMs?: number): Promise<boolean>; sayHere(text: string): void };

/** Connects and keeps the connection: `sayHere` sends from the client's end, to be echoed. */
async function connect(from: string, to: string, portNumber: number, limitMs = 10_000): Promise<Connection | null> {
  const program = `process.stdout.write('up'); const s = require('net').connect(${portNumber}, '${to}'); s.on('data', (d) => process.stdout.write(d)); s.on('error', () => {}); process.stdin.on('data', (d) => s.write(d))`;
  const child = spawn('ip', ['netns', 'exec', from, process.execPath, '-e', program], { stdio: ['pipe', 'pipe', 'inherit'] });
  children.add(child);
  let heard = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    heard += text;
  });
  const connection: Connection = {
    answered: async (text, limit = limitMs) => {
      for (const until = performance.now() + limit; performance.now() < until; ) {
        if (heard.includes(text)) return true;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      return false;
    },
    sayHere: (text) => void child.stdin.write(text),
  };
  // A busy machine starts no program in the time that an answer has.
  if (!(await connection.answered('up', 10_000))) throw new Error('the client did not start');
  return (await connection.answered('hello', limitMs)) ? connection : null;
}

/** For what must not get through: a server answers within milliseconds. */
const connects = async (from: string, to: string, portNumber: number, limitMs = 700): Promise<boolean> =>
  (await connect(from, to, portNumber, limitMs)) !== null;
/** For what must get through: a lost first packet is sent again after a second. */
const connectsSoon = (from: string, to: string, portNumber: number): Promise<boolean> => connects(from, to, portNumber, 10_000);

test('what no rule allows is dropped, what one allows passes, and so do the replies', async () => {
  await change(one, [...outwards, rule({ protocol: 6, first: 80, last: 80 }), rule({ ipVersion: 6, protocol: 6, first: 80, last: 80 })]);
  expect(
    await Promise.all([
      connectsSoon(outside.namespace, one.address, 80),
      connects(outside.namespace, one.address, 81),
      connectsSoon(outside.namespace, ipv6(one.address), 80),
      connects(outside.namespace, ipv6(one.address), 81),
      connectsSoon(one.namespace, outside.address, 90),
      connectsSoon(one.namespace, ipv6(outside.address), 90),
    ]),
  ).toEqual([true, false, true, false, true, true]);
  expect(
    await Promise.all([
      pings(outside.namespace, one.address),
      pingsSoon(one.namespace, outside.address),
      pings(outside.namespace, ipv6(one.address)),
      pingsSoon(one.namespace, ipv6(outside.address)),
    ]),
  ).toEqual([false, true, false, true]);
  await change(one, [rule({ protocol: 6, first: 80, last: 80 }), rule({ protocol: 1, first: 8 })]);
  expect(
    await Promise.all([
      connectsSoon(outside.namespace, one.address, 80),
      pingsSoon(outside.namespace, one.address),
      pings(one.namespace, outside.address),
      connects(one.namespace, outside.address, 90),
    ]),
  ).toEqual([true, true, false, false]);
  await change(one, null);
  expect(await connectsSoon(outside.namespace, one.address, 81)).toBe(true);
});

test('a group as the remote side is its members, whoever they are at the moment', async () => {
  const groupId = 'c0ffee00-0000-4000-8000-000000000001';
  const inGroup = rule({ protocol: 6, first: 80, remote: { kind: 'group', groupId } });
  await admit(two, outwards);
  await change(one, [...outwards, inGroup], { [groupId]: [one.address] });
  expect(await connects(two.namespace, one.address, 80)).toBe(false);
  await networks.update(policyOf([], { [groupId]: [one.address, two.address] }));
  const connection = await connect(two.namespace, one.address, 80);
  expect(connection).not.toBeNull();
  expect(await connects(outside.namespace, one.address, 80)).toBe(false);
  // Who leaves the group loses the connections too.
  await networks.update(policyOf([], { [groupId]: [one.address] }));
  connection?.sayHere('after');
  expect(await connection?.answered('after', 400)).toBe(false);
});

test('a port that is down lets nothing through, whatever its rules and also without any; up again, what was open goes on', async () => {
  const setDown = (rules: PortPolicy['rules'], down: boolean): Promise<unknown> =>
    networks.update(policyOf([{ ...port(one, rules), ...(down ? { down } : {}) }]));
  const all = [...outwards, rule({}), rule({ ipVersion: 6 })];
  await setDown(all, false);
  const connection = await connect(outside.namespace, one.address, 80);
  expect(connection).not.toBeNull();
  await setDown(all, true);
  connection?.sayHere('later');
  expect(
    await Promise.all([
      connection?.answered('later', 300),
      pings(outside.namespace, one.address),
      pings(one.namespace, ipv6(outside.address)),
      connects(one.namespace, outside.address, 90),
    ]),
  ).toEqual([false, false, false, false]);
  await setDown(all, false);
  expect(await connection?.answered('later', 45_000)).toBe(true);
  await setDown(null, true);
  expect(await pings(outside.namespace, one.address)).toBe(false);
  await setDown(null, false);
  expect(await pingsSoon(outside.namespace, one.address)).toBe(true);
  // One that comes down is down from its first frame on, and nothing of its rules stays when it goes.
  await networks.admit([nic(two)], policyOf([{ ...port(two, null), down: true }]));
  expect(await pings(outside.namespace, two.address)).toBe(false);
  await networks.leave([nic(two)]);
  expect(await pingsSoon(outside.namespace, two.address)).toBe(true);
}, 90_000);

test('a guest sends only as itself', async () => {
  await change(one, [...outwards, rule({})]);
  const spoofed = '10.7.0.77';
  sync(one.namespace, 'ip', 'addr', 'add', `${spoofed}/24`, 'dev', 'eth0');
  try {
    expect(await pings(one.namespace, outside.address, '-I', spoofed)).toBe(false);
    expect(sync(outside.namespace, 'ip', 'neigh')).not.toContain(spoofed);
    await networks.update(
      policyOf([
        {
          ...port(one, [...outwards]),
          sources: [
            { mac: one.mac, address: one.address },
            { mac: one.mac, address: '10.7.0.64/28' },
          ],
        },
      ]),
    );
    expect(await pingsSoon(one.namespace, outside.address, '-I', spoofed)).toBe(true);
  } finally {
    sync(one.namespace, 'ip', 'addr', 'del', `${spoofed}/24`, 'dev', 'eth0');
  }
  sync(one.namespace, 'ip', 'link', 'set', 'eth0', 'address', 'fa:16:3e:00:00:55');
  try {
    expect(await pings(one.namespace, outside.address)).toBe(false);
  } finally {
    sync(one.namespace, 'ip', 'link', 'set', 'eth0', 'address', one.mac);
  }
  expect(await pingsSoon(one.namespace, outside.address)).toBe(true);
});

test('a connection that the guest has begun goes on at a tap that was told of it, also when the other side speaks first', async () => {
  // What is sent from outside is let in as an answer to what the guest began, and nothing else: the echo comes by itself when the client is the guest.
  const talk = `require('net').createServer((s) => { s.write('hello'); let n = 0; setInterval(() => s.write(' ' + n++), 20); s.on('error', () => {}); }).listen(91, () => console.log('up'))`;
  const child = spawn('ip', ['netns', 'exec', outside.namespace, process.execPath, '-e', talk], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.add(child);
  await once(child.stdout, 'data');
  const listen = await connect(one.namespace, outside.address, 91);
  expect(await listen?.answered(' 5')).toBe(true);
  const carried = await networks.flows([nic(one)]);
  expect(JSON.parse(carried[one.portId] ?? '[]')).toContainEqual(
    expect.objectContaining({ beganBy: 'guest', protocol: 6, guest: one.address, other: outside.address, otherPort: 91 }),
  );
  // As at a destination: new rules, and what the source knew.
  await networks.leave([nic(one)]);
  await admit(one, [rule({ direction: 'egress', protocol: 6 })]);
  await networks.carry([nic(one)], carried);
  expect((await networks.flows([nic(one)]))[one.portId]).toContain('"otherPort":91');
  expect(await listen?.answered(' 30', 10_000)).toBe(true);
  // What the rules there do not allow is not let in by being carried.
  await networks.leave([nic(one)]);
  await admit(one, [rule({ direction: 'egress', protocol: 17 })]);
  await networks.carry([nic(one)], carried);
  expect((await networks.flows([nic(one)]))[one.portId]).toBe('[]');
});

test('no frame with a tag leaves a guest or reaches one, where nothing at all is filtered too', async () => {
  // As on a host that has never filtered anything.
  sync(host, 'nft', 'delete', 'table', 'bridge', 'godwit');
  const unfiltered = mkdtempSync('/tmp/gw-security-');
  try {
    networks = await GuestNetworks.open(nftables(['ip', 'netns', 'exec', host]), unfiltered);
    await networks.admit([nic(one), nic(two)], null);
    const arrived = await Promise.all([outside, two, one].map(({ namespace }) => hear(namespace)));
    const tags = { single: '81000065', provider: '88a80065', priority: '81000000', doubled: '8100000181000065', other: '91000065' };
    const frames = (way: string): Readonly<Record<string, string>> => ({
      ...Object.fromEntries(Object.entries(tags).map(([kind, tag]) => [`${way}-${kind}`, tag])),
      [`${way}-plain`]: '',
    });
    await send(one.namespace, frames('out'));
    expect(await Promise.all(arrived.slice(0, 2).map((heard) => heard('out-plain')))).toEqual([['out-plain'], ['out-plain']]);
    await send(outside.namespace, frames('in'));
    expect(await Promise.all(arrived.slice(1).map((heard) => heard('in-plain')))).toEqual([['out-plain', 'in-plain'], ['in-plain']]);
    // An agent that finds guests of one that did not do so begins with it.
    sync(host, 'nft', 'delete', 'table', 'bridge', 'godwit');
    await (await GuestNetworks.open(nftables(['ip', 'netns', 'exec', host]), unfiltered)).keepOnly(new Set([one.tapName]));
    await send(one.namespace, frames('late'));
    expect((await arrived[0]?.('late-plain'))?.filter((frame) => frame.startsWith('late-'))).toEqual(['late-plain']);
  } finally {
    rmSync(unfiltered, { recursive: true });
  }
});

/** Frames of our own that arrive in a namespace; answers those that had by the time that the one named has. */
async function hear(at: string): Promise<(last: string) => Promise<readonly string[]>> {
  const program = `import socket,re
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)); s.bind(('eth0', 0)); print('up', flush=True)
while True:
  data, (_, _, kind, _, _) = s.recvfrom(2048); found = re.search(rb'<([a-z-]+)>', data)
  if found and kind != 4: print(found[1].decode(), flush=True)`;
  const child = spawn('ip', ['netns', 'exec', at, '/usr/bin/python3', '-c', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.add(child);
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (more: string) => {
    text += more;
  });
  const lines = (): readonly string[] => text.split('\n').slice(0, -1);
  const until = async (line: string): Promise<readonly string[]> => {
    await vi.waitFor(() => expect(lines()).toContain(line), { timeout: 10_000, interval: 10 });
    return lines().slice(1);
  };
  await until('up');
  return until;
}

/** Sends broadcast frames that carry a name each, behind the tags that are given in hexadecimal. */
async function send(from: string, frames: Readonly<Record<string, string>>): Promise<void> {
  const program = `import socket,sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); s.bind(('eth0', 0))
for one in sys.argv[1:]:
  name, tags = one.split('='); s.send(bytes.fromhex('ffffffffffff0200000000aa' + tags + '88b5') + b'<' + name.encode() + b'>' + bytes(60))`;
  await inside(from, '/usr/bin/python3', '-c', program, ...Object.entries(frames).map(([frame, tags]) => `${frame}=${tags}`));
}

test('a restarted agent finds its rules and flows as they were; older word does not undo newer', async () => {
  await change(one, [...outwards, rule({ protocol: 6, first: 81 })]);
  const connection = await connect(outside.namespace, one.address, 81);
  const before = await networks.flows([nic(one)]);
  networks = await open([one.tapName]);
  expect(Object.keys(await networks.flows([nic(one)]))).toEqual(Object.keys(before));
  expect((await networks.flows([nic(one)]))[one.portId]).toContain('"guestPort":81');
  await networks.update({ ...policyOf([port(one, outwards)]), number: 1 });
  connection?.sayHere('still');
  expect(await connection?.answered('still')).toBe(true);
  await change(one, outwards);
  connection?.sayHere('gone');
  expect(await connection?.answered('gone', 400)).toBe(false);
  networks = await open([]);
  expect(await inside(host, 'nft', 'list', 'table', 'bridge', 'godwit')).not.toContain(one.tapName);
});
