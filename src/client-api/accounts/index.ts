import type { Context } from '#src/context.ts';
import type { Endpoint } from '#src/http/endpoint.ts';
import type { BindingContext } from '../third-party-ids/bindings.ts';
import { capabilities } from './capabilities.ts';
import { changePassword } from './change-password.ts';
import { deactivate } from './deactivate.ts';
import { deleteDevice } from './delete-device.ts';
import { deleteDevices } from './delete-devices.ts';
import { getDevice } from './get-device.ts';
import { listDevices } from './list-devices.ts';
import { login } from './login.ts';
import { loginFlows } from './login-flows.ts';
import { logout } from './logout.ts';
import { logoutAll } from './logout-all.ts';
import { putDevice } from './put-device.ts';
import { refresh } from './refresh.ts';
import { register } from './register.ts';
import { registerAvailable } from './register-available.ts';
import { registrationTokenValidity } from './registration-token-validity.ts';
import { sharedSecretNonce } from './shared-secret-nonce.ts';
import { sharedSecretRegister } from './shared-secret-register.ts';
import { versions } from './versions.ts';
import { wellKnownClient } from './well-known-client.ts';
import { whoami } from './whoami.ts';

/** What the endpoints of accounts need of the application. */
export type AccountsContext = BindingContext & Pick<Context, 'accounts' | 'config' | 'audit' | 'repeats'>;

/** What the server is, making accounts, logging in and out, devices. */
export const accountEndpoints: readonly Endpoint<AccountsContext>[] = [
  versions,
  capabilities,
  wellKnownClient,
  register,
  registerAvailable,
  registrationTokenValidity,
  sharedSecretNonce,
  sharedSecretRegister,
  loginFlows,
  login,
  refresh,
  logout,
  logoutAll,
  whoami,
  changePassword,
  deactivate,
  listDevices,
  getDevice,
  putDevice,
  deleteDevice,
  deleteDevices,
];
