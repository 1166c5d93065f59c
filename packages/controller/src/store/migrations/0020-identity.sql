-- Who may ask: domains, projects, users, roles and what they may do where; keys of tokens; refused attempts.
-- Ids are text because the identity API's are: 'default' for the first domain, 32 hex digits for the rest.

create table identity_domain (
  id text primary key,
  name text not null unique,
  description text not null default '',
  enabled boolean not null default true,
  created_at timestamptz not null default now()
);

create table identity_project (
  id text primary key,
  domain_id text not null references identity_domain (id),
  name text not null,
  description text not null default '',
  enabled boolean not null default true,
  created_at timestamptz not null default now(),
  unique (domain_id, name)
);

create table identity_user (
  id text primary key,
  domain_id text not null references identity_domain (id),
  name text not null,
  password_hash text,                                       -- argon2id; null: cannot log in by password
  email text,
  description text,
  default_project_id text references identity_project (id) on delete set null,
  enabled boolean not null default true,
  tokens_valid_after timestamptz not null default now(),    -- a change of password ends every older token
  created_at timestamptz not null default now(),
  unique (domain_id, name)
);

create table identity_role (
  id text primary key,
  name text not null unique,
  description text,
  created_at timestamptz not null default now()
);

create table role_assignment (
  user_id text not null references identity_user (id) on delete cascade,
  role_id text not null references identity_role (id) on delete cascade,
  project_id text references identity_project (id) on delete cascade,
  domain_id text references identity_domain (id) on delete cascade,
  check ((project_id is null) <> (domain_id is null)),
  unique nulls not distinct (user_id, role_id, project_id, domain_id)
);
create index role_assignment_project on role_assignment (project_id);

create table token_key (
  id text primary key,
  secret bytea not null,                                    -- HS256; every controller signs with the newest and accepts all
  created_at timestamptz not null default now()
);

create table token_revocation (
  audit_id text primary key,
  expires_at timestamptz not null                           -- the row may go when the token has expired by itself
);

create table login_attempt (
  bucket text primary key,                                  -- 'user …', 'address …', 'user+address …'
  attempts integer not null,
  window_ends_at timestamptz not null
);

-- The names of the roles a user has in a project or a domain, with those they imply: admin → member → reader.
create function effective_role_names(who text, in_project text, in_domain text) returns table (name text) language sql stable as $$
  with direct as (
    select r.name from role_assignment a join identity_role r on r.id = a.role_id
    where a.user_id = who and ((in_project is not null and a.project_id = in_project) or (in_domain is not null and a.domain_id = in_domain))
  )
  select name from direct
  union select 'member' where exists (select from direct where direct.name = 'admin')
  union select 'reader' where exists (select from direct where direct.name in ('admin', 'member'))
$$;
