-- How a live migration sends memory: what was asked for, what is used, and why not the former.
alter table migration add column memory_stream jsonb;
