import { App, ConfigProvider, theme } from 'antd';
import { createContext, type ReactNode, useContext, useEffect, useMemo, useState } from 'react';

type Mode = 'dark' | 'light';
const storageKey = 'godwit.appearance';
const ModeContext = createContext<{ readonly mode: Mode; readonly setMode: (mode: Mode) => void }>({ mode: 'dark', setMode: () => {} });

/** Dark or light as the person chose, else as the system prefers. */
export const useMode = () => useContext(ModeContext);

/** One theme for every page: compact, with colours that keep WCAG AA contrast in both modes. */
export function Appearance({ children }: { readonly children: ReactNode }) {
  const [mode, setMode] = useState<Mode>(() => {
    const chosen = localStorage.getItem(storageKey);
    if (chosen === 'dark' || chosen === 'light') return chosen;
    return window.matchMedia('(prefers-color-scheme: light)').matches ? 'light' : 'dark';
  });
  useEffect(() => {
    localStorage.setItem(storageKey, mode);
    document.documentElement.style.colorScheme = mode;
  }, [mode]);
  const value = useMemo(() => ({ mode, setMode }), [mode]);
  const dark = mode === 'dark';
  return (
    <ModeContext value={value}>
      <ConfigProvider
        theme={{
          algorithm: [dark ? theme.darkAlgorithm : theme.defaultAlgorithm, theme.compactAlgorithm],
          token: { colorPrimary: dark ? '#2dd4bf' : '#0f766e', colorLink: dark ? '#5eead4' : '#0f766e', borderRadius: 4, fontSize: 13 },
          components: {
            Button: { primaryColor: dark ? '#042f2e' : '#ffffff' },
            Layout: dark ? {} : { headerBg: '#ffffff', siderBg: '#ffffff' },
          },
        }}
      >
        <App>{children}</App>
      </ConfigProvider>
    </ModeContext>
  );
}
