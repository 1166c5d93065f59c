import { stopPostgres } from '../embedded/postgres-server.ts';
import { clearWithThisProcess, makeServerDirectory, removeServerDirectory, SHARED_SERVER } from './server-directory.ts';

/**
 * Before the files of a test run: a place for the PostgreSQL server that they share, which the first one that needs it starts. What is returned
 * stops it after the last.
 */
export default async function shareOneServer(): Promise<() => Promise<void>> {
  const directory = await makeServerDirectory();
  const keep = clearWithThisProcess(directory);
  process.env[SHARED_SERVER] = directory;
  return async () => {
    await stopPostgres(directory);
    await removeServerDirectory(directory);
    keep();
  };
}
