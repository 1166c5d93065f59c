import { expect, test } from 'vitest';
import { configureLab } from './lab-config.ts';
import { planTopology } from './network/topology.ts';

const shape = {
  dir: '/home/someone/a/long/way/down/godwit/.godwit/lab',
  alias: '/run/godwit/gw012345',
  port: 8774,
  simulatedHosts: 2,
  faultInjection: false,
  executable: '/opt/godwit/bin/godwit',
};
const config = configureLab(planTopology('gw012345', 3), shape);

test('every process has its configuration file, and every agent a token file of its own', () => {
  const files = new Set(config.files.map((one) => one.file));
  for (const process of config.plan.processes) expect(files).toContain(process.command[3]);
  expect(config.joins.flatMap((join) => join.hosts)).toEqual(['node1', 'node2', 'node3', 'metal1', 'sim1', 'sim2']);
  expect(new Set(config.joins.map((join) => join.tokenFile)).size).toBe(config.joins.length);
});

test('only the controller gets the public socket, and starts before the tokens exist', () => {
  expect(config.plan.processes.filter((one) => one.inheritsPublicSocket).map((one) => one.name)).toEqual(['controller']);
  expect(config.plan.processes.filter((one) => one.startsAtOnce).map((one) => one.name)).toEqual(['controller']);
});

test('a host loses the power of its own agent only', () => {
  expect(config.plan.processes.filter((one) => one.host === 'node2').map((one) => one.name)).toEqual(['agent-node2']);
  expect(config.plan.processes.find((one) => one.name === 'agent-metal1')?.host).toBeUndefined();
});

test('no two agents listen at one address and port, simulated hosts counted', () => {
  const taken = config.files.flatMap(({ content }) =>
    'hostName' in content
      ? Array.from({ length: content.simulatedHosts?.length ?? 1 }, (_, index) => `${content.managementAddress}:${content.rpcPort + index}`)
      : [`${content.agentListen.address}:${content.agentListen.port}`],
  );
  expect(new Set(taken).size).toBe(taken.length);
});

test('sockets below a host’s directory stay within 107 bytes, however deep the lab’s own directory is', () => {
  for (const host of config.plan.hosts)
    expect(`${host.stateDir}/guests/01234567-89ab-cdef-0123-456789abcdef/oob.sock`.length).toBeLessThanOrEqual(107);
});
