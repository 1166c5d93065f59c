-- Destinations that have lost their power while local disks were copied to them: what they had of those is of no use, and lies there.
alter table migration add column disks_left_at uuid[] not null default '{}';
