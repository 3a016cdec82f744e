// What the end of a console means, in sentences: the reason word of the close frame → heading, explanation, what next.

import { _ } from "../i18n.js";

/** `next`: "retry" soon, "wait" until the machine or the display changes, "stop" until the person asks again. */
export function explain(word, kind) {
  const screen = kind === "vnc";
  const table = {
    off: [
      _("The virtual machine is off"),
      screen
        ? _("Its screen shows up here as soon as it runs.")
        : _("Its serial line shows up here as soon as it runs."),
      "wait",
    ],
    "no-display": [
      _("This virtual machine has no screen"),
      _("Its definition has no VNC display. Try its serial line."),
      "wait",
    ],
    spice: [
      _("Its screen is SPICE, not VNC"),
      _("The page can show VNC only. Change the display to VNC, or open it with a SPICE viewer."),
      "wait",
    ],
    loopback: [
      _("Its screen can only be reached on its own host"),
      _(
        "VNC listens on the host's loopback, and this host is not connected by SSH. Connect the host by SSH, or let VNC listen on an address of the host.",
      ),
      "wait",
    ],
    "remote-socket": [
      _("Its screen can only be reached on its own host"),
      _("VNC listens on a UNIX socket of another machine. Let it listen on the host's loopback instead."),
      "wait",
    ],
    "no-key": [
      _("No tunnel to this host can be made"),
      _("Its SSH key or password is missing. Enter it on the host's page, then connect again."),
      "wait",
    ],
    taken: [
      _("Another program has this serial line"),
      _("For example “virsh console”. Trying again; you can also take the line away from it."),
      "retry",
    ],
    "no-serial": [
      _("This virtual machine has no serial line"),
      _("Its definition has neither a serial port nor a console. Try its screen."),
      "wait",
    ],
    gone: [
      _("This virtual machine no longer exists"),
      _("It was removed from its host, or you may not see it any more."),
      "stop",
    ],
    rights: [
      _("You may not do that any more"),
      _("Your role was changed. Ask an administrator if you need this console."),
      "stop",
    ],
    session: [_("You have been signed out"), _("Reload the page to sign in again."), "stop"],
    time: [_("Open for twelve hours"), _("A console ends after this time. Connect again to go on."), "stop"],
    busy: [
      _("Too many consoles are open"),
      _("Close one that you no longer need, here or in another window, then connect again."),
      "stop",
    ],
    protocol: [
      _("The connection was ended"),
      _("Something that is not part of the console's protocol was sent."),
      "stop",
    ],
    library: [
      _("The viewer could not be loaded"),
      _("Reload the page. If that does not help, your browser may be too old."),
      "stop",
    ],
    password: [_("The password was not accepted"), _("Connect again to try another one."), "stop"],
    host: [_("The host does not answer"), _("Trying again. The virtual machine itself may well be running."), "retry"],
    ended: [
      _("The connection ended"),
      _("The virtual machine stopped, restarted or moved. Connecting again."),
      "retry",
    ],
    lost: [_("The connection was lost"), _("Connecting again by itself."), "retry"],
  };
  const [heading, text, next] = table[word] ?? table.lost;
  return { heading, text, next };
}
