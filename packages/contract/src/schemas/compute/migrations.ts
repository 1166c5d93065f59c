import { Type } from 'typebox';
import { Closed, Links, Nullable, OneOf, perMinor, TimeMicros, Uuid } from '../closed.ts';

/** OpenStack compute API v2.1, "Migrations" (`os-migrations`) and "Server migrations". */
const Bytes = Nullable(Type.Integer({ minimum: 0 }));
const Text = Nullable(Type.String());
const owner = (minor: number) => ({
  ...(minor >= 59 ? { uuid: Uuid } : {}),
  ...(minor >= 80 ? { user_id: Text, project_id: Text } : {}),
});
const hosts = { source_compute: Text, source_node: Text, dest_compute: Text, dest_node: Text, dest_host: Text };

export const MigrationsAnswer = perMinor((minor) =>
  Closed({
    migrations: Type.Array(
      Closed({
        id: Type.Integer(),
        instance_uuid: Uuid,
        status: Type.String(),
        ...hosts,
        old_instance_type_id: Nullable(Type.Integer()),
        new_instance_type_id: Nullable(Type.Integer()),
        created_at: TimeMicros,
        updated_at: Nullable(TimeMicros),
        ...owner(minor),
        ...(minor >= 23
          ? { migration_type: OneOf('live-migration', 'migration', 'resize', 'evacuation'), links: Type.Optional(Links) }
          : {}),
      }),
    ),
    ...(minor >= 59 ? { migrations_links: Type.Optional(Links) } : {}),
  }),
);

const ServerMigration = (minor: number) =>
  Closed({
    id: Type.Integer(),
    server_uuid: Uuid,
    status: Type.String(),
    ...hosts,
    memory_total_bytes: Bytes,
    memory_processed_bytes: Bytes,
    memory_remaining_bytes: Bytes,
    disk_total_bytes: Bytes,
    disk_processed_bytes: Bytes,
    disk_remaining_bytes: Bytes,
    created_at: TimeMicros,
    updated_at: Nullable(TimeMicros),
    ...owner(minor),
  });
export const ServerMigrationsAnswer = perMinor((minor) => Closed({ migrations: Type.Array(ServerMigration(minor)) }));
export const ServerMigrationAnswer = perMinor((minor) => Closed({ migration: ServerMigration(minor) }));
