-- A join whose answer was lost: the same certificate request is answered again for a while.
alter table join_token add column request_hash text;
