import { App, ConfigProvider, theme } from 'antd';
import { createContext, type ReactNode, useContext, useEffect, useMemo, useState } from 'react';

type Mode = 'dark' | 'light';
const storageKey = 'godwit.appearance';
const ModeContext = createContext<{ readonly mode: Mode; readonly setMode: (mode: Mode) => void }>({ mode: 'dark', setMode: () => {} });

/** Dark or light as the person chose, else as the system prefers. */
export const useMode = () => useContext(ModeContext);

const lightPreferred = window.matchMedia('(prefers-color-scheme: light)');

function preferred(): Mode {
  const chosen = localStorage.getItem(storageKey);
  if (chosen === 'dark' || chosen === 'light') return chosen;
  return lightPreferred.matches ? 'light' : 'dark';
}

/** Menus and lists open inside the dialog or the page that they belong to, so that everything on screen is in a landmark. A dialog's root lets clicks through, its container does not. */
const landmarkOf = (trigger?: HTMLElement): HTMLElement =>
  trigger?.closest<HTMLElement>('.ant-modal-container') ?? document.getElementById('main') ?? document.body;

/** One theme for every page: compact, with colours that keep WCAG AA contrast in both modes. */
export function Appearance({ children }: { readonly children: ReactNode }) {
  const [mode, setMode] = useState<Mode>(preferred);
  useEffect(() => {
    document.documentElement.style.colorScheme = mode;
    document.documentElement.dataset['mode'] = mode;
  }, [mode]);
  // The system may change its mind, at dusk for instance; a person's own choice stays.
  useEffect(() => {
    const follow = (): void => setMode(preferred());
    lightPreferred.addEventListener('change', follow);
    return () => lightPreferred.removeEventListener('change', follow);
  }, []);
  const value = useMemo(
    () => ({
      mode,
      setMode: (next: Mode) => {
        localStorage.setItem(storageKey, next);
        setMode(next);
      },
    }),
    [mode],
  );
  const dark = mode === 'dark';
  return (
    <ModeContext value={value}>
      <ConfigProvider
        getPopupContainer={landmarkOf}
        theme={{
          algorithm: [dark ? theme.darkAlgorithm : theme.defaultAlgorithm, theme.compactAlgorithm],
          token: {
            colorPrimary: dark ? '#2dd4bf' : '#0f766e',
            colorLink: dark ? '#2dd4bf' : '#0f766e',
            colorLinkHover: dark ? '#5eead4' : '#115e59',
            colorBgContainer: dark ? '#161b22' : '#ffffff',
            colorBgElevated: dark ? '#1c222b' : '#ffffff',
            colorText: dark ? '#e6eaf0' : '#1b2430',
            colorTextSecondary: dark ? '#a3aebb' : '#55606e',
            colorTextDescription: dark ? '#a3aebb' : '#55606e',
            colorTextPlaceholder: dark ? '#97a3b2' : '#626d7b',
            colorTextDisabled: dark ? '#93a0ae' : '#646f7d',
            colorError: dark ? '#fb7185' : '#b91c1c',
            borderRadius: 4,
            // The compact algorithm takes the next smaller size: 13 px.
            fontSize: 15,
            motion: !window.matchMedia('(prefers-reduced-motion: reduce)').matches,
          },
          components: { Button: { primaryColor: dark ? '#042f2e' : '#ffffff', dangerColor: dark ? '#3f0712' : '#ffffff' } },
        }}
      >
        <App>{children}</App>
      </ConfigProvider>
    </ModeContext>
  );
}
