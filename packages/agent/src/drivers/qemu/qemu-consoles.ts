import { connect, type Socket } from 'node:net';
import { GodwitError } from '@godwit/domain/errors';
import type { ServerId } from '@godwit/domain/ids';
import { followConsole } from '../../qemu/follow-console.ts';
import { runDir } from '../../qemu/run-dir.ts';
import type { GuestConsoles } from '../guest-consoles.ts';
import type { QemuHost } from './qemu-host.ts';

/** A line into a guest's serial port that nobody types on is closed: QEMU serves one at a time. */
const idleMs = 60_000;

/** Consoles of the guests that have a QEMU here. `consoleDir`: where the log of any guest lies that has, or had, one. */
export class QemuConsoles implements GuestConsoles {
  readonly #host: Pick<QemuHost, 'config' | 'guests'>;
  readonly #consoleDir: (serverId: ServerId) => Promise<string>;
  readonly #lines = new Map<ServerId, Promise<Socket>>();

  constructor(host: Pick<QemuHost, 'config' | 'guests'>, consoleDir: (serverId: ServerId) => Promise<string>) {
    this.#host = host;
    this.#consoleDir = consoleDir;
  }

  async *follow(...[serverId, from, tailBytes, signal]: Parameters<GuestConsoles['follow']>) {
    yield* followConsole(await this.#consoleDir(serverId), from, tailBytes, signal);
  }

  async write(serverId: ServerId, data: Uint8Array): Promise<void> {
    const line = await this.#line(serverId);
    await new Promise<void>((resolve, reject) => {
      line.write(data, (error) => (error ? reject(error) : resolve()));
    });
  }

  async display(serverId: ServerId): Promise<Socket> {
    const { spec, run } = this.#guest(serverId);
    if (spec.graphics !== 'vnc') throw new GodwitError('NotImplemented', `Server ${serverId} has no display.`);
    return connected(run.vncSocket);
  }

  close(): void {
    for (const line of this.#lines.values()) line.then((socket) => socket.destroy()).catch(() => {});
  }

  #guest(serverId: ServerId) {
    const spec = this.#host.guests.spec(serverId);
    if (spec === null) throw new GodwitError('ServerNotFound', `Server ${serverId} does not run on this host.`);
    return { spec, run: runDir(this.#host.config.stateDir, serverId) };
  }

  /** The one connection to the guest's serial port; what comes out of it is in the log, and is let go here, for a port that nobody reads would hold up the guest. */
  async #line(serverId: ServerId): Promise<Socket> {
    const { run } = this.#guest(serverId);
    const known = this.#lines.get(serverId);
    if (known !== undefined) return known;
    const made = connected(run.consoleSocket);
    this.#lines.set(serverId, made);
    const forget = (): void => {
      if (this.#lines.get(serverId) === made) this.#lines.delete(serverId);
    };
    try {
      const socket = await made;
      socket.resume();
      socket.setTimeout(idleMs, () => socket.destroy());
      socket.on('error', forget);
      socket.once('close', forget);
      return socket;
    } catch (error) {
      forget();
      throw error;
    }
  }
}

function connected(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve(socket);
    });
    socket.once('error', reject);
  });
}
