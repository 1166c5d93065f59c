import type { DiskProgress } from '../drivers/migration-report.ts';
import { diskNode } from '../qemu/command-line.ts';
import type { GuestProcess } from '../qemu/guest-process.ts';
import type { QmpEvent } from '../qemu/qmp-client.ts';
import { QmpTimeout } from '../qemu/qmp-errors.ts';
import { acknowledgedBytes } from './acknowledged-bytes.ts';
import { cutConnection } from './cut-connection.ts';
import { delay, within } from './deadline.ts';
import { brokenBy, MirrorBroken } from './mirror-broken.ts';
import { greetsAsNbd } from './nbd-greeting.ts';
import { mirrorName, removeMirrors } from './remove-mirrors.ts';
import { unsentBytes } from './unsent-bytes.ts';

/** A disk to copy. `overlay`: the destination has what lies below it, only the disk's own layer is copied. */
export type MirroredDisk = { readonly index: number; readonly diskId: string; readonly overlay: boolean };

/** Where the destination's QEMU takes the disks. `credentials`: QMP id of this side's; null: without TLS. */
export type MirrorTarget = { readonly address: string; readonly port: number; readonly credentials: string | null };

type Mirror = MirroredDisk & {
  /** Name of the job and of the node that it writes to. */
  readonly name: string;
  progress: DiskProgress;
  /** QEMU's last word about the job; null while it has not ended. */
  end: { readonly event: string; readonly lengthBytes: number; readonly offsetBytes: number; readonly error: string } | null;
  readonly ended: PromiseWithResolvers<void>;
};

/**
 * 16 operations of 4 MiB in flight: QEMU takes a sixteenth of the buffer at a time. With its default (10 MiB, so 1 MiB operations) each costs a turn of the main
 * loop that the guest's devices wait for too.
 */
const bufferBytes = 64 * 1024 * 1024;
const operationBytes = bufferBytes / 16;
/** A link that silently drops everything shows nothing but that nothing moves: neither is an operation done, nor is a byte of one acknowledged. */
const silenceMs = 5_000;
const lookEveryMs = 200;
/**
 * A mirror of a busy guest lags by some 100 KiB. One that lags by this much at two looks in a row does not keep up with the guest: from then on the guest's writes wait for the
 * destination, or the debt would be paid while it stands.
 */
const lagBytes = 2 * 1024 * 1024;
/** Connecting takes a few milliseconds, and QEMU's main loop waits for it: longer, and the connection is taken away. */
const connectMs = 3_000;
const answerMs = 2_000;

/**
 * The source's half of copying disks under a running guest: one mirror for each, in the background, to the destination's exports. Nothing here starts, stops or resumes a
 * guest. A mirror that breaks never touches the guest: its writes go to the source's disk, and an error of the target only ends the job.
 */
export class DiskMirrors {
  readonly #process: GuestProcess;
  readonly #target: MirrorTarget;
  readonly #mirrors: readonly Mirror[];
  readonly #ready = Promise.withResolvers<void>();
  #speedBytes: number;
  #unlisten: () => void = () => undefined;
  #broken: MirrorBroken | null = null;
  #settling = false;
  #mbps = 0;
  /** What no job tells because its operation hangs. */
  #unsentBytes = 0;
  #blocking = false;
  #over = false;
  #removed: Promise<void> | null = null;

  /** `migrationId` names the jobs, so that an agent that was restarted finds those of the one before. */
  constructor(process: GuestProcess, migrationId: string, disks: readonly MirroredDisk[], target: MirrorTarget, speedBytes: number) {
    this.#process = process;
    this.#target = target;
    this.#speedBytes = speedBytes;
    this.#mirrors = disks.map((disk) => ({
      ...disk,
      name: mirrorName(migrationId, disk.index),
      progress: { diskId: disk.diskId, lengthBytes: 0, offsetBytes: 0, ready: false },
      end: null,
      ended: Promise.withResolvers<void>(),
    }));
    // Looked at by whoever waits for it.
    this.#ready.promise.catch(() => undefined);
  }

  get progress(): readonly DiskProgress[] {
    return this.#mirrors.map(({ progress }) => progress);
  }

  /** Megabits per second that went lately. */
  get mbps(): number {
    return this.#mbps;
  }

  /** Bytes that the destination's disks lag behind. */
  get behindBytes(): number {
    return Math.max(this.#unsentBytes, this.#lengthBytes - this.#movedBytes);
  }

  /** Resolves when every disk of the destination is in step with the source's and is kept so; rejects with MirrorBroken. */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** Connects and begins. When it throws MirrorBroken, `remove` takes away what there is. */
  async begin(): Promise<void> {
    const { qmp } = this.#process;
    const { address, port, credentials } = this.#target;
    this.#listen();
    if (!(await greetsAsNbd(address, port, connectMs)))
      throw this.#break(new MirrorBroken('StreamFailed', `the destination's QEMU does not take disks at ${address}:${port}`));
    try {
      for (const { name, index, diskId, overlay } of this.#mirrors) {
        const helped = setTimeout(() => void this.#cut(), connectMs);
        try {
          await qmp.execute(
            'blockdev-add',
            {
              driver: 'nbd',
              'node-name': name,
              server: { type: 'inet', host: address, port: String(port) },
              export: diskId,
              discard: 'unmap',
              ...(credentials !== null && { 'tls-creds': credentials, 'tls-hostname': address }),
            },
            { timeoutMs: connectMs * 2 },
          );
        } finally {
          clearTimeout(helped);
        }
        await qmp.execute('blockdev-mirror', {
          'job-id': name,
          device: diskNode(index),
          target: name,
          sync: overlay ? 'top' : 'full',
          'copy-mode': 'background',
          'buf-size': bufferBytes,
          speed: this.#share,
          'on-source-error': 'report',
          'on-target-error': 'report',
        });
      }
    } catch (error) {
      throw this.#break(brokenBy(error, 'the copy of the disks could not be begun'));
    }
  }

  /** Goes on with mirrors that an earlier agent began. One that is not there any more has ended unseen: broken. */
  async adopt(): Promise<void> {
    this.#listen();
    const jobs = await this.#jobs();
    for (const mirror of this.#mirrors)
      if (!jobs.has(mirror.name))
        throw this.#break(new MirrorBroken('StreamFailed', `the copy of disk ${mirror.diskId} ended while the source's agent was away`));
    this.#note(jobs);
  }

  /** Looks until it is over; `seen` is called after each look. Rejects with MirrorBroken: also when nothing moves although something is left. */
  async watch(seen: () => void): Promise<void> {
    let [silent, lagging] = [0, 0];
    let before = { moved: this.#movedBytes, atMs: performance.now() };
    let movedAtMs = before.atMs;
    let acknowledged: number | null = null;
    while (!this.#over && !this.#settling) {
      await delay(lookEveryMs);
      if (this.#over || this.#settling) return;
      try {
        const told = { moved: this.#movedBytes, length: this.#lengthBytes };
        this.#note(await this.#jobs());
        const hangs = this.#inStep && told.moved === this.#movedBytes && told.length === this.#lengthBytes && told.moved < told.length;
        this.#unsentBytes = hangs ? await unsentBytes(this.#process.qmp, answerMs) : 0;
        silent = 0;
      } catch (error) {
        // The death of the process is told by itself.
        if (!(error instanceof QmpTimeout)) return;
        silent += 1;
        if (silent >= 2) await this.#cut();
        continue;
      }
      const [nowMs, moved] = [performance.now(), this.#movedBytes];
      // Smoothed over about a second.
      this.#mbps += (((moved - before.moved) * 8) / 1000 / (nowMs - before.atMs) - this.#mbps) * 0.2;
      if (moved !== before.moved || this.behindBytes === 0) [movedAtMs, acknowledged] = [nowMs, null];
      before = { moved, atMs: nowMs };
      // Under a cap a mirror rests after each operation for as long as it should have taken.
      const patienceMs = silenceMs + (this.#share === 0 ? 0 : (operationBytes * 1000) / this.#share);
      if (nowMs - movedAtMs >= patienceMs / 2) acknowledged ??= await this.#acknowledged();
      if (nowMs - movedAtMs >= patienceMs) {
        // An operation takes a slow link longer than that.
        const now = await this.#acknowledged();
        if (now === null || acknowledged === null || now <= acknowledged)
          throw this.#break(
            new MirrorBroken('StreamFailed', `the disk stream to ${this.#where} stood still for ${Math.round(patienceMs / 1000)} s`),
          );
        [movedAtMs, acknowledged] = [nowMs - patienceMs / 2, now];
      }
      if (this.#broken !== null) throw this.#broken;
      lagging = this.#inStep && this.behindBytes > lagBytes ? lagging + 1 : 0;
      if (lagging >= 2 && !this.#blocking) await this.#blockWrites();
      seen();
    }
  }

  /** Whether the guest's writes wait for the destination. */
  get blocking(): boolean {
    return this.#blocking;
  }

  async #blockWrites(): Promise<void> {
    this.#blocking = true;
    for (const { name, end } of this.#mirrors)
      if (end === null)
        await this.#process.qmp
          .execute('block-job-change', { id: name, type: 'mirror', 'copy-mode': 'write-blocking' }, { timeoutMs: answerMs })
          // It goes on as it was; the stop then finds out whether that is enough.
          .catch(tolerate);
  }

  get #inStep(): boolean {
    return this.#mirrors.every(({ progress }) => progress.ready);
  }

  /** All together, per second; 0: unlimited. */
  async setSpeed(bytes: number): Promise<void> {
    this.#speedBytes = bytes;
    for (const { name, end } of this.#mirrors)
      if (end === null)
        await this.#process.qmp.execute('block-job-set-speed', { device: name, speed: this.#share }, { timeoutMs: answerMs });
  }

  /**
   * Only while the guest is stopped: ends every mirror when its target is in step. When it resolves, each job was completed with its whole length copied, none had any
   * error, and the target has acknowledged a flush (QEMU flushes it before the job completes). Otherwise it throws MirrorBroken, and the copies are worth nothing.
   */
  async settle(limitMs: number): Promise<void> {
    if (this.#broken !== null) throw this.#broken;
    const unready = this.#mirrors.find(({ progress }) => !progress.ready);
    if (unready) throw this.#break(new MirrorBroken('StreamFailed', `disk ${unready.diskId} was not in step when the guest had stopped`));
    this.#settling = true;
    try {
      // No `force`: a ready mirror that is cancelled so finishes what it owes. No pivot: the guest's device stays on its own disk.
      // A cap is not for the little that is left now. Sent together: QEMU answers in order.
      await Promise.all(
        this.#mirrors.flatMap(({ name }) => [
          ...(this.#speedBytes === 0
            ? []
            : [this.#process.qmp.execute('block-job-set-speed', { device: name, speed: 0 }, { timeoutMs: limitMs })]),
          this.#process.qmp.execute('block-job-cancel', { device: name }, { timeoutMs: limitMs }),
        ]),
      );
      const inTime = await within(
        Promise.all(this.#mirrors.map(({ ended }) => ended.promise)).then(() => true),
        limitMs,
        false,
      );
      if (!inTime) throw new MirrorBroken('SwitchoverTimeout', `the disks were not in step ${limitMs} ms after the guest had stopped`);
    } catch (error) {
      throw this.#break(brokenBy(error, 'the copies of the disks could not be ended'));
    }
    for (const { diskId, end } of this.#mirrors)
      if (end?.event !== 'BLOCK_JOB_COMPLETED' || end.error !== '' || end.lengthBytes !== end.offsetBytes)
        throw this.#break(new MirrorBroken('StreamFailed', `the copy of disk ${diskId} is not whole: ${JSON.stringify(end)}`));
    if (this.#broken !== null) throw this.#broken;
  }

  /** Cuts the connections out of band: works while QEMU's main loop hangs on them. The jobs then end with an error by themselves. */
  async cut(): Promise<void> {
    this.#break(new MirrorBroken('StreamFailed', 'the disk stream was cut'));
    await this.#cut();
  }

  /** Takes away every job and node of this move, whoever began them, and whatever they wait for. The guest is not touched. Can be repeated. */
  remove(): Promise<void> {
    this.#removed ??= this.#remove();
    return this.#removed;
  }

  async #remove(): Promise<void> {
    this.#over = true;
    this.#ready.reject(new MirrorBroken('StreamFailed', 'the move has ended'));
    try {
      const names = this.#mirrors.map(({ name }) => name);
      await removeMirrors(this.#process.qmp, names, () => this.#cut());
    } finally {
      this.#unlisten();
    }
  }

  get #movedBytes(): number {
    return this.#mirrors.reduce((sum, { progress }) => sum + progress.offsetBytes, 0);
  }

  get #lengthBytes(): number {
    return this.#mirrors.reduce((sum, { progress }) => sum + progress.lengthBytes, 0);
  }

  #acknowledged(): Promise<number | null> {
    return acknowledgedBytes(this.#target.address, this.#target.port);
  }

  get #where(): string {
    return `${this.#target.address}:${this.#target.port}`;
  }

  /** Of one mirror; QEMU's 0 is unlimited too. */
  get #share(): number {
    return this.#speedBytes === 0 ? 0 : Math.max(65_536, Math.floor(this.#speedBytes / this.#mirrors.length));
  }

  #listen(): void {
    this.#unlisten = this.#process.qmp.on((event) => this.#heard(event));
  }

  #heard({ event, data }: QmpEvent): void {
    const mirror = this.#mirrors.find(({ name }) => name === data['device']);
    if (!mirror || this.#over) return;
    const [lengthBytes, offsetBytes] = [Number(data['len'] ?? 0), Number(data['offset'] ?? 0)];
    switch (event) {
      case 'BLOCK_JOB_READY':
        mirror.progress = { diskId: mirror.diskId, lengthBytes, offsetBytes, ready: true };
        if (this.#inStep) this.#ready.resolve();
        return;
      case 'BLOCK_JOB_ERROR':
        this.#break(
          new MirrorBroken('StreamFailed', `the copy of disk ${mirror.diskId} met an error at its ${String(data['operation'])} side`),
        );
        return;
      case 'BLOCK_JOB_COMPLETED':
      case 'BLOCK_JOB_CANCELLED': {
        const error = typeof data['error'] === 'string' ? data['error'] : '';
        mirror.end = { event, lengthBytes, offsetBytes, error };
        mirror.progress = { ...mirror.progress, lengthBytes, offsetBytes };
        mirror.ended.resolve();
        const noSpace = /no space/i.test(error);
        if (error !== '' || !this.#settling)
          this.#break(
            new MirrorBroken(
              noSpace ? 'NoSpace' : 'StreamFailed',
              `the copy of disk ${mirror.diskId} to ${this.#where} ended early${error === '' ? '' : `: ${error}`}`,
            ),
            noSpace,
          );
        return;
      }
      default:
        return;
    }
  }

  /** The first reason counts; only that of a full disk is truer than the error that announced it. */
  #break(why: MirrorBroken, truer = false): MirrorBroken {
    if (this.#broken === null || truer) this.#broken = why;
    this.#ready.reject(this.#broken);
    return this.#broken;
  }

  async #cut(): Promise<void> {
    const { oob } = this.#process;
    for (const { name } of this.#mirrors)
      await oob
        .execute('yank', { instances: [{ type: 'block-node', 'node-name': name }] }, { oob: true, timeoutMs: 1_000 })
        // Not connected yet, or not any more: then there is a half-made connection at most.
        .catch(() => cutConnection(this.#target.address, this.#target.port).catch(() => undefined));
  }

  async #jobs(): Promise<ReadonlyMap<string, Job>> {
    const jobs = (await this.#process.qmp.execute('query-block-jobs', undefined, { timeoutMs: answerMs })) as readonly Job[];
    return new Map(jobs.map((job) => [job.device, job]));
  }

  #note(jobs: ReadonlyMap<string, Job>): void {
    for (const mirror of this.#mirrors) {
      const job = jobs.get(mirror.name);
      if (job) mirror.progress = { diskId: mirror.diskId, lengthBytes: job.len, offsetBytes: job.offset, ready: job.ready };
    }
    if (this.#inStep) this.#ready.resolve();
  }
}

type Job = { readonly device: string; readonly len: number; readonly offset: number; readonly ready: boolean };

/** What was asked of QEMU was an improvement, no need. */
const tolerate = (): void => undefined;
