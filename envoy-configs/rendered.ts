/** What rendering a mesh gives, and what it has to know of the machine for that. */

/** Role of a chain; also `vm_config.configuration`, so that roles never share a VM. */
export type Role = 'gateway' | 'inbound' | 'outbound' | 'upstream' | 'network';

/** Those that stand in a listener's chain. */
export type ChainRole = Exclude<Role, 'upstream' | 'network'>;

/** Chains with a wasm filter: those of the roles, and an instance's control listener, whose filter shares the VM of its inbound side. */
export type Place = ChainRole | 'control';

/** Where a rendered node will live on the machine (or in the container) that runs its Envoy. */
export interface RenderTarget {
  /** Absolute path of `causeway.wasm`. */
  readonly wasmPath: string;
  /** That of the agent, which an Envoy reads once, at its start; absent = the same. */
  readonly agentWasmPath?: string;
  /** Absolute directory of a node's files. */
  nodeDir(id: string): string;
  /** Absolute path of a node's admin socket; its directory is to be mode 0700. At most 107 bytes. */
  adminSocket(id: string): string;
  /** Absolute path of a node's access log. */
  accessLog(id: string): string;
}

/** Everything one Envoy needs. Writing `files` below `dir` and running `envoy -c <dir>/<bootstrap>` starts it. */
export interface RenderedNode {
  /** Instance id or gateway id; unique in the mesh. */
  readonly id: string;
  readonly kind: 'gateway' | 'sidecar';
  /** Absolute; what the files refer to each other by. */
  readonly dir: string;
  /** Relative path → content. Replace each by atomic rename; `bootstrap` is read once, at start. */
  readonly files: Readonly<Record<string, string>>;
  /** Relative path of the bootstrap in `files`. */
  readonly bootstrap: string;
  /** Directory of its certificate, key and token, which must be there before it starts; null = it needs none. */
  readonly secrets: string | null;
  /** Absolute path of the admin interface's Unix socket. */
  readonly adminSocket: string;
  readonly accessLog: string;
  readonly concurrency: number;
  /** Further words of Envoy's command line. */
  readonly args: readonly string[];
  /** `address:port` of each listener, to wait for readiness. */
  readonly listeners: readonly string[];
}
