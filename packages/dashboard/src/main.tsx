import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { adoptSession, shareSession } from './api/session-handover.ts';
import { Appearance } from './components/appearance.tsx';
import './styles.css';
import { createAppRouter } from './routes.tsx';

// After an upgrade the parts that this page has not loaded yet have other names: the page is loaded anew. Once: what fails again is shown to fail.
window.addEventListener('vite:preloadError', (event) => {
  const key = 'godwit.reloadedAt';
  if (Date.now() - Number(sessionStorage.getItem(key) ?? 0) < 60_000) return;
  sessionStorage.setItem(key, String(Date.now()));
  event.preventDefault();
  window.location.reload();
});

const queries = new QueryClient({ defaultOptions: { queries: { staleTime: 30_000, retry: 1, refetchOnWindowFocus: true } } });
await adoptSession();
shareSession();
const root = document.getElementById('root');
if (root === null) throw new Error('index.html has no #root');
createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={queries}>
      <Appearance>
        <RouterProvider router={createAppRouter(queries)} />
      </Appearance>
    </QueryClientProvider>
  </StrictMode>,
);
