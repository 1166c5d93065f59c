import { FenceHost } from '@godwit/contract/schemas/godwit/fence-host';
import { BalanceAnswer, OperationAnswer, OperationsAnswer, PlanAnswer } from '@godwit/contract/schemas/godwit/fleet-answers';
import { NewOperation, OperationCommandBody, PlanRequest } from '@godwit/contract/schemas/godwit/fleet-requests';
import { FencedAnswer, HostAnswer, HostsAnswer, JoinTokenAnswer } from '@godwit/contract/schemas/godwit/host-answers';
import { HostSettings } from '@godwit/contract/schemas/godwit/host-settings';
import { NewJoinToken } from '@godwit/contract/schemas/godwit/join-tokens';
import {
  AcceptedMigration,
  ChangedMigration,
  DestinationsAnswer,
  DisksAnswer,
  MigrationAnswer,
  MigrationsAnswer,
  PoliciesAnswer,
  PolicyAnswer,
  PredictionAnswer,
  SamplesAnswer,
  ScoreAnswer,
} from '@godwit/contract/schemas/godwit/migration-answers';
import { LiveMigrationRequest, MigrationChange, PolicyChange } from '@godwit/contract/schemas/godwit/migration-policy';
import { AuditAnswer, BundleAnswer, DoctorAnswer, RootAnswer, StuckAnswer } from '@godwit/contract/schemas/godwit/operator-answers';
import { AddMember, ServerGroupAnswer, ServerGroupsAnswer } from '@godwit/contract/schemas/godwit/server-groups';
import { AcceptedScale, ScaleAnswer, ScaleServer } from '@godwit/contract/schemas/godwit/server-scale';
import { operationCommands } from '@godwit/domain/drain-plan/fleet-operation';

/** One route of /godwit/v1 as it is told to others: the list at `/` and the OpenAPI document are made of these, and a test holds them against the routes that are served. */
export type RouteDoc = {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** `/migrations/{id}` */
  readonly path: string;
  readonly summary: string;
  /** Who may call it; `anyone` needs no token. */
  readonly who: 'admin' | 'project' | 'anyone';
  /** Query parameters by name, each with what it is. */
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: object;
  /** Whether a body may be left out. */
  readonly bodyOptional?: boolean;
  readonly status: number;
  /** Of a JSON answer; null: none, or none that is JSON (`content` says what). */
  readonly answer: object | null;
  readonly content?: string;
};

const commands: Readonly<Record<(typeof operationCommands)[number], string>> = {
  pause: 'Begin nothing new; what moves goes on',
  resume: 'Go on with a paused operation',
  abort: 'Cancel what has not begun',
  retry: 'Take up what failed or was excluded, alone',
};

export const routeDocs: readonly RouteDoc[] = [
  { method: 'GET', path: '/', summary: 'What there is', who: 'anyone', status: 200, answer: RootAnswer },
  { method: 'GET', path: '/openapi.json', summary: 'This document', who: 'anyone', status: 200, answer: {} },
  {
    method: 'GET',
    path: '/migrations',
    summary: 'Migrations, newest first',
    who: 'admin',
    query: {
      server: 'id of a server',
      host: 'name of a source or destination',
      status: 'a status',
      limit: 'the largest number, at most 1000',
    },
    status: 200,
    answer: MigrationsAnswer,
  },
  {
    method: 'GET',
    path: '/migrations/{id}',
    summary: 'The whole record of a migration',
    who: 'admin',
    status: 200,
    answer: MigrationAnswer,
  },
  {
    method: 'PATCH',
    path: '/migrations/{id}',
    summary: 'Change what a migration under way may cost',
    who: 'admin',
    body: MigrationChange,
    status: 200,
    answer: ChangedMigration,
  },
  {
    method: 'GET',
    path: '/migrations/{id}/samples',
    summary: 'Progress reports, oldest first; kept for a day',
    who: 'admin',
    status: 200,
    answer: SamplesAnswer,
  },
  {
    method: 'POST',
    path: '/migrations/{id}/abort',
    summary: 'Cancel a live migration before its release',
    who: 'admin',
    status: 202,
    answer: AcceptedMigration,
  },
  {
    method: 'POST',
    path: '/migrations/{id}/force-complete',
    summary: 'Stop the guest now and finish the copy',
    who: 'admin',
    status: 202,
    answer: AcceptedMigration,
  },
  {
    method: 'GET',
    path: '/migration-policies',
    summary: 'What moves may cost: policies of the cloud and of projects',
    who: 'admin',
    status: 200,
    answer: PoliciesAnswer,
  },
  {
    method: 'PUT',
    path: '/migration-policies/{scope}',
    summary: 'Set the policy of the cloud (default) or of a project',
    who: 'admin',
    body: PolicyChange,
    status: 200,
    answer: PolicyAnswer,
  },
  { method: 'DELETE', path: '/migration-policies/{scope}', summary: 'Take a policy away', who: 'admin', status: 204, answer: null },
  {
    method: 'POST',
    path: '/servers/{id}/live-migrations',
    summary: 'Live-migrate a server, with a policy and bandwidth of its own',
    who: 'admin',
    body: LiveMigrationRequest,
    bodyOptional: true,
    status: 202,
    answer: AcceptedMigration,
  },
  {
    method: 'GET',
    path: '/servers/{id}/prediction',
    summary: 'How a live migration would go now',
    who: 'admin',
    query: { destination: 'name of a host' },
    status: 200,
    answer: PredictionAnswer,
  },
  {
    method: 'GET',
    path: '/predictions/score',
    summary: 'How predictions compare with what became of the moves',
    who: 'admin',
    status: 200,
    answer: ScoreAnswer,
  },
  {
    method: 'GET',
    path: '/servers/{id}/destinations',
    summary: 'Every host with its verdict for a move of this server',
    who: 'admin',
    query: { type: 'live or cold', block: 'auto, true or false' },
    status: 200,
    answer: DestinationsAnswer,
  },
  {
    method: 'GET',
    path: '/servers/{id}/disks',
    summary: 'Disks of a server, and whether other hosts reach them',
    who: 'project',
    status: 200,
    answer: DisksAnswer,
  },
  {
    method: 'GET',
    path: '/servers/{id}/scale',
    summary: 'How many vCPUs and how much memory a server has, and how much its flavor lets it have',
    who: 'project',
    status: 200,
    answer: ScaleAnswer,
  },
  {
    method: 'POST',
    path: '/servers/{id}/scale',
    summary:
      'Give a server other vCPUs or memory where it is; a running one only more vCPUs, and the memory that its guest takes or gives back',
    who: 'project',
    body: ScaleServer,
    status: 202,
    answer: AcceptedScale,
  },
  {
    method: 'GET',
    path: '/server-groups',
    summary: 'Server groups with members and what is not as their policy says',
    who: 'project',
    status: 200,
    answer: ServerGroupsAnswer(true),
  },
  { method: 'GET', path: '/server-groups/{id}', summary: 'One server group', who: 'project', status: 200, answer: ServerGroupAnswer(true) },
  {
    method: 'POST',
    path: '/server-groups/{id}/members/{server}',
    summary: 'Put a server into a group, where it then runs',
    who: 'project',
    body: AddMember,
    bodyOptional: true,
    status: 200,
    answer: ServerGroupAnswer(true),
  },
  {
    method: 'DELETE',
    path: '/server-groups/{id}/members/{server}',
    summary: 'Take a server out of a group',
    who: 'project',
    status: 204,
    answer: null,
  },
  { method: 'GET', path: '/hosts', summary: 'What each host says of itself', who: 'admin', status: 200, answer: HostsAnswer },
  {
    method: 'PATCH',
    path: '/hosts/{name}',
    summary: 'Settings of one host',
    who: 'admin',
    body: HostSettings,
    status: 200,
    answer: HostAnswer,
  },
  {
    method: 'POST',
    path: '/hosts/{name}/fence',
    summary: 'The word that a silent host can run and reach nothing any more',
    who: 'admin',
    body: FenceHost,
    status: 202,
    answer: FencedAnswer,
  },
  {
    method: 'POST',
    path: '/join-tokens',
    summary: 'A token with which one host may join within a day',
    who: 'admin',
    body: NewJoinToken,
    status: 201,
    answer: JoinTokenAnswer,
  },
  {
    method: 'POST',
    path: '/plans',
    summary: 'A plan for moving many servers; nothing moves',
    who: 'admin',
    body: PlanRequest,
    status: 200,
    answer: PlanAnswer,
  },
  {
    method: 'GET',
    path: '/operations',
    summary: 'Fleet operations, newest first',
    who: 'admin',
    query: { kind: 'a kind', state: 'a state, or open', host: 'name of a host', limit: 'the largest number, at most 200' },
    status: 200,
    answer: OperationsAnswer,
  },
  {
    method: 'POST',
    path: '/operations',
    summary: 'Begin a bulk move, drain, maintenance, rolling maintenance, restore or evacuation',
    who: 'admin',
    body: NewOperation,
    status: 202,
    answer: OperationAnswer,
  },
  {
    method: 'GET',
    path: '/operations/{id}',
    summary: 'One fleet operation with its items',
    who: 'admin',
    status: 200,
    answer: OperationAnswer,
  },
  ...operationCommands.map(
    (command): RouteDoc => ({
      method: 'POST',
      path: `/operations/{id}/${command}`,
      summary: commands[command],
      who: 'admin',
      body: OperationCommandBody,
      bodyOptional: true,
      status: 202,
      answer: OperationAnswer,
    }),
  ),
  {
    method: 'POST',
    path: '/operations/{id}/hosts/{name}/done',
    summary: 'Rolling maintenance: the work on this host is done',
    who: 'admin',
    body: OperationCommandBody,
    bodyOptional: true,
    status: 202,
    answer: OperationAnswer,
  },
  {
    method: 'GET',
    path: '/balance',
    summary: 'Advice: moves that relieve contention, with their cost',
    who: 'admin',
    status: 200,
    answer: BalanceAnswer,
  },
  {
    method: 'GET',
    path: '/stuck',
    summary: 'What does not go on by itself, with evidence and the safe action',
    who: 'admin',
    status: 200,
    answer: StuckAnswer,
  },
  {
    method: 'GET',
    path: '/doctor',
    summary: 'What was looked at in this cloud, each with its remedy where it is not well',
    who: 'admin',
    status: 200,
    answer: DoctorAnswer,
  },
  {
    method: 'GET',
    path: '/bundles/{id}',
    summary: 'All that is known of a migration or of a request (req-…), secrets removed',
    who: 'admin',
    status: 200,
    answer: BundleAnswer,
  },
  {
    method: 'GET',
    path: '/audit',
    summary: 'Who changed what, and who moved what where, newest first',
    who: 'admin',
    query: {
      server: 'id of a server',
      user: 'name or id of a user',
      host: 'name of a source or destination',
      kind: 'request or migration',
      request: 'id of a request',
      since: 'ISO 8601',
      before: 'id of an entry: those older than it',
      limit: 'the largest number, at most 1000',
    },
    status: 200,
    answer: AuditAnswer,
  },
  {
    method: 'GET',
    path: '/events',
    summary: 'What changes, as server-sent events; Last-Event-ID resumes',
    who: 'project',
    status: 200,
    answer: null,
    content: 'text/event-stream',
  },
  {
    method: 'GET',
    path: '/consoles',
    summary: 'A console by websocket, with the token of its URL',
    who: 'anyone',
    query: { token: 'of the URL that the compute API gave' },
    status: 101,
    answer: null,
  },
];
