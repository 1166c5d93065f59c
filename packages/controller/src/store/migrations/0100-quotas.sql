-- What a project, or one of its users (user_id <> ''), may have at most, where somebody has said it. Classes: 'default' is everybody's.
create table quota_limit (
  project_id text not null,
  user_id text not null default '',
  resource text not null,                                   -- domain QuotaName
  hard_limit integer not null check (hard_limit >= -1),     -- -1: none
  primary key (project_id, user_id, resource)
);
create table quota_class_limit (
  class text not null,
  resource text not null,
  hard_limit integer not null check (hard_limit >= -1),
  primary key (class, resource)
);
