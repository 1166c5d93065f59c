-- A cold migration or resize: the flavor that the server had when it was accepted, and the one that it gets (domain FlavorSnapshot). The flavor itself may be changed or deleted
-- before the move is reverted. Null for live migrations.
alter table migration add column old_flavor jsonb;
alter table migration add column new_flavor jsonb;
