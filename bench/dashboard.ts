/**
 * The dashboard against a simulated cloud of 1,000 hosts: when the first screen is there, how smoothly the list of all servers scrolls, how long a filter takes.
 * Run: node bench/run.ts dashboard [SERVERS]
 */
import { setTimeout as delay } from 'node:timers/promises';
import { multiplyServer } from '@godwit/lab/cloud/multiply-server';
import { type SimulatedCloud, startSimulatedCloud } from '@godwit/lab/cloud/simulated-cloud';
import { chromium, type Page } from 'playwright-core';
import { printed, type Summary, summarise } from './quantiles.ts';

const hostCount = 1_000;
const rounds = 7;
const frames = 400;
/** A fast turn of the wheel at every frame. */
const scrollPx = 400;

const executablePath = process.env['GODWIT_CHROMIUM'] ?? '/usr/bin/chromium';
const instant = { qemuStartMs: 0, diskCreateMs: 0, bandwidthBytesPerSecond: 0, blackoutMs: 0 };

export type DashboardFigures = {
  readonly hosts: number;
  readonly servers: number;
  readonly instancesMs: Summary | null;
  readonly hostsMs: Summary | null;
  readonly frameMs: Summary | null;
  /** Rows that the page holds, of all. */
  readonly rowsDrawn: number;
  readonly filterMs: Summary | null;
};

export async function benchDashboard(servers: number): Promise<DashboardFigures> {
  const cloud = await startSimulatedCloud({ hosts: hostCount, timings: instant });
  const browser = await chromium.launch({ executablePath, args: ['--headless', '--no-sandbox', '--disable-gpu'] });
  try {
    await seed(cloud, servers);
    const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, reducedMotion: 'reduce' });
    const page = await context.newPage();
    page.setDefaultTimeout(60_000);
    await page.goto(cloud.publicUrl);
    await page.getByLabel('User name').fill(cloud.admin.userName);
    await page.getByLabel('Password', { exact: true }).fill(cloud.admin.password);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('heading', { name: 'Instances', level: 1 }).waitFor();
    const instancesMs = await firstScreens(page, `${cloud.publicUrl}/admin/instances`);
    console.log(`first screen of Instances, ${servers} servers: ${printed(instancesMs)} ms`);
    const hostsMs = await firstScreens(page, `${cloud.publicUrl}/admin/hosts`);
    console.log(`first screen of Compute Hosts, ${hostCount} hosts: ${printed(hostsMs)} ms`);
    await firstScreen(page, `${cloud.publicUrl}/admin/instances`);
    await loadAll(page);
    const scrolled = await scroll(page);
    const frameMs = summarise(scrolled.frames);
    console.log(`scrolling ${servers} servers, ${scrollPx} px a frame: ${printed(frameMs)} ms a frame, ${scrolled.rows} rows drawn`);
    const filtered: number[] = [];
    for (let round = 0; round < rounds; round++) filtered.push(await filter(page, `vm-${round * 1_111 + 777}`));
    const filterMs = summarise(filtered);
    console.log(`filter by name, from the last key to the row: ${printed(filterMs)} ms`);
    return { hosts: hostCount, servers, instancesMs, hostsMs, frameMs, rowsDrawn: scrolled.rows, filterMs };
  } finally {
    await browser.close();
    await cloud.stop();
  }
}

/** Created one by one they would take longer than everything that is measured. */
async function seed(cloud: SimulatedCloud, servers: number): Promise<void> {
  const { client, imageId, flavorId, networkId } = cloud;
  const { server } = await client.request<{ readonly server: { readonly id: string } }>('compute', 'POST', '/servers', {
    body: { server: { name: 'template', imageRef: imageId, flavorRef: flavorId, networks: [{ uuid: networkId }] } },
  });
  const becomes = async (status: string): Promise<void> => {
    for (const until = performance.now() + 60_000; performance.now() < until; await delay(100)) {
      const now = await client.request<{ readonly server: { readonly status: string } }>('compute', 'GET', `/servers/${server.id}`);
      if (now.server.status === status) return;
    }
    throw new Error(`the template did not become ${status} within a minute`);
  };
  await becomes('ACTIVE');
  await client.request('compute', 'POST', `/servers/${server.id}/action`, { body: { 'os-stop': null } });
  await becomes('SHUTOFF');
  await multiplyServer(cloud, 'template', servers);
}

async function firstScreens(page: Page, url: string): Promise<Summary | null> {
  const took: number[] = [];
  for (let round = 0; round < rounds; round++) took.push(await firstScreen(page, url));
  return summarise(took);
}

/** From the navigation to a table with rows. */
async function firstScreen(page: Page, url: string): Promise<number> {
  await page.goto('about:blank');
  const at = performance.now();
  await page.goto(url);
  await page.locator('tr[data-row]').first().waitFor();
  return performance.now() - at;
}

/** Scrolls to the end until no more pages are to be had. */
async function loadAll(page: Page): Promise<void> {
  await page.evaluate(`(async () => {
    const region = document.querySelector('section.data-table');
    while (document.querySelector('.page-head .muted').textContent.includes('+')) {
      region.scrollTop = region.scrollHeight;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    region.scrollTop = 0;
  })()`);
}

const scroll = async (page: Page): Promise<{ readonly frames: readonly number[]; readonly rows: number }> =>
  page.evaluate(`new Promise((resolve) => {
    const region = document.querySelector('section.data-table');
    const took = [];
    let last = performance.now();
    const step = () => {
      const now = performance.now();
      took.push(now - last);
      last = now;
      region.scrollTop += ${scrollPx};
      if (took.length < ${frames}) requestAnimationFrame(step);
      else resolve({ frames: took, rows: document.querySelectorAll('tr[data-row]').length });
    };
    requestAnimationFrame(step);
  })`);

async function filter(page: Page, name: string): Promise<number> {
  const field = page.getByLabel('Filter by name');
  await field.fill(name);
  const at = performance.now();
  await page.getByRole('link', { name, exact: true }).waitFor();
  const took = performance.now() - at;
  await field.fill('');
  await page.getByRole('link', { name, exact: true }).waitFor({ state: 'hidden' });
  return took;
}
