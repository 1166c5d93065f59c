import path from 'node:path';
import type { AgentConfig } from '@godwit/contract/config/agent-config';
import type { ControllerConfig } from '@godwit/contract/config/controller-config';
import type { LabPlan, ProcessSpec } from './lab-plan.ts';
import { addresses, type Topology } from './network/topology.ts';

export interface LabShape {
  /** Absolute, without links. */
  readonly dir: string;
  /** A short link to `dir`: sockets live below it, and their paths are limited to 107 bytes. */
  readonly alias: string;
  readonly port: number;
  readonly simulatedHosts: number;
  /** For the fault suite: no image locks, which the hosts of a lab share and real ones do not, and fault points below `fault-points`. */
  readonly faultInjection: boolean;
  /** Absolute path of bin/godwit. */
  readonly executable: string;
}

export interface ConfigFile {
  /** Where it goes; absolute. */
  readonly file: string;
  readonly content: AgentConfig | ControllerConfig;
}

export interface LabConfig {
  readonly plan: LabPlan;
  readonly files: readonly ConfigFile[];
  /** Each agent's process, the hosts it speaks for, and where it reads their one-time tokens, one a line. */
  readonly joins: readonly { readonly process: string; readonly hosts: readonly string[]; readonly tokenFile: string }[];
  /** Directories that must exist before the processes start. */
  readonly directories: readonly string[];
}

const controllerPort = 8780;
const secondControllerPort = 8782;
const rpcPort = 8781;
/** The agent of the hosts that are only played shares the controller's namespace and address. */
const metalRpcPort = 8790;
const simulatedRpcPort = 10_000;

/** metal1 is listed and never migrates; its size is that of a small rack server. */
const metal1 = { name: 'metal1', hypervisorType: 'ironic', zone: 'az1', cores: 32, ramMib: 131_072, diskGib: 1_000 } as const;
const simulatedHost = { hypervisorType: 'QEMU', cores: 64, ramMib: 262_144, diskGib: 4_000 } as const;

/** Odd hosts in az1, even ones in az2. */
export const zoneOf = (index: number): string => (index % 2 === 0 ? 'az1' : 'az2');

/** Everything that is written down before the first process starts. Pure. */
export function configureLab(topology: Topology, shape: LabShape): LabConfig {
  const { dir, alias, port } = shape;
  const publicUrl = `http://127.0.0.1:${port}`;
  const controllerDir = path.join(alias, 'controller');
  const controllerUrl = `https://${addresses.controller}:${controllerPort}`;
  const sharedPool = path.join(alias, 'shared');

  const controller: ControllerConfig = {
    stateDir: controllerDir,
    listen: { inherited: true },
    publicUrl,
    agentListen: { address: addresses.controller, port: controllerPort, names: [addresses.controller] },
    executorName: 'controller',
    bootstrapOutput: path.join(controllerDir, 'admin-password'),
  };

  // Another on the same database, which takes over; it is started when asked for.
  const second: ControllerConfig = {
    ...controller,
    stateDir: path.join(alias, 'controller-2'),
    databaseUrl: `postgresql://godwit@/godwit?host=${encodeURIComponent(path.join(controllerDir, 'postgres', 'socket'))}`,
    agentListen: { ...controller.agentListen, port: secondControllerPort },
    executorName: 'controller-2',
  };

  const hosts = topology.nodes.map((node) => {
    const stateDir = path.join(alias, node.name);
    return {
      name: node.name,
      namespace: node.namespace,
      stateDir,
      bootIdFile: path.join(stateDir, 'boot-id'),
      fabricPort: node.fabricPort,
      managementPort: node.managementPort,
    };
  });
  const agents = topology.nodes.map((node, index): AgentConfig => {
    const stateDir = path.join(alias, node.name);
    return {
      hostName: node.name,
      stateDir,
      driver: 'qemu',
      managementAddress: node.managementAddress,
      rpcPort,
      controllerUrl,
      joinTokenFile: path.join(stateDir, 'join-token'),
      bootIdFile: path.join(stateDir, 'boot-id'),
      zone: zoneOf(index),
      bridge: { name: 'br0', uplink: 'up0' },
      pools: [
        { name: 'shared', kind: 'shared', path: sharedPool, directIo: true },
        { name: 'local', kind: 'local', path: path.join(stateDir, 'local') },
      ],
      modelPowerLoss: true,
      ...(shape.faultInjection && { imageLocking: false }),
    };
  });
  const played = (name: string, port: number, list: NonNullable<AgentConfig['simulatedHosts']>): AgentConfig => ({
    hostName: name,
    stateDir: path.join(alias, name),
    driver: 'simulated',
    simulatedHosts: list,
    managementAddress: addresses.controller,
    rpcPort: port,
    controllerUrl,
    joinTokenFile: path.join(alias, name, 'join-token'),
    bridge: { name: 'br0' },
    pools: [],
  });
  const playing = [
    played('metal1', metalRpcPort, [metal1]),
    ...(shape.simulatedHosts === 0
      ? []
      : [
          played(
            'simulated',
            simulatedRpcPort,
            Array.from({ length: shape.simulatedHosts }, (_, index) => ({
              ...simulatedHost,
              name: `sim${index + 1}`,
              zone: zoneOf(index),
            })),
          ),
        ]),
  ];

  const process = (name: string, namespace: string, config: string, command: 'controller' | 'agent'): ProcessSpec => ({
    name,
    namespace,
    command: [shape.executable, command, '--config', config],
    environment: shape.faultInjection ? { GODWIT_FAULT_POINTS_DIR: path.join(dir, 'fault-points', name) } : {},
    inheritsPublicSocket: command === 'controller',
    startsAtOnce: name === 'controller',
  });
  const controllerFile = path.join(alias, 'controller.json');
  const secondFile = path.join(alias, 'controller-2.json');
  const agentFile = (config: AgentConfig): string => path.join(alias, config.hostName, 'agent.json');
  return {
    plan: {
      version: 1,
      labId: topology.labId,
      dir,
      publicUrl,
      port,
      fabricNamespace: topology.fabricNamespace,
      clientNamespace: topology.clientNamespace,
      hosts,
      simulatedHosts: shape.simulatedHosts,
      faultInjection: shape.faultInjection,
      processes: [
        process('controller', topology.fabricNamespace, controllerFile, 'controller'),
        ...(shape.faultInjection ? [process('controller-2', topology.fabricNamespace, secondFile, 'controller')] : []),
        ...topology.nodes.map((node, index): ProcessSpec => {
          const config = agents[index];
          if (config === undefined) throw new RangeError(`no configuration for ${node.name}`);
          return { ...process(`agent-${node.name}`, node.namespace, agentFile(config), 'agent'), host: node.name };
        }),
        ...playing.map((config) => process(`agent-${config.hostName}`, topology.fabricNamespace, agentFile(config), 'agent')),
      ],
    },
    files: [
      { file: controllerFile, content: controller },
      ...(shape.faultInjection ? [{ file: secondFile, content: second }] : []),
      ...[...agents, ...playing].map((config) => ({ file: agentFile(config), content: config })),
    ],
    joins: [...agents, ...playing].map((config) => ({
      process: `agent-${config.hostName}`,
      hosts: config.simulatedHosts?.map((host) => host.name) ?? [config.hostName],
      tokenFile: config.joinTokenFile,
    })),
    directories: [
      controllerDir,
      sharedPool,
      ...agents.map((config) => config.stateDir),
      ...agents.map((config) => path.join(config.stateDir, 'local')),
      ...playing.map((config) => config.stateDir),
    ],
  };
}
