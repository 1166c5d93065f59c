-- The QEMU that runs a guest, which may be older than the one installed on its host since: what a live migration is judged by.
alter table server add column qemu_version text;
