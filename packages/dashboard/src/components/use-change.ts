import { useQueryClient } from '@tanstack/react-query';
import { App } from 'antd';
import { useState } from 'react';
import { announce } from './announcer.tsx';

/**
 * One change through the API at a time: `run` says it when the API has answered, refreshes what begins with `key`, and resolves to whether it was accepted. A refusal stays
 * in `refused` for the dialog to show, or is told in a message where there is none.
 */
export function useChange(key: string) {
  const queries = useQueryClient();
  const { message } = App.useApp();
  const [busy, setBusy] = useState(false);
  const [refused, setRefused] = useState<unknown>(null);
  const run = async (said: string, change: () => Promise<unknown>, { quiet = false } = {}): Promise<boolean> => {
    setBusy(true);
    setRefused(null);
    try {
      await change();
      announce(said);
      void message.success(said);
      return true;
    } catch (error) {
      if (quiet) setRefused(error);
      else void message.error(error instanceof Error ? error.message : String(error), 8);
      return false;
    } finally {
      setBusy(false);
      await queries.invalidateQueries({ queryKey: [key] });
    }
  };
  return { busy, refused, run };
}
