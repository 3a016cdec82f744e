// Loads a viewer library when it is needed. A browser that failed once keeps failing until the page is loaded anew.

const KEY = "kvmweb-console-reloaded";
const AGAIN_MS = 60_000;

/** The modules by their bare names. A failure loads the page anew once a minute at most; then it throws. */
export async function load(...names) {
  try {
    return await Promise.all(names.map((name) => import(name)));
  } catch (error) {
    const last = Number(sessionStorage.getItem(KEY) ?? 0);
    if (Date.now() - last < AGAIN_MS) throw error;
    sessionStorage.setItem(KEY, String(Date.now()));
    console.warn("console", error);
    location.reload();
    return new Promise(() => {}); // the page goes
  }
}
