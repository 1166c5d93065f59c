import path from 'node:path';
import pg from 'pg';
import type { SimulatedCloud } from './simulated-cloud.ts';

/** Runs one statement in the database of a simulated cloud, past its controller: for states that only time, or hours of requests, would bring about. */
export async function inDatabase(cloud: SimulatedCloud, statement: string, values: readonly unknown[] = []): Promise<void> {
  const socket = encodeURIComponent(path.join(cloud.directory, 'controller', 'postgres', 'socket'));
  const database = new pg.Client({ connectionString: `postgresql://godwit@/godwit?host=${socket}` });
  await database.connect();
  try {
    await database.query(statement, [...values]);
  } finally {
    await database.end();
  }
}

/**
 * Copies of one stopped server, `vm-1`… to `vm-COUNT`, as many on every host, each with its claim: what creating so many would leave, in a second. No agent knows of them; being stopped, they
 * are nothing that a host would report.
 */
export const multiplyServer = (cloud: SimulatedCloud, template: string, count: number): Promise<void> =>
  inDatabase(
    cloud,
    `with hosts as (select id, row_number() over (order by name) - 1 as turn, count(*) over () as hosts from host),
       made as (
         insert into server
         select (jsonb_populate_record(template, jsonb_build_object(
           'id', gen_random_uuid(), 'name', 'vm-' || n, 'hostname', 'vm-' || n, 'host_id', hosts.id, 'reservation_id', 'r-' || n,
           'created_at', template.created_at - make_interval(secs => n)))).*
         from server template, generate_series(1, $1::int) n, hosts
         where template.name = $2 and hosts.turn = n % hosts.hosts
         returning id, host_id)
     insert into allocation
     select (jsonb_populate_record(claim, jsonb_build_object('consumer_id', made.id, 'server_id', made.id, 'host_id', made.host_id))).*
     from made, allocation claim where claim.server_id = (select id from server where name = $2)`,
    [count, template],
  );
