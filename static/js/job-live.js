// The live part of a job's page: points, state and log over the socket, by polling without it.
// The database is the truth: after every reconnect the page asks for what it has not seen.

import { joinTabs } from "./chart-tabs.js";
import { LossChart } from "./loss-chart.js";
import { MetricChart } from "./metric-chart.js";

const POLL_MILLISECONDS = 3000;
const LONGEST_WAIT_MILLISECONDS = 10000;
const FINISHED = new Set(["succeeded", "failed", "cancelled"]);

class JobPage {
  constructor(root) {
    this.root = root;
    this.chart = new LossChart(root.querySelector("[data-loss-chart]"), root.querySelector("[data-chart-empty]"));
    this.metrics = new MetricChart(root.querySelector("[data-metric-chart]"), root.querySelector("[data-metric-empty]"));
    joinTabs(root.querySelector("[data-chart-tabs]"), root.querySelector("#chart-loss"), root.querySelector("#chart-metric"), this.metrics);
    this.lastSeq = 0;
    this.lastLogNumber = Number(root.querySelector("[data-log] > :last-child")?.dataset.number ?? 0);
    this.wait = 500;
    this.isConnected = false;
    this.hasSeenEnd = this.hasEnded();
  }

  async start() {
    await this.readMetrics();
    this.connect();
    setInterval(() => this.isConnected || this.readMetrics(), POLL_MILLISECONDS);
  }

  // One reader at a time, and none beside the socket: an answer that was asked for earlier would
  // take back steps that arrived since.
  async readMetrics() {
    if (this.reading) return;
    this.reading = new AbortController();
    try {
      while (await this.readPortion(this.reading.signal));
    } catch {
      // The studio is away, or the socket is back; either way somebody asks again.
    } finally {
      this.reading = null;
    }
  }

  async readPortion(signal) {
    const answer = await fetch(`${this.root.dataset.metrics}?${this.seen()}`, { signal });
    if (!answer.ok) return false;
    const portion = await answer.json();
    this.cutAfter(portion.newest_step);
    this.take(portion.points);
    for (const line of portion.log) this.addLogLine(line);
    this.sampledAt(portion.sampled_step);
    return portion.points.length > 0;
  }

  seen() {
    return `since=${this.lastSeq}&log=${this.lastLogNumber}`;
  }

  connect() {
    const address = new URL(`${this.root.dataset.socket}?${this.seen()}`, location.href);
    address.protocol = address.protocol.replace("http", "ws");
    const socket = new WebSocket(address);
    socket.addEventListener("open", () => {
      this.isConnected = true;
      this.reading?.abort();
      this.wait = 500;
    });
    socket.addEventListener("message", (event) => this.receive(JSON.parse(event.data)));
    socket.addEventListener("close", (event) => {
      this.isConnected = false;
      if (event.code === 4401 || event.code === 4404) return; // signed out, or not ours any more
      setTimeout(() => this.connect(), this.wait);
      this.wait = Math.min(this.wait * 2, LONGEST_WAIT_MILLISECONDS);
    });
  }

  receive(message) {
    switch (message.type) {
      case "metrics":
        this.take(message.points);
        break;
      case "rewind":
        this.cutAfter(message.step);
        break;
      case "samples":
        this.sampledAt(message.step);
        break;
      case "log":
        this.addLogLine(message);
        break;
      case "status":
      case "checkpoint":
        this.stateChanged(message);
        break;
    }
  }

  // What was cut is asked for and taken again if it turns out to exist after all.
  cutAfter(step) {
    this.metrics.cutAfter(step);
    if (this.chart.cutAfter(step)) this.lastSeq = this.chart.newestSeq();
  }

  take(points) {
    const fresh = points.filter((point) => point.seq > this.lastSeq);
    if (fresh.length === 0) return;
    this.lastSeq = fresh.at(-1).seq;
    this.chart.add(fresh);
    this.metrics.add(fresh);
    this.showLatest();
  }

  showLatest() {
    // Once the job has ended, the header's own numbers are the final ones.
    const latest = this.chart.latestTraining();
    if (!latest || this.hasEnded()) return;
    const put = (selector, text) => {
      const part = this.root.querySelector(selector);
      if (part) part.textContent = text;
    };
    put("[data-latest-loss]", latest.value.toFixed(3));
    put("[data-latest-step]", latest.step.toLocaleString("en"));
    put("[data-trend]", this.chart.trend());
    const progress = this.root.querySelector("[data-progress]");
    if (progress) progress.value = latest.step;
  }

  // The answers come as a fragment, when there are others than the page shows.
  sampledAt(step) {
    const shown = Number(this.root.querySelector("#job-samples").dataset.step);
    if (step !== shown) htmx.trigger(this.root, "job:sampled");
  }

  stateChanged(message) {
    htmx.trigger(this.root, "job:changed");
    if (FINISHED.has(message.status)) this.ended();
  }

  ended() {
    this.readMetrics();
    if (!this.hasSeenEnd) htmx.trigger(this.root, "job:finished");
    this.hasSeenEnd = true;
  }

  // A new header carries the last written numbers; ours may be newer. And it may be the first to
  // say that the job has ended, when the message of it was lost.
  headerChanged() {
    this.showLatest();
    if (this.hasEnded()) this.ended();
  }

  hasEnded() {
    return FINISHED.has(this.root.querySelector("#job-header").dataset.status);
  }

  addLogLine({ number, text }) {
    if (number <= this.lastLogNumber) return;
    this.lastLogNumber = number;
    const log = this.root.querySelector("[data-log]");
    const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
    const line = document.createElement("li");
    line.dataset.number = number;
    const time = document.createElement("time");
    time.textContent = new Date().toLocaleTimeString("en-GB", { timeZone: "UTC" });
    line.append(time, " ", text);
    log.append(line);
    if (atEnd) log.scrollTop = log.scrollHeight;
  }
}

for (const root of document.querySelectorAll("[data-job-live]")) {
  const log = root.querySelector("[data-log]");
  log.scrollTop = log.scrollHeight;
  const page = new JobPage(root);
  root.addEventListener("htmx:afterSwap", () => page.headerChanged());
  page.start();
}
