import { type TSchema, Type } from 'typebox';
import { Closed, Nullable, OneOf, perMinor, perMinorAndRole, Uuid } from '../closed.ts';
import { HostName } from './server-requests.ts';
import { RebuildAnswer } from './server-views.ts';

/** OpenStack compute API v2.1, "Server actions": what stands behind the action's key. Actions without arguments take anything: clients send null, {} or a text. */
export const Anything = Type.Unknown();

export const RebootArguments = Closed({ type: OneOf('SOFT', 'Soft', 'soft', 'HARD', 'Hard', 'hard') });
export type RebootArguments = { readonly type: string };

export const ResetStateArguments = Closed({ state: OneOf('active', 'error') });
export type ResetStateArguments = { readonly state: 'active' | 'error' };

/** 2.73 gives the lock a reason. */
export const LockArguments = perMinor((minor) =>
  minor >= 73
    ? Type.Union([Type.Null(), Closed({ locked_reason: Type.Optional(Type.String({ minLength: 1, maxLength: 255 })) })])
    : Type.Unknown(),
);
export type LockArguments = { readonly locked_reason?: string } | null;

export const ChangePasswordArguments = Closed({ adminPass: Type.String() });

export const ConsoleOutputArguments = Type.Union([
  Type.Null(),
  Closed({
    length: Type.Optional(
      Type.Union([Type.Integer({ minimum: -1, maximum: 1_000_000 }), Type.String({ pattern: '^-?[0-9]{1,6}$' }), Type.Null()]),
    ),
  }),
]);
export type ConsoleOutputArguments = { readonly length?: number | string | null } | null;

const BoolLike = Type.Union([
  Type.Boolean(),
  OneOf(
    'True',
    'TRUE',
    'true',
    '1',
    'ON',
    'On',
    'on',
    'YES',
    'Yes',
    'yes',
    'False',
    'FALSE',
    'false',
    '0',
    'OFF',
    'Off',
    'off',
    'NO',
    'No',
    'no',
  ),
]);
const BoolOrAuto = Type.Union([BoolLike, Type.Literal('auto')]);

/** 2.25 takes `disk_over_commit` away and lets `block_migration` be `auto`; 2.30 brings `force`, 2.68 takes it away. */
export const LiveMigrateArguments = perMinor((minor) =>
  Closed({
    host: Nullable(HostName),
    block_migration: minor >= 25 ? BoolOrAuto : BoolLike,
    ...(minor < 25 ? { disk_over_commit: BoolLike } : {}),
    ...(minor >= 30 && minor < 68 ? { force: Type.Optional(BoolLike) } : {}),
  }),
);
export type LiveMigrateArguments = {
  readonly host: string | null;
  readonly block_migration: boolean | string;
  readonly disk_over_commit?: boolean | string;
  readonly force?: boolean | string;
};

/** 2.56 lets an admin name the host. */
export const MigrateArguments = perMinor((minor) =>
  minor >= 56 ? Type.Union([Type.Null(), Closed({ host: Type.Optional(Nullable(HostName)) })]) : Type.Unknown(),
);
export type MigrateArguments = { readonly host?: string | null } | null;

export const ResizeArguments = Closed({
  flavorRef: Type.Union([Type.String({ minLength: 1, maxLength: 255 }), Type.Integer({ minimum: 0 })]),
  'OS-DCF:diskConfig': Type.Optional(OneOf('AUTO', 'MANUAL')),
});
export type ResizeArguments = { readonly flavorRef: string | number };

export const ConsoleOutputAnswer = Closed({ output: Type.String() });

/** `{"force_complete": …}` on a migration. */
export const MigrationAction = Closed({ force_complete: Type.Unknown() });

/** Below 2.14 the caller has to say whether storage is shared; what is true is looked up, whatever it says. `force` skips no check. */
export const EvacuateArguments = perMinor((minor) =>
  Closed({
    host: Type.Optional(HostName),
    adminPass: Type.Optional(Type.String()),
    ...(minor < 14 ? { onSharedStorage: BoolLike } : {}),
    ...(minor >= 29 && minor < 68 ? { force: Type.Optional(BoolLike) } : {}),
  }),
);
export type EvacuateArguments = {
  readonly host?: string;
  readonly adminPass?: string;
  readonly onSharedStorage?: boolean | string;
  readonly force?: boolean | string;
};
/** Below 2.14. */
const EvacuateAnswer = Closed({ adminPass: Type.String() });

/** Up to 2.5; `remote-consoles` since. */
export const OldConsoleArguments = (...types: readonly [string, ...string[]]) => Closed({ type: OneOf(...types) });
export type OldConsoleArguments = { readonly type: string };
const OldConsoleAnswer = Closed({ console: Closed({ type: Type.String(), url: Type.String() }) });

export const RescueArguments = Nullable(
  Closed({
    adminPass: Type.Optional(Type.String({ maxLength: 255 })),
    rescue_image_ref: Type.Optional(Type.String({ minLength: 1, maxLength: 255 })),
  }),
);
export type RescueArguments = { readonly adminPass?: string; readonly rescue_image_ref?: string } | null;

/** 2.77 lets the zone be named (`{}` is refused), 2.91 the host, and the zone be taken away with null. */
export const UnshelveArguments = perMinor((minor) => {
  if (minor < 77) return Type.Unknown();
  const zone = Type.String({ minLength: 1, maxLength: 255 });
  if (minor < 91) return Nullable(Closed({ availability_zone: zone }));
  return Nullable(
    Type.Union([
      Closed({ availability_zone: Nullable(zone), host: Type.Optional(HostName) }),
      Closed({ availability_zone: Type.Optional(Nullable(zone)), host: HostName }),
    ]),
  );
});
export type UnshelveArguments = { readonly availability_zone?: string | null; readonly host?: string } | null;

/** Up to 2.43: proxies of the network service. */
export const AddressArguments = Closed({
  address: Type.String({ minLength: 1, maxLength: 45 }),
  fixed_address: Type.Optional(Nullable(Type.String({ maxLength: 45 }))),
});
export type AddressArguments = { readonly address: string };
export const AddFixedIpArguments = Closed({ networkId: Type.Union([Type.String({ minLength: 1, maxLength: 255 }), Type.Integer()]) });
export const RemoveFixedIpArguments = Closed({ address: Type.String({ minLength: 1, maxLength: 45 }) });

/** The network service's security groups, by name or id. */
export const SecurityGroupArguments = Closed({ name: Type.String({ minLength: 1, maxLength: 255 }) });
export type SecurityGroupArguments = { readonly name: string };

/** A body that is a JSON object: which action it names is looked at first. */
export const ActionBody = Type.Object({});
/** `{"<name>": arguments}` and nothing beside it. */
export const namedAction = (name: string, args: TSchema) => Closed({ [name]: args });
export type ActionArguments = TSchema;
/** From 2.45 on the answer names the image; below, its `Location` does. */
const ImageIdAnswer = Closed({ image_id: Uuid });

/** Only the consoles, a rebuild, images of a server (2.45) and, below 2.14, an evacuation answer with a body. */
export const ActionAnswer = perMinorAndRole((minor, isAdmin) =>
  Type.Union([Type.Null(), ConsoleOutputAnswer, OldConsoleAnswer, EvacuateAnswer, ImageIdAnswer, RebuildAnswer(minor, isAdmin)]),
);
