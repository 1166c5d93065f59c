import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';

// `make setup` builds dist/, which the controller serves at `/`. For work on pages: `npx vite` here, with GODWIT_URL naming a running cloud.
const cloud = process.env['GODWIT_URL'] ?? 'http://127.0.0.1:8774';

/** The most that the first screen may weigh on the wire, in bytes. */
const firstLoadLimit = 350 * 1024;
const firstPage = 'src/pages/instances.tsx';

/** Lays a gzipped twin beside every asset, and prints what the first screen (entry and Instances page with all they import) weighs. Fails when that is too much. */
function weighed(): Plugin {
  return {
    name: 'godwit-weighed',
    // Of what was written: before, other plugins may still change it.
    writeBundle({ dir = '' }, bundle) {
      const sizes = new Map<string, number>();
      for (const name of Object.keys(bundle)) {
        if (!name.startsWith('assets/')) continue;
        const file = path.join(dir, name);
        const zipped = gzipSync(readFileSync(file), { level: 9 });
        sizes.set(name, zipped.length);
        writeFileSync(`${file}.gz`, zipped);
      }
      const needed = new Set<string>();
      const need = (name: string): void => {
        const chunk = bundle[name];
        if (needed.has(name) || chunk?.type !== 'chunk') return;
        needed.add(name);
        for (const style of chunk.viteMetadata?.importedCss ?? []) needed.add(style);
        chunk.imports.forEach(need);
      };
      for (const [name, file] of Object.entries(bundle)) {
        if (file.type === 'chunk' && (file.isEntry || file.facadeModuleId?.endsWith(firstPage) === true)) need(name);
      }
      const total = [...needed].reduce((sum, name) => sum + (sizes.get(name) ?? 0), 0);
      const said = `first load ${(total / 1024).toFixed(1)} KB gzipped of at most ${firstLoadLimit / 1024}`;
      if (total > firstLoadLimit) this.error(said);
      // A line of its own at every log level: the number is a promise.
      process.stdout.write(`${said}\n`);
    },
  };
}

/** One guide for the repository and the page. */
const guide = readFileSync(path.resolve(import.meta.dirname, '../../docs/live-migration.md'), 'utf8');

export default defineConfig({
  plugins: [react(), weighed()],
  define: { GUIDE_TEXT: JSON.stringify(guide) },
  build: { target: 'es2024', sourcemap: false, chunkSizeWarningLimit: 1200 },
  server: {
    proxy: Object.fromEntries(['/identity', '/compute', '/image', '/network', '/placement', '/godwit'].map((path) => [path, cloud])),
  },
});
