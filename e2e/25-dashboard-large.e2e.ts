import { words } from '@godwit/dashboard/words';
import { inDatabase, multiplyServer } from '@godwit/lab/cloud/multiply-server';
import { type SimulatedCloud, startSimulatedCloud } from '@godwit/lab/cloud/simulated-cloud';
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { axeInBothThemes, launchBrowser, signIn } from './browser.ts';
import { eventually } from './lab-harness.ts';

/** As many as join within a minute on a busy machine; GODWIT_LARGE_HOSTS=1000 is the size that the pages are made for. */
const hosts = Number(process.env['GODWIT_LARGE_HOSTS'] ?? 200);
const servers = 10_000;
const instant = { qemuStartMs: 0, diskCreateMs: 0, bandwidthBytesPerSecond: 0, blackoutMs: 0 };
/** Nothing starts on it, and no copy from it arrives. */
const broken = 'sim2';
/** Its guests write three times what its link carries. */
const overrun = 'sim3';

/** What operators do with a cloud of this size, and what they are told when things go wrong in it: in a real browser, by the same APIs, on simulated hosts. */
describe('the dashboard of a large cloud', () => {
  let cloud: SimulatedCloud;
  let browser: Browser;
  let page: Page;
  const mistakes: string[] = [];

  beforeAll(async () => {
    [cloud, browser] = await Promise.all([
      startSimulatedCloud({
        hosts,
        timings: instant,
        controller: { resizeConfirmWindowSeconds: 3 * 86_400 },
        hostTimings: {
          [broken]: { failureRate: 1 },
          [overrun]: { bandwidthBytesPerSecond: 100_000_000, dirtyBytesPerSecond: 300_000_000 },
        },
      }),
      launchBrowser(),
    ]);
    await create('template', 'sim1');
    await create('breaks', 'sim4');
    await create('never-ends', overrun);
    await create('mover', 'sim5');
    await create('handled', 'sim6');
    for (const name of ['template', 'breaks', 'never-ends', 'mover', 'handled']) await settled(name, 'ACTIVE');
    await act('template', { 'os-stop': null });
    await act('breaks', { 'os-migrateLive': { host: broken, block_migration: 'auto' } });
    await settled('template', 'SHUTOFF');
    await eventually(
      () => hostOf('breaks'),
      (host) => host === broken,
      30_000,
    );
    await multiplyServer(cloud, 'template', servers);
    page = await (await browser.newContext({ viewport: { width: 1440, height: 900 }, reducedMotion: 'reduce' })).newPage();
    page.setDefaultTimeout(30_000);
    page.on('pageerror', (error) => mistakes.push(error.message));
    await signIn(page, cloud.publicUrl, { user: cloud.admin.userName, password: cloud.admin.password });
    // The cloud gives up after five minutes, and clears what it has begun.
  }, 420_000);
  afterAll(async () => {
    await browser?.close();
    await cloud?.stop();
  }, 60_000);

  const modern = { 'openstack-api-version': 'compute 2.87' };
  type Server = {
    readonly id: string;
    readonly status: string;
    readonly flavor: { readonly original_name: string };
    readonly 'OS-EXT-SRV-ATTR:host': string | null;
  };
  async function create(name: string, host: string): Promise<void> {
    const { imageId, flavorId, networkId } = cloud;
    const server = { name, imageRef: imageId, flavorRef: flavorId, networks: [{ uuid: networkId }], host };
    await cloud.client.request('compute', 'POST', '/servers', { body: { server }, headers: modern });
  }
  async function show(name: string): Promise<Server> {
    const found = await cloud.client.request<{ readonly servers: readonly Server[] }>('compute', 'GET', `/servers/detail?name=^${name}$`, {
      headers: modern,
    });
    const [server] = found.servers;
    if (server === undefined) throw new Error(`there is no ${name}`);
    return server;
  }
  const settled = (name: string, status: string): Promise<Server> =>
    eventually(
      () => show(name),
      (server) => server.status === status,
      30_000,
    );
  const hostOf = async (name: string): Promise<string | null> => (await show(name))['OS-EXT-SRV-ATTR:host'];
  /** The newest action of a server, and how it ended. */
  async function lastAction(name: string): Promise<{ readonly action: string; readonly result: string | null }> {
    const base = `/servers/${(await show(name)).id}/os-instance-actions`;
    type Action = { readonly action: string; readonly request_id: string; readonly events?: readonly { readonly result: string | null }[] };
    const { instanceActions } = await cloud.client.request<{ readonly instanceActions: readonly Action[] }>('compute', 'GET', base);
    const [newest] = instanceActions;
    if (newest === undefined) return { action: '', result: null };
    const { instanceAction } = await cloud.client.request<{ readonly instanceAction: Action }>(
      'compute',
      'GET',
      `${base}/${newest.request_id}`,
    );
    return { action: newest.action, result: instanceAction.events?.at(-1)?.result ?? null };
  }
  async function act(name: string, body: object): Promise<void> {
    await cloud.client.request('compute', 'POST', `/servers/${(await show(name)).id}/action`, { body, headers: modern });
  }

  const open = async (title: string): Promise<void> => {
    await page.getByRole('navigation').getByRole('link', { name: title, exact: true }).click();
    await page.getByRole('heading', { name: title, level: 1 }).waitFor();
  };
  const row = (name: string): Locator => page.getByRole('row').filter({ has: page.getByRole('link', { name, exact: true }) });
  const drawn = (): Promise<number> => page.locator('tr[data-row]').count();
  const find = async (name: string): Promise<void> => {
    await open('Instances');
    await page.getByLabel('Filter by name').fill(name);
    await page.locator('.page-head .muted', { hasText: /^1 instance$/ }).waitFor();
  };
  const choose = async (subject: string, entry: string): Promise<void> => {
    await page.getByRole('button', { name: `${words.more}: ${subject}`, exact: true }).click();
    await page.getByRole('menuitem', { name: entry, exact: true }).filter({ visible: true }).click();
  };
  /** The status word of the one instance in the list. */
  const becomes = (name: string, status: string): Promise<void> => row(name).getByText(status, { exact: true }).waitFor();
  const liveMigrate = async (name: string): Promise<Locator> => {
    await find(name);
    await choose(name, words.actions['live-migrate']);
    const dialog = page.getByRole('dialog', { name: words.actions['live-migrate'] });
    await dialog.getByText('Can take it').first().waitFor();
    return dialog;
  };

  it(`scrolls through ${servers} instances, drawing only those in sight; filters and the palette ask the API`, async () => {
    const region = page.getByRole('region', { name: 'Instances' });
    await region.locator('tr[data-row]').first().waitFor();
    const count = page.locator('.page-head .muted');
    expect(await count.textContent()).toBe('100+ instances');
    await eventually(
      async () => {
        await region.evaluate((node) => Object.assign(node, { scrollTop: node.scrollHeight }));
        return count.textContent();
      },
      (text) => text === `${servers + 5} instances`,
      60_000,
    );
    expect(await drawn()).toBeLessThan(80);
    // Wherever it is left, there are rows and no gap.
    for (const share of [0, 0.3, 0.77, 1]) {
      const names = (): Promise<readonly string[]> =>
        region.evaluate((node, at) => {
          Object.assign(node, { scrollTop: node.scrollHeight * at });
          const { left, top, height } = node.getBoundingClientRect();
          return [0.2, 0.5, 0.8].map(
            (part) => node.ownerDocument.elementFromPoint(left + 20, top + height * part)?.closest('tr[data-row]')?.textContent ?? '',
          );
        }, share);
      await eventually(names, (seen) => seen.every((name) => /^(vm-\d+|template|breaks|never-ends|mover|handled)/.test(name)), 15_000);
    }
    await page.getByLabel('Filter by name').fill('vm-7777');
    await row('vm-7777').waitFor();
    await count.getByText('1 instance').waitFor();
    await page.getByLabel('Filter by name').fill('');
    await page.keyboard.press('Control+k');
    await page.getByRole('combobox', { name: 'Page, instance or host' }).fill('vm-4242');
    await page.getByRole('option', { name: /^vm-4242/ }).waitFor();
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'vm-4242', level: 1 }).waitFor();
  }, 120_000);

  it(`lists ${hosts} hosts, and judges all of them for one move`, async () => {
    await open('Compute Hosts');
    await page.getByText(`${hosts} hosts`).waitFor();
    expect(await drawn()).toBeLessThan(80);
    const dialog = await liveMigrate('breaks');
    await eventually(
      () => dialog.getByRole('radio').count(),
      (count) => count === 101,
      15_000,
    );
    expect(await dialog.getByRole('radio', { name: words.automatic }).isChecked()).toBe(true);
    await dialog.getByLabel('Filter hosts by name').fill('sim177');
    await dialog.getByRole('radio', { name: 'sim177' }).check();
    await dialog.getByRole('button', { name: words.dialog.confirm }).click();
    await page.getByText('Live migration of breaks queued').first().waitFor();
  }, 60_000);

  it('tells of a copy that broke: the cause, where the guest runs now, what was undone, what to do', async () => {
    await page.getByText('Live migration of breaks ended: failed').first().waitFor();
    await page.getByRole('link', { name: 'What happened' }).first().click();
    const card = page.getByRole('region', { name: 'What happened' });
    await card.getByText('StreamFailed', { exact: true }).waitFor();
    expect(await card.textContent()).toMatch(
      /The guest runs on the source, sim2\..*prepared on sim177 was undone and its claim given back.*Next step.*link/s,
    );
    expect(await hostOf('breaks')).toBe(broken);
    expect((await show('breaks')).status).toBe('ACTIVE');
  }, 60_000);

  it('gives a move the deadline that its dialog says, and tells that the guest writes faster than its link carries', async () => {
    const dialog = await liveMigrate('never-ends');
    await dialog.getByText('Advanced: what this move may cost').click();
    await dialog.getByLabel('Deadline of the copy').fill('2');
    await dialog.getByRole('button', { name: words.dialog.confirm }).click();
    await page.getByText('Live migration of never-ends ended: failed').first().waitFor();
    await page.getByRole('link', { name: 'What happened' }).last().click();
    const card = page.getByRole('region', { name: 'What happened' });
    await card.getByText('DeadlineExceeded', { exact: true }).waitFor();
    await card.getByText(`The guest runs on the source, ${overrun}.`).waitFor();
    expect(await hostOf('never-ends')).toBe(overrun);
  }, 90_000);

  it('reports each failure of a bulk run, and offers to retry the failed only', async () => {
    await open('Compute Hosts');
    await page.getByRole('button', { name: `${words.more}: ${broken}`, exact: true }).click();
    await page.getByRole('menuitem', { name: words.bulkLiveMigrate, exact: true }).filter({ visible: true }).click();
    // The copies of the template are stopped: each says why it is left out, and what would move it.
    const exclusions = page.getByRole('region', { name: 'Exclusions' });
    await exclusions.getByText('Needs status Active or Paused; this instance is Shutoff.').first().waitFor();
    await page.getByRole('button', { name: words.dialog.confirm, exact: true }).click();
    await page.getByRole('dialog', { name: 'Live-migrate one instance?' }).getByRole('button', { name: words.dialog.confirm }).click();
    await page.getByText('incomplete', { exact: true }).first().waitFor();
    const failed = page.getByRole('region', { name: 'Instances of the operation' }).getByRole('row').filter({ hasText: 'breaks' });
    expect(await failed.textContent()).toContain('StreamFailed');
    await page.getByRole('button', { name: `${words.commands.retry} (1)` }).click();
    await failed.getByText('attempt 2').waitFor();
    await page.getByText('incomplete', { exact: true }).first().waitFor();
  }, 90_000);

  it('decides again when a row’s turn comes, and says where it was planned, where it went and why', async () => {
    await page.goto(`${cloud.publicUrl}/admin/bulk?host=sim5`);
    const proposed = page.getByRole('region', { name: 'Plan', exact: true }).getByTitle(/ \(proposed\)$/);
    const [planned = ''] = ((await proposed.getAttribute('title')) ?? '').split(' ');
    const { services } = await cloud.client.request<{ readonly services: readonly { readonly id: string }[] }>(
      'compute',
      'GET',
      `/os-services?host=${planned}`,
      { headers: modern },
    );
    await cloud.client.request('compute', 'PUT', `/os-services/${services[0]?.id ?? ''}`, {
      body: { status: 'disabled', disabled_reason: 'new kernel' },
      headers: modern,
    });
    await page.getByRole('button', { name: words.dialog.confirm, exact: true }).click();
    await page.getByRole('dialog', { name: 'Live-migrate one instance?' }).getByRole('button', { name: words.dialog.confirm }).click();
    await page.getByText('completed', { exact: true }).first().waitFor();
    const told = await page.getByRole('row').filter({ hasText: 'mover' }).textContent();
    expect(told).toMatch(new RegExp(`planned ${planned}, went to sim\\d+, because ${planned}: disabled: new kernel`));
  }, 60_000);

  it('shows an instance that did not start, with its fault, and among what is odd with what can be done', async () => {
    await create('never-starts', broken);
    await settled('never-starts', 'ERROR');
    await open('Troubleshooting');
    const odd = page.getByRole('row').filter({ hasText: 'never-starts' });
    await odd.getByText('Instance in Error').waitFor();
    expect(await odd.textContent()).toContain('No valid host was found.');
    await odd.getByRole('link', { name: 'never-starts' }).click();
    await page.getByRole('alert').filter({ hasText: 'No valid host was found.' }).first().waitFor();
    // What was seen on the host is in the action's events.
    await page.getByRole('tab', { name: words.tabs.actions }).click();
    await page
      .getByText(/the simulated guest did not start/)
      .first()
      .waitFor();
  }, 60_000);

  it('shows the page of an instance that a list has without waiting for it to be asked for again', async () => {
    await find('handled');
    const held = Promise.withResolvers<void>();
    const asked = /\/compute\/v2\.1\/servers\/[0-9a-f-]{36}$/;
    await page.route(asked, async (route) => {
      await held.promise;
      await route.continue();
    });
    try {
      await page.getByRole('link', { name: 'handled', exact: true }).click();
      await page.getByRole('heading', { name: 'handled', level: 1 }).waitFor({ timeout: 10_000 });
      await page
        .getByTestId('host')
        .getByText(/^sim\d+$/)
        .waitFor({ timeout: 10_000 });
      expect(await page.getByRole('tab', { selected: true }).textContent()).toBe(words.tabs.overview);
    } finally {
      held.resolve();
      await page.unrouteAll({ behavior: 'wait' });
    }
  }, 30_000);

  it('resizes by the menu, and tells how long is left to decide; reverts, rebuilds and rescues', async () => {
    const { flavor } = await cloud.client.request<{ readonly flavor: { readonly id: string } }>('compute', 'POST', '/flavors', {
      body: { flavor: { name: 'larger', ram: 128, vcpus: 2, disk: 1 } },
    });
    await find('handled');
    await choose('handled', words.actions.resize);
    const resize = page.getByRole('dialog', { name: `${words.actions.resize} handled` });
    await resize.getByLabel('Flavor').click();
    await page.locator('.ant-select-item-option', { hasText: 'larger' }).filter({ visible: true }).click();
    await resize.getByRole('button', { name: words.dialog.confirm }).click();
    await becomes('handled', 'Verify Resize');
    const inbox = page.getByRole('region', { name: 'Waiting for confirmation' });
    await inbox.getByText(/confirmed by itself in (3 d|2 d 23 h)/).waitFor();
    await inbox.getByRole('button', { name: 'Revert the move of handled' }).click();
    await becomes('handled', 'Active');
    expect((await show('handled')).flavor.original_name).not.toBe('larger');
    await cloud.client.request('compute', 'DELETE', `/flavors/${flavor.id}`);
    await choose('handled', words.actions.rebuild);
    const rebuild = page.getByRole('dialog', { name: `${words.actions.rebuild} handled` });
    await rebuild.getByText('what is on its root disk is lost').waitFor();
    await rebuild.getByRole('button', { name: words.actions.rebuild }).click();
    await eventually(
      () => lastAction('handled'),
      ({ action, result }) => action === 'rebuild' && result === 'Success',
      30_000,
    );
    await becomes('handled', 'Active');
    await choose('handled', words.actions.rescue);
    await page.getByRole('dialog', { name: 'Rescue handled?' }).getByRole('button', { name: words.actions.rescue }).click();
    await becomes('handled', 'Rescue');
    await choose('handled', words.actions.unrescue);
    await becomes('handled', 'Active');
  }, 120_000);

  it('does the safe thing about what is stuck, when it is told to', async () => {
    await act('handled', { migrate: null });
    await settled('handled', 'VERIFY_RESIZE');
    await inDatabase(
      cloud,
      `update migration set updated_at = now() - interval '36 hours' where status = 'finished' and finished_at is null`,
    );
    await open('Troubleshooting');
    await page.getByRole('button', { name: 'Look again' }).click();
    const odd = page.getByRole('row').filter({ hasText: 'handled' });
    await odd.getByText('Forgotten Verify Resize').waitFor();
    expect(await odd.textContent()).toMatch(/keeps its disk and its room.*Since 1 d ago.*Confirm it, if the guest is well where it is/s);
    await odd.getByRole('button', { name: 'Do it… handled' }).click();
    const question = page.getByRole('dialog', { name: 'handled: do this?' });
    await question.waitFor();
    expect(await axeInBothThemes(page)).toEqual([]);
    await question.getByRole('button', { name: words.dialog.cancel }).click();
    await question.waitFor({ state: 'hidden' });
    expect((await show('handled')).status).toBe('VERIFY_RESIZE');
    await odd.getByRole('button', { name: 'Do it… handled' }).click();
    await question.getByRole('button', { name: words.dialog.confirm }).click();
    await page.getByText('Accepted for handled').first().waitFor();
    await settled('handled', 'ACTIVE');
    await page.getByRole('button', { name: 'Look again' }).click();
    await odd.waitFor({ state: 'hidden' });
  }, 90_000);

  it('has no accessibility violation in the dialogs of hosts that are away or come back', async () => {
    const found: Record<string, readonly string[]> = {};
    const service = async (host: string, body: object): Promise<void> => {
      const { services } = await cloud.client.request<{ readonly services: readonly { readonly id: string }[] }>(
        'compute',
        'GET',
        `/os-services?host=${host}`,
        { headers: modern },
      );
      await cloud.client.request('compute', 'PUT', `/os-services/${services[0]?.id ?? ''}`, { body, headers: modern });
    };
    const look = async (name: string | RegExp): Promise<void> => {
      const dialog = page.getByRole('dialog', { name });
      await dialog.waitFor();
      found[String(name)] = await axeInBothThemes(page);
      await page.keyboard.press('Escape');
      await dialog.waitFor({ state: 'hidden' });
    };
    await service('sim198', { status: 'disabled', disabled_reason: 'new kernel' });
    await service('sim199', { forced_down: true });
    await open('Compute Hosts');
    for (const [host, entry] of [
      ['sim198', words.operations.restore],
      ['sim199', words.operations.evacuate],
    ] as const) {
      await page.getByLabel('Filter by name').fill(host);
      await choose(host, entry);
      if (entry === words.operations.evacuate) await page.getByRole('region', { name: 'Summary of the plan' }).waitFor();
      await look(new RegExp(`^${entry} ${host}`));
    }
    expect(found).toEqual(Object.fromEntries(Object.keys(found).map((name) => [name, []])));
    expect(Object.keys(found)).toHaveLength(2);
  }, 60_000);

  it('has thrown nothing meanwhile', () => {
    expect(mistakes).toEqual([]);
  });
});
