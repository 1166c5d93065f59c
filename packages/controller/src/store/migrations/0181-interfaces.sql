-- The layout of devices that a server's machine was first started with (domain DeviceLayout), kept for good; null: not started yet.
alter table server add column device_layout smallint;
update server set device_layout = 1 where launched_at is not null;
-- What its user calls a port, for the guest to find it by.
alter table port add column tag text;
