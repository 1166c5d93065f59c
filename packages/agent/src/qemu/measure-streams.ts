import { randomFillSync } from 'node:crypto';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { TinyLab } from '../custody/conformance/tiny-qemu.ts';
import { throwawayHostname, writeThrowawayCertificates } from './throwaway-certificates.ts';

/** How QEMU may send memory. */
const streams = {
  'one stream': {},
  'multifd, 2 channels': { channels: 2 },
  'multifd, 4 channels': { channels: 4 },
  'multifd, 2 channels, zstd': { channels: 2, compression: 'zstd' },
} as const satisfies Record<string, { readonly channels?: number; readonly compression?: string }>;
type Stream = { readonly channels?: number; readonly compression?: string };

/** What the memory holds: bytes without any order, and log lines, which compress well. */
const contents = ['random', 'text'] as const;
/** Bytes per second; 0: as fast as it goes. 125 MB/s is a link of 1 Gb/s. */
const caps = [0, 125_000_000];
const ramMib = 384;
const deadlineMs = 60_000;

type StreamRun = {
  readonly stream: string;
  readonly content: string;
  readonly cap: number;
  readonly totalMs: number;
  readonly sentBytes: number;
};

/**
 * One stopped guest's memory from QEMU to QEMU on this machine, over TLS as our moves go, in every way of sending it, in turn: whether more channels or compression help. No lab, no guest
 * code: what differs is the stream alone. Wall time and bytes as QEMU counts them. For `bench/streams.ts`: prints the runs as JSON.
 */
async function measureStreams(rounds: number): Promise<readonly StreamRun[]> {
  const dir = await mkdtemp('/dev/shm/gwbench-streams-');
  const runs: StreamRun[] = [];
  try {
    await writeThrowawayCertificates(join(dir, 'tls'));
    for (const content of contents) await fill(join(dir, content), content);
    for (let round = 0; round < rounds; round += 1)
      for (const cap of caps)
        for (const content of contents)
          for (const [stream, options] of Object.entries(streams))
            runs.push({ stream, content, cap, ...(await sendOnce(dir, content, cap, options)) });
    return runs;
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function fill(path: string, content: (typeof contents)[number]): Promise<void> {
  const file = await open(path, 'w');
  try {
    const block = Buffer.alloc(1 << 20);
    for (let index = 0; index < ramMib; index += 1) {
      if (content === 'random') randomFillSync(block);
      else {
        let at = 0;
        for (let line = 0; at < block.length; line += 1)
          at += block.write(
            `2026-11-23T10:${index % 60}:${line % 60}Z host-${line % 97} kernel: request ${index * 7919 + line} took ${line % 911} us\n`,
            at,
          );
      }
      await file.write(block);
    }
  } finally {
    await file.close();
  }
}

async function sendOnce(
  dir: string,
  content: string,
  cap: number,
  { channels, compression }: Stream,
): Promise<{ readonly totalMs: number; readonly sentBytes: number }> {
  await using lab = new TinyLab();
  const memory = ['-m', `${ramMib}`, '-machine', 'memory-backend=ram'];
  const ram = `size=${ramMib}M,id=ram`;
  const credentials = (end: string): readonly string[] => [
    '-object',
    `tls-creds-x509,id=tls,dir=${join(dir, 'tls')},endpoint=${end},verify-peer=on`,
  ];
  const [source, destination] = await Promise.all([
    lab.start({
      extra: ['-object', `memory-backend-file,mem-path=${join(dir, content)},share=on,${ram}`, ...memory, ...credentials('client')],
    }),
    lab.start({ incoming: true, extra: ['-object', `memory-backend-ram,${ram}`, ...memory, ...credentials('server')] }),
  ]);
  for (const { qmp } of [source, destination]) {
    await qmp.execute('migrate-set-capabilities', {
      capabilities: [
        { capability: 'multifd', state: channels !== undefined },
        { capability: 'return-path', state: true },
      ],
    });
    await qmp.execute('migrate-set-parameters', {
      'max-bandwidth': cap,
      'downtime-limit': 30,
      'tls-creds': 'tls',
      'tls-hostname': throwawayHostname,
      ...(channels === undefined ? {} : { 'multifd-channels': channels, 'multifd-compression': compression ?? 'none' }),
    });
  }
  await destination.qmp.execute('migrate-incoming', { uri: `unix:${destination.address}` });
  await source.control.migrate({ uri: `unix:${destination.address}` });
  for (const until = performance.now() + deadlineMs; ; ) {
    const answer = (await source.qmp.execute('query-migrate')) as {
      readonly status?: string;
      readonly 'total-time'?: number;
      readonly ram?: { readonly transferred: number };
      readonly 'error-desc'?: string;
    };
    if (answer.status === 'completed')
      return { totalMs: answer['total-time'] ?? Number.NaN, sentBytes: answer.ram?.transferred ?? Number.NaN };
    if (answer.status === 'failed' || performance.now() > until)
      throw new Error(`the migration is ${answer.status}: ${answer['error-desc'] ?? ''}`);
    await delay(5);
  }
}

console.log(JSON.stringify(await measureStreams(Number(process.argv[2] ?? 5))));
