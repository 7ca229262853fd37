// Which device this is, as far as a browser reveals it.

const BROWSERS = [["edge", /Edg\/(\d+)/], ["firefox", /Firefox\/(\d+)/], ["samsung", /SamsungBrowser\/(\d+)/], ["chrome", /Chrom(?:e|ium)\/(\d+)/], ["safari", /Version\/(\d+).*Safari/]];
const SYSTEMS = [["android", /Android/], ["ios", /iPhone|iPad/], ["windows", /Windows/], ["macos", /Mac OS/], ["linux", /Linux/]];

/** Return a name for this device, such as chrome-131-android: what a person will want to replace by the phone's own. */
export function suggestedName() {
  const { browser, version, system } = recognized();
  return [browser, version, system].join("-");
}

/** Return where a measurement is taken; browsers do not tell the processor. */
export async function environment(runtime) {
  const { browser, version, system } = recognized();
  const hints = await navigator.userAgentData?.getHighEntropyValues(["architecture", "model", "platformVersion"]).catch(() => {}); // it may be forbidden
  return {
    runtime: { [runtime.package]: runtime.version },
    browser: `${browser} ${version}`,
    cpu: "a processor that the browser does not tell",
    cpus: navigator.hardwareConcurrency ?? null,
    machine: [hints?.model, hints?.architecture].filter(Boolean).join(" "),
    os: [system, hints?.platformVersion].filter(Boolean).join(" "),
    isolated: crossOriginIsolated, // finer timers
    date: new Date().toISOString().replace(/\.\d+Z$/, "+00:00"),
  };
}

function recognized() {
  const find = (patterns) => patterns.map(([name, pattern]) => [name, navigator.userAgent.match(pattern)]).find(([, match]) => match);
  const [browser, match] = find(BROWSERS) ?? ["browser", null];
  const [system] = find(SYSTEMS) ?? ["unknown"];
  return { browser, version: match?.[1] ?? "", system };
}
