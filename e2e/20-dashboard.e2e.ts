import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { words } from '@godwit/dashboard/words';
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { axeViolations, credentialsOf, launchBrowser, signIn } from './browser.ts';
import { eventually, godwit, type Lab, labUp } from './lab-harness.ts';

const run = promisify(execFile);
const liveMigrate = words.actions['live-migrate'];

/** What operators do with the pages, in a real browser against a real lab. */
describe('the dashboard', () => {
  let lab: Lab;
  let browser: Browser;
  let page: Page;
  const mistakes: string[] = [];

  beforeAll(async () => {
    [lab, browser] = await Promise.all([labUp(), launchBrowser()]);
    page = await newPage('dark');
    await signIn(page, lab.url, await credentialsOf(lab.dir, 'admin'));
  }, 180_000);
  afterAll(async () => {
    await browser?.close();
    await lab?.down();
  }, 90_000);

  const newPage = async (colorScheme: 'dark' | 'light', width = 1440): Promise<Page> => {
    const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme, reducedMotion: 'reduce' });
    const made = await context.newPage();
    made.setDefaultTimeout(20_000);
    made.on('pageerror', (error) => mistakes.push(error.message));
    return made;
  };
  const open = async (title: string): Promise<void> => {
    await page.getByRole('navigation').getByRole('link', { name: title, exact: true }).click();
    await page.getByRole('heading', { name: title, level: 1 }).waitFor();
  };
  const menu = async (server: string): Promise<Locator> => {
    await page.getByRole('button', { name: `${words.more}: ${server}` }).click();
    return page.getByRole('menu').filter({ visible: true });
  };
  const dialogOf = async (server: string, action: string): Promise<Locator> => {
    await (await menu(server)).getByRole('menuitem', { name: action, exact: true }).click();
    const dialog = page.getByRole('dialog', { name: action });
    await dialog.getByText('Can take it').or(dialog.getByText('No host can take')).first().waitFor();
    return dialog;
  };
  const hostOf = async (server: string): Promise<string> =>
    (await lab.openstackJson<{ readonly 'OS-EXT-SRV-ATTR:host': string }>(`server show ${server}`))['OS-EXT-SRV-ATTR:host'];
  const row = (server: string): Locator => page.getByRole('row').filter({ has: page.getByRole('link', { name: server, exact: true }) });

  it('launches an instance and shows it become active without a reload', async () => {
    await page.getByRole('button', { name: words.launchInstance }).click();
    const dialog = page.getByRole('dialog', { name: words.launchInstance });
    await dialog.getByLabel('Name').fill('web-1');
    for (const [field, option] of [
      ['Image', 'godwit-demo'],
      ['Flavor', 'demo.tiny'],
      ['Networks', 'demo'],
    ] as const) {
      await dialog.getByLabel(field).click();
      await page.locator('.ant-select-item-option', { hasText: option }).filter({ visible: true }).first().click();
    }
    await dialog.getByRole('button', { name: words.launchInstance }).click();
    await row('web-1').getByText('Active', { exact: true }).waitFor({ timeout: 60_000 });
    expect(await hostOf('web-1')).toMatch(/^node\d$/);
  }, 90_000);

  it('live-migrates by the dialog; the detail page shows the new host without a reload', async () => {
    const source = await hostOf('web-1');
    await page.getByRole('link', { name: 'web-1', exact: true }).click();
    await page.getByTestId('host').getByText(source).waitFor();
    await page.evaluate('window.notReloaded = true');
    const dialog = await dialogOf('web-1', liveMigrate);
    for (const field of Object.values(words.fields)) await dialog.getByText(field, { exact: true }).first().waitFor();
    expect(await dialog.getByRole('radio', { name: words.automatic }).isChecked()).toBe(true);
    expect(await dialog.getByRole('radio', { name: source }).isDisabled()).toBe(true);
    expect(await dialog.getByText('metal1').count()).toBe(0);
    expect(await dialog.getByRole('checkbox', { name: words.fields.blockMigrate }).isDisabled()).toBe(true);
    const target = source === 'node1' ? 'node2' : 'node1';
    await dialog.getByRole('radio', { name: target }).check();
    await dialog.getByRole('button', { name: words.dialog.confirm }).click();
    await page.getByText('Live migration of web-1 queued').first().waitFor();
    expect(await page.getByRole('link', { name: 'View the run' }).first().getAttribute('href')).toMatch(
      /^\/admin\/migrations\/[0-9a-f-]{36}$/,
    );
    await page.getByText('Live migration of web-1 completed').first().waitFor({ timeout: 60_000 });
    await page.getByTestId('host').getByText(target).waitFor();
    expect(await page.evaluate('window.notReloaded')).toBe(true);
    expect(await hostOf('web-1')).toBe(target);
  }, 120_000);

  it('tells the whole run on its page, after a reload too', async () => {
    // The message with its link is gone after a while; the tab keeps it.
    await page.getByRole('tab', { name: words.tabs.migrations }).click();
    await page
      .getByRole('link', { name: /^Run \d+$/ })
      .first()
      .click();
    await page.getByRole('heading', { name: /^Run \d+: web-1$/, level: 1 }).waitFor();
    await page.reload();
    await page.getByText('completed', { exact: true }).first().waitFor();
    expect(await page.getByRole('progressbar').getAttribute('aria-valuenow')).toBe('100');
    expect(await page.getByRole('list', { name: 'Phases' }).textContent()).toMatch(/copying\s*\d.*switchover\s*\d/s);
    expect(await page.getByRole('region', { name: 'Measures' }).textContent()).toMatch(/Blackout\s*\d+(\.\d+)? ms/);
    await page.getByRole('region', { name: 'Decision' }).getByText('taken').waitFor();
  }, 60_000);

  it('explains NoValidHost in the record: the cause, where the guest runs, what to do', async () => {
    const current = await hostOf('web-1');
    await lab.openstack(`server migrate --live-migration --host ${current} web-1`);
    await open('Migrations');
    const failed = page.getByRole('row').filter({ hasText: 'NoValidHost' });
    await failed.getByRole('link', { name: /^Run/ }).click();
    const card = page.getByRole('region', { name: 'What happened' });
    await card.getByText('NoValidHost', { exact: true }).waitFor();
    await card.getByText(`The guest runs on the source, ${current}.`).waitFor();
    await card.getByText('Next step').waitFor();
    expect(await hostOf('web-1')).toBe(current);
  }, 60_000);

  it('disables hosts with a reason, and the dialog then says why nothing is left', async () => {
    const current = await hostOf('web-1');
    const others = ['node1', 'node2', 'node3'].filter((name) => name !== current);
    await open('Compute Hosts');
    for (const name of others) {
      await page.getByRole('button', { name: `Disable ${name}` }).click();
      await page.getByLabel(/^Reason/).fill('new kernel');
      await page.getByRole('dialog').getByRole('button', { name: 'Disable', exact: true }).click();
      await page.getByRole('button', { name: `Enable ${name}` }).waitFor();
    }
    await open('Instances');
    const dialog = await dialogOf('web-1', liveMigrate);
    await dialog.getByText('No host can take this instance').waitFor();
    expect(await dialog.getByText(/new kernel/).count()).toBeGreaterThan(0);
    expect(await dialog.getByRole('button', { name: words.dialog.confirm }).isDisabled()).toBe(true);
    await dialog.getByRole('button', { name: words.dialog.cancel }).click();
    await dialog.waitFor({ state: 'hidden' });
    await open('Compute Hosts');
    for (const name of others) {
      await page.getByRole('button', { name: `Enable ${name}` }).click();
      await page.getByRole('button', { name: `Disable ${name}` }).waitFor();
    }
  }, 90_000);

  it('says in the menu why an action is impossible', async () => {
    await open('Instances');
    const metal = (await menu('metal-demo')).getByRole('menuitem', { name: /^Live Migrate/ });
    expect(await metal.getAttribute('aria-disabled')).toBe('true');
    expect(await metal.textContent()).toContain('Bare metal instances cannot be migrated.');
    await page.keyboard.press('Escape');
    const confirm = (await menu('web-1')).getByRole('menuitem', { name: new RegExp(`^${words.actions['confirm-resize']}`) });
    expect(await confirm.textContent()).toContain('Needs status Verify Resize; this instance is Active.');
    await page.keyboard.press('Escape');
  }, 60_000);

  it('migrates cold, then confirms from the inbox; and again, then reverts from the menu', async () => {
    const first = await hostOf('web-1');
    const dialog = await dialogOf('web-1', words.actions.migrate);
    await dialog.getByRole('button', { name: words.dialog.confirm }).click();
    await row('web-1').getByText('Verify Resize', { exact: true }).waitFor({ timeout: 60_000 });
    await page.getByRole('button', { name: 'Confirm the move of web-1' }).click();
    await row('web-1').getByText('Active', { exact: true }).waitFor({ timeout: 60_000 });
    const second = await hostOf('web-1');
    expect(second).not.toBe(first);
    await (await dialogOf('web-1', words.actions.migrate)).getByRole('button', { name: words.dialog.confirm }).click();
    await row('web-1').getByText('Verify Resize', { exact: true }).waitFor({ timeout: 60_000 });
    await (await menu('web-1')).getByRole('menuitem', { name: words.actions['revert-resize'], exact: true }).click();
    await row('web-1').getByText('Active', { exact: true }).waitFor({ timeout: 60_000 });
    expect(await hostOf('web-1')).toBe(second);
  }, 180_000);

  it('recovers by itself when the controller is killed, and misses nothing', async () => {
    await open('Migrations');
    await page.evaluate('window.notReloaded = true');
    const before = await page.getByRole('link', { name: /^Run/ }).count();
    const { stdout } = await run(godwit, ['lab', 'status', '--dir', lab.dir, '--json']);
    const controller = (
      JSON.parse(stdout) as { readonly processes: readonly { readonly name: string; readonly pid: number }[] }
    ).processes.find(({ name }) => name === 'controller');
    expect(controller).toBeDefined();
    process.kill(controller?.pid ?? 0, 'SIGKILL');
    await page.getByText('Reconnecting').waitFor();
    await page.getByText('Live', { exact: true }).waitFor({ timeout: 60_000 });
    await eventually(
      async () =>
        lab.openstack('server migrate --live-migration web-1').then(
          () => true,
          () => false,
        ),
      Boolean,
      60_000,
    );
    await eventually(
      async () => page.getByRole('link', { name: /^Run/ }).count(),
      (count) => count === before + 1,
      30_000,
    );
    await page.getByRole('row').nth(1).getByText('completed').waitFor({ timeout: 60_000 });
    expect(await page.evaluate('window.notReloaded')).toBe(true);
  }, 180_000);

  it('opens pages, instances and hosts from the command palette', async () => {
    await page.keyboard.press('Control+k');
    await page.getByRole('combobox', { name: 'Page, instance or host' }).fill('web-1');
    await page.getByRole('option', { name: /^web-1/ }).waitFor();
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'web-1', level: 1 }).waitFor();
    await page.getByRole('tab', { name: words.tabs.console }).click();
    expect(new URL(page.url()).searchParams.get('tab')).toBe('console');
  }, 60_000);

  it('keeps the serial console attached across a move: the guest’s clock ticks on, no line lost or doubled', async () => {
    // xterm.js shows what it holds to screen readers as rows of text.
    const ticks = async (): Promise<readonly number[]> =>
      [...((await page.locator('.xterm-accessibility-tree').textContent()) ?? '').matchAll(/tick (\d+)/g)].map((match) => Number(match[1]));
    await page.getByText('Attached.').waitFor();
    const source = await hostOf('web-1');
    await page.getByText(`The guest is on ${source}.`).waitFor();
    const [before = 0] = (await eventually(ticks, (seen) => seen.length > 0, 20_000)).slice(-1);
    const dialog = await dialogOf('web-1', liveMigrate);
    await dialog.getByRole('button', { name: words.dialog.confirm }).click();
    await page.getByText('Live migration of web-1 completed').first().waitFor({ timeout: 60_000 });
    const target = await hostOf('web-1');
    expect(target).not.toBe(source);
    await page.getByText(`The guest is on ${target}.`).waitFor();
    const after = await eventually(ticks, (seen) => (seen.at(-1) ?? 0) > before + 4, 30_000);
    const shown = after.slice(after.lastIndexOf(before));
    expect(shown).toEqual(shown.map((_, index) => (shown[0] ?? 0) + index));
    // What is typed reaches the guest: its terminal echoes it.
    await page.getByRole('textbox', { name: 'Serial console of web-1' }).focus();
    await page.keyboard.type('knock knock');
    await eventually(
      async () => page.locator('.xterm-accessibility-tree').textContent(),
      (text) => (text ?? '').includes('knock knock'),
      20_000,
    );
  }, 120_000);

  it('shows a guest’s display, and goes on showing it where it has moved', async () => {
    await lab.openstack('flavor create --ram 96 --vcpus 1 --disk 0 --property godwit:display=vnc demo.display');
    await lab.openstack('server create --image godwit-demo --flavor demo.display --network demo --wait screen-1');
    await open('Instances');
    await page.getByRole('link', { name: 'screen-1', exact: true }).click();
    await page.getByRole('tab', { name: words.tabs.console }).click();
    await page.getByText(words.consoles.display, { exact: true }).click();
    const attached = page.locator('[data-attached=true] canvas');
    // The guest's picture changes every second: its clock is on it.
    const picture = async (): Promise<string> => attached.evaluate((canvas) => (canvas as unknown as { toDataURL(): string }).toDataURL());
    const changes = async (): Promise<void> => {
      await attached.waitFor({ timeout: 30_000 });
      const first = await picture();
      await eventually(picture, (now) => now !== first, 20_000);
    };
    await changes();
    await lab.openstack('server migrate --live-migration --wait screen-1');
    await changes();
    await lab.openstack('server delete --wait screen-1');
  }, 180_000);

  it('copies local disks with Block Migrate, which is preset for them', async () => {
    await lab.openstack('server create --image godwit-demo --flavor demo.local --network demo --wait disk-1');
    await open('Instances');
    const source = await hostOf('disk-1');
    const dialog = await dialogOf('disk-1', liveMigrate);
    const block = dialog.getByRole('checkbox', { name: words.fields.blockMigrate });
    expect(await block.isChecked()).toBe(true);
    expect(await block.isEnabled()).toBe(true);
    await dialog.getByText(/local disk.*to copy/).waitFor();
    await dialog.getByRole('button', { name: words.dialog.confirm }).click();
    await page.getByText('Live migration of disk-1 completed').first().waitFor({ timeout: 90_000 });
    expect(await hostOf('disk-1')).not.toBe(source);
  }, 150_000);

  it('aborts a move from its page; the guest stays where it is', async () => {
    const source = await hostOf('web-1');
    const answer = await page.evaluate<{ readonly status: number; readonly body: { readonly migration: { readonly id: string } } }>(
      `(async () => {
        const headers = { 'x-auth-token': JSON.parse(sessionStorage.getItem('godwit.session')).token, 'content-type': 'application/json' };
        const { servers } = await (await fetch('/compute/v2.1/servers?all_tenants=1&name=web-1', { headers })).json();
        const response = await fetch('/godwit/v1/servers/' + servers[0].id + '/live-migrations', { method: 'POST', headers, body: JSON.stringify({ maxBandwidthBytes: 1_000_000 }) });
        return { status: response.status, body: await response.json() };
      })()`,
    );
    expect(answer.status).toBe(202);
    await open('Migrations');
    await page
      .getByRole('link', { name: /^Run \d+$/ })
      .first()
      .click();
    await page.getByRole('list', { name: 'Phases' }).getByText('copying').waitFor();
    await page.locator('.phases .current', { hasText: 'copying' }).waitFor();
    await page
      .getByRole('region', { name: 'Chart' })
      .getByText(/reports;/)
      .waitFor();
    const shown = Number(await page.getByRole('progressbar').getAttribute('aria-valuenow'));
    // A page that is opened late draws the same chart, and its bar is no shorter.
    await page.reload();
    await page
      .getByRole('region', { name: 'Chart' })
      .getByText(/reports;/)
      .waitFor();
    expect(Number(await page.getByRole('progressbar').getAttribute('aria-valuenow'))).toBeGreaterThanOrEqual(shown);
    await page.getByRole('button', { name: words.abort, exact: true }).first().click();
    await page.getByRole('dialog').getByRole('button', { name: words.abort, exact: true }).click();
    await page.getByText('cancelled', { exact: true }).first().waitFor({ timeout: 30_000 });
    await page.getByTestId('runs-on').getByText(`The guest runs on the source, ${source}.`).waitFor();
    expect(await hostOf('web-1')).toBe(source);
  }, 120_000);

  it('moves a host’s instances in bulk: plans first, keeps the rest when a row is edited, and keeps members apart', async () => {
    const group = await lab.openstack('server group create --policy anti-affinity -f value -c id apart');
    // Two on node1 that go anywhere, and one member of the group; the other member is on node2.
    await Promise.all(
      [
        '--availability-zone az1:node1 bulk-1',
        '--availability-zone az1:node1 bulk-2',
        `--availability-zone az1:node1 --hint group=${group} ha-1`,
        `--availability-zone az2:node2 --hint group=${group} ha-2`,
      ].map(async (rest) => lab.openstack(`server create --image godwit-demo --flavor demo.tiny --network demo --wait ${rest}`)),
    );
    await open('Compute Hosts');
    await page.getByRole('button', { name: `${words.more}: node1` }).click();
    await page.getByRole('menuitem', { name: words.bulkLiveMigrate }).filter({ visible: true }).click();
    await page.getByRole('heading', { name: words.bulkLiveMigrate, level: 1 }).waitFor();
    const plan = page.getByRole('region', { name: 'Plan', exact: true });
    const planned = (server: string): Locator =>
      plan.getByRole('row').filter({ has: page.getByRole('link', { name: server, exact: true }) });
    await planned('ha-1').getByText('node3 (proposed)').first().waitFor();
    await page.getByRole('combobox', { name: 'Destination of bulk-1' }).click();
    await page.locator('.ant-select-item-option', { hasText: 'node3, pinned' }).filter({ visible: true }).click();
    await planned('bulk-1').getByText('node3, pinned').first().waitFor();
    for (const server of ['bulk-2', 'ha-1']) await planned(server).waitFor();
    // Whatever else earlier tests have left here.
    for (const name of ['web-1', 'disk-1', 'own-1']) {
      const out = page.getByRole('button', { name: `Leave out ${name}` });
      if (await out.isVisible()) await out.click();
    }
    expect(await hostOf('bulk-1')).toBe('node1');
    await page.getByRole('button', { name: words.dialog.confirm, exact: true }).click();
    const question = page.getByRole('dialog', { name: 'Live-migrate 3 instances?' });
    await question.getByRole('button', { name: words.dialog.confirm }).click();
    await page.getByRole('heading', { name: `${words.operations.bulk} of 3 instances`, level: 1 }).waitFor();
    await page.reload();
    await page.getByText('completed', { exact: true }).first().waitFor({ timeout: 90_000 });
    const hosts = await Promise.all(['bulk-1', 'bulk-2', 'ha-1', 'ha-2'].map(hostOf));
    expect(hosts[0]).toBe('node3');
    expect(hosts[1]).not.toBe('node1');
    expect(hosts[2]).toBe('node3');
    expect(hosts[3]).toBe('node2');
    const download = page.waitForEvent('download');
    await page.getByRole('button', { name: words.export }).click();
    await page.getByRole('menuitem', { name: 'CSV' }).click();
    expect((await download).suggestedFilename()).toMatch(/^bulk-.*\.csv$/);
  }, 240_000);

  it('overrides a hard group rule: out, moved, in again, and the group says what is not as it should be', async () => {
    await open('Server Groups');
    await page.getByRole('button', { name: 'Remove ha-1 from apart' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Remove', exact: true }).click();
    await page.getByRole('button', { name: 'Remove ha-1 from apart' }).waitFor({ state: 'hidden' });
    await lab.openstack('server migrate --live-migration --host node2 --wait ha-1');
    await page.getByRole('button', { name: 'Add a member to apart' }).click();
    const dialog = page.getByRole('dialog', { name: 'Add a member to apart' });
    await dialog.getByRole('combobox', { name: words.fields.instance }).fill('ha-1');
    await page.locator('.ant-select-item-option', { hasText: 'ha-1' }).filter({ visible: true }).click();
    await dialog.getByRole('button', { name: 'Add', exact: true }).click();
    await page
      .getByText(/ha-1.*ha-2.*node2|ha-2.*ha-1.*node2|node2.*ha-1/)
      .first()
      .waitFor();
    await Promise.all(['bulk-1', 'bulk-2', 'ha-1', 'ha-2', 'disk-1'].map(async (name) => lab.openstack(`server delete ${name}`)));
  }, 120_000);

  it('hands the session over to a new tab, and ends it in both', async () => {
    const tab = await page.context().newPage();
    tab.setDefaultTimeout(20_000);
    await tab.goto(`${lab.url}/admin/users`);
    await tab.getByRole('heading', { name: 'Users', level: 1 }).waitFor();
    await tab.getByRole('button', { name: /^admin · / }).click();
    await tab.getByRole('menuitem', { name: 'Sign out' }).click();
    await tab.getByLabel('User name').waitFor();
    await page.getByLabel('User name').waitFor();
    await tab.close();
    await signIn(page, lab.url, await credentialsOf(lab.dir, 'admin'));
  }, 60_000);

  it('shows a member their project only', async () => {
    const credentials = await credentialsOf(lab.dir, 'demo');
    const admins = page;
    page = await newPage('light');
    try {
      await signIn(page, lab.url, credentials);
      expect(await page.getByText(words.views.administrator, { exact: true }).count()).toBe(0);
      expect(await page.getByRole('link', { name: 'Compute Hosts' }).count()).toBe(0);
      await lab.openstack('server create --image godwit-demo --flavor demo.tiny --network demo --wait own-1', { as: 'demo' });
      await row('own-1').getByText('Active', { exact: true }).waitFor();
      const entries = await (await menu('own-1')).getByRole('menuitem').allTextContents();
      expect(entries.some((entry) => /^(Live )?Migrate/.test(entry))).toBe(false);
      expect(entries.join()).toContain(words.actions['confirm-resize']);
      await page.keyboard.press('Escape');
      await page.goto(`${lab.url}/admin/instances`);
      await page.getByText(words.administratorRequired).waitFor();
      const status = await page.evaluate<number>(
        `fetch('/godwit/v1/migrations', { headers: { 'x-auth-token': JSON.parse(sessionStorage.getItem('godwit.session')).token } }).then((answer) => answer.status)`,
      );
      expect(status).toBe(403);
    } finally {
      await page.context().close();
      page = admins;
    }
  }, 120_000);

  for (const scheme of ['dark', 'light'] as const) {
    it(`has no accessibility violation on any page, ${scheme}, 1024 px`, async () => {
      const admins = page;
      page = await newPage(scheme, 1024);
      const found: string[] = [];
      const check = async (where: string): Promise<void> => {
        for (const violation of await axeViolations(page)) found.push(`${where}: ${violation}`);
      };
      try {
        await page.goto(`${lab.url}/sign-in`);
        await page.getByLabel('User name').waitFor();
        await check('sign in');
        await signIn(page, lab.url, await credentialsOf(lab.dir, 'admin'));
        await row('web-1').waitFor();
        await check('instances');
        await (await menu('web-1')).waitFor();
        await check('menu');
        await page.keyboard.press('Escape');
        for (const action of [liveMigrate, words.actions.migrate]) {
          const dialog = await dialogOf('web-1', action);
          await check(action);
          await dialog.getByRole('button', { name: words.dialog.cancel }).click();
          await dialog.waitFor({ state: 'hidden' });
        }
        await page.getByRole('button', { name: words.launchInstance }).click();
        await page.getByRole('dialog', { name: words.launchInstance }).waitFor();
        await check(words.launchInstance);
        await page.getByRole('dialog').getByRole('button', { name: words.dialog.cancel }).click();
        await page.getByRole('dialog').waitFor({ state: 'hidden' });
        for (const title of [
          'Migrations',
          'Compute Hosts',
          'Server Groups',
          'Availability Zones / Aggregates',
          'Flavors',
          'Images',
          'Networks',
          'Projects',
          'Users',
          'Roles',
          'Troubleshooting',
        ]) {
          await open(title);
          await page.getByText('Loading…').waitFor({ state: 'hidden' });
          await check(title);
        }
        await open('Migrations');
        for (const link of ['completed', 'NoValidHost']) {
          await page.getByRole('row').filter({ hasText: link }).first().getByRole('link', { name: /^Run/ }).click();
          await page.getByRole('heading', { name: /^Run/, level: 1 }).waitFor();
          await check(`run, ${link}`);
          await page.goBack();
        }
        for (const [path, heading] of [
          [`bulk?host=${await hostOf('web-1')}`, words.bulkLiveMigrate],
          [`drain?kind=rolling&hosts=${await hostOf('web-1')}`, 'Drain and maintenance'],
        ] as const) {
          await page.goto(`${lab.url}/admin/${path}`);
          await page.getByRole('heading', { name: heading, level: 1 }).waitFor();
          await page.getByRole('region', { name: 'Plan', exact: true }).waitFor();
          await check(heading);
        }
        await page.goto(`${lab.url}/guide`);
        await page.getByRole('article').waitFor();
        await check('guide');
        await open('Migrations');
        await page
          .getByRole('link', { name: new RegExp(`^${words.operations.bulk} of`) })
          .first()
          .click();
        await page.getByRole('region', { name: 'Instances of the operation' }).waitFor();
        await check('operation');
        await open('Instances');
        await page.getByRole('link', { name: 'web-1', exact: true }).click();
        for (const tab of Object.values(words.tabs)) {
          await page.getByRole('tab', { name: tab }).click();
          if (tab === words.tabs.console) await page.getByText('Attached.').waitFor();
          await check(tab);
        }
        await page.getByText(words.views.project, { exact: true }).first().click();
        for (const title of ['Instances', 'Images', 'Server Groups', 'Key Pairs', 'Networks']) {
          await open(title);
          await page.getByText('Loading…').waitFor({ state: 'hidden' });
          await check(`project ${title}`);
        }
      } finally {
        await page.context().close();
        page = admins;
      }
      expect(found).toEqual([]);
    }, 180_000);
  }

  it('has thrown nothing meanwhile', () => {
    expect(mistakes).toEqual([]);
  });
});
