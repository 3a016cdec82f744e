// Fetches a page's [data-refresh] parts anew when the structure it shows changed.
// data-kinds="pool volume" names the live messages, data-host="3" limits them to one host, data-jobs="host." also
// follows jobs of operations with that beginning, data-job names the one job that counts, data-calm="2000" gathers longer.

import { onMessage } from "../live.js";
import { refreshQuietly } from "../refresh.js";

const CALM_MS = 400;

export default function start(element) {
  const { kinds, host, jobs, job, calm } = element.dataset;
  let timer = 0;
  const soon = (message) => {
    if (host && message.host !== Number(host)) return;
    if (job && message.row?.id !== job) return;
    if (timer) return;
    timer = setTimeout(() => {
      timer = 0;
      refreshQuietly();
    }, Number(calm) || CALM_MS);
  };
  for (const kind of kinds.split(" ")) onMessage(kind, soon);
  if (jobs) {
    onMessage("job", (message) => {
      if (message.row.operation.startsWith(jobs)) soon(message);
    });
  }
}
