import { defineCommand, SUCCESS } from '../command.ts';
import { steleVersion } from '../version.ts';

/** `stele version` */
export const command = defineCommand({
  name: 'version',
  summary: 'Say which version this is',
  usage: '',
  options: {},
  usesConfig: false,
  printsData: true,
  run: async ({ json, print }) => {
    const stele = await steleVersion();
    print(
      json ? JSON.stringify({ stele, node: process.versions.node }) : `stele ${stele} (Node ${process.versions.node})`,
    );
    return SUCCESS;
  },
});
