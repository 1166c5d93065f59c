-- What the network and image APIs show beyond the core.

alter table network add column description text not null default '';
alter table subnet add column description text not null default '';
alter table port
  add column description text not null default '',
  add column admin_state_up boolean not null default true,
  add column delete_with_server boolean not null default false;   -- made for its server: deleted with it; otherwise only unbound
create index port_server on port (server_id) where server_id is not null;
create index port_network on port (network_id);
create index ip_allocation_port on ip_allocation (port_id);

alter table image
  add column hidden boolean not null default false,
  add column upload_started_at timestamptz;                       -- of the upload under way: a controller that starts clears what it left
create table image_member (
  image_id uuid not null references image (id) on delete cascade,
  project_id text not null,
  status text not null default 'pending' check (status in ('pending', 'accepted', 'rejected')),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (image_id, project_id)
);
create index image_owner on image (owner) where deleted_at is null;
