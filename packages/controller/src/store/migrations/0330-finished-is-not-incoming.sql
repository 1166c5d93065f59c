-- A cold move that waits for its confirmation does not come any more: its host would look busy with it for days.
drop trigger migration_changes_host on migration;
create trigger migration_changes_host after update on migration for each row
  when (old.destination_host_id is distinct from new.destination_host_id or old.finished_at is distinct from new.finished_at
    or (old.status = 'finished') is distinct from (new.status = 'finished')) execute function note_host_change();
