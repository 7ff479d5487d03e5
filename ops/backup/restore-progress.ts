import { type Progress, startProgress } from '../cli/progress.ts';
import type { RestoreStep } from './restore.ts';

const LABELS: Readonly<Record<RestoreStep, { readonly label: string; readonly unit: string }>> = {
  copy: { label: 'Copying', unit: 'bytes' },
  verify: { label: 'Verifying', unit: 'records' },
  replay: { label: 'Building projections', unit: 'records' },
  media: { label: 'Opening media', unit: 'files' },
};

/** A bar for each step of a restore, one after the other. */
export function restoreProgress(): {
  onProgress(step: RestoreStep, done: number, total: number): void;
  finish(): void;
} {
  let current: { readonly step: RestoreStep; readonly bar: Progress } | undefined;
  return {
    onProgress(step, done, total) {
      if (current?.step !== step) {
        current?.bar.finish();
        current = { step, bar: startProgress(LABELS[step]) };
      }
      current.bar.update(done, total);
    },
    finish: () => current?.bar.finish(),
  };
}
