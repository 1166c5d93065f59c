import { useQuery } from '@tanstack/react-query';
import { Switch } from 'antd';
import { useEffect, useRef, useState } from 'react';
import { consoleLog, type Server } from '../api/servers.ts';
import { Problem } from '../components/problem.tsx';
import { useApi } from '../components/signed-in.tsx';

const lines = 400;
const EVERY_MS = 2000;

/** The end of the guest's serial console; it goes on across a move. */
export function ConsoleLog({ server }: { readonly server: Server }) {
  const api = useApi();
  const [following, setFollowing] = useState(true);
  const end = useRef<HTMLPreElement>(null);
  const log = useQuery({ ...consoleLog(api, server.id, lines), refetchInterval: following ? EVERY_MS : false });
  const text = log.data ?? '';
  useEffect(() => {
    if (following && text !== '') end.current?.scrollTo({ top: end.current.scrollHeight });
  }, [text, following]);
  return (
    <>
      <p>
        <Switch size="small" checked={following} onChange={setFollowing} aria-label="Follow the console" /> Follow{' '}
        <span className="muted">The last {lines} lines of the serial console.</span>
      </p>
      {log.isError && <Problem error={log.error} what="The console log could not be read." />}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls has to be reachable by keyboard */}
      <pre className="console mono" ref={end} tabIndex={0} role="log" aria-live="off" aria-label={`Console log of ${server.name}`}>
        {text === '' ? 'Nothing has been written to the console yet.' : text}
      </pre>
    </>
  );
}
