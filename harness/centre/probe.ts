import { request } from 'undici';

const TIMEOUT_MS = 1_000;

/** Asks an instance's health path. Only for hosts of the mesh's own file: nobody's report makes the centre call elsewhere. */
export async function probe(host: string, path: string): Promise<boolean> {
  try {
    const { statusCode, body } = await request(`http://${host}${path}`, {
      headers: { 'user-agent': 'causeway-probe' },
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    await body.dump({ limit: 16_384 });
    return statusCode < 400;
  } catch {
    return false;
  }
}
