// The tabs over a job's charts: the loss has a chart of its own, the others share one.
// Arrow keys go from tab to tab, as in any list of tabs.

export function joinTabs(list, lossPanel, metricPanel, metricChart) {
  const tabs = [...list.querySelectorAll("[role=tab]")];
  const says = metricPanel.querySelector("[data-metric-says]");
  const legend = metricPanel.querySelector("[data-metric-legend]");

  const choose = (tab) => {
    for (const other of tabs) {
      other.setAttribute("aria-selected", other === tab);
      other.tabIndex = other === tab ? 0 : -1;
    }
    const isLoss = !tab.dataset.training;
    lossPanel.hidden = !isLoss;
    metricPanel.hidden = isLoss;
    metricPanel.setAttribute("aria-labelledby", tab.id);
    says.textContent = tab.dataset.says ?? "";
    legend.hidden = !tab.dataset.validation;
    metricChart.choose(isLoss ? null : tab.dataset);
    // What was drawn while it was hidden has no width yet.
    const chart = (isLoss ? lossPanel : metricPanel).querySelector(".chart");
    if (chart.data) Plotly.Plots.resize(chart);
  };

  list.addEventListener("click", (event) => {
    const tab = event.target.closest("[role=tab]");
    if (tab) choose(tab);
  });
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const at = tabs.indexOf(document.activeElement);
    const next = tabs[(at + step + tabs.length) % tabs.length];
    next.focus();
    choose(next);
    event.preventDefault();
  });
}
