import type { Interned } from './interner.ts';
import { completed, ended, leaving, loaded, type Qemu } from './qemu-model.ts';
import { HOSTS, type Host, saved } from './world.ts';

type Label = () => string;
export type QemuChange = { readonly hosts: readonly Interned<Host>[]; readonly label: Label; readonly fault: boolean };

/** What the QEMUs of these hosts can do by themselves, and among each other: streams go on, complete and fail, guests load and die. */
export function qemuSteps(hosts: readonly Interned<Host>[], intern: (host: Host) => Interned<Host>): readonly QemuChange[] {
  const changes: QemuChange[] = [];
  hosts.forEach(({ value: at }, index) => {
    for (const qemu of at.qemus) stepsOf(hosts, at, index, qemu, changes, intern);
  });
  return changes;
}

function stepsOf(
  hosts: readonly Interned<Host>[],
  at: Host,
  index: number,
  qemu: Qemu,
  changes: QemuChange[],
  intern: (host: Host) => Interned<Host>,
): void {
  const name = HOSTS[index];
  const put = (from: readonly Interned<Host>[], at0: number, epoch: number, change: Qemu | null): readonly Interned<Host>[] =>
    from.map((one, i) => {
      if (i !== at0) return one;
      const qemus = one.value.qemus.flatMap((other) => (other.epoch !== epoch ? [other] : change === null ? [] : [change]));
      return intern({ ...one.value, qemus });
    });
  const add = (label: Label, changed: readonly Interned<Host>[], fault = false): void =>
    void changes.push({ hosts: changed, label, fault });
  if (qemu.peer !== null && leaving(qemu)) {
    const { peer } = qemu;
    const there = hosts[peer.host]?.value;
    const other = there?.qemus.find(({ epoch }) => epoch === peer.epoch);
    const linked = !at.cutOff && there?.cutOff === false;
    add(() => `QEMU on ${name} fails to migrate and resumes`, put(hosts, index, qemu.epoch, ended(qemu, 'failed')));
    if (qemu.out === 'active' && linked && other?.run === 'inmigrate' && other.inc === 'none') {
      const stopped = put(hosts, index, qemu.epoch, { ...qemu, out: 'device', run: 'finish-migrate' });
      add(() => `QEMU on ${name} stops for the switchover`, put(stopped, peer.host, other.epoch, { ...other, inc: 'active' }));
    }
    if (qemu.out === 'device' && linked && other?.inc === 'active')
      add(() => `QEMU on ${HOSTS[peer.host]} has loaded`, put(hosts, peer.host, other.epoch, loaded(other)));
    if (qemu.out === 'device') add(() => `QEMU on ${name} completes`, put(hosts, index, qemu.epoch, completed(qemu)));
  }
  if (qemu.saving === true && leaving(qemu)) {
    add(() => `QEMU on ${name} fails to save its memory and runs on`, put(hosts, index, qemu.epoch, ended(qemu, 'failed')));
    if (qemu.out === 'active')
      add(
        () => `QEMU on ${name} stops for the rest of its memory`,
        put(hosts, index, qemu.epoch, { ...qemu, out: 'device', run: 'finish-migrate' }),
      );
    else
      add(
        () => `QEMU on ${name} has saved its memory`,
        hosts.map((one, i) => (i === index ? intern(saved(at, qemu)) : one)),
      );
  }
  if (qemu.memory !== undefined && qemu.run === 'inmigrate' && qemu.inc === 'none') {
    const there = at.memories.some(({ epoch }) => epoch === qemu.memory);
    if (there) add(() => `QEMU on ${name} has loaded the memory of epoch ${qemu.memory}`, put(hosts, index, qemu.epoch, loaded(qemu)));
    else add(() => `QEMU on ${name} finds no memory and exits`, put(hosts, index, qemu.epoch, null));
  }
  if (qemu.run === 'inmigrate' && qemu.inc === 'active') {
    const fed = hosts.some(({ value }) =>
      value.qemus.some((source) => leaving(source) && source.peer?.host === index && source.peer.epoch === qemu.epoch),
    );
    if (!fed) add(() => `incoming QEMU on ${name} exits`, put(hosts, index, qemu.epoch, null));
  }
  add(() => `QEMU on ${name} dies`, put(hosts, index, qemu.epoch, null), true);
}
