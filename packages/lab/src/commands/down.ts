import { readdir, rm, rmdir } from 'node:fs/promises';
import path from 'node:path';
import { labFiles } from '../lab-plan.ts';
import { signalNamespaceProcesses } from '../network/namespace-processes.ts';
import { destroyNetwork, labNamespaces } from '../network/network.ts';
import { killIdentity, readIdentity } from '../process-identity.ts';
import { askSupervisor } from '../supervisor/control-client.ts';
import { waitFor } from '../wait-for.ts';
import { type LabDirectory, removeAlias } from './lab-directory.ts';

/** What `up` and the processes write below a lab's directory, but its logs. Nothing else there is touched. */
const ownEntry = /^(lab\.(json|json\.new|sock)|run|controller(-2)?(\.json)?|shared|node\d+|metal1|simulated|openrc(-demo)?(\.sh)?)$/;

/**
 * Ends everything of the lab and removes its state; the logs stay. Works without a supervisor, after any crash and on half a lab. When it
 * resolves, no process, namespace or socket of it is left. Returns false when there was nothing to end.
 */
export async function down(directory: LabDirectory, note: (line: string) => void): Promise<boolean> {
  const files = labFiles(directory.dir);
  const entries = (await readdir(directory.dir).catch((): string[] => [])).filter((name) => ownEntry.test(name));
  const namespaces = await labNamespaces(directory.labId);
  const supervisor = await readIdentity(files.supervisorPid);
  // In this order: a supervisor that lives on would start again what is killed below.
  await askSupervisor(directory.dir, { op: 'shutdown' }, 15_000).catch(() => {});
  if (supervisor !== undefined) await killIdentity(supervisor);
  // SIGINT first: PostgreSQL then gives back the shared memory that a SIGKILL would leave behind for ever.
  const fabric = namespaces.find((name) => name.endsWith('-fabric'));
  if (fabric !== undefined && (await signalNamespaceProcesses(fabric, 'SIGINT')) > 0) {
    await waitFor('processes did not end', async () => (await signalNamespaceProcesses(fabric, 'SIGCONT')) === 0, 5_000, 20).catch(
      () => {},
    );
  }
  const removed = await destroyNetwork(directory.labId);
  for (const name of removed) note(`removed namespace ${name} and what ran in it`);
  for (const name of entries) await rm(path.join(directory.dir, name), { recursive: true, force: true });
  await removeAlias(directory);
  // Only when nothing of somebody else's lies there.
  await rmdir(directory.dir).catch(() => {});
  return removed.length > 0 || entries.length > 0;
}
