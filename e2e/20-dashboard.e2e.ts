import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { words } from '@godwit/dashboard/words';
import { postCopyRefusal } from '@godwit/domain/convergence/policy';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { axeInBothThemes, credentialsOf, signIn } from './browser.ts';
import { accessibilityTests } from './dashboard-accessibility.ts';
import { consoleTests } from './dashboard-consoles.ts';
import { fleetTests } from './dashboard-fleet.ts';
import { handsTests } from './dashboard-hands.ts';
import { dashboardStage } from './dashboard-stage.ts';
import { eventually, godwit } from './lab-harness.ts';

const run = promisify(execFile);
const liveMigrate = words.actions['live-migrate'];

/** What operators do with the pages, in a real browser against a real lab: one for all, each test going on where the last one ended. */
describe('the dashboard', () => {
  const stage = dashboardStage();
  beforeAll(() => stage.start(), 180_000);
  afterAll(() => stage.stop(), 90_000);
  afterEach(async ({ task }) => {
    if (task.result?.state === 'fail') await stage.keepPicture(task.name);
  });

  it('launches an instance and shows it become active without a reload', async () => {
    const { page } = stage;
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
    await stage.row('web-1').getByText('Active', { exact: true }).waitFor({ timeout: 60_000 });
    expect(await stage.hostOf('web-1')).toMatch(/^node\d$/);
  }, 90_000);

  it('live-migrates by the dialog; the detail page shows the new host without a reload', async () => {
    const { page } = stage;
    const source = await stage.hostOf('web-1');
    await page.getByRole('link', { name: 'web-1', exact: true }).click();
    await page.getByTestId('host').getByText(source).waitFor();
    await page.evaluate('window.notReloaded = true');
    const dialog = await stage.dialogOf('web-1', liveMigrate);
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
    expect(await stage.hostOf('web-1')).toBe(target);
  }, 120_000);

  it('tells the whole run on its page, after a reload too', async () => {
    const { page } = stage;
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
    // However short the copy was, it has its line.
    await page.getByRole('region', { name: 'Chart' }).locator('canvas').waitFor({ state: 'attached' });
    await page.getByRole('region', { name: 'Decision' }).getByText('taken').waitFor();
  }, 60_000);

  it('explains NoValidHost in the record: the cause, where the guest runs, what to do', async () => {
    const { lab, page } = stage;
    const current = await stage.hostOf('web-1');
    await lab.openstack(`server migrate --live-migration --host ${current} web-1`);
    await stage.open('Migrations');
    const failed = page.getByRole('row').filter({ hasText: 'NoValidHost' });
    await failed.getByRole('link', { name: /^Run/ }).click();
    const card = page.getByRole('region', { name: 'What happened' });
    await card.getByText('NoValidHost', { exact: true }).waitFor();
    await card.getByText(`The guest runs on the source, ${current}.`).waitFor();
    await card.getByText('Next step').waitFor();
    expect(await stage.hostOf('web-1')).toBe(current);
  }, 60_000);

  it('disables hosts with a reason, and the dialog then says why nothing is left', async () => {
    const { page } = stage;
    const current = await stage.hostOf('web-1');
    const others = ['node1', 'node2', 'node3'].filter((name) => name !== current);
    await stage.open('Compute Hosts');
    for (const name of others) {
      await page.getByRole('button', { name: `Disable ${name}` }).click();
      await page.getByLabel(/^Reason/).fill('new kernel');
      await page.getByRole('dialog').getByRole('button', { name: 'Disable', exact: true }).click();
      await page.getByRole('button', { name: `Enable ${name}` }).waitFor();
    }
    await stage.open('Instances');
    const dialog = await stage.dialogOf('web-1', liveMigrate);
    await dialog.getByText('No host can take this instance').waitFor();
    expect(await dialog.getByText(/new kernel/).count()).toBeGreaterThan(0);
    expect(await dialog.getByRole('button', { name: words.dialog.confirm }).isDisabled()).toBe(true);
    await dialog.getByRole('button', { name: words.dialog.cancel }).click();
    await dialog.waitFor({ state: 'hidden' });
    await stage.open('Compute Hosts');
    for (const name of others) {
      await page.getByRole('button', { name: `Enable ${name}` }).click();
      await page.getByRole('button', { name: `Disable ${name}` }).waitFor();
    }
  }, 90_000);

  it('says in the menu why an action is impossible', async () => {
    const { page } = stage;
    await stage.open('Instances');
    const metal = (await stage.menu('metal-demo')).getByRole('menuitem', { name: /^Live Migrate/ });
    expect(await metal.getAttribute('aria-disabled')).toBe('true');
    expect(await metal.textContent()).toContain('Bare metal instances cannot be migrated.');
    await page.keyboard.press('Escape');
    const confirm = (await stage.menu('web-1')).getByRole('menuitem', { name: new RegExp(`^${words.actions['confirm-resize']}`) });
    expect(await confirm.textContent()).toContain('Needs status Verify Resize; this instance is Active.');
    await page.keyboard.press('Escape');
  }, 60_000);

  it('migrates cold, then confirms from the inbox; and again, then reverts from the menu', async () => {
    const { page } = stage;
    const first = await stage.hostOf('web-1');
    const dialog = await stage.dialogOf('web-1', words.actions.migrate);
    await dialog.getByRole('button', { name: words.dialog.confirm }).click();
    await stage.row('web-1').getByText('Verify Resize', { exact: true }).waitFor({ timeout: 60_000 });
    await page.getByRole('button', { name: 'Confirm the move of web-1' }).click();
    await stage.row('web-1').getByText('Active', { exact: true }).waitFor({ timeout: 60_000 });
    const second = await stage.hostOf('web-1');
    expect(second).not.toBe(first);
    await (await stage.dialogOf('web-1', words.actions.migrate)).getByRole('button', { name: words.dialog.confirm }).click();
    await stage.row('web-1').getByText('Verify Resize', { exact: true }).waitFor({ timeout: 60_000 });
    await (await stage.menu('web-1')).getByRole('menuitem', { name: words.actions['revert-resize'], exact: true }).click();
    await stage.row('web-1').getByText('Active', { exact: true }).waitFor({ timeout: 60_000 });
    expect(await stage.hostOf('web-1')).toBe(second);
  }, 180_000);

  it('opens pages, instances and hosts from the command palette', async () => {
    const { page } = stage;
    await page.keyboard.press('Control+k');
    await page.getByRole('combobox', { name: 'Page, instance or host' }).fill('web-1');
    await page.getByRole('option', { name: /^web-1/ }).waitFor();
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'web-1', level: 1 }).waitFor();
    await page.getByRole('tab', { name: words.tabs.console }).click();
    expect(new URL(page.url()).searchParams.get('tab')).toBe('console');
  }, 60_000);

  handsTests(stage);

  consoleTests(stage);

  it('gives a running instance a vCPU and memory by Scale', async () => {
    const { lab, page } = stage;
    await lab.openstack('flavor set --property godwit:max_vcpus=2 --property godwit:max_ram_mib=160 demo.local');
    await lab.openstack('server create --image godwit-demo --flavor demo.local --network demo --wait disk-1');
    // Its kernel has to run to take memory.
    await eventually(
      () => lab.openstack('console log show disk-1'),
      (log) => log.includes('ready nonce'),
      60_000,
    );
    await stage.open('Instances');
    await (await stage.menu('disk-1')).getByRole('menuitem', { name: words.actions.scale, exact: true }).click();
    const dialog = page.getByRole('dialog', { name: `${words.actions.scale} disk-1` });
    await dialog.getByText('disk-1 has 1 vCPU and 96 MiB of memory.').waitFor();
    await dialog.getByText('1 to 2', { exact: true }).waitFor();
    await dialog.getByText('96 to 160', { exact: true }).waitFor();
    expect(await axeInBothThemes(page)).toEqual([]);
    await dialog.getByLabel('vCPUs').fill('2');
    await dialog.getByLabel('Memory (MiB)').fill('160');
    await dialog.getByRole('button', { name: words.dialog.confirm }).click();
    await page.getByText('Scaling of disk-1 to 2 vCPUs and 160 MiB accepted').first().waitFor();
    await stage
      .row('disk-1')
      .getByTitle(/^2 vCPUs,/)
      .waitFor();
    const taskOf = async (): Promise<string | null> =>
      (await lab.openstackJson<{ readonly 'OS-EXT-STS:task_state': string | null }>('server show disk-1'))['OS-EXT-STS:task_state'];
    expect(await eventually(taskOf, (task) => task === null, 60_000)).toBeNull();
  }, 180_000);

  it('copies local disks with Block Migrate, which is preset for them', async () => {
    const { page } = stage;
    const source = await stage.hostOf('disk-1');
    const dialog = await stage.dialogOf('disk-1', liveMigrate);
    const block = dialog.getByRole('checkbox', { name: words.fields.blockMigrate });
    expect(await block.isChecked()).toBe(true);
    expect(await block.isEnabled()).toBe(true);
    await dialog.getByText(/local disk.*to copy/).waitFor();
    await dialog.getByRole('button', { name: words.dialog.confirm }).click();
    await page.getByText('Live migration of disk-1 completed').first().waitFor({ timeout: 90_000 });
    expect(await stage.hostOf('disk-1')).not.toBe(source);
    expect(await stage.lab.openstackJson('server show disk-1')).toMatchObject({ flavor: { vcpus: 2, ram: 160 } });
  }, 150_000);

  it('keeps a run’s page true over a reload and the controller’s death; aborts it there, and the guest stays', async () => {
    const { lab, page } = stage;
    const source = await stage.hostOf('web-1');
    const answer = await page.evaluate<{ readonly status: number; readonly body: { readonly migration: { readonly id: string } } }>(
      `(async () => {
        const headers = { 'x-auth-token': JSON.parse(sessionStorage.getItem('godwit.session')).token, 'content-type': 'application/json' };
        const { servers } = await (await fetch('/compute/v2.1/servers?all_tenants=1&name=web-1', { headers })).json();
        const response = await fetch('/godwit/v1/servers/' + servers[0].id + '/live-migrations', { method: 'POST', headers, body: JSON.stringify({ maxBandwidthBytes: 1_000_000 }) });
        return { status: response.status, body: await response.json() };
      })()`,
    );
    expect(answer.status).toBe(202);
    await page.goto(`${lab.url}/admin/migrations/${answer.body.migration.id}`);
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
    // The controller dies while the page is open: it recovers by itself, and misses nothing.
    await page.evaluate('window.notReloaded = true');
    const { stdout } = await run(godwit, ['lab', 'status', '--dir', lab.dir, '--json']);
    const { processes } = JSON.parse(stdout) as { readonly processes: readonly { readonly name: string; readonly pid: number }[] };
    const controller = processes.find(({ name }) => name === 'controller');
    if (controller === undefined) throw new Error('the lab has no controller');
    process.kill(controller.pid, 'SIGKILL');
    await page.getByText('Reconnecting').waitFor();
    await page.getByText('Live', { exact: true }).waitFor({ timeout: 60_000 });
    const seen = async (): Promise<number> =>
      Number(/(\d+) reports;/.exec((await page.getByRole('region', { name: 'Chart' }).textContent()) ?? '')?.[1] ?? 0);
    const reports = await seen();
    await eventually(seen, (now) => now > reports, 60_000);
    expect(await page.evaluate('window.notReloaded')).toBe(true);
    // Every remedy with what it costs; one of them is taken, and holds.
    await page.getByText('What can be done about it').click();
    const remedies = page.getByRole('group', { name: 'Remedies' });
    for (const remedy of ['Raise the blackout', 'Throttle', 'Post-copy now', 'Pause and finish', 'Lift the cap', words.abort])
      await remedies.getByRole('button', { name: remedy, exact: true }).waitFor();
    expect(await remedies.textContent()).toMatch(
      /stand still for up to .*instead of .*CPU time may be taken.*nothing is lost.*the guest is shut down/s,
    );
    expect(await remedies.getByRole('button', { name: 'Post-copy now' }).isDisabled()).toBe(true);
    expect(await remedies.textContent()).toContain(postCopyRefusal.sentence);
    await remedies.getByRole('button', { name: 'Pause and finish' }).click();
    const question = page.getByRole('dialog', { name: 'Force the migration of web-1 to complete?' });
    await question.getByText(/web-1 stands still until the rest is sent/).waitFor();
    expect(await axeInBothThemes(page)).toEqual([]);
    await question.getByRole('button', { name: words.dialog.cancel }).click();
    await remedies.getByRole('button', { name: 'Raise the blackout' }).click();
    await page
      .getByText(/^A blackout of .* is allowed$/)
      .first()
      .waitFor();
    await page.getByRole('button', { name: words.abort, exact: true }).first().click();
    await page.getByRole('dialog', { name: 'Abort the migration of web-1?' }).waitFor();
    expect(await axeInBothThemes(page)).toEqual([]);
    await page.getByRole('dialog').getByRole('button', { name: words.abort, exact: true }).click();
    await page.getByText('cancelled', { exact: true }).first().waitFor({ timeout: 30_000 });
    await page.getByTestId('runs-on').getByText(`The guest runs on the source, ${source}.`).waitFor();
    expect(await stage.hostOf('web-1')).toBe(source);
  }, 240_000);

  fleetTests(stage);

  it('hands the session over to a new tab, and ends it in both', async () => {
    const { lab, page } = stage;
    const tab = await page.context().newPage();
    tab.setDefaultTimeout(20_000);
    await tab.goto(`${lab.url}/admin/users`);
    await tab.getByRole('heading', { name: 'Users', level: 1 }).waitFor();
    await tab.getByRole('button', { name: /^admin · / }).click();
    await tab.getByRole('menuitem', { name: 'Sign out' }).click();
    await tab.getByLabel('User name').waitFor();
    await page.getByLabel('User name').waitFor();
    expect(await page.evaluate(`sessionStorage.getItem('godwit.session')`)).toBeNull();
    await tab.close();
    await signIn(page, lab.url, await credentialsOf(lab.dir, 'admin'));
  }, 60_000);

  it('shelves an instance and takes it back, by the menu', async () => {
    const { page } = stage;
    await stage.open('Instances');
    const choose = async (action: string): Promise<void> =>
      (await stage.menu('web-1')).getByRole('menuitem', { name: action, exact: true }).click();
    await choose(words.actions.shelve);
    await page.getByRole('dialog', { name: 'Shelve web-1?' }).getByRole('button', { name: words.actions.shelve }).click();
    await stage.row('web-1').getByText('Shelved Offloaded', { exact: true }).waitFor({ timeout: 60_000 });
    // It is on no host now; what needs one is disabled and says so.
    const impossible = (await stage.menu('web-1')).getByRole('menuitem', { name: /^Live Migrate/ });
    expect(await impossible.textContent()).toContain('Needs status Active or Paused; this instance is Shelved Offloaded.');
    await page.keyboard.press('Escape');
    await choose(words.actions.unshelve);
    await stage.row('web-1').getByText('Active', { exact: true }).waitFor({ timeout: 60_000 });
    expect(await stage.hostOf('web-1')).toMatch(/^node\d$/);
  }, 150_000);

  it('offers no choice of host in the project view, not even to an admin', async () => {
    const { page } = stage;
    await page.goto(`${stage.lab.url}/project/instances`);
    await stage.row('web-1').waitFor();
    expect(await page.getByText(words.bulkLiveMigrate).count()).toBe(0);
    for (const where of ['row', 'page'] as const) {
      if (where === 'page') await page.getByRole('link', { name: 'web-1', exact: true }).click();
      const menu = await stage.menu('web-1');
      const entries = await menu.getByRole('menuitem').allTextContents();
      expect(entries.filter((entry) => /^(Live )?Migrate/.test(entry))).toEqual([]);
      expect(entries.join()).toContain(words.actions['confirm-resize']);
      expect(entries.join()).toContain(words.actions['revert-resize']);
      await page.keyboard.press('Escape');
      await menu.waitFor({ state: 'hidden' });
    }
    expect(await page.getByRole('tab', { name: words.tabs.migrations }).count()).toBe(0);
    await page.getByText(words.views.administrator, { exact: true }).click();
    await page.getByRole('heading', { name: 'Instances', level: 1 }).waitFor();
  }, 60_000);

  it('shows a member their project only', async () => {
    const credentials = await credentialsOf(stage.lab.dir, 'demo');
    await stage.asAnother('light', 1440, async () => {
      const { page } = stage;
      await signIn(page, stage.lab.url, credentials);
      expect(await page.getByText(words.views.administrator, { exact: true }).count()).toBe(0);
      expect(await page.getByRole('link', { name: 'Compute Hosts' }).count()).toBe(0);
      await stage.lab.openstack('server create --image godwit-demo --flavor demo.tiny --network demo --wait own-1', { as: 'demo' });
      await stage.row('own-1').getByText('Active', { exact: true }).waitFor();
      const entries = await (await stage.menu('own-1')).getByRole('menuitem').allTextContents();
      expect(entries.some((entry) => /^(Live )?Migrate/.test(entry))).toBe(false);
      expect(entries.join()).toContain(words.actions['confirm-resize']);
      await page.keyboard.press('Escape');
      await page.goto(`${stage.lab.url}/admin/instances`);
      await page.getByText(words.administratorRequired).waitFor();
      const status = await page.evaluate<number>(
        `fetch('/godwit/v1/migrations', { headers: { 'x-auth-token': JSON.parse(sessionStorage.getItem('godwit.session')).token } }).then((answer) => answer.status)`,
      );
      expect(status).toBe(403);
    });
  }, 120_000);

  accessibilityTests(stage);

  it('has thrown nothing meanwhile', () => {
    expect(stage.mistakes).toEqual([]);
  });
});
