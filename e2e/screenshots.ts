/**
 * Takes the pictures under docs/images: brings up a lab of its own, moves guests on it in every way, and looks at the main pages meanwhile. `make screenshots`.
 */
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { words } from '@godwit/dashboard/words';
import type { Page } from 'playwright-core';
import { credentialsOf, launchBrowser, signIn } from './browser.ts';
import { eventually, labUp } from './lab-harness.ts';

const images = path.join(import.meta.dirname, '..', 'docs', 'images');
await mkdir(images, { recursive: true });
const [lab, browser] = await Promise.all([labUp(), launchBrowser()]);
try {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: 'dark', reducedMotion: 'reduce' });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  const picture = async (name: string, { light = false } = {}): Promise<void> => {
    await page.emulateMedia({ colorScheme: light ? 'light' : 'dark' });
    await page.locator(`html[data-mode=${light ? 'light' : 'dark'}]`).waitFor({ state: 'attached' });
    await page.screenshot({ path: path.join(images, `${name}.png`) });
    console.log(`docs/images/${name}.png`);
  };
  const open = async (title: string): Promise<void> => {
    await page.getByRole('navigation').getByRole('link', { name: title, exact: true }).click();
    await page.getByRole('heading', { name: title, level: 1 }).waitFor();
  };
  const choose = async (button: string, entry: string): Promise<void> => {
    await page.getByRole('button', { name: button }).click();
    await page.getByRole('menuitem', { name: entry, exact: true }).filter({ visible: true }).click();
  };

  const group = await lab.openstack('server group create --policy anti-affinity -f value -c id web');
  const create = (name: string, rest: string) => lab.openstack(`server create --image godwit-demo --network demo --wait ${rest} ${name}`);
  await Promise.all([
    ...['node1', 'node2'].map((host, index) => create(`web-${index + 1}`, `--flavor demo.tiny --host ${host} --hint group=${group}`)),
    ...[1, 2, 3].map((index) => create(`app-${index}`, '--flavor demo.tiny --host node1')),
    create('db-1', '--flavor demo.local --host node2'),
    create('batch-1', '--flavor demo.tiny --host node3'),
  ]);
  await lab.openstack('server migrate --live-migration --wait app-3');
  await lab.openstack('server migrate --live-migration --wait db-1');
  await lab.openstack('server migrate --wait batch-1');
  await signIn(page, lab.url, await credentialsOf(lab.dir, 'admin'));

  // A slow link: long enough to be looked at.
  const moving = await beginSlowMove(page, 'web-1');
  await page.getByText('Migrating').waitFor();
  await page
    .getByText(/^\d+%$/)
    .first()
    .waitFor();
  await picture('instances');
  await page.getByRole('link', { name: 'web-1', exact: true }).click();
  await page.getByRole('region', { name: 'Current move' }).waitFor();
  await page.getByRole('tab', { name: words.tabs.console }).click();
  await page.getByText('Attached.').waitFor();
  await page
    .locator('.xterm-accessibility-tree')
    .getByText(/tick \d+/)
    .first()
    .waitFor({ state: 'attached' });
  await picture('console');
  await page.goto(`${lab.url}/admin/migrations/${moving}`);
  const chart = page.getByRole('region', { name: 'Chart' });
  await eventually(
    async () => Number(/(\d+) reports;/.exec((await chart.textContent()) ?? '')?.[1] ?? 0),
    (reports) => reports > 40,
    60_000,
  );
  await picture('migration');
  await picture('migration-light', { light: true });
  await page.getByText('What can be done about it').click();
  await page.getByRole('button', { name: 'Lift the cap' }).click();
  await page.getByText('completed', { exact: true }).first().waitFor();

  await open('Instances');
  await choose(`${words.more}: app-1`, words.actions['live-migrate']);
  const dialog = page.getByRole('dialog', { name: words.actions['live-migrate'] });
  await dialog.getByText('Can take it').first().waitFor();
  await dialog.getByTestId('prediction').waitFor();
  await picture('live-migrate');
  await dialog.getByRole('button', { name: words.dialog.cancel }).click();

  await open('Compute Hosts');
  await page.getByRole('row').nth(1).waitFor();
  await picture('hosts');
  await choose(`${words.more}: node1`, words.bulkLiveMigrate);
  await page.getByRole('region', { name: 'Plan', exact: true }).getByRole('row').nth(1).waitFor();
  await picture('bulk-live-migrate');
  await page.getByRole('button', { name: words.dialog.confirm, exact: true }).click();
  await page.getByRole('dialog').getByRole('button', { name: words.dialog.confirm }).click();
  await page.getByText('moving', { exact: true }).first().waitFor();
  await picture('bulk-run');
  await page.getByText('completed', { exact: true }).first().waitFor();

  // The group's rule and too few hosts: a move that nothing can take.
  const current = await lab.openstack('server show -f value -c OS-EXT-SRV-ATTR:host web-1');
  await lab.openstack(`server migrate --live-migration --host ${current} web-1`);
  await open('Migrations');
  const failed = page.getByRole('row').filter({ hasText: 'NoValidHost' });
  await failed.waitFor();
  await picture('migrations');
  await failed.getByRole('link', { name: /^Run/ }).click();
  await page.getByRole('region', { name: 'What happened' }).waitFor();
  await picture('migration-failed');
  await open('Server Groups');
  await page.getByRole('row').nth(1).waitFor();
  await picture('server-groups');
} finally {
  await browser.close();
  await lab.down();
}

/** A move that sends 1 MB a second; its id. */
async function beginSlowMove(page: Page, name: string): Promise<string> {
  const answer = await page.evaluate<{ readonly migration: { readonly id: string } }>(`(async () => {
    const headers = { 'x-auth-token': JSON.parse(sessionStorage.getItem('godwit.session')).token, 'content-type': 'application/json' };
    const { servers } = await (await fetch('/compute/v2.1/servers?all_tenants=1&name=${name}', { headers })).json();
    const body = JSON.stringify({ maxBandwidthBytes: 1_000_000 });
    return (await fetch('/godwit/v1/servers/' + servers[0].id + '/live-migrations', { method: 'POST', headers, body })).json();
  })()`);
  return answer.migration.id;
}
