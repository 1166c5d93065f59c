import { useQuery } from '@tanstack/react-query';
import { useEffect, useSyncExternalStore } from 'react';
import { migrationSamples } from '../api/migrations.ts';
import { noteEarlierSamples, onSample, type Sample, samplesOf } from '../model/samples.ts';
import { useApi } from './signed-in.tsx';

/** The progress reports of a move: those told before this page was opened, and each as it arrives. */
export function useSamples(migrationId: string): readonly Sample[] {
  const api = useApi();
  const { data } = useQuery(migrationSamples(api, migrationId));
  useEffect(() => {
    if (data !== undefined) noteEarlierSamples(migrationId, data);
  }, [migrationId, data]);
  return useSyncExternalStore(onSample, () => samplesOf(migrationId));
}
