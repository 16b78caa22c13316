import type { Json, JsonObject } from '../../envoy-configs/mesh.ts';
import { fieldName } from '../config/errors.ts';
import { checkPlugin } from '../config/settings-errors.ts';
import { type Complaint, isType, objectAt, type Rule } from './finding.ts';

/** Mistakes in a wasm plugin's settings, wherever it stands: in Envoy's words, or in Istio's. */

/** A plugin of ours, in one shape. */
export interface Plugin {
  readonly rootId: string;
  /** Undefined: not said, which is FAIL_CLOSED. */
  readonly failurePolicy: string | undefined;
  /** Parsed; undefined when there is none, null when it is no JSON. */
  readonly configuration: Json | undefined;
  /** Path of the configuration below the object. */
  readonly where: readonly string[];
}

/** Root ids of the module; `filters/*` each, and the whole. */
export function isOurs(rootId: string): boolean {
  return rootId === 'causeway' || rootId === 'agent' || checkPlugin(rootId, {}) !== undefined;
}

export function pluginOf(value: JsonObject): Plugin | undefined {
  const envoy = isType(value, 'Wasm') ? objectAt(value, 'config') : undefined;
  if (envoy && typeof envoy.root_id === 'string' && isOurs(envoy.root_id)) {
    const where = ['config', 'configuration'];
    const policy = envoy.failure_policy === 'UNSPECIFIED' ? undefined : envoy.failure_policy;
    return {
      rootId: envoy.root_id,
      failurePolicy: policy === undefined && envoy.fail_open === true ? 'FAIL_OPEN' : (policy as string | undefined),
      configuration: parsed(objectAt(envoy, 'configuration')),
      where,
    };
  }
  const istio = istioWasm(value);
  if (istio && typeof istio.wasm.pluginName === 'string' && isOurs(istio.wasm.pluginName)) {
    const strategy = istio.wasm.failStrategy;
    return {
      rootId: istio.wasm.pluginName,
      failurePolicy: typeof strategy === 'string' ? strategy.replace('FAIL_CLOSE', 'FAIL_CLOSED') : undefined,
      configuration: istio.wasm.pluginConfig,
      where: [...istio.where, 'pluginConfig'],
    };
  }
  return undefined;
}

/** The part of a WasmPlugin or TrafficExtension that says which module. */
export function istioWasm(value: JsonObject): { wasm: JsonObject; where: string[] } | undefined {
  const spec = objectAt(value, 'spec');
  if (!spec) return undefined;
  if (value.kind === 'WasmPlugin') return { wasm: spec, where: ['spec'] };
  const wasm = value.kind === 'TrafficExtension' ? objectAt(spec, 'wasm') : undefined;
  return wasm && { wasm, where: ['spec', 'wasm'] };
}

/** A `StringValue` holds JSON, a `Struct` is it. */
function parsed(configuration: JsonObject | undefined): Json | undefined {
  if (!configuration) return undefined;
  const { '@type': type, value } = configuration;
  if (typeof type === 'string' && type.endsWith('Struct')) return value ?? {};
  if (typeof value !== 'string') return undefined;
  try {
    return JSON.parse(value) as Json;
  } catch {
    return null;
  }
}

const LANE_FILTERS = ['causeway', 'lane-tagging', 'lane-fallback', 'trace-propagation'];

const failurePolicy: Rule = {
  name: 'failure-policy',
  check(value) {
    const plugin = pluginOf(value);
    if (!plugin || !LANE_FILTERS.includes(plugin.rootId)) return [];
    const { failurePolicy: policy } = plugin;
    if (policy === 'FAIL_RELOAD') return [];
    const closed = policy === undefined || policy === 'FAIL_CLOSED';
    return [
      {
        path: [],
        reason: closed
          ? `${policy ?? 'no failure policy, which is FAIL_CLOSED'}: after one trap every later request is answered 503`
          : `${policy}: after one trap every later request passes without lanes, silently: strangers’ tags are believed, strict lanes leak`,
        fix: 'failure_policy: FAIL_RELOAD',
      },
    ];
  },
};

const unknownKeys: Rule = {
  name: 'unknown-keys',
  check(value) {
    const plugin = pluginOf(value);
    if (!plugin || plugin.configuration === undefined || plugin.rootId === 'agent') return [];
    const path = plugin.where;
    if (plugin.configuration === null) {
      return [{ path, reason: 'the configuration is no JSON: the module refuses it', fix: 'JSON text' }];
    }
    return (checkPlugin(plugin.rootId, plugin.configuration) ?? []).map((problem) => ({
      path,
      reason: `${fieldName(problem.path)}: found ${problem.found}: the module refuses its configuration`,
      fix: `${problem.expected}${problem.hint ? `; ${problem.hint}` : ''}`,
    }));
  },
};

const SECRET_KEY = /pass(word|wd|phrase)|secret|api[-_]?key|credential|private[-_]?key|access[-_]?key|^token$|bearer/i;
const SECRET_VALUE =
  /-----BEGIN [A-Z ]*PRIVATE KEY|^Bearer [A-Za-z0-9._-]{16,}|\bAKIA[A-Z0-9]{16}\b|^eyJ[A-Za-z0-9_-]{20,}\./;

const credentials: Rule = {
  name: 'credentials',
  check(value) {
    const plugin = pluginOf(value);
    if (!plugin?.configuration) return [];
    return secretsIn(plugin.configuration, []).map((inner) => ({
      path: plugin.where,
      reason: `${inner}: looks like a credential; whoever may read /config_dump or the resource reads it too`,
      fix: 'keep it out of the configuration: mTLS identities, or a file that only Envoy reads',
    }));
  },
};

function secretsIn(value: Json, path: readonly (string | number)[]): string[] {
  if (typeof value === 'string') {
    const key = String(path.at(-1) ?? '');
    return (SECRET_KEY.test(key) && value !== '') || SECRET_VALUE.test(value) ? [fieldName(path)] : [];
  }
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, item]) =>
    secretsIn(item as Json, [...path, Array.isArray(value) ? Number(key) : key]),
  );
}

/** The digests that a reference to this build's module may have. */
export function shaRule(known: { module: string; manifest: string } | undefined): Rule {
  return {
    name: 'wasm-sha256',
    check(value): readonly Complaint[] {
      if (!known) return [];
      const reference = referenceOf(value);
      if (!reference || reference.sha256 === '') return [];
      const oci = reference.url.startsWith('oci://') || !reference.url.includes('://');
      const wanted = oci ? known.manifest : known.module;
      if (reference.sha256 === wanted) return [];
      const what = oci ? 'the image’s manifest' : 'the module';
      return [
        {
          path: reference.where,
          reason: `sha256 ${reference.sha256.slice(0, 12)}… is not that of ${what} of this build: the proxy refuses what it fetches`,
          fix: `sha256: ${wanted}; \`causeway render\` fills it in`,
        },
      ];
    },
  };
}

function referenceOf(value: JsonObject): { url: string; sha256: string; where: string[] } | undefined {
  if (isType(value, 'Wasm')) {
    const remote = objectAt(value, 'config', 'vm_config', 'code', 'remote');
    if (!remote || !isOurs(String(objectAt(value, 'config')?.root_id))) return undefined;
    const where = ['config', 'vm_config', 'code', 'remote', 'sha256'];
    return { url: String(objectAt(remote, 'http_uri')?.uri ?? ''), sha256: String(remote.sha256 ?? ''), where };
  }
  const istio = istioWasm(value);
  if (!istio || !isOurs(String(istio.wasm.pluginName))) return undefined;
  const where = [...istio.where, 'sha256'];
  return { url: String(istio.wasm.url ?? ''), sha256: String(istio.wasm.sha256 ?? ''), where };
}

export const PLUGIN_RULES: readonly Rule[] = [failurePolicy, unknownKeys, credentials];
