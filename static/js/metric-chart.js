// The chart beside the loss: one metric at a time, by the tab that is chosen. Keeps the points of
// all of them, so that a change of tab asks nobody.

import { append, baseLayout, colour, hoverText, PLOTLY_OPTIONS, smooth } from "./chart-style.js";

const FORMATS = {
  percent: { isNoisy: true, tickformat: ".0%", hover: ".1%" },
  bytes: { tickformat: "~s", hover: ".3s", suffix: "B" },
  small: { tickformat: "~e", hover: ".3e" },
  plain: { isNoisy: true, tickformat: "~s", hover: ".4~g" },
};

export class MetricChart {
  constructor(element, empty) {
    this.element = element;
    this.empty = empty;
    this.series = new Map();
    this.chosen = null;
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    new MutationObserver(() => this.draw()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  }

  add(points) {
    for (const point of points) {
      if (!this.series.has(point.name)) this.series.set(point.name, []);
      append(this.series.get(point.name), [point]);
    }
    if (this.chosen && points.some((point) => this.isChosen(point.name))) this.draw();
  }

  cutAfter(step) {
    for (const [name, points] of this.series) this.series.set(name, points.filter((point) => point.step <= step));
    this.draw();
  }

  // `choice` is the dataset of a tab; null when the loss is shown in this one's place.
  choose(choice) {
    this.chosen = choice;
    if (choice) this.element.setAttribute("aria-label", `${choice.title} by step. ${choice.says}`);
    this.draw();
  }

  isChosen(name) {
    return name === this.chosen.training || name === this.chosen.validation;
  }

  draw() {
    if (!this.chosen) return;
    const { title, training, validation, form } = this.chosen;
    const format = FORMATS[form];
    const raw = this.line(training, "Training", "training", format);
    const lines = [raw, this.line(validation, "Validation", "validation", format)];
    if (format.isNoisy) {
      lines.splice(1, 0, { ...raw, y: smooth(this.series.get(training) ?? []), hoverinfo: "skip", hovertemplate: undefined });
      Object.assign(raw, { opacity: 0.3, line: { ...raw.line, width: 1 } });
    }
    const traces = lines.filter((trace) => trace.x.length > 0);
    this.empty.hidden = traces.length > 0;
    const layout = baseLayout(title);
    layout.yaxis = { ...layout.yaxis, tickformat: format.tickformat, ticksuffix: format.suffix, rangemode: "tozero", exponentformat: "power" };
    layout.uirevision = title;
    Plotly.react(this.element, traces, layout, { ...PLOTLY_OPTIONS, toImageButtonOptions: { filename: title.toLowerCase() } });
  }

  line(name, says, tint, format) {
    const points = this.series.get(name) ?? [];
    const isValidation = tint === "validation";
    return {
      name: says,
      x: points.map((point) => point.step),
      y: points.map((point) => point.value),
      customdata: points.map(hoverText),
      hovertemplate: `${says} %{y:${format.hover}}${format.suffix ?? ""}<extra></extra>`,
      mode: isValidation ? "lines+markers" : "lines",
      line: { color: colour(tint), width: 2, dash: isValidation ? "dot" : "solid" },
      marker: { size: 8, symbol: "diamond" },
      cliponaxis: false,
    };
  }
}
