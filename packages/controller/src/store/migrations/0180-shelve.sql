-- A shelved server, or one that is being shelved: the image that its disk is kept in. It goes when the server is unshelved or deleted.
alter table server add column shelved jsonb; -- {imageId, at, failedAt, replaced}
create index server_shelved on server ((shelved ->> 'imageId')) where shelved is not null;
