// One guest's page: header and buttons follow its state, parts are fetched anew when its definition changes.

import { $$, h } from "kvmweb/dom";
import { readWords, renewMenus, showBusy, shownState } from "kvmweb/guest_parts";
import { _ } from "kvmweb/i18n";
import { active, localised } from "kvmweb/job_card";
import { onMessage, watch } from "kvmweb/live";
import { refreshQuietly } from "kvmweb/refresh";
import { patch, rowsOf } from "kvmweb/rows";

const PARTS = {
  overview: ["guest-facts", "guest-disks", "guest-nics", "guest-description"],
  xml: ["guest-xml"],
  jobs: ["guest-jobs"],
};
const SETTLE_MS = 150;

class GuestPage {
  constructor(root) {
    this.root = root;
    const { host, uuid, words, tab } = root.dataset;
    this.host = Number(host);
    this.uuid = uuid;
    this.parts = PARTS[tab] ?? [];
    this.timer = 0;
    readWords(words);
    onMessage("guest", (message) => this.is(message) && this.guest(message));
    onMessage("host", (message) => message.host === this.host && this.renew(["guest-actions", "guest-notice"], true));
    onMessage("job", (message) => this.is(message) && this.job(message));
    if (tab === "overview" || tab === "performance") watch([`${host}/${uuid}`], "guest");
  }

  is(message) {
    return message.host === this.host && message.uuid === this.uuid;
  }

  guest(message) {
    if (message.op === "gone") {
      this.gone();
      return;
    }
    const shown = shownState(message.row);
    for (const element of rowsOf("guest", this.host, this.uuid))
      patch(element, { shown, reason: message.row.reason, state: message.row.state });
    renewMenus(document);
    document.title = `${message.row.title || message.row.name} · kvmweb`;
    this.renew(["guest-actions", "guest-notice", ...this.parts.filter((id) => id !== "guest-jobs")]);
  }

  /** Fetches parts once the messages of one change are all there. */
  renew(ids, always = false) {
    if (this.left && !always) return;
    clearTimeout(this.timer);
    this.ids = new Set([...(this.ids ?? []), ...ids]);
    this.timer = setTimeout(() => {
      const wanted = [...this.ids];
      this.ids = null;
      refreshQuietly(wanted);
    }, SETTLE_MS);
  }

  gone() {
    this.left = true;
    clearTimeout(this.timer); // parts of what is gone need not be asked for
    this.ids = null;
    for (const button of $$("#guest-actions button")) {
      button.setAttribute("aria-disabled", "true");
      button.dataset.tip = _("This virtual machine has been deleted.");
    }
    const text = h(
      "p",
      {},
      `${_("This virtual machine has been deleted.")} `,
      h("a", { href: "/guests/" }, _("All virtual machines")),
    );
    document
      .getElementById("guest-notice")
      .replaceChildren(h("div", { class: "callout callout-warning", role: "status" }, text));
  }

  job({ row }) {
    if (!row.quiet)
      for (const element of rowsOf("guest", this.host, this.uuid))
        showBusy(element, active(row) ? localised(row).label : "");
    if (this.parts.includes("guest-jobs")) this.renew(["guest-jobs"], true);
  }
}

export default (root) => new GuestPage(root);
