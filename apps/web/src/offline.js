// Offline use: the worker keeps the page when it installs, and this keeps what was picked. Nothing is promised before
// everything that this page has used is cached.

/**
 * Start the worker of this version; `status` is called with what may be promised, `updated` with a function that switches
 * to a new export. Returns keep(), to be called with the promise of something that is being loaded: until it is kept, nothing is
 * promised any more.
 */
export function start(version, status, updated) {
  if (!("serviceWorker" in navigator)) {
    const plain = !isSecureContext;
    status(plain ? "Not kept for offline use: this address is plain http" : "This browser keeps no pages for offline use");
    return async () => {};
  }
  const taken = navigator.serviceWorker.controller !== null;
  navigator.serviceWorker.addEventListener("controllerchange", () => taken && location.reload());
  const started = navigator.serviceWorker.register("sw.js").then((registration) => {
    watch(registration, updated);
    return Promise.race([navigator.serviceWorker.ready, failed(registration)]);
  });
  started.catch(() => {}); // keep() reports it

  let loading = 0;
  return async (loaded) => {
    loading += 1;
    status("Not all is kept for offline use yet");
    try {
      await loaded;
    } finally {
      loading -= 1;
    }
    if (loading) return; // the last one reports
    try {
      await started;
      const cache = await caches.open(`edgewise-${version}`);
      await add(cache, used());
      const missing = await lacking(cache, used());
      if (!loading) status(missing.length ? `${missing.length} files are not kept yet` : "Works offline");
    } catch (error) {
      status(`Not kept for offline use: ${error.message}`);
    }
  };
}

/** Return the address of every file of this site that this page has loaded so far; some browsers tell no status. */
function used() {
  const loaded = performance.getEntriesByType("resource").filter(({ responseStatus = 200 }) => responseStatus === 200);
  const names = loaded.map((entry) => entry.name);
  return [...new Set([location.origin + location.pathname, ...names])].filter((name) => name.startsWith(location.origin));
}

async function lacking(cache, addresses) {
  const matches = await Promise.all(addresses.map((address) => cache.match(address, { ignoreSearch: true })));
  return addresses.filter((_, i) => !matches[i]);
}

async function add(cache, addresses) {
  await cache.addAll((await lacking(cache, addresses)).filter((address) => !address.endsWith("/sw.js")));
}

/** Reject where the worker cannot install: `ready` would be waited for in vain. */
function failed({ installing }) {
  return new Promise((_, reject) => {
    installing?.addEventListener("statechange", () => {
      if (installing.state === "redundant") reject(new Error("the files could not all be fetched"));
    });
  });
}

function watch(registration, updated) {
  const offer = (worker) => {
    if (worker && navigator.serviceWorker.controller) updated(() => worker.postMessage("take over"));
  };
  offer(registration.waiting);
  registration.addEventListener("updatefound", () => {
    const worker = registration.installing;
    worker.addEventListener("statechange", () => worker.state === "installed" && offer(worker));
  });
}
