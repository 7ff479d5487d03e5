/** Serves a witness over HTTP: `POST /add-checkpoint` (https://c2sp.org/tlog-witness), and nothing else. */
import { fastify } from 'fastify';
import { MAX_WITNESS_REQUEST, type Witness } from '#streams/transparency/witness.ts';

/** A witness that listens. */
export interface RunningWitness {
  /** Where it answers: `http://127.0.0.1:8099`. */
  readonly url: string;
  stop(): Promise<void>;
}

/** Listens. `onFailure` is told of a disk that does not work: the request is then answered with 500, and nothing is signed. */
export async function serveWitness(
  witness: Witness,
  listen: { readonly host: string; readonly port: number },
  onFailure: (error: unknown) => void,
): Promise<RunningWitness> {
  const app = fastify({ bodyLimit: MAX_WITNESS_REQUEST, logger: false });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => done(null, body));
  app.post('/add-checkpoint', async (request, reply) => {
    try {
      const answer = await witness.addCheckpoint(typeof request.body === 'string' ? request.body : '');
      return await reply.code(answer.status).header('content-type', answer.contentType).send(answer.body);
    } catch (error) {
      onFailure(error);
      return await reply
        .code(500)
        .header('content-type', 'text/plain; charset=utf-8')
        .send('the witness cannot work now\n');
    }
  });
  const url = await app.listen({ host: listen.host, port: listen.port });
  return { url, stop: () => app.close() };
}
