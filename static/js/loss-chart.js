// The loss chart: raw training loss pale, smoothed on top, validation as markers on a line, the
// best validation marked. Points are extended in place, so a zoom stays where the person put it.

import { append, baseLayout, colour, hoverText, PLOTLY_OPTIONS, smooth } from "./chart-style.js";

const RAW = 0;
const SMOOTH = 1;
const VALIDATION = 2;
const BEST = 3;
const TREND_STEPS = 20;

export class LossChart {
  constructor(element, empty) {
    this.element = element;
    this.empty = empty;
    this.training = [];
    this.validation = [];
    this.isDrawn = false;
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.recolour());
    new MutationObserver(() => this.recolour()).observe(document.documentElement, {
      attributeFilter: ["data-theme"],
    });
  }

  add(points) {
    const training = points.filter((point) => point.name === "train/loss");
    const validation = points.filter((point) => point.name === "validation/loss");
    if (training.length + validation.length === 0) return;
    const inOrder = append(this.training, training) & append(this.validation, validation);
    if (!this.isDrawn || !inOrder || validation.length > 0) this.draw();
    else this.extend(training);
  }

  cutAfter(step) {
    const before = this.training.length + this.validation.length;
    this.training = this.training.filter((point) => point.step <= step);
    this.validation = this.validation.filter((point) => point.step <= step);
    const hasCut = this.training.length + this.validation.length < before;
    if (hasCut) this.draw();
    return hasCut;
  }

  newestSeq() {
    return Math.max(0, ...[this.training.at(-1), this.validation.at(-1)].map((point) => point?.seq ?? 0));
  }

  latestTraining() {
    return this.training.at(-1);
  }

  trend() {
    const now = this.training.slice(-TREND_STEPS);
    const before = this.training.slice(-2 * TREND_STEPS, -TREND_STEPS);
    if (before.length < TREND_STEPS) return "";
    const mean = (points) => points.reduce((sum, point) => sum + point.value, 0) / points.length;
    const change = mean(now) / mean(before) - 1;
    if (Math.abs(change) < 0.01) return "→ level";
    return change < 0 ? `↓ ${(-change * 100).toFixed(0)} %` : `↑ ${(change * 100).toFixed(0)} %`;
  }

  extend(points) {
    const smoothed = smooth(points, this.lastSmooth);
    this.lastSmooth = smoothed.at(-1);
    const x = points.map((point) => point.step);
    const hover = points.map(hoverText);
    const y = [points.map((point) => point.value), smoothed];
    Plotly.extendTraces(this.element, { x: [x, x], y, customdata: [hover, hover] }, [RAW, SMOOTH]);
  }

  draw() {
    this.empty.hidden = true;
    const smoothed = smooth(this.training);
    this.lastSmooth = smoothed.at(-1);
    const options = { ...PLOTLY_OPTIONS, toImageButtonOptions: { filename: "loss" } };
    Plotly.react(this.element, this.traces(smoothed), baseLayout("Loss"), options);
    this.isDrawn = true;
  }

  traces(smoothed) {
    const line = (points, y, name, style) => ({
      name, y, x: points.map((point) => point.step), customdata: points.map(hoverText),
      hovertemplate: `${name} %{y:.4f}<extra></extra>`, mode: "lines", ...style,
    });
    const values = (points) => points.map((point) => point.value);
    const best = this.validation.filter((point) => point.value === Math.min(...values(this.validation)));
    const training = colour("training");
    const validation = colour("validation");
    const traces = [];
    traces[RAW] = line(this.training, values(this.training), "Training", { line: { color: training, width: 1 }, opacity: 0.3 });
    traces[SMOOTH] = line(this.training, smoothed, "Smoothed", { line: { color: training, width: 2 }, hoverinfo: "skip", hovertemplate: undefined });
    traces[VALIDATION] = line(this.validation, values(this.validation), "Validation", { mode: "lines+markers", line: { color: validation, width: 2, dash: "dot" }, marker: { size: 8, symbol: "diamond" }, cliponaxis: false });
    traces[BEST] = line(best.slice(0, 1), values(best.slice(0, 1)), "Best", { mode: "markers+text", text: ["best"], textposition: "top center", textfont: { color: validation }, marker: { size: 13, color: "transparent", line: { color: validation, width: 2 } }, hoverinfo: "skip", hovertemplate: undefined, cliponaxis: false });
    return traces;
  }

  recolour() {
    if (this.isDrawn) this.draw();
  }
}
