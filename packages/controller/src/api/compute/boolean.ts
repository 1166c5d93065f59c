/** The flags of compute bodies: booleans, or the texts that schemas let through in their place. */
export const truth = (value: boolean | string | null | undefined): boolean =>
  typeof value === 'boolean' ? value : value !== undefined && value !== null && /^(true|t|1|on|y|yes)$/i.test(value.trim());
