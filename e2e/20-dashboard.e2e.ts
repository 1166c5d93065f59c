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
    await eventually(
      async () => page.getByRole('log').textContent(),
      (text) => /tick \d+/.test(text ?? ''),
      20_000,
    );
    expect(new URL(page.url()).searchParams.get('tab')).toBe('console');
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
        await open('Instances');
        await page.getByRole('link', { name: 'web-1', exact: true }).click();
        for (const tab of Object.values(words.tabs)) {
          await page.getByRole('tab', { name: tab }).click();
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
