/**
 * Takes the pictures under docs/images of a running lab, while one of its guests moves: `node e2e/screenshots.ts [LAB_DIRECTORY]` (default .godwit/lab,
 * as `make demo` leaves it).
 */
import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { words } from '@godwit/dashboard/words';
import { credentialsOf, launchBrowser, signIn } from './browser.ts';

const labDir = process.argv[2] ?? '.godwit/lab';
const images = path.join(import.meta.dirname, '..', 'docs', 'images');
const server = 'demo-1';

const { publicUrl } = JSON.parse(await readFile(path.join(labDir, 'lab.json'), 'utf8')) as { readonly publicUrl: string };
const browser = await launchBrowser();
try {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: 'dark', reducedMotion: 'reduce' });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  await mkdir(images, { recursive: true });
  const picture = async (name: string): Promise<void> => {
    await page.screenshot({ path: path.join(images, `${name}.png`) });
    console.log(`docs/images/${name}.png`);
  };
  await signIn(page, publicUrl, await credentialsOf(labDir, 'admin'));
  await page.getByRole('link', { name: server, exact: true }).waitFor();
  await picture('instances');
  await page.getByRole('button', { name: `${words.more}: ${server}` }).click();
  await page.getByRole('menuitem', { name: words.actions['live-migrate'], exact: true }).filter({ visible: true }).click();
  const dialog = page.getByRole('dialog', { name: words.actions['live-migrate'] });
  await dialog.getByText('Can take it').first().waitFor();
  await dialog.getByTestId('prediction').waitFor();
  await picture('live-migrate');
  await dialog.getByRole('button', { name: words.dialog.confirm }).click();
  await page.getByRole('link', { name: 'View the run' }).first().click();
  await page.getByText('completed', { exact: true }).first().waitFor();
  await page.getByRole('region', { name: 'Decision' }).waitFor();
  await picture('migration');
  const open = async (title: string): Promise<void> => {
    await page.getByRole('navigation').getByRole('link', { name: title, exact: true }).click();
    await page.getByRole('heading', { name: title, level: 1 }).waitFor();
  };
  await open('Instances');
  await page.getByRole('link', { name: server, exact: true }).click();
  await page.getByRole('tab', { name: words.tabs.console }).click();
  await page.getByText('Attached.').waitFor();
  await page
    .locator('.xterm-accessibility-tree')
    .getByText(/tick \d+/)
    .first()
    .waitFor({ state: 'attached' });
  await picture('console');
  await open('Compute Hosts');
  await page.getByRole('row').nth(1).waitFor();
  await picture('hosts');
  // The fullest host that can be emptied has the most to show.
  const rows = await page
    .getByRole('region', { name: 'Compute Hosts' })
    .getByRole('row')
    .filter({ hasText: 'az' })
    .filter({ hasNotText: 'bare metal' })
    .all();
  const counted = await Promise.all(rows.map(async (row) => ({ row, count: Number(await row.getByRole('cell').nth(3).textContent()) })));
  const fullest = counted.toSorted((one, other) => other.count - one.count)[0];
  await fullest?.row.getByRole('button', { name: new RegExp(`^${words.more}`) }).click();
  await page.getByRole('menuitem', { name: words.bulkLiveMigrate }).filter({ visible: true }).click();
  await page.getByRole('region', { name: 'Plan', exact: true }).getByRole('row').nth(1).waitFor();
  await picture('bulk-live-migrate');
} finally {
  await browser.close();
}
