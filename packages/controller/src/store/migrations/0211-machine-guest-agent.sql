-- Whether the machine that runs now has the channel that guest_agent asks for, where its host says otherwise: an older agent builds none. Null: as asked.
alter table server add column machine_guest_agent boolean;
