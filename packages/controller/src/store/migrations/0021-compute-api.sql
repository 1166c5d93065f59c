-- What only the compute API keeps of a server, and key pairs.

alter table server add column access_ip_v4 inet;
alter table server add column access_ip_v6 inet;
alter table server add column locked_by text check (locked_by in ('owner', 'admin'));   -- a lock by an admin is not the owner's to open

create table keypair (
  user_id text not null,
  name text not null,
  type text not null default 'ssh' check (type in ('ssh', 'x509')),
  public_key text not null,
  fingerprint text not null,
  api_id integer generated always as identity unique,
  created_at timestamptz not null default now(),
  primary key (user_id, name)
);
