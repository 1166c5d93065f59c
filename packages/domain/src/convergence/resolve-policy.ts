import {
  type ConvergencePolicy,
  defaultPolicy,
  type FieldRule,
  type PolicyField,
  type PolicyRefusal,
  policyFieldNames,
  policyFields,
} from './policy.ts';

/** Who set a field, nearest first: the request wins over the flavor, that over the project, that over the cloud's default. */
export const policySources = ['request', 'flavor', 'project', 'default'] as const;
export type PolicySource = (typeof policySources)[number];

export type PartialPolicy = Partial<ConvergencePolicy>;

/** A policy with where each of its fields comes from; `built-in` where nobody set one. */
export type ResolvedPolicy = ConvergencePolicy & { readonly from: Readonly<Record<PolicyField, PolicySource | 'built-in'>> };

/** `NoValue`: there is no such field, or what is given is none of its values. */
export type PolicyProblem = { readonly field: string; readonly code: 'NoValue' | PolicyRefusal['code']; readonly sentence: string };

/** Reads the fields out of a JSON object. A field that does not exist, or a value that is none, is a problem; nothing is corrected. */
export function parsePolicy(value: Readonly<Record<string, unknown>>): {
  readonly policy: PartialPolicy;
  readonly problems: readonly PolicyProblem[];
} {
  const policy: Record<string, unknown> = {};
  const problems: PolicyProblem[] = [];
  for (const [field, given] of Object.entries(value)) {
    const rule = isField(field) ? policyFields[field] : null;
    if (rule === null) {
      const sentence = `"${field.slice(0, 60)}" is not a field of a migration policy: ${policyFieldNames.join(', ')}.`;
      problems.push({ field, code: 'NoValue', sentence });
      continue;
    }
    const read = readField(rule, typeof given === 'string' && rule.words === undefined ? null : given, `"${field}"`);
    if ('problem' in read) problems.push({ field, ...read.problem });
    else policy[field] = read.value;
  }
  return { policy, problems };
}

/** The fields that a flavor's extra specs set. Keys of other things are not looked at; one of ours with a value that is none is a problem. */
export function flavorPolicy(extraSpecs: Readonly<Record<string, string>>): {
  readonly policy: PartialPolicy;
  readonly problems: readonly PolicyProblem[];
} {
  const policy: Record<string, unknown> = {};
  const problems: PolicyProblem[] = [];
  for (const field of policyFieldNames) {
    const rule = policyFields[field];
    const given = Object.hasOwn(extraSpecs, rule.extraSpec) ? extraSpecs[rule.extraSpec] : undefined;
    if (given === undefined) continue;
    const read = readField(rule, given, `Extra spec "${rule.extraSpec}"`);
    if ('problem' in read) problems.push({ field: rule.extraSpec, ...read.problem });
    else policy[field] = read.value;
  }
  return { policy, problems };
}

/** The policy of one move: each field from the nearest that sets it. */
export function resolvePolicy(given: Readonly<Partial<Record<PolicySource, PartialPolicy>>>): ResolvedPolicy {
  const from = {} as Record<PolicyField, PolicySource | 'built-in'>;
  const policy: Record<string, unknown> = { ...defaultPolicy };
  for (const field of policyFieldNames) {
    const source = policySources.find((one) => given[one]?.[field] !== undefined);
    from[field] = source ?? 'built-in';
    if (source !== undefined) policy[field] = given[source]?.[field];
  }
  return { ...(policy as ConvergencePolicy), from };
}

type Read = { readonly value: unknown } | { readonly problem: Omit<PolicyProblem, 'field'> };

function readField(rule: FieldRule<unknown>, given: unknown, name: string): Read {
  const value = rule.parse(given);
  if (value === null) return { problem: { code: 'NoValue', sentence: `${name} must be ${rule.allowed}.` } };
  const refusal = rule.refusal?.(value) ?? null;
  return refusal === null ? { value } : { problem: refusal };
}

const isField = (name: string): name is PolicyField => Object.hasOwn(policyFields, name);
