// Live charts of one guest by uPlot: CPU, memory, disk, network; and the same figures as lines of a table.

import { $, $$, h, setText } from "kvmweb/dom";
import { bytes, exact, kib, percent, rate } from "kvmweb/format";
import { _ } from "kvmweb/i18n";
import { onMessage } from "kvmweb/live";
import { getJSON } from "kvmweb/net";
import uPlot from "uplot";

const MAX_POINTS = 300;
const HEIGHT = 150;
const GAP_S = 75; // a longer silence is a gap, not a line

/** Which numbers of a sample [t, cpu, used, memory, read, write, rx, tx] each chart shows, and how they are written. */
const CHARTS = {
  cpu: {
    series: [1],
    text: percent,
    steps: [0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5],
    top: (high) => Math.max(high, 0.1),
  },
  memory: { series: [2, 3], text: kib, top: (high) => high * 1.05 },
  disk: { series: [4, 5], text: rate, top: (high) => Math.max(high * 1.1, 4096) },
  network: { series: [6, 7], text: rate, top: (high) => Math.max(high * 1.1, 1024) },
};
const POWERS = Array.from({ length: 50 }, (_all, power) => 2 ** power);
const COLOURS = ["--k-meter", "--k-warn"];

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** "14:03", with seconds where the marks stand closer than a minute. */
function clock(time, times) {
  const text = exact(time * 1000).slice(11);
  return times.length > 1 && times[1] - times[0] < 60 ? text : text.slice(0, 5);
}

/** Columns for uPlot: times in seconds, one column a series; a long silence becomes an empty point. */
function columns(samples, series) {
  const data = [[], ...series.map(() => [])];
  let last = null;
  for (const sample of samples) {
    const t = sample[0] / 1000;
    if (last !== null && t - last > GAP_S) {
      data[0].push(last + 1);
      for (const column of data.slice(1)) column.push(null);
    }
    data[0].push(t);
    for (const [index, at] of series.entries()) data[index + 1].push(sample[at]);
    last = t;
  }
  return data;
}

class Chart {
  constructor(element, samples) {
    this.element = element;
    this.spec = CHARTS[element.dataset.chart];
    this.labels = element.dataset.labels.split("|");
    this.draw(samples);
  }

  options() {
    const { text, top, series, steps = POWERS } = this.spec;
    const axis = {
      stroke: css("--k-text-3"),
      grid: { stroke: css("--k-line"), width: 1 },
      ticks: { show: false },
      font: `11px ${css("--k-font")}`,
    };
    return {
      width: Math.max(this.element.clientWidth, 200),
      height: HEIGHT,
      padding: [8, 8, 0, 0],
      cursor: { points: { size: 5 }, drag: { x: false, y: false } },
      legend: { show: true, live: true },
      scales: { y: { range: (_chart, _low, high) => [0, top(high ?? 0)] } },
      axes: [
        { ...axis, size: 28, space: 70, values: (_chart, times) => times.map((time) => clock(time, times)) },
        { ...axis, size: 76, space: 28, incrs: steps, values: (_chart, values) => values.map((value) => text(value)) },
      ],
      series: [
        { label: _("Time"), value: (_chart, value) => (value === null ? "–" : exact(value * 1000).slice(11)) },
        ...series.map((_at, index) => ({
          label: this.labels[index],
          stroke: css(COLOURS[index]),
          width: 1.5,
          dash: index ? [5, 3] : [],
          fill: index ? undefined : `${css(COLOURS[0])}24`, // tokens are #rrggbb
          points: { show: false },
          value: (_chart, value) => text(value),
        })),
      ],
    };
  }

  draw(samples) {
    this.plot?.destroy();
    this.element.replaceChildren();
    this.plot = new uPlot(this.options(), columns(samples, this.spec.series), this.element);
    $("canvas", this.element)?.setAttribute("aria-hidden", "true");
  }

  update(samples) {
    this.plot.setData(columns(samples, this.spec.series));
  }

  resize() {
    const width = Math.max(this.element.clientWidth, 200);
    if (width !== this.plot.width) this.plot.setSize({ width, height: HEIGHT });
  }
}

class Charts {
  constructor(root) {
    this.box = $("[data-charts]", root);
    this.host = Number(root.dataset.host);
    this.uuid = root.dataset.uuid;
    this.samples = JSON.parse(document.getElementById(this.box.dataset.samples).textContent);
    this.charts = $$("[data-chart]", this.box).map((element) => new Chart(element, this.samples));
    this.tell();
    onMessage("metrics", (message) => {
      const sample = message.host === this.host && message.rows[this.uuid];
      if (sample) this.add(sample);
    });
    document.addEventListener("kvmweb:resync", () => this.again());
    document.addEventListener("kvmweb:theme", () => this.each((chart) => chart.draw(this.samples)));
    new ResizeObserver(() => this.each((chart) => chart.resize())).observe(this.box);
  }

  each(run) {
    for (const chart of this.charts) run(chart);
  }

  add(sample) {
    if (sample[0] <= (this.samples.at(-1)?.[0] ?? 0)) return;
    this.samples = [...this.samples, sample].slice(-MAX_POINTS);
    this.each((chart) => chart.update(this.samples));
    this.tell();
    this.line(sample);
  }

  async again() {
    try {
      const { samples } = await getJSON(this.box.dataset.history);
      const last = samples.at(-1)?.[0] ?? 0;
      const newer = this.samples.filter(([time]) => time > last); // heard while the history was on its way
      this.samples = [...samples, ...newer].slice(-MAX_POINTS);
      this.each((chart) => chart.update(this.samples));
      this.tell();
    } catch (error) {
      console.warn("history", error);
    }
  }

  /** The newest figures beside each heading. */
  tell() {
    const [, cpu, used, memory, read, write, rx, tx] = this.samples.at(-1) ?? [];
    const told = {
      cpu: percent(cpu),
      memory: `${kib(used)} / ${kib(memory)}`,
      disk: `${rate(read)} · ${rate(write)}`,
      network: `${rate(rx)} · ${rate(tx)}`,
    };
    for (const [name, text] of Object.entries(told)) setText($(`[data-value=${name}]`, this.box), text);
  }

  /** The same as a line of the table, newest first. */
  line([t, cpu, used, _memory, read, write, rx, tx]) {
    const body = $("[data-figures]");
    const texts = [percent(cpu), used === null ? "–" : bytes(used * 1024), rate(read), rate(write), rate(rx), rate(tx)];
    const cells = texts.map((text) => h("td", { class: "num" }, text));
    body.prepend(h("tr", {}, h("th", { scope: "row" }, exact(t)), ...cells));
    while (body.childElementCount > Number(body.dataset.max)) body.lastElementChild.remove();
    $("[data-no-figures]").hidden = true;
  }
}

export default (root) => new Charts(root);
