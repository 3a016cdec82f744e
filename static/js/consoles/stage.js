// What stands where the picture would be: connecting, off with a start button, why there is nothing, connect again.

import { $, announce, setText } from "../dom.js";
import { _ } from "../i18n.js";

export class Stage {
  constructor(root, connect) {
    this.root = root;
    this.name = "";
    this.box = $("[data-overlay]", root);
    this.word = "";
    $("[data-do=connect]", root).addEventListener("click", () =>
      this.word === "library" ? location.reload() : connect(),
    );
  }

  /** Shows a status of the link. A picture that is merely being fetched again is not covered at once. */
  show(status, link) {
    const before = this.name;
    this.name = status.name;
    this.word = status.word;
    this.box.hidden = status.name === "open";
    this.root.dataset.status = status.name;
    if (status.name === "open") return;
    const connecting = status.name === "connecting";
    const heading = connecting ? _("Connecting") : status.heading;
    setText($("[data-heading]", this.box), heading);
    setText($("[data-text]", this.box), connecting ? "" : status.text);
    $("[data-spinner]", this.box).toggleAttribute("hidden", !connecting && status.next !== "retry");
    $("[data-do=connect]", this.box).hidden =
      connecting || status.word === "off" || status.word === "gone" || status.word === "session";
    for (const button of this.box.querySelectorAll("[data-start]")) {
      button.hidden = status.word !== "off" || (button.dataset.start === "saved") !== Boolean(link.saved);
    }
    if (before !== status.name || !connecting) announce(`${heading}. ${connecting ? "" : status.text}`);
  }
}
