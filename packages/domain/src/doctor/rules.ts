import { type Finding, ok, problem, warning } from './finding.ts';

/** Timelines are told apart no better than this; the blackout is measured with the offset estimated, and does not suffer. */
export const CLOCK_WARNING_MS = 500;
/** Certificates and tokens begin to be refused as not yet or no longer valid. */
const CLOCK_PROBLEM_MS = 30_000;
const ROOM_WARNING = 0.1;
const ROOM_PROBLEM = 0.02;
const DAY_MS = 86_400_000;
/** More hosts of one version are counted. */
const hostsNamed = 12;

/** `offsetMs`: its clock less ours, known to ± `errorMs`. */
export function clockFinding(host: string, offsetMs: number, errorMs: number): Finding {
  const off = Math.abs(offsetMs) - errorMs;
  const sentence = `The clock of ${host} is ${Math.round(Math.abs(offsetMs))} ms ${offsetMs < 0 ? 'behind' : 'ahead of'} the controller's (± ${Math.round(errorMs)} ms).`;
  const remedy = `Set ${host} and the controller by the same time service: apt install chrony, then chronyc tracking.`;
  if (off > CLOCK_PROBLEM_MS) return problem('clock', host, `${sentence} Certificates may be refused.`, remedy);
  if (off > CLOCK_WARNING_MS) return warning('clock', host, `${sentence} Times in its logs and timelines cannot be compared.`, remedy);
  return ok('clock', host, sentence);
}

/** Which version runs where: one finding for all hosts. `what`: QEMU, agent. */
export function versionsFinding(what: 'QEMU' | 'agent', versions: ReadonlyMap<string, readonly string[]>): Finding {
  const check = what === 'QEMU' ? 'qemu-versions' : 'agent-versions';
  const told = [...versions].map(([version, hosts]) => {
    const more = hosts.length > hostsNamed ? ` and ${hosts.length - hostsNamed} more` : '';
    return `${version} on ${hosts.toSorted().slice(0, hostsNamed).join(', ')}${more}`;
  });
  if (versions.size <= 1) return ok(check, '', `${what}: ${told[0] ?? 'no host'}.`);
  const remedy =
    what === 'QEMU'
      ? 'Bring all hosts to one version: a guest moves from an older QEMU to a newer one, and back only as long as its machine type exists there.'
      : 'Finish the upgrade: apt upgrade godwit on the others, one host at a time; guests run on.';
  return warning(check, '', `${what} versions are mixed: ${told.join('; ')}.`, remedy);
}

/** Room of a pool or file system. */
export function roomFinding(subject: string, what: string, freeBytes: number, totalBytes: number): Finding {
  const share = totalBytes === 0 ? 0 : freeBytes / totalBytes;
  const sentence = `${what} has ${gib(freeBytes)} of ${gib(totalBytes)} free (${Math.floor(share * 100)} %).`;
  const remedy = 'Move instances with local disks away, delete what is not needed, or give it more room.';
  if (share < ROOM_PROBLEM) return problem('room', subject, sentence, remedy);
  if (share < ROOM_WARNING) return warning('room', subject, sentence, remedy);
  return ok('room', subject, sentence);
}

/** A certificate that somebody or something has to renew before its end; `renews` says who. */
export function certificateFinding(
  subject: string,
  what: string,
  notAfterMs: number,
  nowMs: number,
  warnDays: number,
  renews: string,
): Finding {
  const left = notAfterMs - nowMs;
  const until = new Date(notAfterMs).toISOString().slice(0, 10);
  if (left <= 0) return problem('certificate', subject, `${what} expired on ${until}.`, renews);
  if (left < warnDays * DAY_MS) return warning('certificate', subject, `${what} expires on ${until}.`, renews);
  return ok('certificate', subject, `${what} is valid until ${until}.`);
}

/** What a failover of the database would lose. `names`, `commit`: PostgreSQL's synchronous_standby_names and synchronous_commit; `standbys`: how many stream from it now, base backups included. */
export function standbyFindings(database: {
  readonly names: string;
  readonly commit: string;
  readonly standbys: number;
}): readonly Finding[] {
  const { names, commit, standbys } = database;
  const waits = names.trim() !== '' && commit !== 'off' && commit !== 'local';
  if (!waits && standbys === 0) return [];
  if (waits)
    return [
      standbys > 0
        ? ok('database', '', `Commits wait for standbys (synchronous_standby_names ${names}): a failover loses none of them.`)
        : warning(
            'database',
            '',
            `Commits wait for standbys (synchronous_standby_names ${names}), and none is connected.`,
            'Start a standby: until one is there nothing that changes anything is answered.',
          ),
    ];
  return [
    warning(
      'database',
      '',
      `${standbys} ${standbys === 1 ? 'standby follows' : 'standbys follow'} without being waited for: a failover may lose the last commits, and then nothing is granted before every host has reported.`,
      'Set synchronous_standby_names, and synchronous_commit to on.',
    ),
  ];
}

const gib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
