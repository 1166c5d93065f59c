import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { QmpTimeout } from '../../qemu/qmp-errors.ts';
import { throwawayHostname, writeThrowawayCertificates } from '../../qemu/throwaway-certificates.ts';
import { POSTCOPY_BEHAVIOURS, type PostcopyBehaviour } from './postcopy-behaviours.ts';
import { StreamRelay } from './stream-relay.ts';
import { channels, pause, setCapabilities, TinyLab, type TinyQemu } from './tiny-qemu.ts';

const tested = new Set<string>();
const conforms = (behaviour: PostcopyBehaviour, run: (lab: TinyLab) => Promise<void>): void => {
  tested.add(behaviour);
  test(`${behaviour}: ${POSTCOPY_BEHAVIOURS[behaviour]}`, { timeout: 30_000 }, async () => {
    await using lab = new TinyLab();
    await expect(run(lab)).resolves.toBeUndefined();
  });
};
afterAll(() => {
  expect(Object.keys(POSTCOPY_BEHAVIOURS).filter((name) => !tested.has(name))).toEqual([]);
});

/** Long enough for QEMU to do by itself what it must not do; nothing is waited for. */
const whileMs = 200;
const eventMs = 10_000;
/** Bytes per second: of what is `filled`, QEMU sends one buffer at once, and hardly anything more while a test looks. */
const trickle = 1_000;
/** Part of the guest's memory that is not zeros, and that the guest leaves alone. */
const filled = { from: 4 << 20, bytes: 8 << 20 };

type Pair = AsyncDisposable & {
  readonly source: TinyQemu;
  readonly destination: TinyQemu;
  readonly relay: StreamRelay;
  /** The statuses that each has told, in order. */
  readonly told: { readonly source: readonly string[]; readonly destination: readonly string[] };
};

/** A guest that copies, at a trickle, through the relay, and can go post-copy at any time. */
async function copying(lab: TinyLab, tls = false): Promise<Pair> {
  const content = join(lab.dir, 'content');
  writeFileSync(content, randomBytes(filled.bytes));
  const loader = ['-device', `loader,file=${content},addr=${filled.from},force-raw=on`];
  const [source, destination] = await Promise.all([lab.running(loader), lab.start({ incoming: true })]);
  const told = { source: statuses(source), destination: statuses(destination) };
  for (const side of [source, destination]) await setCapabilities(side.qmp, { 'postcopy-ram': true });
  if (tls) {
    const dir = join(lab.dir, 'tls');
    await writeThrowawayCertificates(dir);
    for (const [side, endpoint] of [
      [source, 'client'],
      [destination, 'server'],
    ] as const) {
      await side.qmp.execute('object-add', { 'qom-type': 'tls-creds-x509', id: 'own', dir, endpoint, 'verify-peer': true });
      await side.qmp.execute('migrate-set-parameters', { 'tls-creds': 'own', 'tls-hostname': throwawayHostname });
    }
  }
  await destination.qmp.execute('migrate-incoming', channels(destination.address));
  const path = join(lab.dir, 'relay');
  const relay = await StreamRelay.between(path, destination.address);
  await source.qmp.execute('migrate-set-parameters', { 'max-bandwidth': trickle, 'max-postcopy-bandwidth': trickle });
  await source.qmp.execute('migrate', channels(path));
  await source.shows({ migration: 'active' });
  return { source, destination, relay, told, [Symbol.asyncDispose]: () => relay[Symbol.asyncDispose]() };
}

function statuses({ qmp }: TinyQemu): readonly string[] {
  const told: string[] = [];
  qmp.on(({ event, data }) => void (event === 'MIGRATION' && told.push(String(data['status']))));
  return told;
}

/** … that the destination has loaded, and where it has not run yet. */
async function loaded(lab: TinyLab, tls = false): Promise<Pair> {
  const pair = await copying(lab, tls);
  await pair.source.qmp.execute('migrate-start-postcopy');
  await pair.destination.shows({ runstate: 'paused', migration: 'postcopy-active' });
  return pair;
}

const fast = (source: TinyQemu) => source.qmp.execute('migrate-set-parameters', { 'max-postcopy-bandwidth': 0 });
const becomes = (side: TinyQemu, status: string) =>
  side.qmp.next(({ event, data }) => event === 'MIGRATION' && data['status'] === status, eventMs);
const resumes = (side: TinyQemu) => side.qmp.next(({ event }) => event === 'RESUME', eventMs);
const outOfBand = (side: TinyQemu, command: string, args?: Readonly<Record<string, unknown>>) =>
  side.qmp.execute(command, args, { oob: true });

async function isStranded(source: TinyQemu): Promise<void> {
  await source.shows({ runstate: 'finish-migrate', migration: 'postcopy-paused' });
  await expect(source.qmp.execute('cont')).rejects.toThrow('not finalized');
  await expect(source.qmp.execute('migrate_cancel')).rejects.toThrow('cannot cancel');
  await pause(whileMs);
  expect(await source.now()).toEqual({ runstate: 'finish-migrate', migration: 'postcopy-paused' });
}

conforms('passes-through', async (lab) => {
  await using pair = await loaded(lab);
  const { source, destination, told } = pair;
  await pause(whileMs);
  expect(await destination.now()).toEqual({ runstate: 'paused', migration: 'postcopy-active' });
  expect(await source.now()).toEqual({ runstate: 'finish-migrate', migration: 'postcopy-active' });
  await fast(source);
  await destination.qmp.execute('cont');
  await source.shows({ runstate: 'postmigrate', migration: 'completed' });
  await destination.shows({ runstate: 'running', migration: 'completed' });
  expect(told.source).toEqual(['setup', 'active', 'device', 'postcopy-active', 'completed']);
  expect(told.destination).toEqual(['setup', 'active', 'postcopy-active', 'completed']);
});

conforms('cut-before-cont-pauses-both', async (lab) => {
  await using pair = await loaded(lab);
  const { source, destination, relay } = pair;
  relay.cut();
  await isStranded(source);
  await destination.shows({ runstate: 'paused', migration: 'postcopy-paused' });
  const ran = resumes(destination);
  // The answer need not come: the guest may ask for a page first.
  destination.qmp.execute('cont').catch(() => undefined);
  await ran;
});

conforms('cut-before-load-strands-the-guest', async (lab) => {
  await using pair = await copying(lab);
  const { source, destination, relay } = pair;
  relay.lose('forth');
  await source.qmp.execute('migrate-start-postcopy');
  await source.shows({ runstate: 'finish-migrate', migration: 'postcopy-active' });
  expect((await destination.now()).runstate).toBe('inmigrate');
  await pause(whileMs);
  relay.cut();
  await destination.exited;
  await isStranded(source);
});

/** The destination has everything and runs; its last word is lost. */
async function unthanked(lab: TinyLab, stopFirst: boolean): Promise<Pair> {
  const pair = await copying(lab);
  const { source, destination, relay } = pair;
  if (stopFirst) await source.qmp.execute('stop');
  await source.qmp.execute('migrate-start-postcopy');
  await destination.shows({ runstate: 'paused', migration: 'postcopy-active' });
  relay.lose('back');
  await fast(source);
  await destination.qmp.execute('cont');
  await destination.shows({ runstate: 'running', migration: 'completed' });
  expect(await source.now()).toEqual({ runstate: 'finish-migrate', migration: 'postcopy-active' });
  return pair;
}

conforms('cut-at-the-end-resumes-the-source', async (lab) => {
  await using pair = await unthanked(lab, false);
  const { source, destination, relay } = pair;
  relay.cut();
  await source.shows({ runstate: 'running', migration: 'failed' });
  expect((await destination.now()).runstate).toBe('running');
});

conforms('stopped-source-stays-stopped', async (lab) => {
  await using pair = await unthanked(lab, true);
  const { source, relay } = pair;
  relay.cut();
  await source.shows({ runstate: 'paused', migration: 'failed' });
  await pause(whileMs);
  expect((await source.now()).runstate).toBe('paused');
  await source.qmp.execute('cont');
  expect((await source.now()).runstate).toBe('running');
});

conforms('pause-after-the-last-page-resumes-the-source', async (lab) => {
  await using pair = await loaded(lab);
  const { source, destination, relay } = pair;
  await destination.qmp.execute('cont');
  relay.lose('forth', 'back');
  await fast(source);
  await nothingLeft(source);
  expect((await source.now()).migration).toBe('postcopy-active');
  const ranHere = resumes(source);
  await outOfBand(source, 'migrate-pause');
  await ranHere;
  expect(await source.now()).toEqual({ runstate: 'running', migration: 'failed' });
});

async function nothingLeft(source: TinyQemu): Promise<void> {
  for (const until = performance.now() + eventMs; ; await pause(5)) {
    const { ram } = (await source.qmp.execute('query-migrate')) as { ram?: { remaining: number } };
    if (ram?.remaining === 0) break;
    if (performance.now() > until) throw new Error(`${ram?.remaining} bytes are left`);
  }
  // From the last page to the wait for the last word is a step that nothing shows.
  await pause(whileMs);
}

conforms('waiting-destination-hangs', async (lab) => {
  await using pair = await loaded(lab);
  const { destination, relay } = pair;
  relay.lose('forth', 'back');
  const last = { val: filled.from + filled.bytes - 4096, size: 4096, filename: join(lab.dir, 'page') };
  destination.qmp.execute('pmemsave', last).catch(() => undefined);
  await expect(destination.qmp.execute('query-status', undefined, { timeoutMs: 500 })).rejects.toBeInstanceOf(QmpTimeout);
  const paused = becomes(destination, 'postcopy-paused');
  await outOfBand(destination, 'migrate-pause');
  await paused;
});

/** A running guest loses its link without anybody being told, and gets another. */
async function recovered(lab: TinyLab, tls: boolean): Promise<void> {
  await using pair = await loaded(lab, tls);
  const { source, destination, relay } = pair;
  await destination.qmp.execute('cont');
  relay.lose('forth', 'back');
  expect((await source.now()).migration).toBe('postcopy-active');
  const paused = [becomes(destination, 'postcopy-paused'), becomes(source, 'postcopy-paused')];
  await outOfBand(source, 'migrate-pause');
  await outOfBand(destination, 'migrate-pause');
  await Promise.all(paused);
  await expect(source.qmp.execute('cont')).rejects.toThrow('not finalized');
  const path = join(lab.dir, 'again');
  await outOfBand(destination, 'migrate-recover', { uri: `unix:${path}` });
  await fast(source);
  await source.qmp.execute('migrate', { ...channels(path), resume: true });
  await source.shows({ runstate: 'postmigrate', migration: 'completed' });
  await destination.shows({ runstate: 'running', migration: 'completed' });
}

conforms('recovers', (lab) => recovered(lab, false));
conforms('recovers-with-tls', (lab) => recovered(lab, true));

conforms('destination-death-strands-the-source', async (lab) => {
  await using pair = await loaded(lab);
  const { source, destination } = pair;
  await destination.qmp.execute('cont');
  destination.kill();
  await destination.exited;
  await isStranded(source);
});
