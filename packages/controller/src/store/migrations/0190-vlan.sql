-- A network that shares its wire with others, apart from them by an 802.1Q tag. 1 is the untagged one of bridges.
alter table network add column vlan integer check (vlan between 2 and 4094);
-- Of two requests for the same one the second fails; one without a bridge is on every host's, which the API looks at under a lock.
create unique index network_vlan on network (coalesce(bridge, ''), vlan) where vlan is not null;
