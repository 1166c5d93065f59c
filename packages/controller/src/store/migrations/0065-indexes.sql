-- Each of these was read whole for every server made and every step of a move.
create index instance_action_event_action on instance_action_event (action_id);
