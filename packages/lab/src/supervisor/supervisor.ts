import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { LabError } from '../lab-error.ts';
import { type HostSpec, type LabPlan, labFiles } from '../lab-plan.ts';
import { clearHostLinks } from '../network/host-links.ts';
import { ipBatch } from '../network/ip-batch.ts';
import { killNamespaceProcesses, signalNamespaceProcesses } from '../network/namespace-processes.ts';
import type { SupervisorRequest, SupervisorStatus } from './control-protocol.ts';
import { dropUnsyncedBytes } from './power-loss.ts';
import { SupervisedProcess } from './supervised-process.ts';

/** Keeps a lab's processes alive and does to them what tests and operators ask. Requests are carried out one at a time. */
export class Supervisor {
  readonly #plan: LabPlan;
  readonly #processes: ReadonlyMap<string, SupervisedProcess>;
  #last: Promise<unknown> = Promise.resolve();

  constructor(plan: LabPlan, publicFd: number | undefined, log: (line: string) => void) {
    this.#plan = plan;
    const files = labFiles(plan.dir);
    this.#processes = new Map(plan.processes.map((spec) => [spec.name, new SupervisedProcess(spec, files, publicFd, log)]));
  }

  get status(): SupervisorStatus {
    return { labId: this.#plan.labId, pid: process.pid, processes: [...this.#processes.values()].map((one) => one.report) };
  }

  async startAll(): Promise<void> {
    for (const one of this.#processes.values()) if (one.spec.startsAtOnce) await one.start();
  }

  /** Throws LabError UNKNOWN_TARGET for a name that the plan does not have. */
  async handle(request: SupervisorRequest): Promise<SupervisorStatus> {
    if (request.op !== 'status') {
      const done = this.#last.then(() => this.#carryOut(request));
      this.#last = done.catch(() => {});
      await done;
    }
    return this.status;
  }

  async #carryOut(request: SupervisorRequest): Promise<void> {
    switch (request.op) {
      case 'status':
        return;
      case 'start':
        return this.#process(request.process).start();
      case 'stop':
        return this.#process(request.process).stop('gently');
      case 'restart': {
        const one = this.#process(request.process);
        await one.stop('gently');
        return one.start();
      }
      case 'kill':
        return this.#process(request.process).kill();
      case 'freeze':
        return this.#process(request.process).freeze();
      case 'thaw':
        return this.#process(request.process).thaw();
      case 'clock-skew': {
        const one = this.#process(request.process);
        one.setClockSkewMs(request.skewMs);
        await one.stop('gently');
        return one.start();
      }
      case 'power-loss':
        await this.#losePower(this.#host(request.host));
        return request.stayOff === true ? undefined : this.#powerOn(request.host);
      case 'power-on':
        this.#host(request.host);
        return this.#powerOn(request.host);
      case 'freeze-host':
        await signalNamespaceProcesses(this.#host(request.host).namespace, 'SIGSTOP');
        return;
      case 'thaw-host':
        await signalNamespaceProcesses(this.#host(request.host).namespace, 'SIGCONT');
        return;
      case 'cable': {
        const host = this.#host(request.host);
        const port = request.cable === 'management' ? host.managementPort : host.fabricPort;
        return ipBatch([`link set ${port} ${request.state}`], this.#plan.fabricNamespace);
      }
      case 'shutdown':
        // At once: nothing here outlives the lab, and each of these must bear a kill at any moment anyway.
        await Promise.all([...this.#processes.values()].map((one) => one.stop('at once')));
        return;
      default:
        throw new LabError('BAD_ARGUMENT', `the supervisor has no operation ${JSON.stringify((request as { op?: unknown }).op)}`);
    }
  }

  async #losePower(host: HostSpec): Promise<void> {
    // All stand still first: no process may see another's death and write about it, as none could on a real host.
    await signalNamespaceProcesses(host.namespace, 'SIGSTOP');
    await Promise.all(this.#ofHost(host.name).map((one) => one.stop('at once')));
    await killNamespaceProcesses(host.namespace);
    await dropUnsyncedBytes(host.stateDir);
    await clearHostLinks(host.namespace);
    await writeFile(host.bootIdFile, `${randomUUID()}\n`);
  }

  async #powerOn(host: string): Promise<void> {
    for (const one of this.#ofHost(host)) await one.start();
  }

  #ofHost(host: string): readonly SupervisedProcess[] {
    return [...this.#processes.values()].filter((one) => one.spec.host === host);
  }

  #process(name: string): SupervisedProcess {
    const found = this.#processes.get(name);
    if (found === undefined)
      throw new LabError('UNKNOWN_TARGET', `the lab has no process ${name}; it has ${[...this.#processes.keys()].join(', ')}`);
    return found;
  }

  #host(name: string): HostSpec {
    const found = this.#plan.hosts.find((host) => host.name === name);
    if (found === undefined)
      throw new LabError('UNKNOWN_TARGET', `the lab has no host ${name}; it has ${this.#plan.hosts.map((host) => host.name).join(', ')}`);
    return found;
  }
}
