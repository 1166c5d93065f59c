import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readSettings } from '@godwit/contract/config/read-settings';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ConfigError, loadConfig, resolveConfig } from './load-config.ts';

const good = {
  stateDir: '/srv/godwit',
  listen: { address: '127.0.0.1', port: 8774 },
  publicUrl: 'http://127.0.0.1:8774/',
  agentListen: { address: '10.0.0.1', port: 8780, names: ['10.0.0.1'] },
};

describe('resolveConfig', () => {
  it('fills in what is left out', () => {
    expect(resolveConfig(good)).toMatchObject({
      databaseUrl: null,
      publicUrl: 'http://127.0.0.1:8774',
      imageDir: '/srv/godwit/images',
      region: 'RegionOne',
      limits: { outgoingPerHost: 1, incomingPerHost: 1, total: 1000, preparedAhead: 1 },
      logLevel: 'info',
    });
    expect(resolveConfig({ ...good, listen: { inherited: true } }).listen).toEqual({ inherited: true });
  });

  it('lets the environment override', () => {
    const config = resolveConfig(good, {
      DATABASE_URL: 'postgresql://db/godwit',
      GODWIT_STATE_DIR: '/other',
      GODWIT_PUBLIC_URL: 'https://cloud',
    });
    expect(config).toMatchObject({ databaseUrl: 'postgresql://db/godwit', stateDir: '/other', publicUrl: 'https://cloud' });
  });

  it.each([
    [{ ...good, stateDir: undefined }, '"stateDir" must be a text that is not empty'],
    [{ ...good, stateDirectory: '/x' }, '"stateDirectory" is not a setting of the controller'],
    [{ ...good, listen: { address: '::', port: 70_000 } }, '"listen.port" must be a port between 0 and 65535'],
    [{ ...good, listen: 8774 }, '"listen" must be an object'],
    [{ ...good, publicUrl: 'ftp://x' }, '"publicUrl" must be an http or https URL, not ftp://x'],
    [{ ...good, databaseUrl: 'mysql://x' }, '"databaseUrl" must begin with postgresql://'],
    [{ ...good, databaseUrl: 'postgresql://u:p@a:5432,b:5432/godwit' }, '"databaseUrl" names several hosts: '],
    [{ ...good, databaseUrl: 'postgresql:///godwit?host=a,b' }, '"databaseUrl" names several hosts: '],
    [
      { ...good, agentListen: { ...good.agentListen, names: [] } },
      '"agentListen.names" must list the addresses or DNS names by which agents reach this controller',
    ],
    [{ ...good, limits: { outgoingPerHost: 0 } }, '"limits.outgoingPerHost" must be a whole number from 1'],
    [{ ...good, cpuAllocationRatio: -1 }, '"cpuAllocationRatio" must be a number above 0'],
    [{ ...good, logLevel: 'loud' }, '"logLevel" must be one of debug, info, warn, error'],
    [[], 'the configuration must be an object'],
  ])('refuses %j in one sentence', (input, message) => {
    expect(() => resolveConfig(input)).toThrow(message);
  });

  it('answers anything with a configuration or a ConfigError', () => {
    fc.assert(
      fc.property(
        fc.anything(),
        fc.dictionary(fc.constantFrom(...Object.keys(good), 'limits', 'logLevel'), fc.anything()),
        (whole, keys) => {
          for (const input of [whole, { ...good, ...keys }]) {
            try {
              expect(resolveConfig(input).stateDir).toMatch(/^\//);
            } catch (error) {
              expect(error).toBeInstanceOf(ConfigError);
            }
          }
        },
      ),
    );
  });
});

describe('the example that is installed', () => {
  it('is a configuration, every setting of which is known', async () => {
    const example = new URL('../../../../packaging/controller.yaml', import.meta.url);
    expect((await loadConfig(fileURLToPath(example), {})).listen).toEqual({ address: '127.0.0.1', port: 8774 });
    const text = await readFile(example, 'utf8');
    // What stands there as a comment is to be taken into use by deleting the sign alone.
    const all = text.replaceAll(/^#(?=[a-zA-Z]+:| {2}[a-zA-Z]+:)/gm, '');
    expect(resolveConfig(readSettings(all, 'example').value)).toMatchObject({ plainHttp: false, tls: { certificate: expect.anything() } });
  });
});

describe('loadConfig', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'gw-config-'));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  it('names the file and the line in every refusal', async () => {
    const file = join(directory, 'controller.json');
    await expect(loadConfig(file, {})).rejects.toThrow(`the configuration file ${file} cannot be read`);
    await writeFile(file, '{');
    await expect(loadConfig(file, {})).rejects.toThrow(`${file}:1: `);
    await writeFile(file, '{}');
    await expect(loadConfig(file, {})).rejects.toThrow(`${file}: "stateDir" must be a text`);
    const text = `# why\n${JSON.stringify({ ...good, limits: { total: 0 } }, null, 2)}`;
    await writeFile(file, text);
    const line = text.split('\n').findIndex((each) => each.includes('"total"')) + 1;
    await expect(loadConfig(file, {})).rejects.toThrow(`${file}:${line}: "limits.total" must be a whole number from 1`);
    await writeFile(file, JSON.stringify(good));
    expect((await loadConfig(file, {})).region).toBe('RegionOne');
  });
});
