// What the charts of a job share: colours from the page, axes, and how points join a series.

export const PLOTLY_OPTIONS = {
  displaylogo: false,
  responsive: true,
  displayModeBar: "hover",
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
};

// Steps that are there already are replaced: a resumed run writes them again.
export function append(series, points) {
  let inOrder = 1;
  for (const point of points) {
    const at = series.length && point.step <= series.at(-1).step ? series.findIndex((old) => old.step >= point.step) : -1;
    if (at < 0) series.push(point);
    else {
      series.splice(at, series[at].step === point.step ? 1 : 0, point);
      inOrder = 0;
    }
  }
  return inOrder;
}

export const SMOOTHING = 0.85;

// An exponential mean, begun at `start`, so that points can be added at the end alone.
export function smooth(points, start = points[0]?.value) {
  let value = start;
  return points.map((point) => (value = SMOOTHING * value + (1 - SMOOTHING) * point.value));
}

export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--color-${name}`).trim();
}

export function hoverText(point) {
  return point.epoch.toFixed(2);
}

export function baseLayout(title) {
  const axis = { gridcolor: colour("border"), zeroline: false, linecolor: colour("border"), color: colour("muted"), automargin: true };
  return {
    uirevision: "keep", showlegend: false, hovermode: "x unified", dragmode: "zoom",
    margin: { l: 48, r: 12, t: 8, b: 40 },
    paper_bgcolor: "transparent", plot_bgcolor: "transparent",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("muted") },
    hoverlabel: { bgcolor: colour("raised"), bordercolor: colour("border"), font: { color: colour("text") } },
    xaxis: { ...axis, title: { text: "Step" }, hoverformat: "d", rangemode: "tozero" },
    yaxis: { ...axis, title: { text: title }, rangemode: "tozero" },
  };
}
