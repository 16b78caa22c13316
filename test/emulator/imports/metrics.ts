import type { HostFunctions } from '../host-call.ts';
import { MetricType } from '../status.ts';

export const metricFunctions: HostFunctions = {
  proxy_define_metric(call, type: number, name: number, nameSize: number, idAt: number) {
    const kind = call.choice(MetricType, type);
    return call.giveU32(call.instance.metricIds.define(kind, call.bytes(name, nameSize)), idAt);
  },

  proxy_increment_metric(call, id: number, offset: bigint) {
    return call.instance.metricIds.increment(call.number(id), call.number(offset));
  },

  proxy_record_metric(call, id: number, value: bigint) {
    return call.instance.metricIds.record(call.number(id), call.number(value));
  },

  proxy_get_metric(call, id: number, valueAt: number) {
    const value = call.instance.metricIds.get(call.number(id));
    return typeof value === 'bigint' ? call.giveU64(value, valueAt) : value;
  },
};
