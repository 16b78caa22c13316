import type { HostFunctions } from '../host-call.ts';
import { Status } from '../status.ts';

export const sharedFunctions: HostFunctions = {
  proxy_get_shared_data(call, key: number, keySize: number, valueAt: number, sizeAt: number, casAt: number) {
    const entry = call.env.sharedData.get(call.instance.vmId, call.bytes(key, keySize));
    if (entry === undefined) return Status.NotFound;
    call.giveU32(entry.cas, casAt);
    return call.give(entry.value, valueAt, sizeAt);
  },

  proxy_set_shared_data(call, key: number, keySize: number, value: number, valueSize: number, cas: number) {
    const [name, bytes] = [call.bytes(key, keySize), call.bytes(value, valueSize)];
    return call.env.sharedData.set(call.instance.vmId, name, bytes, call.number(cas));
  },

  proxy_register_shared_queue(call, name: number, nameSize: number, tokenAt: number) {
    const { env, instance, context } = call;
    const { root } = context;
    const ready = (token: number): void =>
      env.post(() => {
        if (root !== undefined && !root.deleted) root.queueReady(token);
      });
    return call.giveU32(env.queues.register(instance.vmId, call.bytes(name, nameSize), ready), tokenAt);
  },

  proxy_resolve_shared_queue(call, vmId: number, vmIdSize: number, name: number, nameSize: number, tokenAt: number) {
    const id = call.bytes(vmId, vmIdSize);
    const token = call.env.queues.resolve(id === '' ? call.instance.vmId : id, call.bytes(name, nameSize));
    return token === 0 ? Status.NotFound : call.giveU32(token, tokenAt);
  },

  proxy_enqueue_shared_queue(call, token: number, data: number, dataSize: number) {
    return call.env.queues.enqueue(call.number(token), call.bytes(data, dataSize));
  },

  proxy_dequeue_shared_queue(call, token: number, dataAt: number, sizeAt: number) {
    const item = call.env.queues.dequeue(call.number(token));
    return typeof item === 'string' ? call.give(item, dataAt, sizeAt) : item;
  },
};
