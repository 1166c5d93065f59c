import type { HostFacts } from '@godwit/domain/host';
import { type ChosenStream, chooseStream, type MemoryStream, type StreamEnd } from '@godwit/domain/memory-stream';
import { sql } from 'kysely';
import type { Db } from '../../store/database.ts';

export type StreamWanted = {
  readonly serverId: string;
  readonly source: string;
  /** Null: any host; then the source alone decides. */
  readonly destination: string | null;
  readonly asked: MemoryStream;
  readonly copiesDisks: boolean;
};

/** The stream that a move between these hosts uses now, going by what both say of themselves, and why not the one asked for. */
export async function streamOfMove(db: Db, wanted: StreamWanted): Promise<ChosenStream> {
  const { asked, copiesDisks, serverId } = wanted;
  if (asked === 'single') return { used: 'single', why: '' };
  const hosts = await db
    .selectFrom('host')
    .select(['id', 'name'])
    .select(sql<string>`facts ->> 'qemuVersion'`.as('qemuVersion'))
    .select(sql<HostFacts['selfTest']>`coalesce(facts -> 'selfTest', '[]')`.as('selfTest'))
    .where('id', 'in', [wanted.source, wanted.destination ?? wanted.source])
    .execute();
  const end = (id: string): StreamEnd => {
    const host = hosts.find((one) => one.id === id);
    return { host: host?.name ?? id, facts: { qemuVersion: host?.qemuVersion ?? '', selfTest: host?.selfTest ?? [] } };
  };
  const server = await db.selectFrom('server').select('qemu_version').where('id', '=', serverId).executeTakeFirst();
  return chooseStream({
    asked,
    copiesDisks,
    source: end(wanted.source),
    destination: end(wanted.destination ?? wanted.source),
    guestQemuVersion: server?.qemu_version ?? null,
  });
}
