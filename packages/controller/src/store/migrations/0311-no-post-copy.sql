-- A policy or flavor that asks for post-copy is refused (PostCopyUnsafe). Those written before asked for what no agent ever did.
update migration_policy set policy = policy - 'postCopyAllowed' where policy ->> 'postCopyAllowed' = 'true';
update flavor set extra_specs = extra_specs - 'godwit:post_copy_allowed' where extra_specs ->> 'godwit:post_copy_allowed' = 'true';
