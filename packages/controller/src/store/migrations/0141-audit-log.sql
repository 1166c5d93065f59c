-- Who changed what, and who moved what where. Rows are only added: by the API for every request that may change something, and by the triggers below for every move.
create table audit_entry (
  id bigint generated always as identity primary key,
  at timestamptz not null default clock_timestamp(),
  kind text not null check (kind in ('request', 'migration')),
  action text not null,                                     -- of a request its method and path; of a move its type and what became of it
  request_id text,
  user_id text,
  user_name text,
  project_id text,
  address text,                                             -- where the request came from
  status integer,                                           -- of the answer
  server_id uuid,
  server_name text,
  migration_id uuid,
  source text,                                              -- names of hosts as they were then
  destination text,
  cause text,
  details jsonb
);
create index audit_entry_server on audit_entry (server_id, id) where server_id is not null;
create index audit_entry_user on audit_entry (user_id, id);

create function refuse_change_of_audit() returns trigger language plpgsql as $$
begin
  raise exception 'the audit log is only added to';
end $$;
create trigger audit_entry_append_only before update or delete or truncate on audit_entry
  for each statement execute function refuse_change_of_audit();

create function note_move() returns trigger language plpgsql as $$
begin
  insert into audit_entry (kind, action, request_id, user_id, user_name, project_id, server_id, server_name, migration_id, source, destination, cause, details)
  values (
    'migration',
    new.type || case when new.finished_at is null then ' accepted' else ' ' || new.status end,
    new.request_id,
    new.user_id,
    (select name from identity_user where id = new.user_id),
    new.project_id,
    new.server_id,
    (select name from server where id = new.server_id),
    new.id,
    (select name from host where id = new.source_host_id),
    coalesce((select name from host where id = new.destination_host_id), case when new.finished_at is null then new.requested_host end),
    new.outcome ->> 'cause',
    case when new.finished_at is null then null else jsonb_build_object('sentence', new.outcome ->> 'sentence', 'runsOn', new.outcome -> 'runsOn', 'blackoutMs', new.measures -> 'blackoutMs') end
  );
  return null;
end $$;
create trigger migration_accepted after insert on migration for each row execute function note_move();
create trigger migration_ended after update of finished_at on migration for each row
  when (old.finished_at is null and new.finished_at is not null) execute function note_move();
