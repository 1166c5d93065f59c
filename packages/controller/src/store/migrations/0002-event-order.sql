-- Event ids are taken before the commit, so a reader that has seen id 5 could miss an id 4 that commits later. Readers go by (xid, id) instead and read only below
-- the oldest transaction still running: nothing can appear behind them.
alter table event add column xid xid8 not null default pg_current_xact_id();
create index event_order on event (xid, id);
create index event_at on event (at);
