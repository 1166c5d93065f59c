-- Security groups: what may reach and leave a port.

create table security_group (
  id uuid primary key,
  project_id text not null,
  name text not null,
  description text not null default '',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
-- Each project has one, made when it is first needed.
create unique index security_group_default on security_group (project_id) where name = 'default';
create index security_group_project on security_group (project_id);

create table security_group_rule (
  id uuid primary key,
  security_group_id uuid not null references security_group (id) on delete cascade,
  description text not null default '',
  direction text not null check (direction in ('ingress', 'egress')),
  ip_version smallint not null check (ip_version in (4, 6)),
  protocol text,                    -- as it was asked for: a name or a number; null: any
  port_min integer,                 -- of ICMP: type, and code
  port_max integer,
  remote_prefix cidr,
  remote_group_id uuid references security_group (id) on delete cascade,
  created_at timestamptz not null default now(),
  check (remote_prefix is null or remote_group_id is null),
  unique nulls not distinct (security_group_id, direction, ip_version, protocol, port_min, port_max, remote_prefix, remote_group_id)
);
create index security_group_rule_remote on security_group_rule (remote_group_id) where remote_group_id is not null;

create table port_security_group (
  port_id uuid not null references port (id) on delete cascade,
  security_group_id uuid not null references security_group (id),
  primary key (port_id, security_group_id)
);
create index port_security_group_group on port_security_group (security_group_id);

alter table network add column port_security_enabled boolean not null default true;
alter table port
  add column port_security_enabled boolean not null default true,
  add column allowed_address_pairs jsonb not null default '[]';
-- Ports made before there were security groups stay as open as they were.
update port set port_security_enabled = false;

-- What has changed for ports on hosts, until the hosts are told.
create table network_policy_change (
  kind text not null check (kind in ('port', 'group')),
  subject_id uuid not null
);

-- Drawn before what a policy says is read: of two policies for one port the higher number is not older.
create sequence network_policy_number;
