import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

// `make setup` builds dist/, which the controller serves at `/`. For work on pages: `npx vite` here, with GODWIT_URL naming a running cloud.
const cloud = process.env['GODWIT_URL'] ?? 'http://127.0.0.1:8774';

export default defineConfig({
  plugins: [react()],
  build: { target: 'es2024', sourcemap: false, chunkSizeWarningLimit: 1200 },
  server: {
    proxy: Object.fromEntries(['/identity', '/compute', '/image', '/network', '/placement', '/godwit'].map((path) => [path, cloud])),
  },
});
