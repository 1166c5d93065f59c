import { join } from 'node:path';
import { redactLine } from '@godwit/domain/redact';
import { newest, readRecentLog } from '@godwit/telemetry/recent-log';
import { lastLogLines } from './qemu/guest-process.ts';
import { runDir } from './qemu/run-dir.ts';
import type { ReadLogs } from './rpc/agent-service.ts';

/** The latest lines of this agent's log. */
export const recentLogFile = (stateDir: string): string => join(stateDir, 'log', 'agent.jsonl');

/** Answers from the files below the state directory, with secrets cut out. A guest that never ran here has no QEMU log. */
export function readLogsOf(stateDir: string): ReadLogs {
  return async (words, serverId) => {
    const agent = await readRecentLog(recentLogFile(stateDir), words);
    const logs = [{ name: 'agent', excerpt: { ...agent, lines: agent.lines.map(redactLine) } }];
    if (serverId === '') return logs;
    const said = await lastLogLines(runDir(stateDir, serverId)).catch(nothing);
    return said.length === 0 ? logs : [...logs, { name: 'qemu', excerpt: newest(said.map(redactLine)) }];
  };
}

function nothing(error: unknown): readonly string[] {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
  throw error;
}
