import type { Coverage } from './filters.ts';

const rate = (metric: string, by: string) => `sum by (${by}) (rate(causeway_centre_${metric}[1m]))`;

/** What is shown and watched of the healing centre, which tells Prometheus itself: all replicas together. */
export const CENTRE: Pick<Coverage, 'panels' | 'alerts'> = {
  panels: [
    { title: 'Answers', expr: rate('requests_total', 'status'), unit: 'reqps' },
    { title: 'Reports', expr: rate('reports_total', 'instance'), unit: 'reqps' },
    { title: 'Rows of reports', expr: rate('rows_total', 'instance'), unit: 'reqps' },
    { title: 'Refused', expr: rate('refused_total', 'reason'), unit: 'reqps' },
    { title: 'Hosts that are out', expr: 'max(causeway_centre_verdicts)', unit: 'short' },
    { title: 'Verdicts given', expr: rate('decisions_total', 'verdict'), unit: 'reqps' },
    { title: 'Looks at a host that too few complain of', expr: rate('unconfirmed_total', 'instance'), unit: 'reqps' },
    { title: 'Spared by the bounds', expr: rate('spared_total', 'instance'), unit: 'reqps' },
    { title: 'Probes', expr: rate('probes_total', 'result'), unit: 'reqps' },
    { title: 'Recoveries', expr: rate('recoveries_total', 'result'), unit: 'reqps' },
    { title: 'Isolated by order', expr: 'max(causeway_centre_isolated)', unit: 'short' },
    { title: 'Orders', expr: rate('orders_total', 'order'), unit: 'reqps' },
    { title: 'Agents whose question is kept', expr: 'sum(causeway_centre_questions)', unit: 'short' },
    { title: 'Files read again', expr: rate('reloads_total', 'result'), unit: 'reqps' },
    { title: 'Looks that failed', expr: rate('ticks_failed_total', 'instance'), unit: 'reqps' },
  ],
  alerts: [
    {
      name: 'CausewayCentreBlind',
      expr: 'sum by (instance) (rate(causeway_centre_ticks_failed_total[1m])) > 0',
      for: '1m',
      severity: 'critical',
      summary: 'The healing centre {{ $labels.instance }} cannot reach the state that it shares, and decides nothing.',
      action: 'Look at Redis. Verdicts expire meanwhile; callers go on by their own judgement.',
    },
    {
      name: 'CausewayCentreCannotProbe',
      expr: 'sum by (instance) (rate(causeway_centre_probes_total{result="not-asked"}[5m])) > 0',
      for: '5m',
      severity: 'warning',
      summary:
        'The healing centre {{ $labels.instance }} has no certificate by which instances that speak TLS take it.',
      action: 'Start it with `--deployment` or `--probe-secrets`; renew what has expired.',
    },
    {
      name: 'CausewayCentreRefusesFile',
      expr: 'sum by (instance) (increase(causeway_centre_reloads_total{result="refused"}[5m])) > 0',
      for: '1m',
      severity: 'warning',
      summary: 'The healing centre {{ $labels.instance }} goes on with the instances or credentials that it had.',
      action: 'Its standard error says what is wrong with the file that has changed.',
    },
  ],
};
