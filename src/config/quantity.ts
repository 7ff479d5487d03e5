/** Sizes and durations as people write them in a configuration file. */
import { z } from 'zod';

const SIZE_UNITS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
  t: 2 ** 40,
};

const DURATION_UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 7 * 86_400_000,
};

function quantity(text: string, units: Readonly<Record<string, number>>): number | undefined {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*$/.exec(text);
  if (match === null) return undefined;
  const unit = (match[2] ?? '').toLowerCase();
  const factor = Object.hasOwn(units, unit) ? units[unit] : undefined;
  if (factor === undefined) return undefined;
  const value = Math.round(Number(match[1]) * factor);
  return Number.isSafeInteger(value) ? value : undefined;
}

/** Bytes of `100MiB`, `1.5 GB`, `4096`; `undefined` if it is no size. `K`, `M`, `G` alone count in 1024s. */
export function parseSize(text: string): number | undefined {
  return quantity(text, SIZE_UNITS);
}

/** Milliseconds of `30s`, `5m`, `1h`, `2d`; `undefined` if it is no duration. A unit is needed. */
export function parseDuration(text: string): number | undefined {
  return quantity(text, DURATION_UNITS);
}

/** A setting that is a size; its value is bytes. */
export function sizeSetting() {
  return z.union([z.string(), z.number()]).transform((written, context) => {
    const bytes = parseSize(String(written));
    if (bytes !== undefined) return bytes;
    context.issues.push({ code: 'custom', input: written, message: 'is not a size such as 100MiB' });
    return z.NEVER;
  });
}

/** A setting that is a duration; its value is milliseconds. */
export function durationSetting() {
  return z.union([z.string(), z.number()]).transform((written, context) => {
    const milliseconds = parseDuration(String(written));
    if (milliseconds !== undefined) return milliseconds;
    context.issues.push({
      code: 'custom',
      input: written,
      message: 'is not a duration with a unit, such as 30s or 1h',
    });
    return z.NEVER;
  });
}
