/**
 * What is shown and watched of each filter, and whether Istio has it. Everything that lies under `filters/` with a
 * configuration or a role of its own must be here: a test lists the folder.
 */

export interface Panel {
  readonly title: string;
  /** PromQL. */
  readonly expr: string;
  /** Grafana's unit. */
  readonly unit: 'reqps' | 'short' | 'percentunit' | 'ms' | 'µs' | 's';
}

export interface Alert {
  readonly name: string;
  readonly expr: string;
  readonly for: string;
  readonly severity: 'warning' | 'critical';
  readonly summary: string;
  /** What a person does about it. */
  readonly action: string;
}

export interface Coverage {
  /** True, or why Istio cannot have it. */
  readonly istio: true | string;
  readonly panels: readonly Panel[];
  readonly alerts: readonly Alert[];
  /** Rules of `causeway doctor` that look at it. */
  readonly doctor: readonly string[];
}

const rate = (metric: string, by = '') =>
  by === '' ? `sum(rate(${metric}[1m]))` : `sum by (${by}) (rate(${metric}[1m]))`;

/** Filters and parts of the module by the name of their folder. */
export const COVERAGE: Readonly<Record<string, Coverage>> = {
  'lane-tagging': {
    istio: true,
    panels: [
      { title: 'Tagged', expr: rate('causeway_lane_tagging_tagged_total', 'rule, lane'), unit: 'reqps' },
      {
        title: 'Tags of strangers removed',
        expr: rate('causeway_lane_tagging_untrusted_removed_total'),
        unit: 'reqps',
      },
    ],
    alerts: [
      {
        name: 'CausewayTagsRefused',
        expr: `${rate('causeway_lane_tagging_refused_total', 'reason')} > 1`,
        for: '10m',
        severity: 'warning',
        summary: 'A believed caller sends tags that are none ({{ $labels.reason }}).',
        action: 'Look at what the caller in front sends in the tag header; duplicates are never joined.',
      },
    ],
    doctor: ['failure-policy', 'internal-headers', 'external-request-id'],
  },
  'trace-propagation': {
    istio: true,
    panels: [
      { title: 'Tags found for calls', expr: rate('causeway_trace_propagation_hit_total'), unit: 'reqps' },
      {
        title: 'Calls that lost their trace',
        expr: rate('causeway_trace_propagation_leaked_total', 'reason'),
        unit: 'reqps',
      },
      { title: 'Entries given up early', expr: rate('causeway_trace_propagation_evicted_live_total'), unit: 'reqps' },
    ],
    alerts: [
      {
        name: 'CausewayTraceLeaks',
        expr: `${rate('causeway_trace_propagation_leaked_total', 'reason')} > 0.1`,
        for: '10m',
        severity: 'warning',
        summary: 'An application does not forward the trace header ({{ $labels.reason }}): its calls leave their lane.',
        action: 'Find it by its sidecar’s counter; have it forward the header of trace.sources.',
      },
      {
        name: 'CausewayTraceMapFull',
        expr: `${rate('causeway_trace_propagation_evicted_live_total')} > 1`,
        for: '10m',
        severity: 'warning',
        summary: 'The trace map gives entries up before their time.',
        action: 'Raise trace.entries, or look for a flood of trace ids.',
      },
    ],
    doctor: ['failure-policy', 'trace-header'],
  },
  'lane-fallback': {
    istio: true,
    panels: [
      {
        title: 'Calls by wanted and served lane',
        expr: rate('causeway_lane_fallback_requests_total', 'service, wanted, served'),
        unit: 'reqps',
      },
      {
        title: 'Share of calls that nobody served',
        expr: 'sum(rate(causeway_lane_fallback_requests_total{served="none"}[1m])) / sum(rate(causeway_lane_fallback_requests_total[1m]))',
        unit: 'percentunit',
      },
      {
        title: 'Served by a later try',
        expr: rate('causeway_lane_fallback_later_try_total', 'service'),
        unit: 'reqps',
      },
    ],
    alerts: [
      {
        name: 'CausewayNobodyServes',
        expr: 'sum by (service, wanted) (rate(causeway_lane_fallback_requests_total{served="none"}[5m])) > 0.1',
        for: '5m',
        severity: 'critical',
        summary: 'Calls of lane {{ $labels.wanted }} to {{ $labels.service }} find no instance.',
        action: 'A strict lane without an instance, or a service without any: start one, or make the lane permissive.',
      },
      {
        name: 'CausewayRedirectLoop',
        expr: `${rate('causeway_lane_fallback_redirect_loop_total')} > 0`,
        for: '1m',
        severity: 'critical',
        summary: 'Units redirect to each other; the second hop is answered 508.',
        action: 'Look at `redirects`: one of the two has to go.',
      },
    ],
    doctor: ['panic-threshold', 'fallback-policy', 'subset-selector', 'no-traffic-interval', 'override-header'],
  },
  'overload-shedding': {
    istio: true,
    panels: [
      { title: 'Shed level', expr: 'max by (instance) (causeway_overload_shedding_level_percent)', unit: 'short' },
      {
        title: 'Time in the queue',
        expr: 'max by (instance) (causeway_overload_shedding_queue_microseconds)',
        unit: 'µs',
      },
      { title: 'Refused', expr: rate('causeway_overload_shedding_refused_total', 'class'), unit: 'reqps' },
      {
        title: 'Dropped at the caller',
        expr: rate('causeway_overload_shedding_dropped_early_total', 'service'),
        unit: 'reqps',
      },
    ],
    alerts: [
      {
        name: 'CausewayShedding',
        expr: 'max by (instance) (causeway_overload_shedding_level_percent) > 50',
        for: '5m',
        severity: 'warning',
        summary: '{{ $labels.instance }} refuses more than half of what it is asked.',
        action: 'Add instances; the panel of refused classes says who is hurt.',
      },
    ],
    doctor: ['unknown-keys', 'shared-vm'],
  },
  'adaptive-rate-limit': {
    istio: true,
    panels: [
      {
        title: 'Over a limit',
        expr: rate('causeway_adaptive_rate_limit_refused_total', 'reason, interface, rule'),
        unit: 'reqps',
      },
      {
        title: 'Worst signal, in parts of its threshold',
        expr: 'max by (instance) (causeway_adaptive_rate_limit_level_permille) / 1000',
        unit: 'percentunit',
      },
      {
        title: 'Limits made by the filter',
        expr: 'max by (instance, interface) (causeway_adaptive_rate_limit_limit_per_second) > 0',
        unit: 'reqps',
      },
    ],
    alerts: [
      {
        name: 'CausewayLimitedForLong',
        expr: 'max by (instance, interface) (causeway_adaptive_rate_limit_limit_per_second) > 0',
        for: '10m',
        severity: 'warning',
        summary: '{{ $labels.instance }} has been limiting {{ $labels.interface }} by itself for ten minutes.',
        action:
          'It is a surge that stays, or the interface has become dearer: add instances, or give it a limit of its own.',
      },
    ],
    doctor: ['unknown-keys', 'unreachable-limit'],
  },
  degradation: {
    istio: true,
    panels: [
      {
        title: 'Refused by breakers',
        expr: rate('causeway_degradation_refused_total', 'service, interface'),
        unit: 'reqps',
      },
      { title: 'Dropped by rule', expr: rate('causeway_degradation_dropped_total', 'rule'), unit: 'reqps' },
      {
        title: 'Answered in a dependency’s place',
        expr: rate('causeway_degradation_cut_total', 'rule'),
        unit: 'reqps',
      },
    ],
    alerts: [
      {
        name: 'CausewayBreakerOpen',
        expr: `${rate('causeway_degradation_refused_total', 'service, interface')} > 0`,
        for: '5m',
        severity: 'warning',
        summary: 'A breaker has been refusing calls to {{ $labels.service }} {{ $labels.interface }} for five minutes.',
        action: 'Look at what the callee answers: the breaker closes by itself when its probes pass.',
      },
    ],
    doctor: ['unknown-keys', 'shared-vm'],
  },
  'connection-elimination': {
    istio:
      'Istio changes TLS itself, by PeerAuthentication and auto mTLS; the routes and clusters of the switch-over are not rendered',
    panels: [
      {
        title: 'Calls by the state of their connection',
        expr: rate('causeway_connection_elimination_requests_total', 'service, result'),
        unit: 'reqps',
      },
      {
        title: 'Not in the expected state',
        expr: rate('causeway_connection_elimination_mismatch_total', 'service'),
        unit: 'reqps',
      },
    ],
    alerts: [
      {
        name: 'CausewayTlsHandshakesFail',
        expr: `${rate('causeway_connection_elimination_handshake_failed_total', 'service')} > 0`,
        for: '2m',
        severity: 'critical',
        summary: 'Calls to {{ $labels.service }} fail in the TLS handshake.',
        action: 'Look at the certificates’ dates and authority before the switch goes on.',
      },
    ],
    doctor: ['request-close-http2'],
  },
  isolation: {
    istio:
      'One instance is isolated by the configuration of its own proxy; Istio’s resources address labels, and its clusters have no active health checks that the answer could end.',
    panels: [
      { title: 'Kept out', expr: rate('causeway_isolation_refused_total', 'reason'), unit: 'reqps' },
      { title: 'Let in for diagnosis', expr: rate('causeway_isolation_diagnosis_total'), unit: 'reqps' },
      { title: 'Reset after the drain', expr: rate('causeway_isolation_reset_total'), unit: 'reqps' },
    ],
    alerts: [
      {
        name: 'CausewayIsolated',
        expr: 'max by (instance) (causeway_isolation_state) == 1',
        for: '4h',
        severity: 'warning',
        summary: '{{ $labels.instance }} has been isolated for hours.',
        action: 'Forgotten? `causeway isolation` lists what is isolated, `causeway release` lets it back in.',
      },
    ],
    doctor: ['failure-policy', 'retriable-headers', 'control-exposed'],
  },
  'event-isolation': {
    istio:
      'It belongs to isolation, which Istio’s resources cannot have: one instance is isolated by the configuration of its own proxy.',
    panels: [
      { title: 'Broker connections', expr: 'sum by (instance) (causeway_event_isolation_connections)', unit: 'short' },
      { title: 'Broker connections refused', expr: rate('causeway_event_isolation_refused_total'), unit: 'reqps' },
    ],
    alerts: [
      {
        name: 'CausewayEventsCut',
        expr: `${rate('causeway_event_isolation_refused_total')} > 0`,
        for: '4h',
        severity: 'warning',
        summary: 'An application has been cut off from its broker for hours.',
        action: 'Forgotten? `causeway isolation` lists what is isolated, `causeway release` lets it back in.',
      },
    ],
    doctor: ['failure-policy'],
  },
  'outlier-blacklist': {
    istio:
      'its list of hosts goes to the override_host policy of one cluster, and under Istio each lane is a cluster of its own; DestinationRule outlierDetection is rendered instead',
    panels: [
      { title: 'Hosts out', expr: 'max by (instance, service) (causeway_outlier_blacklist_hosts_out)', unit: 'short' },
      { title: 'Put out', expr: rate('causeway_outlier_blacklist_listed_total', 'service, reason'), unit: 'reqps' },
      {
        title: 'Verdicts that the bounds forbid',
        expr: 'max by (instance) (causeway_outlier_blacklist_verdicts_spared)',
        unit: 'short',
      },
    ],
    alerts: [
      {
        name: 'CausewayOutliersSpared',
        expr: 'max by (instance) (causeway_outlier_blacklist_hosts_spared) > 0',
        for: '5m',
        severity: 'warning',
        summary: 'Outliers still get requests, because too many of their lane are out.',
        action: 'More than single hosts are wrong: look at the service, not at its hosts.',
      },
    ],
    doctor: ['override-header'],
  },
  agent: {
    istio: true,
    panels: [
      { title: 'Age of the agent’s news', expr: 'max by (instance) (causeway_agent_age_milliseconds)', unit: 'ms' },
      { title: 'Polls', expr: rate('causeway_agent_polls_total', 'kind, result'), unit: 'reqps' },
      {
        title: 'Reports to the healing centre',
        expr: rate('causeway_agent_centre_syncs_total', 'result'),
        unit: 'reqps',
      },
      {
        title: 'Verdicts that are not believed',
        expr: rate('causeway_agent_centre_refused_total', 'reason'),
        unit: 'reqps',
      },
      { title: 'Verdicts that hold', expr: 'max by (instance) (causeway_agent_centre_verdicts)', unit: 'short' },
      {
        title: 'Questions to the healing centre',
        expr: rate('causeway_agent_centre_watches_total', 'result'),
        unit: 'reqps',
      },
      {
        title: 'Isolated by the healing centre',
        expr: 'max by (instance) (causeway_agent_centre_isolated)',
        unit: 'short',
      },
    ],
    alerts: [
      {
        name: 'CausewayAgentSilent',
        expr: 'max by (instance) (causeway_agent_age_milliseconds) > 10000',
        for: '1m',
        severity: 'warning',
        summary:
          'The agent of {{ $labels.instance }} has been silent for ten seconds; filters go on with less knowledge.',
        action: 'A trapped singleton is never restarted: restart the proxy when it suits.',
      },
      {
        name: 'CausewayCentreDeniesAgents',
        expr: 'sum by (instance) (rate(causeway_agent_centre_syncs_total{result="denied"}[5m])) > 0',
        for: '5m',
        severity: 'warning',
        summary: 'The healing centre does not know the credential of {{ $labels.instance }}.',
        action: 'Compare the token in its folder of secrets with the hash in the centre’s file.',
      },
    ],
    doctor: ['shared-vm', 'admin-exposed'],
  },
};

/** Folders under `filters/` that are no filters. */
export const NO_FILTERS: readonly string[] = ['interface', 'sdk'];

/** Of the module as a whole. */
export const MODULE: Pick<Coverage, 'panels' | 'alerts'> = {
  panels: [
    {
      title: 'VMs configured',
      expr: 'sum by (instance, role) (increase(causeway_vm_configured_total[5m]))',
      unit: 'short',
    },
    {
      title: 'Seconds since a worker’s last tick',
      expr: 'time() - min by (instance, role) (causeway_heartbeat_seconds)',
      unit: 's',
    },
  ],
  alerts: [
    {
      name: 'CausewayWorkerSilent',
      expr: 'time() - max by (instance, role, worker) (causeway_heartbeat_seconds) > 15',
      for: '1m',
      severity: 'critical',
      summary: 'Worker {{ $labels.worker }} of {{ $labels.instance }} ({{ $labels.role }}) has not ticked for 15 s.',
      action:
        'Its VM traps again and again, or the worker hangs: look at Envoy’s log for the trap, then at the last change.',
    },
    {
      name: 'CausewayVmReloads',
      expr: 'sum by (instance, role) (increase(causeway_vm_configured_total[10m])) > 20',
      for: '1m',
      severity: 'warning',
      summary: 'VMs of {{ $labels.instance }} ({{ $labels.role }}) are made anew again and again.',
      action: 'A request that traps the module: Envoy’s log has the backtrace.',
    },
  ],
};
