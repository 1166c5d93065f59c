import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { endOf, lastLines } from '@godwit/contract/testing/last-words';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { demoImages } from '../testing/demo-images.ts';
import { untilGuestAnswers } from '../testing/guest-control.ts';
import { custodyOf, newMove, prepare, start, startTestGuest, type TestGuest, testGuest, untilEnded } from '../testing/test-guest.ts';
import { startTwoHosts, type TestHost, type TwoHosts } from '../testing/two-hosts.ts';

let two: TwoHosts;
beforeAll(async () => {
  two = await startTwoHosts({ images: await demoImages() });
}, 120_000);
afterAll(async () => {
  await two?.close();
}, 60_000);

/** The first bytes that a TLS client sends: a handshake record (RFC 8446, section 5.1). */
const tlsHandshake = Buffer.from([0x16, 0x03]);
/** What QEMU's migration stream begins with when nobody wraps it (migration/savevm.c, QEMU_VM_FILE_MAGIC). */
const bareStream = Buffer.from('QEVM');

const codeIs = (code: string) => ({ metadata: expect.toSatisfy((headers: Headers) => headers.get('godwit-code') === code) });

test('on the wire the stream begins as TLS, and never shows the header of a bare one, unless both hosts say that it goes bare', async () => {
  const guest = testGuest(two.hosts[0], { number: 1 });
  await startTestGuest(guest);
  await untilGuestAnswers(two, guest);
  const encrypted = await movedAndSeen(guest, two.hosts[1]);
  expect(encrypted.includes(tlsHandshake)).toBe(true);
  expect(encrypted.includes(bareStream)).toBe(false);
  await withoutTls(two.hosts[0]);
  const refused = newMove(guest, two.hosts[0]);
  await expect(start(refused, await prepare(guest, refused))).rejects.toMatchObject(codeIs('ForbiddenCombination'));
  await refused.to.client.forfeitIncoming({ grant: refused.grant });
  await withoutTls(two.hosts[1]);
  expect((await movedAndSeen(guest, two.hosts[0])).includes(bareStream)).toBe(true);
  for (const host of two.hosts)
    await host.client.destroyGuest({ custody: custodyOf(guest, guest.epoch + 50), deleteDisks: true, guest: guest.wire });
}, 90_000);

async function withoutTls(host: TestHost): Promise<void> {
  const file = join(host.stateDir, 'agent.json');
  await writeFile(file, JSON.stringify({ ...(JSON.parse(await readFile(file, 'utf8')) as object), memoryStreamTls: false }));
  await two.restart(host);
}

/** Moves the guest, and returns what was on the wire towards the destination. */
async function movedAndSeen(guest: TestGuest, to: TestHost): Promise<Buffer> {
  const move = newMove(guest, to);
  const ready = await prepare(guest, move);
  const wire = await capture(to.namespace, ready.ramPort);
  await start(move, ready);
  await Promise.all([untilEnded(move.from, move.migrationId), untilEnded(move.to, move.migrationId)]);
  guest.held = guest.epoch;
  guest.at = to;
  await move.to.client.finishIncoming({ custody: custodyOf(guest), migrationId: move.migrationId });
  await move.from.client.dropOutgoing({ custody: custodyOf(guest), migrationId: move.migrationId, guest: guest.wire });
  const seen = await wire.stop();
  expect(seen.length).toBeGreaterThan(1_000);
  return seen;
}

/** The first packets that reach a port, whole. */
async function capture(namespace: string, port: number): Promise<{ stop(): Promise<Buffer> }> {
  const words = ['-i', 'mgmt0', '--immediate-mode', '-U', '-w', '-', '-c', '100', 'tcp', 'dst', 'port', String(port)];
  const child = spawn('ip', ['netns', 'exec', namespace, 'tcpdump', ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
  const parts: Buffer[] = [];
  child.stdout.on('data', (part: Buffer) => parts.push(part));
  const closed = once(child, 'close');
  // tcpdump says on stderr that it listens; what is sent before is not seen.
  await new Promise<void>((resolve, reject) => {
    let said = '';
    child.once('exit', () => reject(new Error(`tcpdump ${endOf(child)}: ${lastLines(said)}`)));
    child.stderr.on('data', (part: Buffer) => {
      said += part.toString();
      if (said.includes('listening on')) resolve();
    });
  });
  return {
    stop: async () => {
      // It ends by itself when it has seen them: the stream has many more.
      const impatience = setTimeout(() => child.kill('SIGINT'), 10_000);
      await closed;
      clearTimeout(impatience);
      return Buffer.concat(parts);
    },
  };
}
