// Plotly measures its width once; fit figures to the column when the page or the phone turns.
window.addEventListener("load", () => {
  const fit = () => document.querySelectorAll(".plotly-graph-div").forEach((div) => window.Plotly && Plotly.Plots.resize(div));
  fit();
  window.addEventListener("resize", fit);
});
