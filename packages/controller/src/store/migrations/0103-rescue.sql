-- While a server is rescued: what it boots from. Its disk is the one with device_index -1, before the server's own.
alter table server add column rescue jsonb; -- {imageId, directBoot}
