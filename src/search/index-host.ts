/** Keeps the search index in step with what it is fed: in a thread of its own, so that cutting words never holds up a send. */
import type { MessagePort } from 'node:worker_threads';
import { ProjectionEngine } from '#projections/engine/engine.ts';
import { searchProjections } from '#projections/search/catalogue.ts';
import type { Position } from '#streams/event-log.ts';
import { FedLog } from './fed-log.ts';
import type { FromIndex, ToIndex } from './feed-messages.ts';

export interface IndexHostOptions {
  /** Folder of the environment. */
  readonly dir: string;
  /** Position of the last record of the log. */
  readonly head: Position;
  /** Where the records come from. */
  readonly port: MessagePort;
}

/** Opens the index, follows what comes through the port, and closes it when it is told to. */
export async function hostIndex({ dir, head, port }: IndexHostOptions): Promise<void> {
  const log = new FedLog(port, head);
  const tell = (message: FromIndex): void => port.postMessage(message);
  let engine: ProjectionEngine | undefined;
  let isClosing = false;
  const close = async (): Promise<void> => {
    isClosing = true;
    // What is still being opened is closed when it is open; what comes through the port ends with it.
    if (engine === undefined) return log.receive({ kind: 'end', reason: 'the server stops' });
    await engine.close();
    tell({ kind: 'closed' });
    port.close();
  };
  port.on('message', (message: ToIndex) => {
    if (message.kind === 'close') close().catch((error: unknown) => tell({ kind: 'failed', reason: textOf(error) }));
    else log.receive(message);
  });
  try {
    engine = await ProjectionEngine.open({
      dir,
      log,
      projections: searchProjections,
      onError: (error) => tell({ kind: 'failed', reason: textOf(error) }),
    });
    engine.onFailure((error) => tell({ kind: 'failed', reason: textOf(error) }));
    if (isClosing) return await close();
    tell({ kind: 'ready' });
  } catch (error) {
    if (!isClosing) tell({ kind: 'failed', reason: textOf(error) });
    tell({ kind: 'closed' });
    port.close();
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
