import { access, constants, rm } from 'node:fs/promises';
import { throwawayGate } from '../custody/throwaway-gate.ts';
import { defaultCpuModel, newestMachine, probeCapabilities, type QemuCapabilities } from './capabilities.ts';
import type { Accelerator } from './forbidden.ts';
import { type GuestProcess, startGuest } from './guest-process.ts';
import { awaitLetters } from './letters.ts';
import { throwawayDir, throwawayGuest } from './throwaway-guest.ts';

export type AcceleratorChoice = {
  readonly accelerator: Accelerator;
  /** One sentence: why this one, and why not the other. */
  readonly reason: string;
  /** Of the chosen accelerator. */
  readonly capabilities: QemuCapabilities;
  readonly probeMs: number;
};

export type AcceleratorOptions = {
  /** `auto`: KVM when it really works. `kvm`: KVM or nothing. */
  readonly wanted: 'auto' | Accelerator;
  readonly qemuBinary: string;
  readonly stateDir: string;
  /** For the probe guest to count aloud under KVM; a working KVM needs about 100 ms. */
  readonly deadlineMs: number;
};

const lastResortMs = 60_000;

/**
 * Chooses the accelerator by booting a guest under KVM: /dev/kvm may exist and still run nothing (nested virtualisation that is switched off, or only half
 * there), which shows only when a guest is asked to run.
 * Throws GodwitError GuestStartFailed when KVM is demanded and does not work, or when QEMU does not start at all. Leaves no process and no file.
 */
export async function chooseAccelerator(options: AcceleratorOptions): Promise<AcceleratorChoice> {
  throwawayGate.discardLeftovers(options.stateDir);
  try {
    return await choose(options);
  } finally {
    await rm(throwawayDir(options.stateDir), { recursive: true, force: true });
  }
}

async function choose(options: AcceleratorOptions): Promise<AcceleratorChoice> {
  const startedAt = performance.now();
  const choice = async (accelerator: Accelerator, reason: string): Promise<AcceleratorChoice> => {
    // TCG is the last resort: a host that is so busy that QEMU takes long to say what it can do would else not serve at all.
    const deadlineMs = accelerator === 'tcg' ? Math.max(options.deadlineMs, lastResortMs) : options.deadlineMs;
    const capabilities = await probeCapabilities(options.qemuBinary, accelerator, throwawayDir(options.stateDir), deadlineMs);
    return { accelerator, reason, capabilities, probeMs: performance.now() - startedAt };
  };
  if (options.wanted === 'tcg') return choice('tcg', 'TCG is configured');
  try {
    await access('/dev/kvm', constants.R_OK | constants.W_OK);
  } catch (error) {
    if (options.wanted === 'kvm') throw error;
    return choice(
      'tcg',
      `KVM is not there (${(error as NodeJS.ErrnoException).code === 'ENOENT' ? 'no /dev/kvm' : 'no permission for /dev/kvm'})`,
    );
  }
  try {
    const bootMs = await bootUnderKvm(options);
    return await choice('kvm', `a guest booted under KVM in ${Math.round(bootMs)} ms`);
  } catch (error) {
    if (options.wanted === 'kvm') throw error;
    return choice('tcg', `/dev/kvm is there, but a guest does not boot under it: ${(error as Error).message}`);
  }
}

async function bootUnderKvm(options: AcceleratorOptions): Promise<number> {
  const { qemuBinary, stateDir, deadlineMs } = options;
  const capabilities = await probeCapabilities(qemuBinary, 'kvm', throwawayDir(stateDir), deadlineMs);
  const spec = await throwawayGuest(stateDir, {
    accelerator: 'kvm',
    machineType: newestMachine(capabilities, 'q35') ?? 'pc-q35-9.0',
    cpuModel: defaultCpuModel(capabilities),
  });
  let guest: GuestProcess | undefined;
  try {
    guest = await startGuest(spec, {
      qemuBinary,
      stateDir: throwawayDir(stateDir),
      runName: 'kvm',
      epoch: 1,
      incoming: false,
      imageLocking: true,
      sandbox: capabilities.sandbox,
      vhostNet: false,
      tls: [],
      deadlineMs,
    });
    const startedAt = performance.now();
    await throwawayGate.run(guest);
    await awaitLetters(guest, 3, deadlineMs);
    return performance.now() - startedAt;
  } finally {
    if (guest) await throwawayGate.discard(guest);
  }
}
