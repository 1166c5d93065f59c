import { readdir } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { LabError } from '../lab-error.ts';
import { ipBatch, setSysctls } from './ip-batch.ts';
import { killNamespaceProcesses } from './namespace-processes.ts';
import { belongsToLab, type Topology } from './topology.ts';

/** Where `ip netns` keeps its names. */
const namespaceDir = '/run/netns';

/** The namespaces of a lab that exist now, whoever left them. */
export async function labNamespaces(labId: string): Promise<readonly string[]> {
  const names = await readdir(namespaceDir).catch((): string[] => []);
  return names.filter((name) => belongsToLab(labId, name)).sort();
}

/**
 * Builds the whole network. When it returns, every interface is up and every address set; when it throws, nothing of it is
 * left. Refuses when any namespace of this lab exists: call destroyNetwork first.
 */
export async function createNetwork(topology: Topology): Promise<void> {
  const present = await labNamespaces(topology.labId);
  if (present.length > 0) throw new LabError('ALREADY_RUNNING', `namespaces of this lab exist already: ${present.join(', ')}`);
  try {
    const namespaces = topology.steps.flatMap((step) => (step.kind === 'namespace' ? [step.name] : []));
    await ipBatch(namespaces.map((name) => `netns add ${name}`));
    // No IPv6: its router solicitations and neighbour reports would be noise in every capture, and nothing here speaks it.
    await Promise.all(
      namespaces.map((name) => setSysctls(name, ['net.ipv6.conf.all.disable_ipv6=1', 'net.ipv6.conf.default.disable_ipv6=1'])),
    );
    await ipBatch(
      topology.steps.flatMap((step) =>
        step.kind === 'cable'
          ? [`link add ${step.end.name} netns ${step.end.namespace} type veth peer name ${step.port.name} netns ${step.port.namespace}`]
          : [],
      ),
    );
    const inside = new Map(namespaces.map((name) => [name, ['link set lo up']]));
    const say = (namespace: string, ...lines: readonly string[]) => inside.get(namespace)?.push(...lines);
    for (const step of topology.steps) {
      if (step.kind === 'bridge') {
        say(step.namespace, `link add ${step.name} type bridge stp_state 0 forward_delay 0 mcast_snooping 0`, `link set ${step.name} up`);
        if (step.address !== undefined) say(step.namespace, `address add ${step.address} dev ${step.name}`);
      }
      if (step.kind === 'cable') {
        say(step.port.namespace, `link set ${step.port.name} master ${step.port.bridge}`, `link set ${step.port.name} up`);
        if (step.end.address !== undefined) say(step.end.namespace, `address add ${step.end.address} dev ${step.end.name}`);
        say(step.end.namespace, `link set ${step.end.name} up`);
      }
    }
    await Promise.all([...inside].map(([namespace, lines]) => ipBatch(lines, namespace)));
  } catch (error) {
    await destroyNetwork(topology.labId).catch(() => {});
    throw error;
  }
}

/**
 * Ends every process that lives in a namespace of this lab, then deletes the namespaces; veths and bridges go with them.
 * Needs no supervisor and no plan, only the id: it clears what a crash or a half-done `up` left. When it returns, nothing of
 * the lab is left in the kernel. Returns the names it removed.
 */
export async function destroyNetwork(labId: string): Promise<readonly string[]> {
  const namespaces = await labNamespaces(labId);
  for (const namespace of namespaces) await killNamespaceProcesses(namespace);
  await ipBatch(namespaces.map((name) => `netns delete ${name}`));
  // A name can be gone before the kernel has finished with the namespace; what counts here is that `up` can begin anew.
  for (const deadline = Date.now() + 5000; (await labNamespaces(labId)).length > 0; await delay(10)) {
    if (Date.now() > deadline)
      throw new LabError('NETWORK_COMMAND_FAILED', `namespaces of this lab did not go away: ${(await labNamespaces(labId)).join(', ')}`);
  }
  return namespaces;
}

/** Takes one cable of a host down or up at the fabric's end, as if it were pulled there. */
export async function setCable(topology: Topology, port: string, state: 'up' | 'down'): Promise<void> {
  await ipBatch([`link set ${port} ${state}`], topology.fabricNamespace);
}
