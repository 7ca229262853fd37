// Keeps the site for offline use. The build puts VERSION and SHELL before this line: another export, another worker.

const CACHE = `edgewise-${VERSION}`;

addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(SHELL.map((path) => new Request(path, { cache: "no-cache" })))));
});

addEventListener("activate", (event) => {
  const old = async () => {
    for (const name of await caches.keys()) if (name.startsWith("edgewise-") && name !== CACHE) await caches.delete(name);
    await clients.claim();
  };
  event.waitUntil(old());
});

// The cache holds one export, so it answers before the network. The page adds what was picked (offline.js).
addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || new URL(request.url).origin !== location.origin) return;
  const cached = async () => (await (await caches.open(CACHE)).match(request, { ignoreSearch: true })) ?? fetch(request);
  event.respondWith(cached());
});

addEventListener("message", (event) => {
  if (event.data === "take over") skipWaiting();
});
