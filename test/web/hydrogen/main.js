/** Hydrogen, whole, as its kit lets one put it together: for the homeserver that the address names. */
import olmUrl from '@matrix-org/olm/olm.js?url';
import olmWasmUrl from '@matrix-org/olm/olm.wasm?url';
import olmLegacyUrl from '@matrix-org/olm/olm_legacy.js?url';
import { createNavigation, createRouter, FeatureSet, Platform, RootViewModel } from 'hydrogen-view-sdk';
import downloadSandboxUrl from 'hydrogen-view-sdk/download-sandbox.html?url';
import workerUrl from 'hydrogen-view-sdk/main.js?url';
import 'hydrogen-view-sdk/theme-element-light.css';

const platform = new Platform({
  container: document.getElementById('app'),
  assetPaths: {
    downloadSandbox: downloadSandboxUrl,
    worker: workerUrl,
    olm: { wasm: olmWasmUrl, legacyBundle: olmLegacyUrl, wasmBundle: olmUrl },
    // Downloads carry no token without it.
    serviceWorker: 'sw.js',
  },
  config: { defaultHomeServer: new URLSearchParams(location.search).get('homeserver') },
});
const navigation = createNavigation();
platform.setNavigation(navigation);
await platform.init();
const urlRouter = createRouter({ navigation, history: platform.history });
urlRouter.attach();
const features = await FeatureSet.load(platform.settingsStorage);
const root = new RootViewModel({ platform, navigation, urlRouter, features });
platform.createAndMountRootView(root);
await root.load();
