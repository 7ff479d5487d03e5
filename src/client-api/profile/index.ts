import type { Context } from '#src/context.ts';
import type { Endpoint } from '#src/http/endpoint.ts';
import { deleteProfileField } from './delete-profile-field.ts';
import { getProfile } from './get-profile.ts';
import { getProfileField } from './get-profile-field.ts';
import { putProfileField } from './put-profile-field.ts';

/** What users say of themselves. */
export const profileEndpoints: readonly Endpoint<Context>[] = [
  getProfile,
  getProfileField,
  putProfileField,
  deleteProfileField,
];
