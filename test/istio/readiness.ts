import { allInstances, type Instance } from '../../envoy-configs/mesh.ts';
import type { IstioDeployment } from './deployment.ts';

/**
 * The kubelet's part: asks each application for its health as `causeway.yaml` says, and takes a Pod that fails off the
 * endpoints until it passes again.
 */
export class Readiness {
  private readonly deployment: IstioDeployment;
  private readonly failures = new Map<string, number>();
  private over = false;
  private readonly done: Promise<void>;

  constructor(deployment: IstioDeployment) {
    this.deployment = deployment;
    this.done = this.watch();
  }

  async stop(): Promise<void> {
    this.over = true;
    await this.done;
  }

  private async watch(): Promise<void> {
    while (!this.over) {
      const { mesh } = this.deployment;
      const checks = mesh.services.map(({ healthCheck }) => healthCheck);
      await Promise.all(allInstances(mesh).map((instance) => this.look(instance)));
      const interval = Math.min(...checks.map(({ intervalMs }) => intervalMs));
      await new Promise((resolve) => setTimeout(resolve, interval));
    }
  }

  private async look(instance: Instance): Promise<void> {
    const service = this.deployment.mesh.services.find(({ name }) => name === instance.service);
    if (!service) return;
    const { path, timeoutMs, unhealthyThreshold } = service.healthCheck;
    const url = `http://${instance.address}:${instance.ports.app}${path}`;
    const passes = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) }).then(
      async (answer) => {
        await answer.arrayBuffer();
        return answer.ok;
      },
      () => false,
    );
    const failed = passes ? 0 : (this.failures.get(instance.id) ?? 0) + 1;
    this.failures.set(instance.id, failed);
    if (this.over || (failed > 0 && failed < unhealthyThreshold)) return;
    // A Pod that is not there any more has nothing to be taken off.
    await this.deployment.setReady(instance.id, failed === 0).catch(() => undefined);
  }
}
