-- Its machine has a channel for the QEMU guest agent: its image's hw_qemu_guest_agent, when the server was made of it.
alter table server add column guest_agent boolean not null default false;
