-- A disk that a rebuild put in place of another: the next start makes it, where any other disk of a launched server must be there already.
alter table disk add column fresh boolean not null default false;
