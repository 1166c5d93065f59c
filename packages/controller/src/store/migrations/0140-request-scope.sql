-- Whose request a workflow belongs to, and its trace: whichever controller runs it says so in its log and to the agents.
alter table workflow add column request_id text;
alter table workflow add column traceparent text;
