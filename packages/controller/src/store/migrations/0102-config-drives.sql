-- What a server's config drive says, written when it is first started or rebuilt: every host makes the same drive of it.
create table config_drive (
  server_id uuid primary key references server (id) on delete cascade,
  files jsonb not null -- [{path, base64}]
);
