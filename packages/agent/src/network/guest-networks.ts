import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { NicSpec } from '@godwit/domain/guest-spec';
import type { PortId } from '@godwit/domain/ids';
import type { AddressLease, NetworkPolicy, PortPolicy } from '@godwit/domain/network-policy';
import { type Flow, flowLines, flowsFromJson, flowsOf, forgetFlowLines, listFlowsCommands, stillAllowed } from './flows.ts';
import type { Nft } from './nft.ts';
import { tapName } from './tap.ts';
import { baseLines, groupLines, removeGroupLines, removeTapLines, table, tapLines } from './tap-rules.ts';

type Known = { readonly number: number; readonly policy: PortPolicy };
/** Flows of a guest's ports, by port id: what a move takes along. */
export type CarriedFlows = Readonly<Record<string, string>>;

type Nic = Pick<NicSpec, 'portId' | 'tapName'>;

/**
 * What this host enforces at its guests' taps. A port's policy comes with its guest, before the guest runs, and later with every change; the newest one holds. One change at a time: nft
 * replaces a tap's rules in one transaction, so that there is no instant without.
 */
export class GuestNetworks {
  readonly #nft: Nft;
  readonly #file: string;
  readonly #ports = new Map<string, Known>();
  /** What was last sent for ports that are not here: their guest may be on its way with something older. */
  #offered = new Map<string, Known>();
  readonly #groups = new Map<string, { readonly number: number; readonly addresses: readonly string[] }>();
  /** What the kernel has of ours: taps with rules, groups with addresses. */
  readonly #taps = new Set<string>();
  readonly #sets = new Set<string>();
  #based = false;
  /** Ports and groups whose last change the kernel did not take: the next one is applied even if it says the same. */
  readonly #failed = new Set<string>();
  #last: Promise<unknown> = Promise.resolve();

  private constructor(nft: Nft, file: string) {
    this.#nft = nft;
    this.#file = file;
  }

  /** Takes up what the last agent enforced: its rules stand on. `keepOnly` follows when it is known which guests live. */
  static async open(nft: Nft, stateDir: string): Promise<GuestNetworks> {
    const networks = new GuestNetworks(nft, join(stateDir, 'network-policies.json'));
    const stored = await readFile(networks.#file, 'utf8').then(
      (text) => JSON.parse(text) as Stored,
      (): Stored => ({ ports: [], groups: [] }),
    );
    for (const [groupId, group] of stored.groups) networks.#groups.set(groupId, group);
    for (const [portId, known] of stored.ports) networks.#ports.set(portId, known);
    return networks;
  }

  /** Rules of other taps are what a crash left, and are removed; those of these stand as they were sent last, and were never gone for a moment. */
  async keepOnly(taps: ReadonlySet<string>): Promise<void> {
    await this.#serially(async () => {
      if (this.#ports.size === 0 && taps.size === 0) return;
      for (const portId of [...this.#ports.keys()]) if (!taps.has(tapName(portId as PortId))) this.#ports.delete(portId);
      await this.#base();
      for (const name of chainNames(await this.#nft.list([`list table ${table}`], { terse: true }))) {
        const tap = /^(gt[0-9a-f]{8})_from$/.exec(name)?.[1];
        if (tap !== undefined) this.#taps.add(tap);
      }
      await this.#apply(
        [...this.#ports.keys()],
        [...this.#groups.keys()],
        [...this.#taps].filter((tap) => !taps.has(tap)),
      );
    });
  }

  /** The rules of a guest's taps stand when this returns, whether the taps do or not. Without a policy (an older controller) nothing is filtered. */
  async admit(nics: readonly Nic[], policy: NetworkPolicy | null): Promise<void> {
    await this.#serially(async () => {
      const gone = nics.filter(({ portId }) => policy === null && this.#ports.delete(portId)).map(({ tapName: tap }) => tap);
      const changed: string[] = [];
      for (const { portId } of nics) {
        const sent = policy?.ports.find((port) => port.portId === portId);
        const offered = this.#offered.get(portId);
        if (policy === null || sent === undefined) continue;
        changed.push(portId);
        this.#ports.set(
          portId,
          offered !== undefined && offered.number > policy.number ? offered : { number: policy.number, policy: sent },
        );
      }
      if (nics.length > 0) await this.#base();
      await this.#apply(changed, policy === null ? [] : this.#takeGroups(policy), gone);
    });
  }

  /** A change for guests that are here; what is older than what holds is left out. Flows that could not begin any more are forgotten. Answers which ports were down, and are up now. */
  async update(policy: NetworkPolicy): Promise<ReadonlySet<string>> {
    return this.#serially(async () => {
      const changed: string[] = [];
      const raised = new Set<string>();
      this.#offered = new Map();
      for (const port of policy.ports) {
        const known = this.#ports.get(port.portId);
        if (known === undefined) this.#offered.set(port.portId, { number: policy.number, policy: port });
        else if (known.number < policy.number) {
          if (known.policy.down && !port.down) raised.add(port.portId);
          this.#ports.set(port.portId, { number: policy.number, policy: port });
          if (this.#failed.has(port.portId) || JSON.stringify(known.policy) !== JSON.stringify(port)) changed.push(port.portId);
        }
      }
      const groups = this.#takeGroups(policy);
      await this.#apply(changed, groups, []);
      const touched = [...this.#ports].filter(
        ([
          portId,
          {
            policy: { rules },
          },
        ]) => changed.includes(portId) || (rules ?? []).some(({ remote }) => remote.kind === 'group' && groups.includes(remote.groupId)),
      );
      for (const [portId, { policy: port }] of touched) await this.#forgetForbidden(tapName(portId as PortId), port);
      return raised;
    });
  }

  /** What the port's guest is told when it asks by DHCP. */
  leaseOf(portId: string): AddressLease | null {
    return this.#ports.get(portId)?.policy.lease ?? null;
  }

  /** Nothing is left of these taps. */
  async leave(nics: readonly Nic[]): Promise<void> {
    await this.#serially(async () => {
      const known = nics.filter(({ portId }) => isFiltered(this.#ports.get(portId)?.policy));
      for (const { portId } of nics) this.#ports.delete(portId);
      await this.#apply(
        [],
        [],
        known.map(({ tapName: tap }) => tap),
      );
    });
  }

  /** The connections that a guest's taps remember, for the host that it goes to. */
  async flows(nics: readonly Nic[]): Promise<CarriedFlows> {
    const carried: [string, string][] = [];
    for (const { portId, tapName: tap } of nics)
      if (this.#ports.get(portId)?.policy.rules != null)
        carried.push([portId, JSON.stringify(flowsOf(tap, await this.#nft.list(listFlowsCommands(tap))))]);
    return Object.fromEntries(carried);
  }

  /** Enters the connections of a guest that is about to arrive. */
  async carry(nics: readonly Nic[], carried: CarriedFlows): Promise<void> {
    await this.#serially(async () => {
      for (const { portId, tapName: tap } of nics) {
        const policy = this.#ports.get(portId)?.policy;
        const json = carried[portId];
        if (policy == null || policy.rules === null || json === undefined) continue;
        const { rules } = policy;
        const flows: readonly Flow[] = flowsFromJson(json, policy).filter((flow) => stillAllowed(flow, rules, this.#groupAddresses()));
        await this.#nft.run(flowLines(tap, flows));
      }
    });
  }

  #takeGroups(policy: NetworkPolicy): readonly string[] {
    const changed: string[] = [];
    for (const [groupId, addresses] of Object.entries(policy.groups)) {
      const known = this.#groups.get(groupId);
      if (known !== undefined && known.number >= policy.number) continue;
      this.#groups.set(groupId, { number: policy.number, addresses });
      if (known === undefined || this.#failed.has(groupId) || known.addresses.join() !== addresses.join()) changed.push(groupId);
    }
    return changed;
  }

  /** Before the first tap that is filtered or not: none carries a tag. */
  async #base(): Promise<void> {
    if (this.#based) return;
    await this.#nft.run(baseLines);
    this.#based = true;
  }

  async #apply(portIds: readonly string[], groupIds: readonly string[], gone: readonly string[]): Promise<void> {
    const used = groupsOf(this.#ports.values());
    const known = groupsOf(this.#offered.values());
    const unused = [...this.#groups.keys()].filter((groupId) => !used.has(groupId) && !known.has(groupId));
    const ports = portIds.flatMap((portId) => this.#ports.get(portId)?.policy ?? []);
    const filtered = ports.filter(isFiltered).map((policy) => ({ ...policy, rules: policy.rules ?? [] }));
    const open = ports.filter((policy) => !isFiltered(policy)).map(({ portId }) => tapName(portId as PortId));
    // A host that has had no guest need not have nftables.
    if (this.#based) {
      const removed = [...gone, ...open].filter((tap) => this.#taps.has(tap));
      const given = [...used].filter((groupId) => groupIds.includes(groupId) || !this.#sets.has(groupId));
      const taken = [...this.#sets].filter((groupId) => !used.has(groupId));
      for (const id of [...portIds, ...groupIds]) this.#failed.add(id);
      await this.#nft.run([
        ...given.flatMap((groupId) => groupLines(groupId, this.#groups.get(groupId)?.addresses ?? [])),
        ...filtered.flatMap((policy) => tapLines(tapName(policy.portId as PortId), policy)),
        ...removed.flatMap(removeTapLines),
        ...taken.flatMap(removeGroupLines),
      ]);
      for (const id of [...portIds, ...groupIds]) this.#failed.delete(id);
      for (const { portId } of filtered) this.#taps.add(tapName(portId as PortId));
      for (const groupId of given) this.#sets.add(groupId);
      for (const tap of removed) this.#taps.delete(tap);
      for (const groupId of taken) this.#sets.delete(groupId);
    }
    for (const groupId of unused) this.#groups.delete(groupId);
    await this.#store();
  }

  async #forgetForbidden(tap: string, { rules }: PortPolicy): Promise<void> {
    if (rules === null) return;
    const groups = this.#groupAddresses();
    const flows = flowsOf(tap, await this.#nft.list(listFlowsCommands(tap)));
    for (const flow of flows.filter((one) => !stillAllowed(one, rules, groups))) {
      // One at a time: one that has just timed out must not keep the others.
      await this.#nft.run(forgetFlowLines(tap, [flow])).catch(() => undefined);
    }
  }

  #groupAddresses(): ReadonlyMap<string, readonly string[]> {
    return new Map([...this.#groups].map(([groupId, { addresses }]) => [groupId, addresses]));
  }

  async #store(): Promise<void> {
    const stored: Stored = { ports: [...this.#ports], groups: [...this.#groups] };
    await writeFile(`${this.#file}.new`, JSON.stringify(stored), { mode: 0o600 });
    await rename(`${this.#file}.new`, this.#file);
  }

  /** One change after the other; one that fails keeps nobody from the next. */
  #serially<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#last.then(work, work);
    this.#last = mine.catch(() => undefined);
    return mine;
  }
}

type Stored = {
  readonly ports: readonly (readonly [string, Known])[];
  readonly groups: readonly (readonly [string, { readonly number: number; readonly addresses: readonly string[] }])[];
};

/** Whether its tap has rules: not where port security is off, unless the port is down. */
const isFiltered = (policy: PortPolicy | undefined): boolean => policy !== undefined && (policy.rules !== null || policy.down === true);

const groupsOf = (ports: Iterable<Known>): ReadonlySet<string> =>
  new Set(
    [...ports].flatMap(({ policy: { rules } }) => (rules ?? []).flatMap(({ remote }) => (remote.kind === 'group' ? [remote.groupId] : []))),
  );

const chainNames = (answers: readonly unknown[]): readonly string[] =>
  (answers as readonly { readonly nftables: readonly { readonly chain?: { readonly name: string } }[] }[]).flatMap(({ nftables }) =>
    nftables.flatMap(({ chain }) => chain?.name ?? []),
  );
