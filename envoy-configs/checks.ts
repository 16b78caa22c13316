import { checkCentre } from './checks-centre.ts';
import { checkIsolation } from './checks-isolation.ts';
import { checkTls } from './checks-tls.ts';
import type { Problem } from './problem.ts';
import { DEFAULT_BASELINE, entrances, instanceIds, MAX_INSTANCES_PER_SERVICE, resolvePorts } from './resolve.ts';
import type { CausewayConfig } from './schema.ts';
import { milliseconds } from './schema-parts.ts';
import { METRIC_LABELS } from './stats.ts';

type Path = Problem['path'];

/** The interface that no entry makes: what fits none. */
const OTHER = 'other';

/** Most instances of one mesh on one machine. */
export const MAX_INSTANCES = 2_000;

/**
 * What the schema cannot say: names that must exist, clashes, chains that lead nowhere. The configuration has passed the
 * schema. Every problem found is returned, in the order of the file's sections.
 */
export function checkConfig(config: CausewayConfig): Problem[] {
  const checker = new Checker(config);
  checker.network();
  checker.agent();
  checker.ratelimit();
  checker.lanes();
  checker.services();
  checker.problems.push(...checkTls(config), ...checkCentre(config), ...checkIsolation(config));
  checker.gateways();
  checker.rules();
  checker.steering();
  checker.degradation();
  checker.redirects();
  checker.faults();
  return checker.problems;
}

class Checker {
  readonly problems: Problem[] = [];
  private readonly config: CausewayConfig;
  private readonly baseline: string;
  private readonly laneNames: ReadonlySet<string>;
  private readonly serviceNames: ReadonlySet<string>;
  private readonly ids = new Map<string, string>();

  constructor(config: CausewayConfig) {
    this.config = config;
    this.baseline = config.baseline ?? DEFAULT_BASELINE;
    this.laneNames = new Set([this.baseline, ...Object.keys(config.lanes ?? {})]);
    this.serviceNames = new Set(Object.keys(config.services));
  }

  network(): void {
    const prefix = this.config.network?.prefix;
    if (prefix?.split('.').some((octet) => Number(octet) > 255)) {
      this.add(['network', 'prefix'], prefix, 'two numbers from 0 to 255');
    }
  }

  ratelimit(): void {
    const timeout = this.config.ratelimit?.timeout;
    if (timeout === undefined) return;
    const period = milliseconds(timeout);
    if (period < 1 || period > 10_000) this.add(['ratelimit', 'timeout'], timeout, '1ms to 10s');
  }

  agent(): void {
    const interval = this.config.agent?.interval;
    if (interval === undefined) return;
    const period = milliseconds(interval);
    if (period < 100 || period > 60_000) this.add(['agent', 'interval'], interval, '100ms to 1m');
  }

  lanes(): void {
    for (const [name, lane] of Object.entries(this.config.lanes ?? {})) {
      const path: Path = ['lanes', name];
      if (name === this.baseline) {
        this.problems.push({
          path,
          atKey: true,
          found: `the baseline's name "${name}"`,
          expected: 'only lanes beside the baseline',
          hint: 'the baseline needs no entry; `baseline:` names it',
        });
      }
      if ((METRIC_LABELS as readonly string[]).includes(name)) {
        this.add(path, name, `no word that metrics use as a label (${METRIC_LABELS.join(', ')})`);
      }
      for (const [index, next] of (lane.chain ?? []).entries()) {
        const at: Path = [...path, 'chain', index];
        if (next === name) {
          this.add(at, `the lane itself ("${name}")`, 'other lanes', 'a chain names what comes after its lane');
        } else this.lane(at, next);
        if (next === this.baseline && index + 1 < (lane.chain?.length ?? 0)) {
          this.add(at, `the baseline before other lanes`, 'the baseline last', 'nothing behind it would ever be tried');
        }
      }
    }
  }

  services(): void {
    let total = 0;
    const ports = Object.values(resolvePorts(this.config.ports));
    const twice = ports.find((port, at) => ports.indexOf(port) !== at);
    if (twice !== undefined) this.add(['ports'], `port ${twice} twice`, 'different ports');
    for (const [name, service] of Object.entries(this.config.services)) {
      const path: Path = ['services', name];
      const port = service.port ?? 9080;
      if (ports.includes(port)) {
        this.add(
          [...path, 'port'],
          `port ${port}`,
          `another than \`ports\` uses on every instance (${ports.join(', ')})`,
        );
      }
      if (service.instances[this.baseline] === undefined) {
        this.problems.push({
          path: [...path, 'instances'],
          atKey: true,
          found: `no instance in the baseline "${this.baseline}"`,
          expected: 'every service to run there',
          hint: `add \`${this.baseline}: {}\``,
        });
      }
      for (const lane of Object.keys(service.instances)) this.lane([...path, 'instances', lane], lane, true);
      for (const [index, callee] of (service.calls ?? []).entries()) this.service([...path, 'calls', index], callee);
      const hashing = service.lb?.policy === 'ring_hash' || service.lb?.policy === 'maglev';
      if (hashing && service.lb?.hashHeader === undefined) {
        this.add([...path, 'lb'], `${service.lb?.policy} without hashHeader`, 'the header whose value is hashed');
      }
      if (service.healing && service.shards !== undefined) {
        this.add([...path, 'healing'], 'healing of a sharded service', 'healing or shards');
      }
      this.unique(
        [...path, 'interfaces'],
        (service.interfaces ?? []).map((item) => item.name),
      );
      for (const [index, item] of (service.interfaces ?? []).entries()) {
        const at: Path = [...path, 'interfaces', index];
        if ((item.template === undefined) === (item.prefix === undefined)) {
          this.add(at, item.template === undefined ? 'no path' : 'both template and prefix', 'template or prefix');
        }
        if (item.name === OTHER)
          this.add([...at, 'name'], `"${OTHER}"`, 'another name: it stands for all other requests');
      }
      const known = (service.interfaces ?? []).map((item) => item.name);
      for (const limited of Object.keys(service.limits?.interfaces ?? {})) {
        if (known.includes(limited)) continue;
        const at: Path = [...path, 'limits', 'interfaces', limited];
        this.add(at, `"${limited}"`, `an interface of ${name}: ${list(known)}`, 'add it under `interfaces`', true);
      }
      this.clusterLimits(name, service, known);
      this.unique(
        [...path, 'limits', 'hotspots'],
        (service.limits?.hotspots ?? []).map((item) => item.name),
      );
      total += this.instances(name, service);
    }
    if (total > MAX_INSTANCES) this.add(['services'], `${total} instances`, `at most ${MAX_INSTANCES} on one machine`);
  }

  private clusterLimits(name: string, service: CausewayConfig['services'][string], known: readonly string[]): void {
    const limits = service.limits?.cluster ?? [];
    const path: Path = ['services', name, 'limits', 'cluster'];
    if (limits.length > 0 && this.config.ratelimit === undefined) {
      this.add(path, 'no rate-limit service', '`ratelimit` with its address', 'limits of each instance need none');
    }
    this.unique(
      path,
      limits.map((limit) => limit.name),
    );
    for (const [index, { interface: of }] of limits.entries()) {
      if (of === undefined || of === OTHER || known.includes(of)) continue;
      this.add([...path, index, 'interface'], `"${of}"`, `an interface of ${name}: ${list([...known, OTHER])}`);
    }
  }

  private instances(name: string, service: CausewayConfig['services'][string]): number {
    const path: Path = ['services', name, 'instances'];
    const all = instanceIds(name, service);
    if (all.length > MAX_INSTANCES_PER_SERVICE) {
      this.add(path, `${all.length} instances`, `at most ${MAX_INSTANCES_PER_SERVICE}: each has an address of one /24`);
    }
    for (const { id, lane } of all) {
      const other = this.ids.get(id);
      if (other !== undefined) {
        this.add(
          [...path, lane],
          `the instance id "${id}", which ${other} has too`,
          'different ids',
          'rename the lane',
        );
      }
      this.ids.set(id, `service "${name}"`);
    }
    return all.length;
  }

  gateways(): void {
    const listening = new Set<string>();
    this.unique(
      ['gateways'],
      this.config.gateways.map(({ name }) => name),
      'name',
    );
    for (const [index, gateway] of this.config.gateways.entries()) {
      const path: Path = ['gateways', index];
      const address = `${gateway.address ?? 'the default address'}:${gateway.port ?? 8080}`;
      if (listening.has(address))
        this.add(path, `${address}, which another gateway has`, 'an address and port of its own');
      listening.add(address);
      if (gateway.address?.split('.').some((octet) => Number(octet) > 255)) {
        this.add([...path, 'address'], gateway.address, 'an IPv4 address');
      }
      if (this.ids.has(gateway.name))
        this.add([...path, 'name'], `"${gateway.name}", an instance's id`, 'another name');
      if (gateway.trust?.all && (gateway.trust.cidrs || gateway.trust.identities)) {
        this.add([...path, 'trust'], '`all: true` beside a list', 'one of them');
      }
      for (const [at, route] of gateway.routes.entries())
        this.service([...path, 'routes', at, 'service'], route.service);
    }
  }

  rules(): void {
    const doors = entrances(this.config);
    this.unique(
      ['rules'],
      (this.config.rules ?? []).map(({ name }) => name),
      'name',
    );
    for (const [index, rule] of (this.config.rules ?? []).entries()) {
      const path: Path = ['rules', index];
      this.lane([...path, 'lane'], rule.lane);
      if (rule.entrance === undefined) {
        if (doors.length !== 1) {
          this.add(
            path,
            `no entrance, and ${doors.length} services say \`entrance: true\``,
            `one of ${list(doors)} named`,
          );
        }
        continue;
      }
      this.service([...path, 'entrance'], rule.entrance);
      if (this.serviceNames.has(rule.entrance) && !doors.includes(rule.entrance)) {
        this.add(
          [...path, 'entrance'],
          `"${rule.entrance}", which is no entrance`,
          `one of ${list(doors)}`,
          `say \`entrance: true\` at services.${rule.entrance}`,
        );
      }
      const routed = this.config.gateways.some(({ routes }) => routes.some(({ service }) => service === rule.entrance));
      if ((rule.at ?? 'gateway') === 'gateway' && doors.includes(rule.entrance) && !routed) {
        this.add(
          [...path, 'entrance'],
          `"${rule.entrance}", to which no gateway leads`,
          'a service with a gateway route',
          'or say `at: sidecar`',
        );
      }
    }
  }

  degradation(): void {
    const { drops = [], cuts = [] } = this.config.degradation ?? {};
    for (const [index, rule] of drops.entries()) {
      const path: Path = ['degradation', 'drops', index];
      for (const [at, caller] of (rule.from ?? []).entries()) this.caller([...path, 'from', at], caller);
      for (const [at, service] of (rule.to ?? []).entries()) this.service([...path, 'to', at], service);
    }
    for (const [index, rule] of cuts.entries()) {
      const path: Path = ['degradation', 'cuts', index];
      for (const [at, caller] of (rule.from ?? []).entries()) this.caller([...path, 'from', at], caller);
      this.service([...path, 'service'], rule.service);
    }
    this.unique(
      ['degradation', 'drops'],
      drops.map(({ name }) => name),
    );
    this.unique(
      ['degradation', 'cuts'],
      cuts.map(({ name }) => name),
    );
  }

  steering(): void {
    this.unique(
      ['steering'],
      (this.config.steering ?? []).map(({ name }) => name),
      'name',
    );
    for (const [index, rule] of (this.config.steering ?? []).entries()) {
      const path: Path = ['steering', index];
      for (const [at, service] of (rule.services ?? []).entries()) this.service([...path, 'services', at], service);
      for (const [at, caller] of (rule.callers ?? []).entries()) this.caller([...path, 'callers', at], caller);
      for (const [at, lane] of (rule.from ?? []).entries()) this.lane([...path, 'from', at], lane);
      this.interface(path, rule.services ?? [], rule.interface);
      for (const [at, target] of rule.to.entries()) this.target([...path, 'to', at], target);
    }
  }

  private target(path: Path, target: NonNullable<CausewayConfig['steering']>[number]['to'][number]): void {
    const given = [target.lane, target.lanes, target.instance].filter((part) => part !== undefined).length;
    if (given !== 1) this.add(path, `${given} of lane, lanes, instance`, 'exactly one of them');
    if (target.lane !== undefined) this.lane([...path, 'lane'], target.lane);
    for (const [at, lane] of (target.lanes ?? []).entries()) this.lane([...path, 'lanes', at], lane);
    if (target.instance !== undefined && !this.ids.has(target.instance)) {
      this.add([...path, 'instance'], `"${target.instance}"`, 'the id of an instance: <service>-<lane>-<n>');
    }
  }

  redirects(): void {
    this.unique(
      ['redirects'],
      (this.config.redirects ?? []).map(({ name }) => name),
      'name',
    );
    for (const [index, rule] of (this.config.redirects ?? []).entries()) {
      const path: Path = ['redirects', index];
      this.service([...path, 'service'], rule.service);
      const service = this.config.services[rule.service];
      for (const [at, lane] of rule.from.entries()) {
        this.lane([...path, 'from', at], lane);
        if (lane === rule.to) this.add([...path, 'from', at], `"${lane}", the target itself`, 'other lanes');
      }
      this.lane([...path, 'to'], rule.to);
      if (service && this.laneNames.has(rule.to) && service.instances[rule.to] === undefined) {
        this.add([...path, 'to'], `"${rule.to}", where ${rule.service} has no instance`, 'a lane that has one');
      }
      this.interface(path, [rule.service], rule.interface);
    }
  }

  faults(): void {
    this.unique(
      ['faults'],
      (this.config.faults ?? []).map(({ name }) => name),
      'name',
    );
    for (const [index, fault] of (this.config.faults ?? []).entries()) {
      const path: Path = ['faults', index];
      this.lane([...path, 'lane'], fault.lane);
      if (fault.lane === this.baseline) {
        this.add(
          [...path, 'lane'],
          'the baseline',
          'a lane',
          'untagged requests carry nothing that a fault could match',
        );
      }
      for (const [at, service] of (fault.services ?? []).entries()) this.service([...path, 'services', at], service);
      if (fault.abort === undefined && fault.delay === undefined)
        this.add(path, 'neither abort nor delay', 'one of them, or both');
    }
  }

  private lane(path: Path, name: string, atKey = false): void {
    if (this.laneNames.has(name)) return;
    this.problems.push({
      path,
      atKey,
      found: `the unknown lane "${name}"`,
      expected: `one of ${list([...this.laneNames])}`,
      hint: `add it under \`lanes\``,
    });
  }

  private service(path: Path, name: string): void {
    if (!this.serviceNames.has(name)) {
      this.add(path, `the unknown service "${name}"`, `one of ${list([...this.serviceNames])}`);
    }
  }

  /** Gateways call, too. */
  private caller(path: Path, name: string): void {
    if (this.config.gateways.some((gateway) => gateway.name === name)) return;
    this.service(path, name);
  }

  private interface(path: Path, services: readonly string[], name: string | undefined): void {
    if (name === undefined) return;
    const [only] = services;
    if (only === undefined || services.length !== 1) {
      this.add([...path, 'interface'], `"${name}" for ${services.length} services`, 'exactly one service with it');
      return;
    }
    const known = (this.config.services[only]?.interfaces ?? []).map((item) => item.name);
    if (!known.includes(name)) this.add([...path, 'interface'], `"${name}"`, `an interface of ${only}: ${list(known)}`);
  }

  private unique(path: Path, names: readonly string[], key = 'name'): void {
    for (const [index, name] of names.entries()) {
      if (names.indexOf(name) < index) this.add([...path, index, key], `"${name}" a second time`, 'different names');
    }
  }

  private add(path: Path, found: string, expected: string, hint?: string, atKey = false): void {
    this.problems.push({ path, found, expected, ...(hint === undefined ? {} : { hint }), ...(atKey ? { atKey } : {}) });
  }
}

function list(names: readonly string[]): string {
  if (names.length === 0) return '(there is none)';
  return names.length > 12 ? `${names.slice(0, 12).join(', ')}, …` : names.join(', ');
}
