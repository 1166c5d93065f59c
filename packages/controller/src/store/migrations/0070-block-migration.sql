-- Live migration of local disks.
alter table migration
  -- Below 2.25 a request may say that a disk need not fit at its full size.
  add column disk_over_commit boolean not null default false,
  -- The guest lives at the destination, and the source has not yet said that it has deleted the disks that were copied from it.
  add column source_disks_left boolean not null default false;
